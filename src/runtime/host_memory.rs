//! glibc allocator settings for the memory that XLA:CPU frees.

/// Maximum number of blocks that glibc maps outside its heap and unmaps when they are freed.
const MMAP_MAX: libc::c_int = 0;

/// Free memory, in bytes, that glibc keeps at the top of a heap.
const TRIM_THRESHOLD: libc::c_int = 1 << 30;

/// Makes glibc keep memory that XLA:CPU frees, instead of returning it to the system after every chunk.
///
/// XLA allocates outputs and temporaries anew for each run, and a page fault costs more than the work on the page:
/// uploading 2 MB runs at 2 GB/s into fresh pages and at 40 GB/s into kept ones.
pub(super) fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes no pointers and locks its own state.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, MMAP_MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
    }
}

/// Makes glibc use one heap for all threads, instead of several per core. Call it first in `main`.
///
/// With one heap, a thread can reuse what another has freed. With heaps of their own, worker threads, which are new for
/// each run, touch fresh pages for many runs. One heap took Q7 of TPC-H at scale factor 1 from 45 to 308 ms down to 41
/// to 62 ms (`docs/tuning.md`). It suits programs whose own allocator is another one, such as mimalloc; in others all
/// threads would contend for one lock.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes no pointers and locks its own state.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
