//! Comparisons and IN. Floats compare in total order with one zero, as DataFusion's do; strings by code, with literals and other
//! dictionaries brought to one dictionary on the host.

use datafusion::error::Result;

use crate::columnar::dictionary::Dictionary;
use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
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

    fn compare_values(&mut self, direction: Comparison, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<Value> {
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

    /// The text of a string that is the same for every row.
    fn string_literal(&self, column: &TracedColumn) -> Option<String> {
        let dictionary = column.dictionary.as_ref()?;
        let scalar = match &column.values {
            Values::Int(Int { limbs: Limbs::Narrow(v), .. }) => self.builder.shape(*v).rank() == 0,
            _ => false,
        };
        (scalar && dictionary.len() == 1).then(|| dictionary.values().value(0).to_string())
    }

    /// Compares codes with the place of the literal in the dictionary, a run-time parameter.
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

    /// The same columns with codes of one common dictionary.
    pub fn unify_dictionaries(&mut self, columns: &[TracedColumn]) -> Result<Vec<TracedColumn>> {
        let mut dictionaries = columns.iter().filter_map(|c| c.dictionary.clone());
        let Some(mut common) = dictionaries.next() else { return Ok(columns.to_vec()) };
        for dictionary in dictionaries {
            if !std::sync::Arc::ptr_eq(&common, &dictionary) && *common != *dictionary {
                common = Dictionary::merge(&common, &dictionary).0;
            }
        }
        let mut out = Vec::with_capacity(columns.len());
        for column in columns {
            let own = column.dictionary.clone();
            let same = own.as_ref().is_some_and(|d| std::sync::Arc::ptr_eq(d, &common) || **d == *common);
            let mut unified = column.clone();
            if !same {
                column.check_ordered()?;
            }
            if let (Some(own), false) = (own, same) {
                let (_, new_codes, _) = Dictionary::merge(&own, &common);
                let int = if self.string_literal(column).is_some() {
                    let code = new_codes.first().copied().unwrap_or(0);
                    Limbs::Narrow(self.scalar_parameter(S32, i128::from(code)))
                } else {
                    let bytes = new_codes.iter().flat_map(|c| c.to_le_bytes()).collect();
                    let table = self.table_parameter(S32, bytes);
                    let code = self.to_element(column.int()?, S32)?;
                    Limbs::Narrow(self.builder.take(table, code)?)
                };
                unified.values = Values::Int(Int { limbs: int, range: code_range(&common) });
            }
            unified.dictionary = Some(common.clone());
            out.push(unified);
        }
        Ok(out)
    }

    /// `IS NOT DISTINCT FROM` (or its negation): NULL equals NULL, and the answer is never NULL.
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

    /// `operand [NOT] IN (list)`: NULL where the operand is, or where nothing matches and the list holds a NULL.
    pub fn in_list(&mut self, operand: &TracedColumn, list: &[TracedColumn], negated: bool) -> Result<TracedColumn> {
        let mut found = self.builder.constant(Scalar::Pred(false));
        let mut list_null: Option<Value> = None;
        for item in list {
            // IN compares the bits of floats.
            let mut equal = match (&operand.values, &item.values) {
                (Values::Float(_), Values::Float(_)) => self.compare_signed(Comparison::Eq, operand, item)?,
                _ => self.compare_values(Comparison::Eq, operand, item)?,
            };
            if let Some(item_valid) = item.valid {
                equal = self.builder.and(equal, item_valid)?;
                let null = self.builder.not(item_valid)?;
                list_null = Some(match list_null {
                    Some(before) => self.builder.or(before, null)?,
                    None => null,
                });
            }
            found = self.builder.or(found, equal)?;
        }
        let mut valid = operand.valid;
        if let Some(list_null) = list_null {
            let no_null = self.builder.not(list_null)?;
            let known = self.builder.or(found, no_null)?;
            valid = and_valid(&mut self.builder, valid, Some(known))?;
        }
        let value = if negated { self.builder.not(found)? } else { found };
        Ok(TracedColumn::boolean(value, valid))
    }
}

/// The codes of a dictionary.
pub fn code_range(dictionary: &Dictionary) -> Range {
    Range::new(0, (dictionary.len() as i128 - 1).max(0))
}

/// The direction with its operands exchanged.
fn swap(direction: Comparison) -> Comparison {
    match direction {
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        same => same,
    }
}
