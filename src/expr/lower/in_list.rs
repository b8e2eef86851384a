//! Lowers IN. A short list becomes a chain of comparisons. For a long list of constants, numbers are searched in a sorted
//! table and strings are looked up by code.

use datafusion::common::ScalarValue;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::integer::{I64, Int, Limbs};
use crate::expr::tracer::literal::integer_of;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::kernels::order_key;
use crate::program::ElementType::{F32, Pred, S32, S64};

/// The longest list that becomes a chain of comparisons even if it holds only constants.
const SHORT: usize = 16;

/// The values of a long list of literals; `None` for short lists and lists with other values.
pub fn literals(list: &[DeviceExpr]) -> Option<Vec<&ScalarValue>> {
    if list.len() <= SHORT {
        return None;
    }
    list.iter()
        .map(|item| match &item.node {
            Node::Literal(value) => Some(value),
            _ => None,
        })
        .collect()
}

impl Tracer {
    /// `operand [NOT] IN (list)`. The result is NULL if the operand is, or if nothing matches and the list holds a NULL.
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

    /// `operand [NOT] IN (list)` for a long list of constants.
    pub fn in_set(&mut self, operand: &TracedColumn, list: &[&ScalarValue], negated: bool) -> Result<TracedColumn> {
        let present: Vec<&ScalarValue> = list.iter().copied().filter(|value| !value.is_null()).collect();
        operand.check_ordered()?;
        let found = match (&operand.values, &operand.dictionary) {
            (_, Some(dictionary)) => {
                let mut flags = vec![0u8; dictionary.len().max(1)];
                for text in present.iter().filter_map(|value| value.try_as_str().flatten()) {
                    if let Some(code) = dictionary.code(text) {
                        flags[code] = 1;
                    }
                }
                let table = self.table_parameter(Pred, flags);
                let code = self.to_element(operand.int()?, S32)?;
                self.gather(table, code)?
            }
            (Values::Float(x), _) => {
                let single = self.builder.element_type(*x) == F32;
                let keys = present.iter().filter_map(|value| float_key(value)).collect();
                let key = order_key::from_float(&mut self.builder, *x)?;
                let range = if single { Range::new(i32::MIN.into(), i32::MAX.into()) } else { I64 };
                self.search(&Int { limbs: Limbs::Narrow(key), range }, keys)?
            }
            (Values::Pred(value), _) => {
                let numbers = present.iter().filter_map(|v| match v {
                    ScalarValue::Boolean(Some(b)) => Some(i128::from(*b)),
                    _ => None,
                });
                let int = self.int_of(*value)?;
                self.search(&int, numbers.collect())?
            }
            (Values::Int(int), None) => {
                let numbers = present.iter().filter_map(|value| integer_of(value).flatten()).collect();
                self.search(int, numbers)?
            }
        };
        let mut valid = operand.valid;
        if present.len() < list.len() {
            valid = and_valid(&mut self.builder, valid, Some(found))?;
        }
        let value = if negated { self.builder.not(found)? } else { found };
        Ok(TracedColumn::boolean(value, valid))
    }

    /// Whether each number is in the list.
    fn search(&mut self, int: &Int, mut numbers: Vec<i128>) -> Result<Value> {
        numbers.retain(|n| int.range.min <= *n && *n <= int.range.max);
        let (mut narrow, wide): (Vec<i128>, Vec<i128>) = numbers.iter().partition(|n| I64.min <= **n && **n <= I64.max);
        let mut found = self.builder.constant(Scalar::Pred(false));
        for number in wide {
            let number = self.int_parameter(number);
            let equal = self.compare_int(int, &number, Comparison::Eq)?;
            found = self.builder.or(found, equal)?;
        }
        narrow.sort_unstable();
        narrow.dedup();
        let Some(last) = narrow.last().copied() else { return Ok(found) };
        let n = narrow.len().next_power_of_two().max(16);
        narrow.resize(n, last);
        let table = self.table_parameter(S64, narrow.iter().flat_map(|n| (*n as i64).to_le_bytes()).collect());
        let (value, outside) = self.confine(int, &I64)?;
        let value = self.to_element(&value, S64)?;
        let start = self.builder.constant(Scalar::S32(0));
        let mut at = self.broadcast_like(start, value)?;
        let mut half = n / 2;
        while half > 0 {
            let (step, middle) = (Scalar::S32(half as i32), Scalar::S32(half as i32 - 1));
            let (step, middle) = (self.builder.constant(step), self.builder.constant(middle));
            let middle = self.builder.add(at, middle)?;
            let there = self.gather(table, middle)?;
            let less = self.builder.compare(there, value, Comparison::Lt)?;
            let next = self.builder.add(at, step)?;
            at = self.builder.select(less, next, at)?;
            half /= 2;
        }
        let there = self.gather(table, at)?;
        let mut equal = self.builder.compare(there, value, Comparison::Eq)?;
        if let Some(outside) = outside {
            let inside = self.builder.not(outside)?;
            equal = self.builder.and(equal, inside)?;
        }
        Ok(self.builder.or(found, equal)?)
    }
}

/// The key of a float in the form of `order_key::from_float`. DataFusion's IN compares floats by their bits.
fn float_key(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::Float64(Some(x)) => {
            let bits = x.to_bits() as i64;
            Some(i128::from(bits ^ ((bits >> 63) as u64 >> 1) as i64))
        }
        ScalarValue::Float32(Some(x)) => {
            let bits = x.to_bits() as i32;
            Some(i128::from(bits ^ ((bits >> 31) as u32 >> 1) as i32))
        }
        _ => None,
    }
}
