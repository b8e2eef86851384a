//! Groups row ids by slot, with the lists of all slots in one array. The native lowering takes 3 to 5 ns/row for 6M
//! rows in 1.5M slots (`cargo test --release --test kernels speed -- --ignored --nocapture`).

use crate::hlo::{Builder, Comparison, HloError, ReduceKind, Value};
use crate::host_functions::BUCKET_ROWS;
use crate::kernels::Lowering;
use crate::kernels::native;
use crate::kernels::radix_sort::{SortKey, argsort};
use crate::kernels::scan::inclusive;
use crate::program::ElementType::{S32, U32};
use crate::program::Shape;

/// Extra elements of `starts` behind those of the slots.
const STARTS_PADDING: usize = 8;

/// Returns `(starts, order)`. The rows of slot s are `order[starts[s]..starts[s + 1]]`, in row order.
///
/// `slots` is s32 `[n]`, with -1 for rows without a slot; n must be a multiple of 8. `starts` is s32 `[n_slots + 8]`
/// and ends with the total; `order` is s32 `[n]` and ends with zeros.
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
        let outputs = [Shape::new(S32, [n_slots + STARTS_PADDING]), Shape::new(S32, [n])];
        let [starts, order] = native::call(b, BUCKET_ROWS, &[n, n_slots], &[slots], outputs)?;
        return Ok((starts, order));
    }
    let zero = b.constant_of(S32, 0)?;
    let nowhere = b.constant_of(S32, n_slots as i128)?;
    let is_outside = b.compare(slots, zero, Comparison::Lt)?;
    let slots = b.select(is_outside, nowhere, slots)?;
    // Count from element 1 on, so that the prefix sum of the counts gives the starts.
    let one = b.constant_of(S32, 1)?;
    let zeros = b.broadcast(zero, &[n_slots + STARTS_PADDING])?;
    let next = b.add(slots, one)?;
    let past = b.constant_of(S32, (n_slots + STARTS_PADDING) as i128)?;
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
