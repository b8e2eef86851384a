//! Lowers CASE, which takes the value of the first branch whose condition is true. An error in a branch counts only for
//! the rows that reach the branch.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;

use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedColumn, Tracer};
use crate::hlo::Value;

impl Tracer {
    /// `trace` lowers a condition or a branch. While it runs, only the rows that reach that condition or branch are active.
    pub fn case(
        &mut self,
        branches: &[(DeviceExpr, DeviceExpr)],
        otherwise: Option<&DeviceExpr>,
        data_type: &DataType,
        trace: impl Fn(&mut Self, &DeviceExpr) -> Result<TracedColumn>,
    ) -> Result<TracedColumn> {
        let mut remaining: Option<Value> = None;
        let mut taken = Vec::with_capacity(branches.len());
        let mut values = Vec::with_capacity(branches.len() + 1);
        for (condition, value) in branches {
            let condition = self.with_active(remaining, |t| trace(t, condition))?;
            let mut here = condition.pred()?;
            if let Some(valid) = condition.valid {
                here = self.builder.and(here, valid)?;
            }
            if let Some(remaining) = remaining {
                here = self.builder.and(here, remaining)?;
            }
            values.push(self.with_active(Some(here), |t| trace(t, value))?);
            let not_here = self.builder.not(here)?;
            remaining = Some(match remaining {
                Some(before) => self.builder.and(before, not_here)?,
                None => not_here,
            });
            taken.push(here);
        }
        values.push(match otherwise {
            Some(value) => self.with_active(remaining, |t| trace(t, value))?,
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
}
