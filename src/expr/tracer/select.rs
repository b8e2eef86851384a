//! Chooses between two columns row by row.

use datafusion::error::Result;

use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::{Scalar, Value};
use crate::kernels::wide::Wide;

impl Tracer {
    /// Takes `on_true` in rows where `pred` is set, else `on_false`. Both must have the same type and dictionary.
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

    /// The values of a literal, once for each row of `like`; other values as they are.
    pub fn values_in_rows_of(&mut self, values: Values, like: Value) -> Result<Values> {
        let mut in_rows = |value: Value| self.broadcast_like(value, like);
        Ok(match values {
            Values::Pred(value) => Values::Pred(in_rows(value)?),
            Values::Float(value) => Values::Float(in_rows(value)?),
            Values::Int(Int { limbs, range }) => {
                let limbs = match limbs {
                    Limbs::Narrow(value) => Limbs::Narrow(in_rows(value)?),
                    Limbs::Wide(Wide { hi, lo }) => Limbs::Wide(Wide { hi: in_rows(hi)?, lo: in_rows(lo)? }),
                };
                Values::Int(Int { limbs, range })
            }
        })
    }

    fn select_value(&mut self, pred: Value, on_true: Value, on_false: Value) -> Result<Value> {
        Ok(self.builder.select(pred, on_true, on_false)?)
    }
}
