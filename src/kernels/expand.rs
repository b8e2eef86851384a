//! Repeats rows by their counts, for the pairs of a join or the elements of lists.

use crate::hlo::{Builder, Comparison, HloError, ReduceKind, Value};
use crate::host_functions::EXPAND;
use crate::kernels::Lowering;
use crate::kernels::compact::scatter_rows;
use crate::kernels::native;
use crate::kernels::scan::{exclusive_sum, inclusive};
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// Result of [`expand`].
#[derive(Clone, Copy, Debug)]
pub struct Expanded {
    /// Input row of each output row; s32 `[capacity]`, 0 from the total on.
    pub source: Value,
    /// Number of each output row among the copies of its input row, from 0; s32 `[capacity]`, 0 from the total on.
    pub position: Value,
    /// Sum of the counts; s64. The other arrays are only valid if it is at most `capacity`.
    #[allow(dead_code, reason = "part of what the kernel gives, which its tests check")]
    pub total: Value,
}

/// Repeats each row `counts[row]` times. `counts` is s32 `[n]` and not negative; n must be a multiple of 8.
pub fn expand(b: &mut Builder, lowering: Lowering, counts: Value, capacity: usize) -> Result<Expanded, HloError> {
    let shape = b.shape(counts).clone();
    if shape.element_type != S32 || shape.rank() != 1 || capacity == 0 {
        return Err(HloError::operands("expand", format!("not counts for {capacity} rows"), &[&shape]));
    }
    if lowering == Lowering::Native {
        let outputs = [Shape::new(S32, [capacity]), Shape::new(S32, [capacity]), Shape::scalar(S64)];
        let sizes = [shape.element_count(), capacity];
        let [source, position, total] = native::call(b, EXPAND, &sizes, &[counts], outputs)?;
        return Ok(Expanded { source, position, total });
    }
    let (starts, total) = exclusive_sum(b, lowering, counts)?;
    let zero = b.constant_of(S32, 0)?;
    let is_there = b.compare(counts, zero, Comparison::Gt)?;
    // Mark the first place of each row with its number, then take the running maximum.
    let marks = scatter_rows(b, capacity, is_there, starts)?;
    let source = inclusive(b, marks, ReduceKind::Maximum)?;
    let places = b.iota(Shape::new(S32, [capacity]), 0)?;
    let first = b.take(starts, source)?;
    let position = b.subtract(places, first)?;
    let wide_places = b.convert(places, S64)?;
    let is_row = b.compare(wide_places, total, Comparison::Lt)?;
    Ok(Expanded { source: b.select(is_row, source, zero)?, position: b.select(is_row, position, zero)?, total })
}
