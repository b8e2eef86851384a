//! Stable radix sort of row ids by 64-bit words: `parallax_argsort`.
//!
//! Only bits that differ between rows are sorted. Large inputs are partitioned on all threads, by the topmost of these
//! bits, into buckets that fit the cache. A bucket is sorted by its topmost 16 differing bits, least significant byte
//! first. Runs of rows that are still equal, rare with random keys, are sorted by the bits below.
//!
//! ```text
//!  bit 63                                        0
//!      0 0 0 x x x x x x x x x x x x x x 0 x 0 0 0      x: differs between rows
//!            [ partition ][ two passes ][ runs ]
//! ```

use crate::runtime::call::Call;
use crate::runtime::host_kernels::words::Words;
use crate::runtime::host_kernels::{partition, threads};
use crate::runtime::scratch::Scratch;

/// `(sizes s64[2 + 2 * n_keys] = [n, n_keys, then byte width and bit count of each key], n_keys keys u8[n] to u64[n],
/// most significant first) -> row_ids s32[n]`
pub(super) unsafe fn argsort_call(call: &Call) {
    // SAFETY: `kernels::radix_sort` passes these shapes.
    let (words, out) = unsafe {
        let [n, n_keys] = call.sizes();
        (Words::of_call(call, n, n_keys, 2), call.output(0, n))
    };
    argsort(&words.slices(), out);
}

/// Writes the row ids to `out` in ascending order of `words`, most significant word first. Ties stay in row order.
pub(super) fn argsort(words: &[&[u64]], out: &mut [i32]) {
    let mut words = words.iter().rev();
    match words.next() {
        Some(last) => sort_word(last, None, out),
        None => out.iter_mut().zip(0..).for_each(|(to, row)| *to = row),
    }
    let n_threads = threads::for_rows(out.len());
    for word in words {
        let mut rows = Scratch::filled(out.len(), 0);
        rows.copy_from_slice(out);
        let mut keys = Scratch::filled(rows.len(), 0);
        threads::for_each(
            n_threads,
            threads::split(&mut keys, n_threads),
            || (),
            |(), (range, keys)| {
                for (key, row) in keys.iter_mut().zip(&rows[range]) {
                    *key = word[*row as usize];
                }
            },
        );
        sort_word(&keys, Some(&rows), out);
    }
}

/// A key with its row.
trait Record: Copy + Send + Sync {
    fn new(key: u64, row: i32) -> Self;
    fn key(self) -> u64;
    fn row(self) -> i32;
}

/// A key of 32 bits in the upper half, and its row in the lower half.
#[derive(Clone, Copy)]
struct Narrow(u64);

impl Record for Narrow {
    #[inline(always)]
    fn new(key: u64, row: i32) -> Self {
        Self(key << 32 | u64::from(row as u32))
    }

    #[inline(always)]
    fn key(self) -> u64 {
        self.0 >> 32
    }

    #[inline(always)]
    fn row(self) -> i32 {
        self.0 as i32
    }
}

#[derive(Clone, Copy)]
struct Wide {
    key: u64,
    row: i32,
}

impl Record for Wide {
    #[inline(always)]
    fn new(key: u64, row: i32) -> Self {
        Self { key, row }
    }

    #[inline(always)]
    fn key(self) -> u64 {
        self.key
    }

    #[inline(always)]
    fn row(self) -> i32 {
        self.row
    }
}

/// Sorts by one word. `keys[i]` belongs to row `rows[i]`, or to row i if `rows` is `None`.
fn sort_word(keys: &[u64], rows: Option<&[i32]>, out: &mut [i32]) {
    let n_threads = threads::for_rows(keys.len());
    let first = keys.first().copied().unwrap_or(0);
    let (mut varying, mut sorted, mut before) = (0, true, 0);
    for (bits, part_sorted, first_key, last_key) in
        threads::map(n_threads, threads::ranges(keys.len(), n_threads).collect(), |range| scan(&keys[range], first))
    {
        varying |= bits;
        sorted &= part_sorted && before <= first_key;
        before = last_key;
    }
    if sorted {
        match rows {
            Some(rows) => out.copy_from_slice(rows),
            None => out.iter_mut().zip(0..).for_each(|(to, row)| *to = row),
        }
        return;
    }
    let low = varying.trailing_zeros();
    let key_bits = 64 - varying.leading_zeros() - low;
    let mask = u64::MAX >> (64 - key_bits);
    let row_at = |i: usize| rows.map_or(i as i32, |rows| rows[i]);
    let key_at = |i: usize| keys[i] >> low & mask;
    if key_bits <= 32 {
        sort_records(keys.len(), |i| Narrow::new(key_at(i), row_at(i)), key_bits, out, n_threads);
    } else {
        sort_records(keys.len(), |i| Wide::new(key_at(i), row_at(i)), key_bits, out, n_threads);
    }
}

/// Returns the bits that differ from `first`, whether the keys are sorted, and the first and the last key.
fn scan(keys: &[u64], first: u64) -> (u64, bool, u64, u64) {
    let varying = keys.iter().fold(0, |bits, key| bits | (key ^ first));
    let ends = [keys.first(), keys.last()].map(|key| key.copied().unwrap_or(first));
    (varying, keys.is_sorted(), ends[0], ends[1])
}

