//! A hash table of unique keys, laid out in one array: `parallax_build_index`, `parallax_probe_index`.
//!
//! ```text
//!  header: 8 words; word 0 is `bits`, and 2^bits slots are in use
//!  slot:   id + 1, or 0 if empty; then the key's words
//! ```
//!
//! The array is long enough for n keys. Only as many slots are used as the distinct keys need.

use crate::runtime::call::Call;
use crate::runtime::host_kernels::group::group_rows;
use crate::runtime::host_kernels::hash::{Key, hash, key_at, prefetch};
use crate::runtime::host_kernels::threads;
use crate::runtime::scratch::Scratch;

/// Words before the first slot, which fill a cache line.
const HEADER: usize = 8;

/// `(sizes s64[4] = [n, n_words, has_mask, length], n_words words u64[n], live pred[n] if has_mask) -> (table
/// u64[length], ids s32[n], count s32[])`
pub(super) unsafe fn build_call(call: &Call) {
    // SAFETY: `kernels::key_index` passes these shapes.
    let (words, live, table, ids, count) = unsafe {
        let [n, n_words, has_mask, length] = call.sizes();
        let live = (has_mask != 0).then(|| call.input(1 + n_words, n));
        (call.words(1, n_words, n), live, call.output(0, length), call.output(1, n), call.output(2, 1))
    };
    count[0] = build(&words, live, table, ids) as i32;
}

/// `(sizes s64[4] = [n, n_words, has_mask, length], table u64[length], n_words words u64[n], live pred[n] if has_mask)
/// -> ids s32[n]`
pub(super) unsafe fn probe_call(call: &Call) {
    // SAFETY: `kernels::key_index` passes these shapes.
    let (table, words, live, ids) = unsafe {
        let [n, n_words, has_mask, length] = call.sizes();
        let live = (has_mask != 0).then(|| call.input(2 + n_words, n));
        (call.input(1, length), call.words(2, n_words, n), live, call.output(0, n))
    };
    probe(table, &words, live, ids);
}

/// Numbers the keys as `group_rows` does, and inserts them into `table`. Returns the number of keys.
pub(super) fn build(words: &[&[u64]], live: Option<&[u8]>, table: &mut [u64], ids: &mut [i32]) -> usize {
    let mut first_rows = Scratch::filled(ids.len(), 0);
    let count = group_rows(words, live, ids, &mut first_rows);
    let first_rows = &first_rows[..count];
    let stride = words.len() + 1;
    let bits = (count + count / 2).next_power_of_two().trailing_zeros().max(3);
    table[..HEADER].fill(0);
    table[0] = u64::from(bits);
    let slots = &mut table[HEADER..HEADER + (stride << bits)];
    slots.fill(0);
    match *words {
        [a] => insert(&[a], first_rows, slots, bits),
        [a, b] => insert(&[a, b], first_rows, slots, bits),
        [a, b, c] => insert(&[a, b, c], first_rows, slots, bits),
        _ => insert_any(words, first_rows, slots, bits),
    }
    count
}

/// Number of rows whose slots are prefetched together.
const BLOCK: usize = 32;

fn insert<const W: usize>(words: &[&[u64]; W], first_rows: &[i32], slots: &mut [u64], bits: u32) {
    let (stride, mask) = (W + 1, (1 << bits) - 1);
    let mut keys = [([0; W], 0); BLOCK];
    for (block, rows) in first_rows.chunks(BLOCK).enumerate() {
        for (to, row) in keys.iter_mut().zip(rows) {
            let key = key_at(words, *row as usize);
            let at = (hash(&key) >> (64 - bits)) as usize;
            prefetch(slots, at * stride);
            *to = (key, at);
        }
        for ((key, at), id) in keys.into_iter().take(rows.len()).zip(block * BLOCK..) {
            let mut at = at;
            while slots[at * stride] != 0 {
                at = (at + 1) & mask;
            }
            slots[at * stride] = id as u64 + 1;
            slots[at * stride + 1..][..W].copy_from_slice(&key);
        }
    }
}

/// Handles keys of no words or of more than three.
fn insert_any(words: &[&[u64]], first_rows: &[i32], slots: &mut [u64], bits: u32) {
    let (stride, mask) = (words.len() + 1, (1 << bits) - 1);
    for (id, row) in first_rows.iter().enumerate() {
        let mut at = first_slot(words, *row as usize, bits);
        while slots[at * stride] != 0 {
            at = (at + 1) & mask;
        }
        slots[at * stride] = id as u64 + 1;
        for (to, word) in slots[at * stride + 1..].iter_mut().zip(words) {
            *to = word[*row as usize];
        }
    }
}

fn first_slot(words: &[&[u64]], row: usize, bits: u32) -> usize {
    (words.iter().fold(0, |before, word| hash(&[word[row] ^ before])) >> (64 - bits)) as usize
}

/// Writes the id of each row's key to `ids`, or -1 if it is not in the table.
pub(super) fn probe(table: &[u64], words: &[&[u64]], live: Option<&[u8]>, ids: &mut [i32]) {
    let bits = table[0] as u32;
    let slots = &table[HEADER..HEADER + ((words.len() + 1) << bits)];
    let n_threads = threads::for_rows(ids.len());
    threads::for_each(
        n_threads,
        threads::split(ids, n_threads),
        || (),
        |(), (rows, ids)| {
            let words: Vec<&[u64]> = words.iter().map(|word| &word[rows.clone()]).collect();
            let live = live.map(|live| &live[rows]);
            match words[..] {
                [a] => find(slots, bits, &[a], live, ids),
                [a, b] => find(slots, bits, &[a, b], live, ids),
                [a, b, c] => find(slots, bits, &[a, b, c], live, ids),
                _ => find_any(slots, bits, &words, live, ids),
            }
        },
    );
}

fn find<const W: usize>(slots: &[u64], bits: u32, words: &[&[u64]; W], live: Option<&[u8]>, ids: &mut [i32]) {
    let (stride, mask) = (W + 1, (1 << bits) - 1);
    let mut places = [0; BLOCK];
    for (block, ids) in ids.chunks_mut(BLOCK).enumerate() {
        let block = block * BLOCK;
        for (i, to) in places[..ids.len()].iter_mut().enumerate() {
            *to = (hash(&key_at(words, block + i)) >> (64 - bits)) as usize;
            prefetch(slots, *to * stride);
        }
        for (i, id) in ids.iter_mut().enumerate() {
            *id = -1;
            if live.is_some_and(|live| live[block + i] == 0) {
                continue;
            }
            let key: Key<W> = key_at(words, block + i);
            let mut at = places[i];
            loop {
                let slot = &slots[at * stride..][..stride];
                if slot[0] == 0 {
                    break;
                }
                if slot[1..] == key {
                    *id = (slot[0] - 1) as i32;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
    }
}

fn find_any(slots: &[u64], bits: u32, words: &[&[u64]], live: Option<&[u8]>, ids: &mut [i32]) {
    let (stride, mask) = (words.len() + 1, (1 << bits) - 1);
    for (row, id) in ids.iter_mut().enumerate() {
        *id = -1;
        if live.is_some_and(|live| live[row] == 0) {
            continue;
        }
        let mut at = first_slot(words, row, bits);
        while slots[at * stride] != 0 {
            if words.iter().zip(&slots[at * stride + 1..]).all(|(word, key)| word[row] == *key) {
                *id = (slots[at * stride] - 1) as i32;
                break;
            }
            at = (at + 1) & mask;
        }
    }
}
