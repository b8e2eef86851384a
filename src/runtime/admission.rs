//! Admission of queries to the devices while device memory is limited. Queries run side by side under shared permits. A
//! query that has run out of memory starts again under an exclusive permit, so that all memory except what other
//! queries still hold is available to it. Permits are granted in the order of the requests, so that no query starves.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting query checks whether it has been cancelled.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The admission queue of a runtime.
#[derive(Default)]
pub struct AdmissionQueue {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: VecDeque<u64>,
    running: usize,
    /// Whether a running query holds the exclusive permit.
    exclusive: bool,
}

/// A permit to compute, shared or exclusive, held until it is dropped.
pub struct Permit<'a> {
    queue: &'a AdmissionQueue,
    exclusive: bool,
}

impl AdmissionQueue {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all earlier requests have been granted and, for an exclusive permit, until no query is computing.
    /// Returns `None` as soon as `give_up` returns true; it is polled every 20 ms.
    pub fn acquire(&self, exclusive: bool, give_up: impl Fn() -> bool) -> Option<Permit<'_>> {
        let mut queue = self.lock();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.waiting.push_back(ticket);
        loop {
            let may_run = if exclusive { queue.running == 0 } else { !queue.exclusive };
            if queue.waiting.front() == Some(&ticket) && may_run {
                queue.waiting.pop_front();
                queue.running += 1;
                queue.exclusive |= exclusive;
                self.changed.notify_all();
                return Some(Permit { queue: self, exclusive });
            }
            if give_up() {
                queue.waiting.retain(|waiting| *waiting != ticket);
                self.changed.notify_all();
                return None;
            }
            queue = self.changed.wait_timeout(queue, CANCEL_POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Permit<'_> {
    /// Releases the permit while `f` waits for something that may need other queries to make progress, such as the
    /// reader of a result. Afterwards the query resumes at once, under a shared permit, even if another query has been
    /// granted an exclusive one meanwhile.
    pub fn release_while<T>(&mut self, f: impl FnOnce() -> T) -> T {
        self.leave();
        let result = f();
        self.queue.lock().running += 1;
        result
    }

    fn leave(&mut self) {
        let mut queue = self.queue.lock();
        queue.running -= 1;
        if std::mem::take(&mut self.exclusive) {
            queue.exclusive = false;
        }
        self.queue.changed.notify_all();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread::{scope, sleep};
    use std::time::Duration;

    use crate::runtime::admission::AdmissionQueue;

    #[test]
    fn exclusive_permits_wait_for_shared_ones_and_are_granted_in_order() {
        let queue = AdmissionQueue::default();
        let (order, running) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        scope(|threads| {
            let first = queue.acquire(false, || false).unwrap();
            let beside = queue.acquire(false, || false).unwrap();
            let run = |name: &'static str, exclusive: bool| {
                let _permit = queue.acquire(exclusive, || false).unwrap();
                let others = running.fetch_add(1, Ordering::SeqCst);
                assert!(!exclusive || others == 0);
                order.lock().unwrap().push(name);
                sleep(Duration::from_millis(10));
                running.fetch_sub(1, Ordering::SeqCst);
            };
            threads.spawn(move || run("exclusive", true));
            sleep(Duration::from_millis(50));
            threads.spawn(move || run("later", false));
            sleep(Duration::from_millis(50));
            assert!(order.lock().unwrap().is_empty());
            drop(first);
            drop(beside);
        });
        assert_eq!(*order.lock().unwrap(), ["exclusive", "later"]);
    }

    #[test]
    fn a_cancelled_request_does_not_block_the_queue() {
        let queue = AdmissionQueue::default();
        let gone = AtomicBool::new(false);
        scope(|threads| {
            let running = queue.acquire(false, || false).unwrap();
            let waiting = threads.spawn(|| queue.acquire(true, || gone.load(Ordering::SeqCst)).is_none());
            sleep(Duration::from_millis(30));
            gone.store(true, Ordering::SeqCst);
            assert!(waiting.join().unwrap());
            drop(queue.acquire(false, || false).unwrap());
            drop(running);
        });
    }

    #[test]
    fn a_pause_admits_an_exclusive_permit() {
        let queue = AdmissionQueue::default();
        let mut permit = queue.acquire(true, || false).unwrap();
        permit.release_while(|| drop(queue.acquire(true, || false).unwrap()));
        drop(permit);
        assert!(queue.acquire(true, || false).is_some());
    }
}
