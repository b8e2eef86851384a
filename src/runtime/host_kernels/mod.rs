//! Native functions behind the kernels' `Lowering::Native`, one file each. They are registered when the CPU runtime starts.
//!
//! ```text
//!  kernels::radix_sort ── custom-call(sizes, keys ..) ──▶ radix_sort::argsort_call    pointers to slices
//!                                                           radix_sort::argsort         slices; what tests call
//! ```
//!
//! The first operand of every call is an `s64` array of sizes; `runtime::call` checks that no slice is longer than its buffer. A function that is called
//! for many rows starts threads of its own (`threads.rs`): XLA runs it on one.

mod bucket_rows;
mod compact;
mod expand;
mod group;
mod hash;
mod key_index;
mod partition;
mod radix_sort;
mod scan;
mod slot_rows;
mod threads;
mod top;
mod words;

use crate::error::Result;
use crate::host_functions;
use crate::runtime::custom_call::{handler, register};
use crate::runtime::ffi::Handler;

/// Registers the functions with XLA.
pub(super) fn register_all() -> Result<()> {
    let functions: [(&str, Handler); 10] = [
        (host_functions::EXCLUSIVE_SUM, handler!(scan::exclusive_sum_call)),
        (host_functions::LIVE_ROWS, handler!(compact::live_rows_call)),
        (host_functions::ARGSORT, handler!(radix_sort::argsort_call)),
        (host_functions::ARGSORT_TOP, handler!(top::argsort_top_call)),
        (host_functions::GROUP_ROWS, handler!(group::group_rows_call)),
        (host_functions::BUILD_INDEX, handler!(key_index::build_call)),
        (host_functions::PROBE_INDEX, handler!(key_index::probe_call)),
        (host_functions::BUCKET_ROWS, handler!(bucket_rows::bucket_rows_call)),
        (host_functions::SLOT_ROWS, handler!(slot_rows::slot_rows_call)),
        (host_functions::EXPAND, handler!(expand::expand_call)),
    ];
    for (name, function) in functions {
        // SAFETY: only `kernels` writes these names into programs, with the operands and results that each file states.
        unsafe { register(name, function) }?;
    }
    Ok(())
}
