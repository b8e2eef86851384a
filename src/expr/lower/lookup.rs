//! Lowers functions that have no form in HLO, over columns with few values. DataFusion evaluates the expression on the host,
//! once for each combination of values of the columns, NULL included; the device looks the results up in a table.
//!
//! The values of a string column are its dictionary, those of a boolean column are two, and those of an integer or date
//! column are all from its minimum to its maximum.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;

use crate::columnar::dictionary::Dictionary;
use crate::columnar::encode::ColumnEncoder;
use crate::columnar::range::Range;
use crate::columnar::representation::{Representation, plain_integer, reinterpret};
use crate::cores::cores;
use crate::expr::fallback::FallbackReason;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::Value;
use crate::kernels::wide::Wide;
use crate::program::ElementType::{self, Pred, S32};

/// The most entries that a table may have, except for a single string column. Beyond this the pipeline runs on the host.
const MAX_ENTRIES: usize = 1 << 18;

/// The number of entries from which a function is evaluated on all cores.
const PARALLEL_ENTRIES: usize = 1 << 15;

/// A lookup table in the device's encoding.
struct Table {
    representation: Representation,
    range: Option<Range>,
    dictionary: Option<Arc<Dictionary>>,
    arrays: Vec<(ElementType, Vec<u8>)>,
    valid: Option<Vec<u8>>,
    /// The entries for which the function failed, if any, and the first error.
    failed: Option<(Vec<u8>, ExpressionError)>,
}

impl Table {
    fn new(answers: Answers, entries: usize, data_type: &DataType) -> Result<Self> {
        let encoder = ColumnEncoder::try_new(vec![answers.values], data_type)?;
        let encoded = encoder.encode(0..entries, entries)?;
        let element_types = encoder.representation.element_types().iter();
        let failed = answers.failed;
        Ok(Self {
            representation: encoder.representation,
            range: encoder.range,
            arrays: element_types.zip(&encoded.values).map(|(e, b)| (*e, b.as_slice().to_vec())).collect(),
            valid: encoded.valid.map(|bytes| bytes.as_slice().to_vec()),
            dictionary: encoder.dictionary,
            failed: answers.error.map(|error| (failed.into_iter().map(u8::from).collect(), error)),
        })
    }
}

/// The results of a function, one for each entry.
struct Answers {
    values: ArrayRef,
    /// The entries for which the function failed, and the first error.
    failed: Vec<bool>,
    error: Option<ExpressionError>,
}

/// The values of an operand, followed by NULL.
struct Domain {
    values: ArrayRef,
    /// The position of each row's value, s32.
    index: Value,
}

impl Tracer {
    pub fn lookup(
        &mut self,
        operands: &[TracedColumn],
        function: &Arc<dyn PhysicalExpr>,
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        let mut domains = Vec::with_capacity(operands.len());
        let mut entries = 1usize;
        let too_many = || {
            let why = format!("its columns have more than {MAX_ENTRIES} combinations of values");
            DataFusionError::External(Box::new(FallbackReason::expression(function, why)))
        };
        for operand in operands {
            let n = self
                .extent(operand)?
                .filter(|n| *n <= MAX_ENTRIES || operands.len() == 1 && operand.dictionary.is_some());
            entries = n.and_then(|n| entries.checked_mul(n + 1)).ok_or_else(too_many)?;
        }
        if operands.len() > 1 && entries > MAX_ENTRIES {
            return Err(too_many());
        }
        for operand in operands {
            domains.push(self.domain(operand)?);
        }
        // The index is a mixed-radix number; the first operand is the most significant digit.
        let mut index = domains[0].index;
        for domain in &domains[1..] {
            let radix = self.scalar_parameter(S32, domain.values.len() as i128);
            let shifted = self.builder.multiply(index, radix)?;
            index = self.builder.add(shifted, domain.index)?;
        }
        let make = || Table::new(evaluate(&combinations(&domains, entries)?, function, data_type)?, entries, data_type);
        // The results for the strings of a column are kept with their dictionary.
        let table: Arc<Table> = match operands {
            [TracedColumn { dictionary: Some(dictionary), data_type: operand_type, .. }] => {
                dictionary.remember(function, operand_type, make)?
            }
            _ => Arc::new(make()?),
        };
        if let Some((failed, error)) = &table.failed {
            let flags = self.table_parameter(Pred, failed.clone());
            let failed = self.gather(flags, index)?;
            self.fail(failed, None, error.clone())?;
        }
        let mut arrays = Vec::with_capacity(2);
        for (element_type, bytes) in &table.arrays {
            let array = self.table_parameter(*element_type, bytes.clone());
            arrays.push(self.gather(array, index)?);
        }
        let valid = match &table.valid {
            Some(bytes) => {
                let array = self.table_parameter(Pred, bytes.clone());
                Some(self.gather(array, index)?)
            }
            None => None,
        };
        let range = table.range.unwrap_or(Range::FULL);
        let values = match table.representation {
            Representation::Pred => Values::Pred(arrays[0]),
            Representation::Float(_) => Values::Float(arrays[0]),
            Representation::Int(_) => Values::Int(Int { limbs: Limbs::Narrow(arrays[0]), range }),
            Representation::Wide => {
                Values::Int(Int { limbs: Limbs::Wide(Wide { hi: arrays[0], lo: arrays[1] }), range })
            }
        };
        Ok(TracedColumn { values, valid, data_type: data_type.clone(), dictionary: table.dictionary.clone() })
    }

