//! Lowers comparisons. Floats compare in total order with -0.0 equal to 0.0, as in DataFusion. Strings compare by their
//! codes; the host brings literals and codes of different dictionaries to one dictionary first.

use datafusion::error::Result;

use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::kernels::order_key;
use crate::program::ElementType::S32;

impl Tracer {
    pub fn compare_columns(
        &mut self,
        direction: Comparison,
        lhs: &TracedColumn,
        rhs: &TracedColumn,
    ) -> Result<TracedColumn> {
        let valid = and_valid(&mut self.builder, lhs.valid, rhs.valid)?;
        let value = self.compare_values(direction, lhs, rhs)?;
        Ok(TracedColumn::boolean(value, valid))
    }

    pub fn compare_values(&mut self, direction: Comparison, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<Value> {
        match (&lhs.values, &rhs.values) {
            (Values::Pred(l), Values::Pred(r)) => Ok(self.builder.compare(*l, *r, direction)?),
            (Values::Float(l), Values::Float(r)) => {
                let l = order_key::from_float_one_zero(&mut self.builder, *l)?;
                let r = order_key::from_float_one_zero(&mut self.builder, *r)?;
                Ok(self.builder.compare(l, r, direction)?)
            }
            _ if lhs.dictionary.is_some() => self.compare_strings(direction, lhs, rhs),
            _ => self.compare_int(lhs.int()?, rhs.int()?, direction),
        }
    }

    /// Compares as arrow's kernels do, for which -0.0 is less than 0.0.
    pub fn compare_signed(&mut self, direction: Comparison, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<Value> {
        Ok(match (&lhs.values, &rhs.values) {
            (Values::Float(l), Values::Float(r)) => {
                let l = order_key::from_float(&mut self.builder, *l)?;
                let r = order_key::from_float(&mut self.builder, *r)?;
                self.builder.compare(l, r, direction)?
            }
            (Values::Pred(l), Values::Pred(r)) => self.builder.compare(*l, *r, direction)?,
            _ => self.compare_int(lhs.int()?, rhs.int()?, direction)?,
        })
    }

    fn compare_strings(&mut self, direction: Comparison, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<Value> {
        lhs.check_ordered()?;
        rhs.check_ordered()?;
        if let Some(literal) = self.string_literal(rhs) {
            return self.compare_to_literal(direction, lhs, &literal);
        }
        if let Some(literal) = self.string_literal(lhs) {
            return self.compare_to_literal(swap(direction), rhs, &literal);
        }
        let columns = self.unify_dictionaries(&[lhs.clone(), rhs.clone()])?;
        self.compare_int(columns[0].int()?, columns[1].int()?, direction)
    }

    /// Compares codes with the literal's position in the dictionary, which is a run-time parameter.
    fn compare_to_literal(&mut self, direction: Comparison, column: &TracedColumn, literal: &str) -> Result<Value> {
        let Some(dictionary) = column.dictionary.clone() else {
            return Ok(self.builder.constant(Scalar::Pred(false)));
        };
        let lower = dictionary.lower_bound(literal) as i128;
        let present = dictionary.code(literal).is_some();
        let upper = lower + i128::from(present);
        let (direction, threshold) = match direction {
            Comparison::Eq | Comparison::Ne => (direction, if present { lower } else { -1 }),
            Comparison::Lt => (Comparison::Lt, lower),
            Comparison::Le => (Comparison::Lt, upper),
            Comparison::Gt => (Comparison::Ge, upper),
            Comparison::Ge => (Comparison::Ge, lower),
        };
        let threshold = self.scalar_parameter(S32, threshold);
        let code = self.to_element(column.int()?, S32)?;
        Ok(self.builder.compare(code, threshold, direction)?)
    }

    /// `IS NOT DISTINCT FROM` or its negation. NULL equals NULL, and the result is never NULL.
    pub fn distinct(&mut self, not_distinct: bool, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<TracedColumn> {
        let mut same = self.compare_values(Comparison::Eq, lhs, rhs)?;
        let b = &mut self.builder;
        if lhs.valid.is_some() || rhs.valid.is_some() {
            let always = b.constant(Scalar::Pred(true));
            let (l, r) = (lhs.valid.unwrap_or(always), rhs.valid.unwrap_or(always));
            let both = b.and(l, r)?;
            let either = b.or(l, r)?;
            let neither = b.not(either)?;
            let equal = b.and(both, same)?;
            same = b.or(equal, neither)?;
        }
        let value = if not_distinct { same } else { b.not(same)? };
        Ok(TracedColumn::boolean(value, None))
    }
}

/// The direction after the operands have been swapped.
fn swap(direction: Comparison) -> Comparison {
    match direction {
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        same => same,
    }
}
