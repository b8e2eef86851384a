//! Lowers AND, OR and IS NULL in three-valued logic. An error on the right-hand side counts only for rows that the
//! left-hand side does not decide: SQL would not evaluate the others.

use datafusion::error::Result;

use crate::expr::tracer::{TracedColumn, Tracer};
use crate::hlo::{Scalar, Value};

impl Tracer {
    /// AND or OR. A false operand decides AND and a true one decides OR, even if the other operand is NULL. While `rhs` is
    /// traced, only the rows that `l` does not decide are active.
    pub fn connective(
        &mut self,
        is_and: bool,
        l: &TracedColumn,
        rhs: impl FnOnce(&mut Self) -> Result<TracedColumn>,
    ) -> Result<TracedColumn> {
        let decided_by_l = self.decides(is_and, l)?;
        let open = self.builder.not(decided_by_l)?;
        let r = self.with_active(Some(open), rhs)?;
        let (lv, rv) = (l.pred()?, r.pred()?);
        let value = if is_and { self.builder.and(lv, rv)? } else { self.builder.or(lv, rv)? };
        if l.valid.is_none() && r.valid.is_none() {
            return Ok(TracedColumn::boolean(value, None));
        }
        let decided_by_r = self.decides(is_and, &r)?;
        let b = &mut self.builder;
        let decided = b.or(decided_by_l, decided_by_r)?;
        let always = b.constant(Scalar::Pred(true));
        let both = b.and(l.valid.unwrap_or(always), r.valid.unwrap_or(always))?;
        let valid = b.or(both, decided)?;
        // The value bit of a NULL operand is unspecified, so a deciding operand must set the result.
        let value = if is_and {
            let not_decided = b.not(decided)?;
            b.and(value, not_decided)?
        } else {
            b.or(value, decided)?
        };
        Ok(TracedColumn::boolean(value, Some(valid)))
    }

    /// The rows in which this operand alone decides the result.
    fn decides(&mut self, is_and: bool, operand: &TracedColumn) -> Result<Value> {
        let value = operand.pred()?;
        let deciding = if is_and { self.builder.not(value)? } else { value };
        match operand.valid {
            Some(valid) => Ok(self.builder.and(valid, deciding)?),
            None => Ok(deciding),
        }
    }

    pub fn null_test(&mut self, operand: &TracedColumn) -> Result<TracedColumn> {
        let value = match operand.valid {
            Some(valid) => self.builder.not(valid)?,
            None => self.builder.constant(Scalar::Pred(false)),
        };
        Ok(TracedColumn::boolean(value, None))
    }
}
