//! Numbers groups of rows with equal key words: `parallax_group_rows`.
//!
//! With few groups, each thread numbers the groups of its share of the rows in its own table, in order of appearance. The
//! tables are then merged in thread order, and each new group gets the next number. If a table outgrows the cache, the
//! call starts over with partitions:
//!
//! ```text
//!  rows ──partition by hash──▶ buckets ──one small table each──▶ ids[row] = first row of its group
//!                                                                 first rows numbered in row order
//!                                                                 ids[row] = number of the first row
//! ```

use std::sync::atomic::{AtomicI32, Ordering};

use crate::runtime::call::Call;
use crate::runtime::host_kernels::hash::{Key, hash, key_at, prefetch};
use crate::runtime::host_kernels::words::Words;
use crate::runtime::host_kernels::{partition, threads};
use crate::runtime::scratch::Scratch;

/// `(sizes s64[3 + 2 * n_keys] = [n, n_keys, has_mask, then byte width and bit count of each key], n_keys keys u8[n] to
/// u64[n], live pred[n] if has_mask) -> (ids s32[n], first_rows s32[n], count s32[])`
pub(super) unsafe fn group_rows_call(call: &Call) {
    // SAFETY: `kernels::group` passes these shapes.
    let (words, live, ids, first_rows, count) = unsafe {
        let [n, n_keys, has_mask] = call.sizes();
        let live = (has_mask != 0).then(|| call.input(1 + n_keys, n));
        (Words::of_call(call, n, n_keys, 3), live, call.output(0, n), call.output(1, n), call.output(2, 1))
    };
    count[0] = group_rows(&words.slices(), live, ids, first_rows) as i32;
}

/// Sets `ids[row]` to the number of the row's group in order of appearance, or to -1 for a row that is not live, and
/// `first_rows[id]` to the group's first row, followed by zeros. Returns the number of groups.
pub(super) fn group_rows(words: &[&[u64]], live: Option<&[u8]>, ids: &mut [i32], first_rows: &mut [i32]) -> usize {
    let count = match *words {
        [] => group([&vec![0; ids.len()]], live, ids, first_rows),
        [a] => group([a], live, ids, first_rows),
        [a, b] => group([a, b], live, ids, first_rows),
        [a, b, c] => group([a, b, c], live, ids, first_rows),
        [a, b, c, ref rest @ ..] => {
            // Replace the first three words by the numbers of their groups.
            group([a, b, c], live, ids, first_rows);
            let numbers: Vec<u64> = ids.iter().map(|id| *id as u64).collect();
            return group_rows(&[&[&numbers[..]], rest].concat(), live, ids, first_rows);
        }
    };
    first_rows[count..].fill(0);
    count
}

/// Maximum number of groups in a thread's own table: 4 MiB of slots for keys of one word.
const FEW_GROUPS: usize = 1 << 17;

/// From this many groups on, a share of rows that are nearly all distinct predicts many more groups.
const UNIQUE_GROUPS: usize = 1 << 15;

fn group<const W: usize>(words: [&[u64]; W], live: Option<&[u8]>, ids: &mut [i32], first_rows: &mut [i32]) -> usize {
    let n_threads = threads::for_rows(ids.len());
    if ids.len() > threads::SERIAL_ROWS {
        let few = few_groups(&words, live, ids, first_rows, n_threads, FEW_GROUPS);
        return few.unwrap_or_else(|| many_groups(&words, live, ids, first_rows, n_threads));
    }
    few_groups(&words, live, ids, first_rows, 1, usize::MAX).unwrap_or(0)
}

const EMPTY: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Slot<const W: usize> {
    key: Key<W>,
    /// The value stored for the key, or [`EMPTY`].
    value: u32,
}

/// An open-addressing hash table with linear probing; at most half full.
struct Table<const W: usize> {
    slots: Scratch<Slot<W>>,
    /// The topmost bits of a hash select its first slot.
    shift: u32,
    len: usize,
}

impl<const W: usize> Table<W> {
    fn new(bits: u32) -> Self {
        Self { slots: Scratch::filled(1 << bits, Slot { key: [0; W], value: EMPTY }), shift: 64 - bits, len: 0 }
    }

    fn clear(&mut self) {
        self.slots.fill(Slot { key: [0; W], value: EMPTY });
        self.len = 0;
    }

