//! The native kernel that one of the golden programs calls. It exists in tests only.

use crate::error::Result;
use crate::runtime::call::Call;
use crate::runtime::custom_call::{handler, register};

/// Registers the kernel as `name`, which only that golden program calls.
///
/// # Errors
///
/// As [`register`].
pub fn register_rank(name: &str) -> Result<()> {
    // SAFETY: the golden program passes what `rank` reads and writes.
    unsafe { register(name, handler!(rank)) }
}

/// `(key s64[n], n u32) -> (rank u32[n], sorted s64[n])`
unsafe fn rank(call: &Call) {
    // SAFETY: the golden passes an array of n elements and the scalar n, and its results are two arrays of n elements.
    let (keys, ranks, sorted) = unsafe {
        let n = call.input::<u32>(1, 1)[0] as usize;
        (call.input::<i64>(0, n), call.output::<u32>(0, n), call.output::<i64>(1, n))
    };
    let mut rows: Vec<usize> = (0..keys.len()).collect();
    rows.sort_by_key(|row| keys[*row]);
    for (rank, row) in rows.into_iter().enumerate() {
        ranks[row] = rank as u32;
        sorted[rank] = keys[row];
    }
}
