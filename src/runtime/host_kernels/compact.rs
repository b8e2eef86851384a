//! Row ids of live rows: `parallax_live_rows`.

use crate::runtime::call::Call;
use crate::runtime::host_kernels::threads;

/// `(sizes s64[1] = [n], mask pred[n]) -> (row_ids s32[n], count s32[])`
pub(super) unsafe fn live_rows_call(call: &Call) {
    // SAFETY: `kernels::compact` passes these shapes, and a `pred` is a byte of 0 or 1.
    let (mask, row_ids, count) = unsafe {
        let [n] = call.sizes();
        (call.input(1, n), call.output(0, n), call.output(1, 1))
    };
    count[0] = live_rows(mask, row_ids) as i32;
}

/// Writes the rows whose byte in `mask` is 1 to `row_ids`, followed by zeros, and returns their number.
pub(super) fn live_rows(mask: &[u8], row_ids: &mut [i32]) -> usize {
    let n_threads = threads::for_rows(mask.len());
    let parts: Vec<_> = threads::ranges(mask.len(), n_threads).collect();
    let counts = threads::map(n_threads, parts.clone(), |rows| count(&mask[rows]));
    let total = counts.iter().sum();
    let (mut rest, dead) = row_ids.split_at_mut(total);
    let mut items = Vec::with_capacity(n_threads);
    for (rows, count) in parts.into_iter().zip(counts) {
        let (to, after) = rest.split_at_mut(count);
        items.push((rows, to));
        rest = after;
    }
    threads::for_each(n_threads, items, || (), |(), (rows, to)| fill(&mask[rows.clone()], rows.start as i32, to));
    dead.fill(0);
    total
}

fn count(mask: &[u8]) -> usize {
    // The sum of 255 bytes fits into a byte, so that the compiler adds 16 of them at once.
    mask.chunks(255).map(|bytes| usize::from(bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)))).sum()
}

/// For each byte, the positions of its set bits, then unspecified values.
const POSITIONS: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut bits = 0;
    while bits < 256 {
        let (mut bit, mut at) = (0, 0);
        while bit < 8 {
            if bits >> bit & 1 == 1 {
                table[bits][at] = bit;
                at += 1;
            }
            bit += 1;
        }
        bits += 1;
    }
    table
};

/// Writes the row ids of the live rows of `mask`, whose first row is `first`, to `to`, which has exactly enough room.
fn fill(mask: &[u8], first: i32, to: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
    {
        // SAFETY: the processor supports these instructions.
        return unsafe { fill_avx512(mask, first, to) };
    }
    fill_by_table(mask, first, to);
}

/// Does the same as [`fill_by_table`], 16 rows at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn fill_avx512(mask: &[u8], first: i32, to: &mut [i32]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm_test_epi8_mask, _mm512_add_epi32, _mm512_maskz_compress_epi32, _mm512_set1_epi32,
        _mm512_setr_epi32, _mm512_storeu_si512,
    };
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let (blocks, _) = mask.as_chunks::<16>();
    let mut at = 0;
    for (block, bytes) in blocks.iter().enumerate() {
        // SAFETY: a block has 16 bytes.
        let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        let live = _mm_test_epi8_mask(bytes, bytes);
        if live == 0 {
            continue;
        }
        let Some(sixteen) = to[at..].first_chunk_mut::<16>() else {
            // Near the end there is no room for a store of 16 values, some of which are unused.
            let rows = 16 * block;
            return fill_by_table(&mask[rows..], first + rows as i32, &mut to[at..]);
        };
        let rows = _mm512_add_epi32(lanes, _mm512_set1_epi32(first + 16 * block as i32));
        // SAFETY: `sixteen` has room for 16 values.
        unsafe { _mm512_storeu_si512(sixteen.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(live, rows)) };
        at += live.count_ones() as usize;
    }
    let rows = 16 * blocks.len();
    fill_by_table(&mask[rows..], first + rows as i32, &mut to[at..]);
}

fn fill_by_table(mask: &[u8], first: i32, to: &mut [i32]) {
    let (blocks, tail) = mask.as_chunks::<8>();
    let mut at = 0;
    for (block, bytes) in blocks.iter().enumerate() {
        let bytes = u64::from_le_bytes(*bytes);
        if bytes == 0 {
            continue;
        }
        let row = first + 8 * block as i32;
        // Bit k of the product's top byte is byte k.
        let bits = (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) as usize;
        let positions = POSITIONS[bits];
        let n = bits.count_ones() as usize;
        match to[at..].first_chunk_mut::<8>() {
            // Store eight values at once. Only the first n count; later ones overwrite the rest.
            Some(eight) => {
                for (to, position) in eight.iter_mut().zip(positions) {
                    *to = row + i32::from(position);
                }
            }
            None => {
                for (to, position) in to[at..].iter_mut().zip(positions).take(n) {
                    *to = row + i32::from(position);
                }
            }
        }
        at += n;
    }
    let row = first + 8 * blocks.len() as i32;
    for (to, (_, row)) in to[at..].iter_mut().zip(tail.iter().zip(row..).filter(|(byte, _)| **byte != 0)) {
        *to = row;
    }
}
