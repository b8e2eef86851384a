//! Measures memory bandwidth, which limits every query that must read its columns once.

/// Words in the buffer: 1 GiB, far more than any cache.
const WORDS: usize = 1 << 27;

const PASSES: usize = 5;

/// Returns the bytes per second that `threads` threads read while summing one large buffer; the best of several passes.
pub fn measure(threads: usize) -> f64 {
    let buffer: Vec<u64> = (0..WORDS as u64).collect();
    let sum = |words: &[u64]| words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
    let pass = || {
        let start = std::time::Instant::now();
        let total: u64 = std::thread::scope(|scope| {
            let parts = buffer.chunks(WORDS.div_ceil(threads)).map(|part| scope.spawn(move || sum(part)));
            let parts: Vec<_> = parts.collect();
            parts.into_iter().map(|part| part.join().unwrap_or_default()).fold(0, u64::wrapping_add)
        });
        std::hint::black_box(total);
        size_of_val(buffer.as_slice()) as f64 / start.elapsed().as_secs_f64()
    };
    (0..PASSES).map(|_| pass()).fold(0.0, f64::max)
}
