//! How the C allocator treats memory that XLA:CPU frees.

/// Blocks that glibc maps apart from its heap, and unmaps when they are freed: none.
const MMAP_MAX: libc::c_int = 0;

/// Free memory at the top of a heap that is kept.
const TRIM_THRESHOLD: libc::c_int = 1 << 30;

/// Lets glibc keep what XLA:CPU frees, instead of giving it back to the system after every chunk.
///
/// XLA allocates outputs and temporaries anew for each run, and a page fault costs more than the work on the page:
/// uploading 2 MB runs at 2 GB/s into fresh pages and at 40 GB/s into kept ones.
pub(super) fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes no pointers, and locks its own state.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, MMAP_MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
    }
}
