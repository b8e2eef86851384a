//! CASE: the value of the first branch whose condition is true. A branch is evaluated, as far as errors go, only for
//! the rows that reach it.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;

use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Scalar, Value};

impl Tracer {
    pub fn case(
        &mut self,
        branches: &[(DeviceExpr, DeviceExpr)],
        otherwise: Option<&DeviceExpr>,
        data_type: &DataType,
        input: &TracedRelation,
    ) -> Result<TracedColumn> {
        let mut remaining: Option<Value> = None;
        let mut taken = Vec::with_capacity(branches.len());
        let mut values = Vec::with_capacity(branches.len() + 1);
        for (condition, value) in branches {
            let condition = self.with_active(remaining, |t| condition.trace(t, input))?;
            let mut here = condition.pred()?;
            if let Some(valid) = condition.valid {
                here = self.builder.and(here, valid)?;
            }
            if let Some(remaining) = remaining {
                here = self.builder.and(here, remaining)?;
            }
            values.push(self.with_active(Some(here), |t| value.trace(t, input))?);
            let not_here = self.builder.not(here)?;
            remaining = Some(match remaining {
                Some(before) => self.builder.and(before, not_here)?,
                None => not_here,
            });
            taken.push(here);
        }
        values.push(match otherwise {
            Some(value) => self.with_active(remaining, |t| value.trace(t, input))?,
            None => self.literal(&ScalarValue::try_from(data_type)?, data_type)?,
        });
        let mut values = self.unify_dictionaries(&values)?;
        let Some(mut result) = values.pop() else {
            return datafusion::common::internal_err!("CASE without a value");
        };
        for (here, value) in taken.into_iter().zip(values).rev() {
            result = self.select_column(here, &value, &result)?;
        }
        result.data_type = data_type.clone();
        Ok(result)
    }

    /// Row by row one of two columns of one type and one dictionary.
    pub fn select_column(
        &mut self,
        pred: Value,
        on_true: &TracedColumn,
        on_false: &TracedColumn,
    ) -> Result<TracedColumn> {
        let values = match (&on_true.values, &on_false.values) {
            (Values::Pred(t), Values::Pred(f)) => Values::Pred(self.select_value(pred, *t, *f)?),
            (Values::Float(t), Values::Float(f)) => Values::Float(self.select_value(pred, *t, *f)?),
            _ => Values::Int(self.select_int(pred, on_true.int()?, on_false.int()?)?),
        };
        let valid = match (on_true.valid, on_false.valid) {
            (None, None) => None,
            (t, f) => {
                let always = self.builder.constant(Scalar::Pred(true));
                Some(self.select_value(pred, t.unwrap_or(always), f.unwrap_or(always))?)
            }
        };
        Ok(TracedColumn { values, valid, ..on_true.clone() })
    }

    fn select_value(&mut self, pred: Value, on_true: Value, on_false: Value) -> Result<Value> {
        Ok(self.builder.select(pred, on_true, on_false)?)
    }
}
