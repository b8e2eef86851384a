//! Rows by slot: for each slot the list of its rows, all lists in one array. Native: 3 to 5 ns/row for 6M rows into 1.5M slots
//! (`cargo test --release --test kernels speed -- --ignored --nocapture`).

use crate::hlo::{Builder, Comparison, HloError, ReduceKind, Value};
use crate::host_functions::BUCKET_ROWS;
use crate::kernels::Lowering;
use crate::kernels::native;
use crate::kernels::radix_sort::{SortKey, argsort};
use crate::kernels::scan::inclusive;
use crate::program::ElementType::{S32, U32};
use crate::program::Shape;

/// Places of `starts` after those of the slots.
const AFTER: usize = 8;

/// `(starts, order)`: the rows of slot s are `order[starts[s]..starts[s + 1]]`, in row order. `slots` is s32 `[n]`, -1 for
/// rows that belong nowhere; n is a multiple of 8. `starts` is s32 `[n_slots + 8]` and ends with the total; `order` is s32
/// `[n]` and ends with zeros.
pub fn bucket_rows(
    b: &mut Builder,
    lowering: Lowering,
    slots: Value,
    n_slots: usize,
) -> Result<(Value, Value), HloError> {
    let shape = b.shape(slots).clone();
    if shape.element_type != S32 || shape.rank() != 1 || n_slots == 0 {
        return Err(HloError::operands("bucket_rows", format!("not slots of {n_slots}"), &[&shape]));
    }
    let n = shape.element_count();
    if lowering == Lowering::Native {
        let outputs = [Shape::new(S32, [n_slots + AFTER]), Shape::new(S32, [n])];
        let [starts, order] = native::call(b, BUCKET_ROWS, &[n, n_slots], &[slots], outputs)?;
        return Ok((starts, order));
    }
    let zero = b.constant_of(S32, 0)?;
    let nowhere = b.constant_of(S32, n_slots as i128)?;
    let is_outside = b.compare(slots, zero, Comparison::Lt)?;
    let slots = b.select(is_outside, nowhere, slots)?;
    // Counts from place 1 on, so that their running sum is the sum of what is before.
    let one = b.constant_of(S32, 1)?;
    let zeros = b.broadcast(zero, &[n_slots + AFTER])?;
    let next = b.add(slots, one)?;
    let past = b.constant_of(S32, (n_slots + AFTER) as i128)?;
    let next = b.select(is_outside, past, next)?;
    let counts = b.scatter_1d(zeros, next, one, ReduceKind::Add)?;
    let starts = inclusive(b, counts, ReduceKind::Add)?;
    let value = b.convert(slots, U32)?;
    let bits = usize::BITS - n_slots.leading_zeros();
    let order = argsort(b, lowering, &[SortKey { value, bits }], n)?;
    let last = b.slice(starts, &[n_slots], &[n_slots + 1], &[1])?;
    let total = b.reshape(last, &[])?;
    let places = b.iota(Shape::new(S32, [n]), 0)?;
    let is_row = b.compare(places, total, Comparison::Lt)?;
    Ok((starts, b.select(is_row, order, zero)?))
}