    /// The number of values of an operand without NULL; `None` if it does not fit `usize`, or the operand is a float.
    fn extent(&self, operand: &TracedColumn) -> Result<Option<usize>> {
        Ok(match (&operand.dictionary, &operand.values) {
            (Some(dictionary), _) => Some(dictionary.len()),
            (None, Values::Pred(_)) => Some(2),
            (None, Values::Int(int)) => usize::try_from(int.range.extent()).ok(),
            (None, Values::Float(_)) => None,
        })
    }

    fn domain(&mut self, operand: &TracedColumn) -> Result<Domain> {
        let (values, index): (ArrayRef, Value) = match (&operand.dictionary, &operand.values) {
            (Some(dictionary), _) => {
                let code = self.to_element(operand.int()?, S32)?;
                (cast(dictionary.values(), &operand.data_type)?, code)
            }
            (None, Values::Pred(value)) if operand.data_type == DataType::Null => {
                let index = self.builder.convert(*value, S32)?;
                (new_null_array(&DataType::Null, 2), index)
            }
            (None, Values::Pred(value)) => {
                (Arc::new(BooleanArray::from(vec![false, true])), self.builder.convert(*value, S32)?)
            }
            _ => {
                let int = *operand.int()?;
                let numbers = Int64Array::from_iter_values(int.range.min as i64..=int.range.max as i64);
                let values = match plain_integer(&operand.data_type) {
                    Some(plain) => reinterpret(&cast(&numbers, &plain)?, &operand.data_type)?,
                    None => cast(&numbers, &operand.data_type)?,
                };
                let least = self.int_parameter(int.range.min);
                let offset = self.minus(&int, &least)?;
                (values, self.to_element(&offset, S32)?)
            }
        };
        let n = values.len();
        let null = new_null_array(&operand.data_type, 1);
        let values = concat(&[values.as_ref(), null.as_ref()])?;
        let index = match operand.valid {
            Some(valid) => {
                let null_index = self.scalar_parameter(S32, n as i128);
                self.builder.select(valid, index, null_index)?
            }
            None => index,
        };
        Ok(Domain { values, index })
    }
}

/// One array for each operand, with one row for each combination of values.
fn combinations(domains: &[Domain], entries: usize) -> Result<Vec<ArrayRef>> {
    let mut below = entries;
    let mut arrays = Vec::with_capacity(domains.len());
    for domain in domains {
        let n = domain.values.len();
        below /= n;
        let positions: UInt32Array = (0..entries).map(|entry| (entry / below % n) as u32).collect();
        arrays.push(take(&domain.values, &positions, None)?);
    }
    Ok(arrays)
}

/// Evaluates `function` for all entries, on all cores if there are many.
fn evaluate(arguments: &[ArrayRef], function: &Arc<dyn PhysicalExpr>, data_type: &DataType) -> Result<Answers> {
    let entries = arguments.first().map_or(0, |a| a.len());
    let cores = cores();
    if entries < PARALLEL_ENTRIES || cores == 1 {
        return evaluate_part(arguments, function, data_type);
    }
    let step = entries.div_ceil(cores);
    let parts = std::thread::scope(|scope| {
        let part = |from: usize| {
            let arguments: Vec<_> = arguments.iter().map(|a| a.slice(from, step.min(entries - from))).collect();
            scope.spawn(move || evaluate_part(&arguments, function, data_type))
        };
        let threads: Vec<_> = (0..entries).step_by(step).map(part).collect();
        let panicked = |_| DataFusionError::Internal(format!("{function} has panicked"));
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect::<Result<Vec<_>>>()
    })?;
    let values: Vec<&dyn Array> = parts.iter().map(|part| part.values.as_ref()).collect();
    Ok(Answers {
        values: concat(&values)?,
        failed: parts.iter().flat_map(|part| part.failed.iter().copied()).collect(),
        error: parts.into_iter().find_map(|part| part.error),
    })
}

/// Evaluates `function` for all entries. Where that fails, halves the entries until the failing ones are known.
fn evaluate_part(arguments: &[ArrayRef], function: &Arc<dyn PhysicalExpr>, data_type: &DataType) -> Result<Answers> {
    let fields: Vec<_> = arguments.iter().map(|a| Field::new("value", a.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let run = |from: usize, n: usize| -> Result<ArrayRef> {
        let batch = RecordBatch::try_new(schema.clone(), arguments.iter().map(|a| a.slice(from, n)).collect())?;
        let answer = function.evaluate(&batch)?.into_array(n)?;
        Ok(if answer.data_type() == data_type { answer } else { cast(&answer, data_type)? })
    };
    let entries = arguments.first().map_or(0, |a| a.len());
    let mut parts = Vec::new();
    let mut failed = vec![false; entries];
    let mut first_error = None;
    let mut open = vec![(0, entries)];
    while let Some((from, n)) = open.pop() {
        match run(from, n) {
            Ok(answer) => parts.push(answer),
            Err(_) if n > 1 => open.extend([(from + n / 2, n - n / 2), (from, n / 2)]),
            Err(error) => {
                first_error.get_or_insert_with(|| ExpressionError::Host(Arc::new(error)));
                parts.push(new_null_array(data_type, n));
                failed[from..from + n].fill(true);
            }
        }
    }
    let parts: Vec<&dyn Array> = parts.iter().map(|a| a.as_ref()).collect();
    Ok(Answers { values: concat(&parts)?, failed, error: first_error })
}
