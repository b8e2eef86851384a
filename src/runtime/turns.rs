//! Who computes while device memory is limited. Queries run side by side; one that has run out of memory starts again alone, so
//! that it has all that others do not hold. Turns are given in the order in which they were asked for, so that nobody starves.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting query looks whether it has been cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// The queue of a runtime.
#[derive(Default)]
pub struct Turns {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    tickets: u64,
    waiting: VecDeque<u64>,
    running: usize,
    /// Whether one of those who run asked to be alone.
    alone: bool,
}

/// The right to compute, until it is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    alone: bool,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all who asked before have had their turn and, to be `alone`, until nobody computes. `None` once `give_up` says so.
    pub fn wait(&self, alone: bool, give_up: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut queue = self.lock();
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.waiting.push_back(ticket);
        loop {
            let may_run = if alone { queue.running == 0 } else { !queue.alone };
            if queue.waiting.front() == Some(&ticket) && may_run {
                queue.waiting.pop_front();
                queue.running += 1;
                queue.alone |= alone;
                self.changed.notify_all();
                return Some(Turn { turns: self, alone });
            }
            if give_up() {
                queue.waiting.retain(|waiting| *waiting != ticket);
                self.changed.notify_all();
                return None;
            }
            queue = self.changed.wait_timeout(queue, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Turn<'_> {
    /// Lets others compute while `f` waits for something that may need them: the reader of a result. Afterwards it goes on
    /// at once, beside whoever has begun.
    pub fn pause<T>(&mut self, f: impl FnOnce() -> T) -> T {
        self.leave();
        let result = f();
        self.turns.lock().running += 1;
        result
    }

    fn leave(&mut self) {
        let mut queue = self.turns.lock();
        queue.running -= 1;
        if std::mem::take(&mut self.alone) {
            queue.alone = false;
        }
        self.turns.changed.notify_all();
    }
}

impl Drop for Turn<'_> {
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

    use crate::runtime::turns::Turns;

    #[test]
    fn one_that_is_alone_waits_for_all_and_all_wait_for_it_in_order() {
        let turns = Turns::default();
        let (order, running) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        scope(|threads| {
            let first = turns.wait(false, || false).unwrap();
            let beside = turns.wait(false, || false).unwrap();
            let run = |name: &'static str, alone: bool| {
                let _turn = turns.wait(alone, || false).unwrap();
                let others = running.fetch_add(1, Ordering::SeqCst);
                assert!(!alone || others == 0);
                order.lock().unwrap().push(name);
                sleep(Duration::from_millis(10));
                running.fetch_sub(1, Ordering::SeqCst);
            };
            threads.spawn(move || run("alone", true));
            sleep(Duration::from_millis(50));
            threads.spawn(move || run("later", false));
            sleep(Duration::from_millis(50));
            assert!(order.lock().unwrap().is_empty());
            drop(first);
            drop(beside);
        });
        assert_eq!(*order.lock().unwrap(), ["alone", "later"]);
    }

    #[test]
    fn one_that_gives_up_is_not_waited_for() {
        let turns = Turns::default();
        let gone = AtomicBool::new(false);
        scope(|threads| {
            let running = turns.wait(false, || false).unwrap();
            let waiting = threads.spawn(|| turns.wait(true, || gone.load(Ordering::SeqCst)).is_none());
            sleep(Duration::from_millis(30));
            gone.store(true, Ordering::SeqCst);
            assert!(waiting.join().unwrap());
            drop(turns.wait(false, || false).unwrap());
            drop(running);
        });
    }

    #[test]
    fn a_pause_lets_another_be_alone() {
        let turns = Turns::default();
        let mut turn = turns.wait(true, || false).unwrap();
        turn.pause(|| drop(turns.wait(true, || false).unwrap()));
        drop(turn);
        assert!(turns.wait(true, || false).is_some());
    }
}
