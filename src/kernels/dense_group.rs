//! Grouped aggregation on dense ids. Each key is an offset into its known range, and several keys combine by mixed radix.
//! Each accumulator is one scatter into an array of slots, updated in place.
//!
//! ```text
//! id = (key0 - min0) * stride0 + (key1 - min1) * stride1 + ...        live row
//! id = slots - 1                                                       row that does not count (trash slot)
//! ```

use crate::hlo::{Builder, HloError, ReduceKind, Value};
use crate::program::ElementType::S32;
use crate::program::Shape;

/// One group key. All values are s32, arrays of the chunk or scalars.
#[derive(Clone, Copy, Debug)]
pub struct DenseKey {
    /// Offset of the key in its range; s32 `[n]`, at least 0 for every live row.
    pub offset: Value,
    /// Product of the extents of the keys after this one. It is a scalar parameter, so that other ranges need no
    /// compilation.
    pub stride: Value,
}

/// Returns the group ids, s32 `[n]`. Rows outside `mask` get `trash`, the last slot.
pub fn group_ids(b: &mut Builder, keys: &[DenseKey], mask: Option<Value>, trash: Value) -> Result<Value, HloError> {
    let mut id: Option<Value> = None;
    for key in keys {
        let scaled = b.multiply(key.offset, key.stride)?;
        id = Some(match id {
            Some(sum) => b.add(sum, scaled)?,
            None => scaled,
        });
    }
    let zero = b.constant_of(S32, 0)?;
    let id = id.unwrap_or(zero);
    match mask {
        Some(mask) => b.select(mask, id, trash),
        None => Ok(id),
    }
}

/// Inverts [`group_ids`]: returns a key's offset `s / stride % extent` for every slot s; `[slots]`.
pub fn slot_offset(b: &mut Builder, slots: usize, stride: Value, extent: Value) -> Result<Value, HloError> {
    let slot = b.iota(Shape::new(S32, [slots]), 0)?;
    let quotient = b.divide(slot, stride)?;
    b.remainder(quotient, extent)
}

/// Scatters `updates` `[n]` into `accumulators` `[slots]` by `ids`. A barrier keeps XLA from fusing the producers of
/// ids and updates into every scatter, where they would run serially and several times (xla-notes.md).
pub fn scatter_all(
    b: &mut Builder,
    ids: Value,
    accumulators: &[(Value, ReduceKind)],
    updates: &[Value],
) -> Result<Vec<Value>, HloError> {
    let mut held = vec![ids];
    held.extend_from_slice(updates);
    let held = b.optimization_barrier(&held)?;
    let mut out = Vec::with_capacity(accumulators.len());
    for ((accumulator, kind), update) in accumulators.iter().zip(&held[1..]) {
        out.push(b.scatter_1d(*accumulator, held[0], *update, *kind)?);
    }
    Ok(out)
}
