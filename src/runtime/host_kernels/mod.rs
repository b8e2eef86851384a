//! Native functions behind the kernels' `Lowering::Native`, one file each. They are registered when the CPU runtime starts.
//!
//! ```text
//!  kernels::radix_sort ── custom-call(sizes, keys ..) ──▶ radix_sort::argsort_call    pointers to slices
//!                                                           radix_sort::argsort         slices; what tests call
//! ```
//!
//! XLA gives pointers and no sizes, so the first operand of every call is an `s64` array of them. A function that is called
//! for many rows starts threads of its own (`threads.rs`): XLA runs it on one.

mod bucket_rows;
mod call;
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
use crate::runtime::custom_call::{HostFunction, register};

/// Registers the functions with XLA.
pub(super) fn register_all() -> Result<()> {
    let functions: [(&str, HostFunction); 10] = [
        (host_functions::EXCLUSIVE_SUM, scan::exclusive_sum_call),
        (host_functions::LIVE_ROWS, compact::live_rows_call),
        (host_functions::ARGSORT, radix_sort::argsort_call),
        (host_functions::ARGSORT_TOP, top::argsort_top_call),
        (host_functions::GROUP_ROWS, group::group_rows_call),
        (host_functions::BUILD_INDEX, key_index::build_call),
        (host_functions::PROBE_INDEX, key_index::probe_call),
        (host_functions::BUCKET_ROWS, bucket_rows::bucket_rows_call),
        (host_functions::SLOT_ROWS, slot_rows::slot_rows_call),
        (host_functions::EXPAND, expand::expand_call),
    ];
    for (name, function) in functions {
        // SAFETY: only `kernels` writes these names into programs, with the operands and results that each file states.
        unsafe { register(name, function) }?;
    }
    Ok(())
}
