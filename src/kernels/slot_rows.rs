//! Lookup table from slot to row, for joins on dense keys. The native lowering exists because XLA:CPU's scatter into
//! millions of slots, and the gather that looks for duplicates, take 40 to 80 ns/row (docs/architecture.md).

use crate::hlo::{Builder, Comparison, HloError, ReduceKind, Value};
use crate::host_functions::SLOT_ROWS;
use crate::kernels::reduce::{Reduction, reduce_all};
use crate::kernels::{Lowering, native};
use crate::program::ElementType::S32;
use crate::program::Shape;

/// Returns `(row_of, duplicates)`: s32 `[n_slots]` with the last row of each slot or -1, and a scalar s32 that is 1 if
/// two rows share a slot, else 0. `slots` is s32 `[n]`, with -1 for rows without a slot; n must be a multiple of 8.
pub fn slot_rows(
    b: &mut Builder,
    lowering: Lowering,
    slots: Value,
    n_slots: usize,
) -> Result<(Value, Value), HloError> {
    let shape = b.shape(slots).clone();
    if shape.element_type != S32 || shape.rank() != 1 || n_slots == 0 {
        return Err(HloError::operands("slot_rows", format!("not slots of {n_slots}"), &[&shape]));
    }
    let n = shape.element_count();
    if lowering == Lowering::Native {
        let outputs = [Shape::new(S32, [n_slots]), Shape::new(S32, [1])];
        let [row_of, duplicates] = native::call(b, SLOT_ROWS, &[n, n_slots], &[slots], outputs)?;
        return Ok((row_of, b.reshape(duplicates, &[])?));
    }
    let row = b.iota(Shape::new(S32, [n]), 0)?;
    let none = b.constant_of(S32, -1)?;
    let empty = b.broadcast(none, &[n_slots])?;
    let row_of = b.scatter_1d(empty, slots, row, ReduceKind::Maximum)?;
    // The last row of a slot wins. A row that does not find itself in its slot is a duplicate.
    let zero = b.constant_of(S32, 0)?;
    let inside = b.maximum(slots, zero)?;
    let found = b.take(row_of, inside)?;
    let has_slot = b.compare(slots, zero, Comparison::Ge)?;
    let another = b.compare(found, row, Comparison::Ne)?;
    let duplicate = b.and(has_slot, another)?;
    let operand = b.convert(duplicate, S32)?;
    let any = Reduction { operand, kind: ReduceKind::Maximum, total_type: S32 };
    Ok((row_of, reduce_all(b, &[any])?[0]))
}
