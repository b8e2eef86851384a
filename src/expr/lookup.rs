//! Functions of one string column: DataFusion's own expression runs once per distinct value, and once for NULL, on the
//! host; the device looks the answer up by code.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray, new_null_array};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;

use crate::columnar::encode::ColumnEncoder;
use crate::columnar::representation::Representation;
use crate::expr::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::Value;
use crate::kernels::wide::Wide;
use crate::program::ElementType::{Pred, S32};

/// What a function gives for each code, and last for NULL.
struct Answers {
    values: ArrayRef,
    /// Codes for which the function failed, and the first message.
    failed: Vec<bool>,
    message: Option<String>,
}

impl Tracer {
    pub fn lookup(
        &mut self,
        operand: &TracedColumn,
        function: &Arc<dyn PhysicalExpr>,
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        let Some(dictionary) = operand.dictionary.clone() else {
            return Err(DataFusionError::Internal("lookup on a column without a dictionary".into()));
        };
        let answers = evaluate(dictionary.values(), &operand.data_type, function, data_type)?;
        let n = dictionary.len();

        let code = self.to_element(operand.int()?, S32)?;
        let null_code = self.scalar_parameter(S32, n as i128);
        let index = match operand.valid {
            Some(valid) => self.builder.select(valid, code, null_code)?,
            None => code,
        };
        if let Some(message) = answers.message {
            let flags = self.table_parameter(Pred, answers.failed.iter().map(|f| u8::from(*f)).collect());
            let failed = self.gather(flags, index)?;
            self.fail(failed, None, message)?;
        }

        let encoder = ColumnEncoder::try_new(vec![answers.values], data_type)?;
        let encoded = encoder.encode(0..n + 1, n + 1)?;
        let mut arrays = Vec::with_capacity(2);
        for (element_type, bytes) in encoder.representation.element_types().iter().zip(&encoded.values) {
            let table = self.table_parameter(*element_type, bytes.as_slice().to_vec());
            arrays.push(self.gather(table, index)?);
        }
        let valid = match &encoded.valid {
            Some(bytes) => {
                let table = self.table_parameter(Pred, bytes.as_slice().to_vec());
                Some(self.gather(table, index)?)
            }
            None => None,
        };
        let range = encoder.range.unwrap_or(crate::columnar::range::Range::FULL);
        let values = match encoder.representation {
            Representation::Pred => Values::Pred(arrays[0]),
            Representation::Float(_) => Values::Float(arrays[0]),
            Representation::Int(_) => Values::Int(Int { limbs: Limbs::Narrow(arrays[0]), range }),
            Representation::Wide => {
                Values::Int(Int { limbs: Limbs::Wide(Wide { hi: arrays[0], lo: arrays[1] }), range })
            }
        };
        Ok(TracedColumn { values, valid, data_type: data_type.clone(), dictionary: encoder.dictionary })
    }

    /// `table[index]`, for an array or a scalar index.
    pub fn gather(&mut self, table: Value, index: Value) -> Result<Value> {
        let b = &mut self.builder;
        if b.shape(index).rank() == 1 {
            return Ok(b.take(table, index)?);
        }
        let index = b.reshape(index, &[1])?;
        let taken = b.take(table, index)?;
        Ok(b.reshape(taken, &[])?)
    }
}

/// Runs `function` over the distinct values and NULL; where the whole fails, value by value.
fn evaluate(
    values: &StringViewArray,
    operand_type: &DataType,
    function: &Arc<dyn PhysicalExpr>,
    data_type: &DataType,
) -> Result<Answers> {
    let schema = Arc::new(Schema::new(vec![Field::new("value", operand_type.clone(), true)]));
    let null = new_null_array(operand_type, 1);
    let values = cast(values, operand_type)?;
    let arguments = concat(&[values.as_ref(), null.as_ref()])?;
    let run = |arguments: ArrayRef| -> Result<ArrayRef> {
        let n = arguments.len();
        let batch = RecordBatch::try_new(schema.clone(), vec![arguments])?;
        let answer = function.evaluate(&batch)?.into_array(n)?;
        Ok(if answer.data_type() == data_type { answer } else { cast(&answer, data_type)? })
    };
    if let Ok(values) = run(arguments.clone()) {
        return Ok(Answers { values, failed: Vec::new(), message: None });
    }
    let mut answers = Vec::with_capacity(arguments.len());
    let mut failed = Vec::with_capacity(arguments.len());
    let mut message = None;
    for i in 0..arguments.len() {
        match run(arguments.slice(i, 1)) {
            Ok(answer) => {
                answers.push(answer);
                failed.push(false);
            }
            Err(error) => {
                message.get_or_insert_with(|| error.to_string());
                answers.push(new_null_array(data_type, 1));
                failed.push(true);
            }
        }
    }
    let parts: Vec<&dyn Array> = answers.iter().map(|a| a.as_ref()).collect();
    Ok(Answers { values: concat(&parts)?, failed, message })
}
