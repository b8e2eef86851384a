//! Calls of the functions in `runtime/host_kernels/`, which get their sizes first, as an `s64` array.

use crate::hlo::{Builder, HloError, Scalar, Value};
use crate::program::Shape;

/// Calls the native function `target` and returns its results, of the shapes `outputs`.
pub(super) fn call<const N: usize>(
    b: &mut Builder,
    target: &str,
    sizes: &[usize],
    operands: &[Value],
    outputs: [Shape; N],
) -> Result<[Value; N], HloError> {
    let sizes: Vec<Scalar> = sizes.iter().map(|size| Scalar::S64(*size as i64)).collect();
    let sizes = b.constant_array(&sizes)?;
    let results = b.custom_call(target, &[&[sizes], operands].concat(), &outputs)?;
    let count = results.len();
    results
        .try_into()
        .map_err(|_| HloError::operands("custom_call", format!("{count} results, not {N}"), &outputs.each_ref()))
}