/// Maximum number of rows in a bucket that is sorted in cache: 256 KiB of wide records.
const CACHED_ROWS: usize = 1 << 14;

/// Maximum number of bits to partition by. With more buckets, every row would miss the cache.
const MAX_PARTITION_BITS: u32 = 11;

/// Sorts the records `record(0..n)` by the low `key_bits` bits of their keys, and writes their rows to `out`.
fn sort_records<R: Record>(
    n: usize,
    record: impl Fn(usize) -> R + Sync,
    key_bits: u32,
    out: &mut [i32],
    n_threads: usize,
) {
    if n <= CACHED_ROWS {
        let mut records: Vec<R> = (0..n).map(record).collect();
        return sort_bucket(&mut records, out, 1, &mut Vec::new());
    }
    let buckets_wanted = (n / (CACHED_ROWS / 2)).next_power_of_two();
    let bits = buckets_wanted.trailing_zeros().clamp(1, MAX_PARTITION_BITS).min(key_bits);
    let shift = key_bits - bits;
    let bucket = |record: &R| (record.key() >> shift) as usize & ((1 << bits) - 1);
    let mut parts = partition::partition(n, 1 << bits, n_threads, record, bucket);
    // A bucket that holds a large part of the rows is sorted by all threads together.
    let (large, small): (Vec<_>, Vec<_>) =
        parts.with(out).into_iter().partition(|(bucket, _)| n_threads > 1 && bucket.len() > n / (2 * n_threads));
    for (bucket, out) in large {
        sort_bucket(bucket, out, n_threads, &mut Vec::new());
    }
    threads::for_each(n_threads, small, Vec::new, |scratch, (bucket, out)| sort_bucket(bucket, out, 1, scratch));
}

/// Sorts the records, and writes their rows to `out`.
fn sort_bucket<R: Record>(records: &mut [R], out: &mut [i32], n_threads: usize, scratch: &mut Vec<R>) {
    if records.len() <= CACHED_ROWS {
        sort_cached(records, scratch);
    } else {
        let varying = varying_bits(records);
        if varying != 0 {
            let records = &*records;
            return sort_records(records.len(), |i| records[i], 64 - varying.leading_zeros(), out, n_threads);
        }
    }
    for (to, record) in out.iter_mut().zip(records) {
        *to = record.row();
    }
}

fn varying_bits<R: Record>(records: &[R]) -> u64 {
    let first = records.first().map_or(0, |record| record.key());
    records.iter().fold(0, |bits, record| bits | (record.key() ^ first))
}

/// Up to this many rows, insertion sort is faster than counting.
const INSERTION_ROWS: usize = 24;

/// Up to this many rows, merge sort is faster than counting.
const MERGE_ROWS: usize = 160;

/// Sorts records in place, stably; they should fit the cache.
fn sort_cached<R: Record>(records: &mut [R], scratch: &mut Vec<R>) {
    if records.len() <= INSERTION_ROWS {
        return insertion_sort(records);
    }
    if records.len() <= MERGE_ROWS {
        return records.sort_by_key(|record| record.key());
    }
    let varying = varying_bits(records);
    if varying == 0 {
        return;
    }
    let (low, high) = (varying.trailing_zeros(), 64 - varying.leading_zeros());
    let bits = (high - low).min(16);
    let shift = high - bits;
    if bits <= 8 {
        counting_pass(records, scratch, shift, bits);
        records.copy_from_slice(scratch);
    } else {
        let half = bits / 2;
        counting_pass(records, scratch, shift, half);
        counting_pass_back(scratch, records, shift + half, bits - half);
    }
    if shift > low {
        sort_runs(records, scratch, shift);
    }
}

/// Sorts each run of records whose keys are equal from bit `shift` up.
fn sort_runs<R: Record>(records: &mut [R], scratch: &mut Vec<R>, shift: u32) {
    let mut start = 0;
    while start < records.len() {
        let top = records[start].key() >> shift;
        let length = records[start + 1..].iter().take_while(|record| record.key() >> shift == top).count() + 1;
        if length > 1 {
            sort_cached(&mut records[start..start + length], scratch);
        }
        start += length;
    }
}

fn insertion_sort<R: Record>(records: &mut [R]) {
    for i in 1..records.len() {
        let record = records[i];
        let mut at = i;
        while at > 0 && records[at - 1].key() > record.key() {
            records[at] = records[at - 1];
            at -= 1;
        }
        records[at] = record;
    }
}

/// Sorts `from` into `to`, by the `bits` (at most 8) key bits from `shift` up.
fn counting_pass<R: Record>(from: &[R], to: &mut Vec<R>, shift: u32, bits: u32) {
    to.clear();
    to.extend_from_slice(from);
    counting_pass_back(from, to, shift, bits);
}

/// Does the same as [`counting_pass`], into existing records.
fn counting_pass_back<R: Record>(from: &[R], to: &mut [R], shift: u32, bits: u32) {
    let mask = (1u64 << bits) - 1;
    let digit = |record: &R| (record.key() >> shift & mask) as u8 as usize;
    let mut places = [0u32; 256];
    for record in from {
        places[digit(record)] += 1;
    }
    let mut place = 0;
    for count in &mut places {
        place += std::mem::replace(count, place);
    }
    for record in from {
        let place = &mut places[digit(record)];
        to[*place as usize] = *record;
        *place += 1;
    }
}
