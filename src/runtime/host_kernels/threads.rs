//! Threads inside a native function: scoped, started for one loop, none for few rows.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::cores::cores;

/// Up to so many rows one thread is enough: chunks of a pipeline already run on a thread each.
pub(super) const SERIAL_ROWS: usize = 1 << 18;

/// Beyond this, more threads wait for memory.
const MOST_THREADS: usize = 16;

/// How many threads to use for `n` rows.
pub(super) fn for_rows(n: usize) -> usize {
    if n <= SERIAL_ROWS {
        return 1;
    }
    cores().min(MOST_THREADS).min(n / (SERIAL_ROWS / 4))
}

/// `0..n` in `parts` ranges of about the same length.
pub(super) fn ranges(n: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| n * part / parts..n * (part + 1) / parts)
}

/// `slice` cut at what `ranges` gives for its length.
pub(super) fn split<T>(slice: &mut [T], parts: usize) -> Vec<(Range<usize>, &mut [T])> {
    let (mut rest, mut out) = (slice, Vec::with_capacity(parts));
    for range in ranges(rest.len(), parts) {
        let (part, after) = rest.split_at_mut(range.len());
        out.push((range, part));
        rest = after;
    }
    out
}

/// Calls `work` with each item, on `n_threads` threads that take them in order; each thread makes a state with `init`.
pub(super) fn for_each<T: Send, S>(
    n_threads: usize,
    items: Vec<T>,
    init: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) + Sync,
) {
    if n_threads <= 1 || items.len() <= 1 {
        let mut state = init();
        items.into_iter().for_each(|item| work(&mut state, item));
        return;
    }
    let n_threads = n_threads.min(items.len());
    let queue = Mutex::new(items.into_iter());
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut state = init();
        while let Some(item) = take() {
            work(&mut state, item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_threads {
            // A thread that cannot be started is one fewer: this one takes what is left.
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

/// What `work` gives for each item, in their order.
pub(super) fn map<T: Send, R: Send>(n_threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let pairs = items.into_iter().zip(&mut results).collect();
    for_each(n_threads, pairs, || (), |(), (item, result)| *result = Some(work(item)));
    results.into_iter().flatten().collect()
}
