//! Hashing of key words, and prefetching.

/// A key of `W` words.
pub(super) type Key<const W: usize> = [u64; W];

/// Returns 64 well mixed bits. Each word is multiplied in, and the halves of the 128-bit product are folded into one
/// another.
#[inline(always)]
pub(super) fn hash<const W: usize>(key: &Key<W>) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15;
    for word in key {
        let product = u128::from(word ^ hash) * u128::from(0xd6e8_feb8_6659_fd93u64);
        hash = product as u64 ^ (product >> 64) as u64;
    }
    // Without a final multiplication, the high bits of small words would be alike.
    let product = u128::from(hash ^ 0xa076_1d64_78bd_642f) * u128::from(0xe703_7ed1_a0b4_28dbu64);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
pub(super) fn key_at<const W: usize>(words: &[&[u64]; W], row: usize) -> Key<W> {
    std::array::from_fn(|word| words[word][row])
}

/// Prefetches the cache line of `slice[index]`, if the index is in bounds.
#[inline(always)]
pub(super) fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing, and the address is valid; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}
