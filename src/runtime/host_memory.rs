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

/// Makes glibc use one heap for all threads, instead of several a core.
///
/// What a thread frees, another can then use: with heaps of their own the workers, which are new for each run, touch fresh pages
/// for many runs. It made Q7 of TPC-H at scale factor 1 take 41 to 62 ms where it took 45 to 308 (`docs/tuning.md`). For programs
/// whose own allocations go elsewhere, as with mimalloc: all others would wait for one lock. Call it first in `main`.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes no pointers, and locks its own state.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
