//! The native kernel that one of the golden programs calls. It exists in tests only.

use std::ffi::c_void;

use crate::error::Result;
use crate::runtime::custom_call::register;

/// Registers the kernel as `name`, which only that golden program calls.
///
/// # Errors
///
/// As [`register`].
pub fn register_rank(name: &str) -> Result<()> {
    // SAFETY: the golden program passes what `rank` reads and writes.
    unsafe { register(name, rank) }
}

/// `(key s64[n], n u32) -> (rank u32[n], sorted s64[n])`
unsafe extern "C" fn rank(outputs: *mut c_void, inputs: *const *const c_void) {
    // SAFETY: the golden passes an array of n elements and the scalar n, and its results are two arrays of n elements.
    let (keys, ranks, sorted) = unsafe {
        let n = **inputs.add(1).cast::<*const u32>() as usize;
        let outputs = outputs.cast::<*mut c_void>();
        (
            std::slice::from_raw_parts((*inputs).cast::<i64>(), n),
            std::slice::from_raw_parts_mut((*outputs).cast::<u32>(), n),
            std::slice::from_raw_parts_mut((*outputs.add(1)).cast::<i64>(), n),
        )
    };
    let mut rows: Vec<usize> = (0..keys.len()).collect();
    rows.sort_by_key(|row| keys[*row]);
    for (rank, row) in rows.into_iter().enumerate() {
        ranks[row] = rank as u32;
        sorted[rank] = keys[row];
    }
}
