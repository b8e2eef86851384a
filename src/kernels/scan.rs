//! Prefix sums.

use crate::hlo::{Builder, HloError, ReduceKind, Value, Window};
use crate::host_functions::EXCLUSIVE_SUM;
use crate::kernels::Lowering;
use crate::kernels::native;
use crate::kernels::reduce::{self, Reduction, reduce_all};
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// Returns the wrapping sum of the elements before each, s32 `[n]`, and the sum of all, s64. `values` is s32 `[n]`; n
/// must be a multiple of 8.
pub fn exclusive_sum(b: &mut Builder, lowering: Lowering, values: Value) -> Result<(Value, Value), HloError> {
    let shape = b.shape(values).clone();
    match lowering {
        Lowering::Native => {
            if shape.element_type != S32 || shape.rank() != 1 {
                return Err(HloError::operands("exclusive_sum", "not an array of s32", &[&shape]));
            }
            let outputs = [shape.clone(), Shape::scalar(S64)];
            let [sums, total] = native::call(b, EXCLUSIVE_SUM, &[shape.element_count()], &[values], outputs)?;
            Ok((sums, total))
        }
        Lowering::Portable => {
            let sums = inclusive(b, values, ReduceKind::Add)?;
            let sums = b.subtract(sums, values)?;
            let operand = b.convert(values, S64)?;
            let total = reduce_all(b, &[Reduction { operand, kind: ReduceKind::Add, total_type: S64 }])?;
            Ok((sums, total[0]))
        }
    }
}

/// Combines each element of `values` `[n]` with all before it. This is pure HLO, which XLA turns into a tree.
pub(super) fn inclusive(b: &mut Builder, values: Value, kind: ReduceKind) -> Result<Value, HloError> {
    let n = b.shape(values).element_count();
    let element_type = b.element_type(values);
    let init = reduce::identity(b, kind, element_type)?;
    let window = Window { sizes: vec![n], strides: vec![1], padding: vec![(n.saturating_sub(1), 0)] };
    b.reduce_window(values, init, window, kind)
}
