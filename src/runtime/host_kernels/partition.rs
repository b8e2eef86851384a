//! Stable multi-threaded partitioning of records into buckets. Each thread first counts and then places its share of
//! the rows.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::runtime::host_kernels::threads;
use crate::runtime::scratch::Scratch;

/// Records sorted by bucket, in row order within each. Bucket k is `records[starts[k]..starts[k + 1]]`.
pub(super) struct Partitioned<R: Copy> {
    pub(super) records: Scratch<R>,
    pub(super) starts: Vec<usize>,
}

impl<R: Copy> Partitioned<R> {
    /// Returns the buckets, each with the corresponding part of `others`, which has as many elements as there are
    /// records.
    pub(super) fn with<'a, T>(&'a mut self, others: &'a mut [T]) -> Vec<(&'a mut [R], &'a mut [T])> {
        let (mut records, mut others) = (&mut self.records[..], others);
        let mut out = Vec::with_capacity(self.starts.len());
        for pair in self.starts.windows(2) {
            let (bucket, rest) = records.split_at_mut(pair[1] - pair[0]);
            let (other, others_rest) = others.split_at_mut(pair[1] - pair[0]);
            out.push((bucket, other));
            (records, others) = (rest, others_rest);
        }
        out
    }
}

/// Partitions the records `record(0..n)` into `n_buckets` by `bucket`. Both functions are called twice for each row and
/// must return the same both times.
pub(super) fn partition<R: Copy + Send>(
    n: usize,
    n_buckets: usize,
    n_threads: usize,
    record: impl Fn(usize) -> R + Sync,
    bucket: impl Fn(&R) -> usize + Sync,
) -> Partitioned<R> {
    let parts: Vec<_> = threads::ranges(n, n_threads).collect();
    let mut places = threads::map(n_threads, parts.clone(), |rows| {
        let mut counts = vec![0usize; n_buckets];
        for row in rows {
            counts[bucket(&record(row))] += 1;
        }
        counts
    });
    // Replace the counts by the position of each thread's first record in each bucket.
    let (mut starts, mut place) = (Vec::with_capacity(n_buckets + 1), 0);
    for k in 0..n_buckets {
        starts.push(place);
        for counts in &mut places {
            place += std::mem::replace(&mut counts[k], place);
        }
    }
    starts.push(place);
    let mut records: Scratch<R> = Scratch::with_capacity(n);
    let to = AtomicPtr::new(records.as_mut_ptr());
    threads::for_each(
        n_threads,
        parts.into_iter().zip(places).collect(),
        || (),
        |(), (rows, mut places)| {
            let to = to.load(Ordering::Relaxed);
            for row in rows {
                let record = record(row);
                let place = &mut places[bucket(&record)];
                // Even if `bucket` returns something else the second time, nothing is written out of bounds.
                assert!(*place < n);
                // SAFETY: the place is within the capacity, and no other row has it, because each thread has as many
                // places in a bucket as it counted rows.
                unsafe { to.add(*place).write(record) };
                *place += 1;
            }
        },
    );
    // SAFETY: the counts sum to n, so every place has been written.
    unsafe { records.set_len(n) };
    Partitioned { records, starts }
}