    /// Returns the value of `key`, inserting `value` if the key is new.
    #[inline(always)]
    fn find_or_insert(&mut self, key: Key<W>, hash: u64, value: u32) -> u32 {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = &mut self.slots[at & mask];
            if slot.value == EMPTY {
                *slot = Slot { key, value };
                self.len += 1;
                if self.len * 2 > self.slots.len() {
                    self.grow();
                }
                return value;
            }
            if slot.key == key {
                return slot.value;
            }
            at += 1;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::new(64 - self.shift + 2);
        for slot in self.slots.iter().filter(|slot| slot.value != EMPTY) {
            larger.find_or_insert(slot.key, hash(&slot.key), slot.value);
        }
        *self = larger;
    }
}

/// Number of rows whose slots are prefetched together.
const BLOCK: usize = 32;

/// Numbers the groups, unless a thread meets more than `max_groups`.
fn few_groups<const W: usize>(
    words: &[&[u64]; W],
    live: Option<&[u8]>,
    ids: &mut [i32],
    first_rows: &mut [i32],
    n_threads: usize,
    max_groups: usize,
) -> Option<usize> {
    let shares = threads::split(ids, n_threads);
    let found = threads::map(n_threads, shares, |(rows, ids)| number(words, live, rows.start, ids, max_groups));
    let mut found = found.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    let (mut table, mut firsts) = found.next()?;
    // For each thread after the first, the final numbers of its groups.
    let mut numbers = vec![None];
    for (_, later) in found {
        let number = later.into_iter().map(|row| {
            let key = key_at(words, row as usize);
            let next = firsts.len() as u32;
            let id = table.find_or_insert(key, hash(&key), next);
            if id == next {
                firsts.push(row);
            }
            id as i32
        });
        numbers.push(Some(number.collect::<Vec<i32>>()));
    }
    let shares = threads::split(ids, n_threads).into_iter().zip(numbers).collect();
    threads::for_each(
        n_threads,
        shares,
        || (),
        |(), ((_, ids), numbers)| {
            if let Some(numbers) = numbers {
                for id in ids.iter_mut().filter(|id| **id >= 0) {
                    *id = numbers[*id as usize];
                }
            }
        },
    );
    for (to, row) in first_rows.iter_mut().zip(&firsts) {
        *to = *row as i32;
    }
    Some(firsts.len())
}

/// Numbers the groups of the `ids.len()` rows from `start` on. Returns the table and the first row of each group.
fn number<const W: usize>(
    words: &[&[u64]; W],
    live: Option<&[u8]>,
    start: usize,
    ids: &mut [i32],
    max_groups: usize,
) -> Option<(Table<W>, Vec<u32>)> {
    let (mut table, mut firsts) = (Table::new(12), Vec::new());
    let words: [&[u64]; W] = std::array::from_fn(|word| &words[word][start..start + ids.len()]);
    let live = live.map(|live| &live[start..start + ids.len()]);
    let mut hashes = [0; BLOCK];
    for (block, ids) in ids.chunks_mut(BLOCK).enumerate() {
        let block = block * BLOCK;
        for (i, to) in hashes[..ids.len()].iter_mut().enumerate() {
            *to = hash(&key_at(&words, block + i));
            prefetch(&table.slots, (*to >> table.shift) as usize);
        }
        for (i, id) in ids.iter_mut().enumerate() {
            if live.is_some_and(|live| live[block + i] == 0) {
                *id = -1;
                continue;
            }
            let next = firsts.len() as u32;
            let number = table.find_or_insert(key_at(&words, block + i), hashes[i], next);
            if number == next {
                firsts.push((start + block + i) as u32);
            }
            *id = number as i32;
        }
        let rows = block + ids.len();
        if firsts.len() > max_groups || (firsts.len() > UNIQUE_GROUPS.max(rows / 16 * 15) && max_groups == FEW_GROUPS) {
            return None;
        }
    }
    Some((table, firsts))
}

/// A key with its row.
#[derive(Clone, Copy)]
struct Record<const W: usize> {
    key: Key<W>,
    row: u32,
}

/// Approximate number of rows in a bucket, chosen so that its table fits the cache.
const BUCKET_ROWS: usize = 1 << 15;

