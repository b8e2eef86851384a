//! Scoped threads inside a native function. They live for one loop, and small inputs use none.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::cores::cores;

/// Up to this many rows, one thread is enough: the chunks of a pipeline already run on a thread each.
pub(super) const SERIAL_ROWS: usize = 1 << 18;

/// More threads would only wait for memory.
const MAX_THREADS: usize = 16;

/// Returns the number of threads to use for `n` rows.
pub(super) fn for_rows(n: usize) -> usize {
    if n <= SERIAL_ROWS {
        return 1;
    }
    cores().min(MAX_THREADS).min(n / (SERIAL_ROWS / 4))
}

/// Splits `0..n` into `parts` ranges of about equal length.
pub(super) fn ranges(n: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| n * part / parts..n * (part + 1) / parts)
}

/// Splits `slice` at the bounds of [`ranges`], and returns each part with its range.
pub(super) fn split<T>(slice: &mut [T], parts: usize) -> Vec<(Range<usize>, &mut [T])> {
    let (mut rest, mut out) = (slice, Vec::with_capacity(parts));
    for range in ranges(rest.len(), parts) {
        let (part, after) = rest.split_at_mut(range.len());
        out.push((range, part));
        rest = after;
    }
    out
}

/// Calls `work` with each item on `n_threads` threads, which take the items in order. Each thread creates a state by
/// `init`.
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
            // If a thread cannot be started, the others process its items.
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

/// Returns the result of `work` for each item, in the order of the items.
pub(super) fn map<T: Send, R: Send>(n_threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let pairs = items.into_iter().zip(&mut results).collect();
    for_each(n_threads, pairs, || (), |(), (item, result)| *result = Some(work(item)));
    results.into_iter().flatten().collect()
}
