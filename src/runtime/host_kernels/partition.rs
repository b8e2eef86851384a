//! A stable partition of records by bucket, on several threads: each counts and then places its share of the rows.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::runtime::host_kernels::threads;
use crate::runtime::scratch::Scratch;

/// Records by bucket, in row order within each; bucket k is `records[starts[k]..starts[k + 1]]`.
pub(super) struct Partitioned<R: Copy> {
    pub(super) records: Scratch<R>,
    pub(super) starts: Vec<usize>,
}

impl<R: Copy> Partitioned<R> {
    /// The buckets, each with its number and the same part of `others`, which has as many elements as there are records.
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

/// Partitions the records `record(0..n)` into `n_buckets` by `bucket`, both of which are called twice for each row.
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
    // Counts become the places where each thread puts its first record of each bucket.
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
                // A `bucket` that answers otherwise the second time must not write out of bounds.
                assert!(*place < n);
                // SAFETY: the place is within the capacity; no other row has it, since the places of a bucket and thread are
                // as many as its rows.
                unsafe { to.add(*place).write(record) };
                *place += 1;
            }
        },
    );
    // SAFETY: the counts sum to n, so that every place has been written.
    unsafe { records.set_len(n) };
    Partitioned { records, starts }
}
