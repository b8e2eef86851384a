//! Lowers GREATEST, LEAST and NULLIF. DataFusion turns COALESCE, NVL and NVL2 into CASE.

use datafusion::error::Result;

use crate::expr::ir::Choice;
use crate::expr::tracer::{TracedColumn, Tracer, and_valid};
use crate::hlo::{Comparison, Scalar, Value};

impl Tracer {
    pub fn choose(&mut self, choice: Choice, args: &[TracedColumn]) -> Result<TracedColumn> {
        let data_type = args[0].data_type.clone();
        let args = self.unify_dictionaries(args)?;
        let mut result = args[0].clone();
        for arg in &args[1..] {
            result = match choice {
                Choice::NullIf => {
                    let valid = and_valid(&mut self.builder, result.valid, arg.valid)?;
                    let mut gone = self.compare_signed(Comparison::Eq, &result, arg)?;
                    if let Some(valid) = valid {
                        gone = self.builder.and(gone, valid)?;
                    }
                    let kept = self.builder.not(gone)?;
                    let valid = match result.valid {
                        Some(valid) => self.builder.and(valid, kept)?,
                        None => kept,
                    };
                    // A literal that is NULL in some rows is an array.
                    let values = self.values_in_rows_of(result.values, valid)?;
                    TracedColumn { values, valid: Some(valid), ..result }
                }
                Choice::Greatest => self.better(Comparison::Ge, arg, &result)?,
                Choice::Least => self.better(Comparison::Le, arg, &result)?,
            };
        }
        result.data_type = data_type;
        Ok(result)
    }

    /// Takes `one` in the rows where the comparison with `other` holds or `other` is NULL.
    fn better(&mut self, direction: Comparison, one: &TracedColumn, other: &TracedColumn) -> Result<TracedColumn> {
        let better = self.compare_signed(direction, one, other)?;
        let always = self.builder.constant(Scalar::Pred(true));
        let (l, r) = (one.valid.unwrap_or(always), other.valid.unwrap_or(always));
        let alone: Value = self.builder.not(r)?;
        let taken = self.builder.or(better, alone)?;
        let taken = self.builder.and(taken, l)?;
        self.select_column(taken, one, other)
    }
}