/// Maximum number of buckets, a power of two.
const MAX_BUCKETS: usize = 1 << 10;

/// Marks a row that is not live. Until groups have numbers, `-2 - row` stands for row `row`.
const DEAD: i32 = -1;

fn many_groups<const W: usize>(
    words: &[&[u64]; W],
    live: Option<&[u8]>,
    ids: &mut [i32],
    first_rows: &mut [i32],
    n_threads: usize,
) -> usize {
    let n = ids.len();
    let n_buckets = (n / BUCKET_ROWS).next_power_of_two().min(MAX_BUCKETS);
    let record = |row: usize| Record { key: key_at(words, row), row: row as u32 };
    // The low bits of the hash select the bucket, the high bits the slot. One more bucket holds the rows that are not
    // live.
    let bucket = |record: &Record<W>| match live {
        Some(live) if live[record.row as usize] == 0 => n_buckets,
        _ => hash(&record.key) as usize & (n_buckets - 1),
    };
    let parts = partition::partition(n, n_buckets + 1, n_threads, record, bucket);
    let ids = as_atomic(ids);
    let (buckets, dead) = parts.records.split_at(parts.starts[n_buckets]);
    for record in dead {
        ids[record.row as usize].store(DEAD, Ordering::Relaxed);
    }
    let buckets = parts.starts[..=n_buckets].windows(2).map(|pair| &buckets[pair[0]..pair[1]]).collect();
    threads::for_each(n_threads, buckets, || Table::new(12), |table, records| find_first_rows(table, records, ids));
    number_first_rows(ids, first_rows, n_threads)
}

/// Sets `ids[row]` to -2 minus the first row of its group, for the rows of one bucket.
fn find_first_rows<const W: usize>(table: &mut Table<W>, records: &[Record<W>], ids: &[AtomicI32]) {
    table.clear();
    let mut hashes = [0; BLOCK];
    for records in records.chunks(BLOCK) {
        for (to, record) in hashes.iter_mut().zip(records) {
            *to = hash(&record.key);
            prefetch(&table.slots, (*to >> table.shift) as usize);
        }
        for (record, hash) in records.iter().zip(hashes) {
            let first = table.find_or_insert(record.key, hash, record.row);
            ids[record.row as usize].store(-2 - first as i32, Ordering::Relaxed);
        }
    }
}

/// Numbers the first rows in row order and replaces them by their numbers in `ids`. Returns the number of groups.
fn number_first_rows(ids: &[AtomicI32], first_rows: &mut [i32], n_threads: usize) -> usize {
    let is_first = |row: usize| ids[row].load(Ordering::Relaxed) == -2 - row as i32;
    let shares: Vec<_> = threads::ranges(ids.len(), n_threads).collect();
    let counts = threads::map(n_threads, shares.clone(), |rows| rows.filter(|row| is_first(*row)).count());
    let (mut next, mut rest, mut numbered) = (0, first_rows, Vec::with_capacity(n_threads));
    for (rows, count) in shares.iter().cloned().zip(counts) {
        let (first_rows, after) = rest.split_at_mut(count);
        numbered.push((rows, next, first_rows));
        next += count;
        rest = after;
    }
    threads::for_each(
        n_threads,
        numbered,
        || (),
        |(), (rows, number, first_rows)| {
            let firsts = rows.filter(|row| is_first(*row));
            for ((row, number), to) in firsts.zip(number..).zip(first_rows) {
                *to = row as i32;
                ids[row].store(number as i32, Ordering::Relaxed);
            }
        },
    );
    threads::for_each(
        n_threads,
        shares,
        || (),
        |(), rows| {
            for id in &ids[rows] {
                let first = -2 - id.load(Ordering::Relaxed);
                if first >= 0 {
                    id.store(ids[first as usize].load(Ordering::Relaxed), Ordering::Relaxed);
                }
            }
        },
    );
    next
}

/// Views `values` as atomics, so that threads may write some elements while others read other ones.
fn as_atomic(values: &mut [i32]) -> &[AtomicI32] {
    // SAFETY: on every platform that has it, `AtomicI32` has the size and alignment of `i32`, and the borrow is
    // exclusive.
    unsafe { &*(std::ptr::from_mut(values) as *const [AtomicI32]) }
}
