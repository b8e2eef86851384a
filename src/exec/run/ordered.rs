//! Work on several threads whose results are handed over in order, by the thread that asked: no thread waits for another but where it
//! is too far ahead.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};

/// Items for each thread that may be done before those ahead of them have been handed over.
const RUN_AHEAD: usize = 2;

/// What has been made of items and not handed over yet.
struct Made<T> {
    /// By the place of the item.
    waiting: BTreeMap<usize, Result<T>>,
    /// Items handed over.
    emitted: usize,
    /// No more are wanted.
    done: bool,
}

/// [`Made`], for several threads.
struct Queue<T> {
    made: Mutex<Made<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, Made<T>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, made: MutexGuard<'a, Made<T>>) -> MutexGuard<'a, Made<T>> {
        self.changed.wait(made).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an item may be begun; false if it is not wanted.
    fn may_begin(&self, place: usize, run_ahead: usize) -> bool {
        let mut made = self.lock();
        while !made.done && place >= made.emitted + run_ahead {
            made = self.wait(made);
        }
        !made.done
    }

    /// Hands over what is there in order, at least up to item `least`, waiting for it; the first error ends it.
    fn hand_over(&self, least: usize, emit: &mut impl FnMut(T) -> Result<bool>) -> Result<()> {
        let mut made = self.lock();
        while !made.done {
            let place = made.emitted;
            match made.waiting.remove(&place) {
                Some(result) => {
                    drop(made);
                    let more = emit(result?)?;
                    made = self.lock();
                    made.emitted += 1;
                    made.done = !more;
                    self.changed.notify_all();
                }
                None if place < least => made = self.wait(made),
                None => break,
            }
        }
        Ok(())
    }
}

/// Wakes the threads that wait for one that has ended.
struct Done<'a, T>(&'a Queue<T>);

impl<T> Drop for Done<'_, T> {
    fn drop(&mut self) {
        self.0.lock().done = true;
        self.0.changed.notify_all();
    }
}

/// Calls `work` for each item on `n` threads, this one included, which hands over in the order of the items until `emit` says that
/// it wants no more.
pub fn ordered_map<I: Copy + Sync, T: Send>(
    n: usize,
    items: &[I],
    work: impl Fn(I) -> Result<T> + Sync,
    mut emit: impl FnMut(T) -> Result<bool>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let queue =
        Queue { made: Mutex::new(Made { waiting: BTreeMap::new(), emitted: 0, done: false }), changed: Condvar::new() };
    let run_ahead = RUN_AHEAD * n;
    // Takes an item; false if there is none, or none is wanted.
    let one = |may_wait: bool| {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(item) = items.get(place) else { return false };
        if !queue.may_begin(place, if may_wait { run_ahead } else { usize::MAX - items.len() }) {
            return false;
        }
        // A panic must not leave the others waiting.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(*item))).unwrap_or_else(|_| {
            Err(DataFusionError::Internal("a thread that runs device chunks has panicked".to_string()))
        });
        queue.lock().waiting.insert(place, result);
        queue.changed.notify_all();
        true
    };
    std::thread::scope(|scope| {
        let _done = Done(&queue);
        for _ in 1..n.min(items.len()) {
            scope.spawn(|| while one(true) {});
        }
        // Only this thread hands over: it never waits to begin an item, but for those that the others have begun.
        loop {
            queue.hand_over(next.load(Ordering::Relaxed).min(items.len()).saturating_sub(run_ahead), &mut emit)?;
            if !one(false) {
                return queue.hand_over(items.len(), &mut emit);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use datafusion::error::{DataFusionError, Result};

    use crate::exec::run::ordered::ordered_map;

    /// What is handed over of `0..n`, doubled, before `stop`.
    fn run(
        threads: usize,
        n: usize,
        stop: usize,
        work: impl Fn(usize) -> Result<usize> + Sync,
    ) -> (Vec<usize>, Result<()>) {
        let items: Vec<usize> = (0..n).collect();
        let mut seen = Vec::new();
        let result = ordered_map(threads, &items, work, |made| {
            seen.push(made);
            Ok(seen.len() < stop)
        });
        (seen, result)
    }

    #[test]
    fn results_come_in_order_whoever_is_first() {
        for threads in [1, 2, 5] {
            for n in [0, 1, 2, 37] {
                let work = |i: usize| {
                    std::thread::sleep(std::time::Duration::from_micros((i * 7919 % 13 * 50) as u64));
                    Ok(2 * i)
                };
                let (seen, result) = run(threads, n, usize::MAX, work);
                result.unwrap();
                assert_eq!(seen, (0..n).map(|i| 2 * i).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn nobody_goes_on_once_enough_is_there() {
        for threads in [1, 3] {
            let begun = std::sync::atomic::AtomicUsize::new(0);
            let work = |i| {
                begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(i)
            };
            let (seen, result) = run(threads, 1000, 3, work);
            result.unwrap();
            assert_eq!(seen, [0, 1, 2]);
            assert!(begun.into_inner() <= 3 + 3 * threads);
        }
    }

    #[test]
    fn the_first_error_ends_it_and_a_panic_is_one() {
        for threads in [1, 3] {
            let error = |i| if i == 5 { Err(DataFusionError::Internal("five".into())) } else { Ok(i) };
            let (seen, result) = run(threads, 100, usize::MAX, error);
            assert_eq!(seen, [0, 1, 2, 3, 4]);
            assert!(result.unwrap_err().to_string().contains("five"));
            let (_, result) =
                run(threads, 100, usize::MAX, |i| if i == 5 { panic!("as the test asks") } else { Ok(i) });
            assert!(result.unwrap_err().to_string().contains("has panicked"));
        }
    }
}
