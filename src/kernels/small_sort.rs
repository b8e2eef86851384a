//! Stable sort of a small relation (the slots of an aggregate) by several integer keys, through XLA's own `sort`.
//!
//! XLA:CPU's `sort` costs about 390 ns/row with its comparator calls: right for thousands of rows, never the path for
//! a table. `small` is a promise of the caller.

use crate::hlo::{Builder, Comparison, HloError, Value};
use crate::program::ElementType::S32;
use crate::program::Shape;

/// Row ids `[n]` s32 in the order of `keys` (`[n]` integers each, ascending, first key first; ties keep their order).
pub fn sorted_row_ids(b: &mut Builder, keys: &[Value], n: usize) -> Result<Value, HloError> {
    let ids = b.iota(Shape::new(S32, [n]), 0)?;
    if keys.is_empty() {
        return Ok(ids);
    }
    let mut operands = keys.to_vec();
    operands.push(ids);
    let n_keys = keys.len();
    let sorted = b.sort(&operands, 0, true, |b, lhs, rhs| {
        let mut less = b.compare(lhs[n_keys - 1], rhs[n_keys - 1], Comparison::Lt)?;
        for key in (0..n_keys - 1).rev() {
            let strictly = b.compare(lhs[key], rhs[key], Comparison::Lt)?;
            let equal = b.compare(lhs[key], rhs[key], Comparison::Eq)?;
            let later = b.and(equal, less)?;
            less = b.or(strictly, later)?;
        }
        Ok(less)
    })?;
    Ok(sorted[n_keys])
}
