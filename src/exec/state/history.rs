//! The placement history: chooses where each pipeline runs under `auto`, on the host operators that it replaced or on the device. The time
//! of a target is an estimate (`costs`) until it has run, and then the measured time. The one-time cost of the device (to compile, to
//! upload) is paid
//!
//! - at once, if the host is expected to take longer than the device with that cost, and nothing can pay it in the background
//!   (`xla.background_compile` is off);
//! - never, while the host is expected to be faster than the device without that cost;
//! - else in the background, while the host runs the query; or, without `xla.background_compile`, when the host has spent as much time
//!   on this pipeline. So no series of queries takes twice as long as on the better target.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::exec::state::costs::Estimate;
use crate::exec::state::memory_mode::MemoryMode;

/// Most pipelines in the history; all are dropped when there are more.
const MOST_PIPELINES: usize = 4096;

/// An estimate of the device may be this many times too high, so the device is tried where the host takes longer than the quotient.
const DOUBT: u32 = 2;

/// Runs that start in the memory mode that an earlier run needed, until a faster mode is tried again.
const FRUGAL_RUNS: usize = 16;

/// What earlier runs of a pipeline have shown.
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    /// Time of the host operators, from start to end.
    host: Option<Duration>,
    /// Time of the device with its programs compiled and its columns uploaded.
    device: Option<Duration>,
    /// Whether it has run on the device, so that its programs are compiled.
    ready: bool,
    /// Time that the host has spent since the device last ran.
    spent: Duration,
    /// Whether it is being warmed up in the background.
    warming: bool,
    /// Whether it cannot be warmed up in the background, because it needs more memory than is left.
    needs_foreground: bool,
    /// Whether it failed in the background. The next query runs it on the device, which reports the error.
    failed: bool,
    /// The memory mode that it needed, and the number of further runs that start with it.
    mode: Option<(MemoryMode, usize)>,
}

/// Where a pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Device,
    Host,
}

/// Why a target was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is faster without one-time costs.
    Faster,
    /// The device is faster even with its one-time cost.
    FasterEvenCold,
    /// The device failed in the background, and is to report the error.
    Failed,
    /// The device is being warmed up in the background.
    Warming,
    /// The device will be warmed up after this run.
    WarmedNext,
    /// The host has spent less than the one-time cost of the device.
    BelowOneTimeCost,
    /// The host has spent as much as the one-time cost of the device.
    ReachedOneTimeCost,
}

/// Where a pipeline runs, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub target: Target,
    pub reason: Reason,
    /// The estimated times.
    pub expected: Estimate,
    /// The same, with measured times in place of estimates.
    pub estimate: Estimate,
    pub host_measured: bool,
    pub device_measured: bool,
}

/// As EXPLAIN VERBOSE and EXPLAIN ANALYZE show it.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = match (self.host_measured, self.device_measured) {
            (true, true) => " (both measured)",
            (true, false) => " (host measured)",
            (false, true) => " (device measured)",
            (false, false) => "",
        };
        let target = match self.target {
            Target::Host => "host",
            Target::Device => "device",
        };
        write!(f, "{}{measured}; auto: {target}", self.estimate)?;
        f.write_str(match self.reason {
            Reason::Faster => "",
            Reason::FasterEvenCold => " at once",
            Reason::Failed => ", which failed in the background",
            Reason::Warming => ", while the device is warmed up",
            Reason::WarmedNext => ", and the device is warmed up next",
            Reason::BelowOneTimeCost => ", until it has spent the one-time cost of the device",
            Reason::ReachedOneTimeCost => ", as the host has spent its one-time cost",
        })
    }
}

/// The history of a session.
pub struct PlacementHistory {
    statistics: Mutex<HashMap<u64, Statistics>>,
    /// Held by the pipeline that is being warmed up; one at a time.
    pub background: Semaphore,
    host_runs: AtomicUsize,
}

impl Default for PlacementHistory {
    fn default() -> Self {
        Self { statistics: Mutex::default(), background: Semaphore::new(1), host_runs: AtomicUsize::new(0) }
    }
}

/// The permit to warm up a pipeline. If it is dropped unsettled, another run may get one.
pub struct WarmUpPermit {
    history: Arc<PlacementHistory>,
    pipeline: u64,
}

/// How a warm-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUpOutcome {
    /// The device takes this time without one-time costs.
    Took(Duration),
    /// It would have to start again in a more frugal memory mode, which only a foreground query does.
    ShortOfMemory,
    Failed,
}

impl Statistics {
    fn choose(&self, expected: Estimate, in_background: bool) -> Choice {
        let (ready, in_background) = (self.ready, in_background && !self.needs_foreground);
        let estimate = Estimate {
            host: self.host.unwrap_or(expected.host),
            device: self.device.unwrap_or(expected.device),
            compile: if ready { Duration::ZERO } else { expected.compile },
            ..expected
        };
        let once = estimate.once();
        let device_measured = self.device.is_some();
        let hope = if device_measured { estimate.device } else { estimate.device / DOUBT };
        let (target, reason) = if self.failed {
            (Target::Device, Reason::Failed)
        } else if estimate.host <= hope {
            (Target::Host, Reason::Faster)
        } else if estimate.host > estimate.device.saturating_add(once) && (ready || !in_background) {
            (Target::Device, if once.is_zero() { Reason::Faster } else { Reason::FasterEvenCold })
        } else if self.warming {
            (Target::Host, Reason::Warming)
        } else if in_background && (!ready || self.spent >= once) {
            (Target::Host, Reason::WarmedNext)
        } else if self.spent < once {
            (Target::Host, Reason::BelowOneTimeCost)
        } else {
            (Target::Device, Reason::ReachedOneTimeCost)
        };
        Choice { target, reason, expected, estimate, host_measured: self.host.is_some(), device_measured }
    }
}

/// The time of a target after another run: a shorter time counts at once, a longer one by a quarter, so that one slow run decides
/// nothing.
fn blend(statistics: Option<Duration>, now: Duration) -> Duration {
    match statistics {
        Some(before) if before < now => before + (now - before) / 4,
        _ => now,
    }
}

impl PlacementHistory {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Statistics>> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, pipeline: u64, f: impl FnOnce(&mut Statistics) -> T) -> T {
        let mut statistics = self.lock();
        if statistics.len() >= MOST_PIPELINES && !statistics.contains_key(&pipeline) {
            statistics.clear();
        }
        f(statistics.entry(pipeline).or_default())
    }

    /// Where this run takes place, and why.
    pub fn choice(&self, pipeline: u64, estimate: Estimate, in_background: bool) -> Choice {
        self.lock().get(&pipeline).copied().unwrap_or_default().choose(estimate, in_background)
    }

    /// Counts a pipeline that the host operators answer.
    pub fn count_host_run(&self) {
        self.host_runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers the time of a full run of the host operators. Where the device is worth it, and `in_background`, the permit to make it
    /// ready.
    pub fn host_took(
        self: &Arc<Self>,
        pipeline: u64,
        time: Duration,
        estimate: Estimate,
        in_background: bool,
    ) -> Option<WarmUpPermit> {
        let claimed = self.with(pipeline, |statistics| {
            statistics.host = Some(blend(statistics.host, time));
            statistics.spent += time;
            let next = in_background && statistics.choose(estimate, in_background).reason == Reason::WarmedNext;
            statistics.warming |= next;
            next
        });
        claimed.then(|| WarmUpPermit { history: Arc::clone(self), pipeline })
    }

    /// Remembers a full run on the device; and its time, if nothing had to be compiled, read or uploaded.
    pub fn device_took(&self, pipeline: u64, time: Option<Duration>) {
        self.with(pipeline, |statistics| {
            statistics.ready = true;
            statistics.device = time.map(|time| blend(statistics.device, time)).or(statistics.device);
            statistics.spent = Duration::ZERO;
        });
    }

    /// The memory mode in which a run starts.
    pub fn mode(&self, pipeline: u64) -> MemoryMode {
        self.with(pipeline, |statistics| match &mut statistics.mode {
            Some((mode, runs)) if *runs > 0 => {
                *runs -= 1;
                *mode
            }
            _ => MemoryMode::Resident,
        })
    }

    /// Remembers that a run did not get through in a faster mode than this.
    pub fn needs_mode(&self, pipeline: u64, mode: MemoryMode) {
        self.with(pipeline, |statistics| statistics.mode = Some((mode, FRUGAL_RUNS)));
    }

    /// Whether nothing is being run in the background, or is about to be.
    pub fn at_rest(&self) -> bool {
        !self.lock().values().any(|statistics| statistics.warming)
    }

    /// Pipelines that the host operators have answered so far although the device could.
    pub fn host_runs(&self) -> usize {
        self.host_runs.load(Ordering::Relaxed)
    }
}

impl WarmUpPermit {
    pub fn settle(self, end: WarmUpOutcome) {
        match end {
            WarmUpOutcome::Took(time) => self.history.device_took(self.pipeline, Some(time)),
            WarmUpOutcome::ShortOfMemory => {
                self.history.with(self.pipeline, |statistics| statistics.needs_foreground = true)
            }
            WarmUpOutcome::Failed => self.history.with(self.pipeline, |statistics| statistics.failed = true),
        }
    }
}

impl Drop for WarmUpPermit {
    fn drop(&mut self) {
        self.history.with(self.pipeline, |statistics| statistics.warming = false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::exec::state::costs::Estimate;
    use crate::exec::state::history::{FRUGAL_RUNS, PlacementHistory, Reason, Target, WarmUpOutcome};
    use crate::exec::state::memory_mode::MemoryMode;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pipeline that the device answers ten times faster, once its programs are compiled.
    const WORTH_IT: Estimate = Estimate { host: ms(10), device: ms(1), compile: ms(100), upload: ms(5) };

    #[test]
    fn without_a_background_the_host_runs_until_it_has_spent_what_the_device_costs_first() {
        let history = Arc::new(PlacementHistory::default());
        for _ in 0..11 {
            assert_eq!(history.choice(1, WORTH_IT, false).reason, Reason::BelowOneTimeCost);
            assert_eq!(history.choice(1, WORTH_IT, false).target, Target::Host);
            assert!(history.host_took(1, ms(10), WORTH_IT, false).is_none());
        }
        assert_eq!(history.choice(1, WORTH_IT, false).reason, Reason::ReachedOneTimeCost);
        // A run that compiled says nothing of those that follow.
        history.device_took(1, None);
        let warm = Estimate { upload: Duration::ZERO, ..WORTH_IT };
        let choice = history.choice(1, warm, false);
        assert_eq!((choice.target, choice.device_measured), (Target::Device, false));
        history.device_took(1, Some(ms(2)));
        let choice = history.choice(1, warm, false);
        assert_eq!((choice.target, choice.reason), (Target::Device, Reason::Faster));
        assert_eq!(choice.to_string(), "host 10 ms, device 2.0 ms (both measured); auto: device");
        // Its table has changed: the columns are uploaded when that has paid.
        assert_eq!(history.choice(1, WORTH_IT, false).target, Target::Device);
        let larger = Estimate { upload: ms(50), ..WORTH_IT };
        assert_eq!(history.choice(1, larger, false).reason, Reason::BelowOneTimeCost);
    }

    #[test]
    fn in_the_background_the_device_is_made_ready_where_it_is_worth_it() {
        let history = Arc::new(PlacementHistory::default());
        assert_eq!(history.choice(1, WORTH_IT, true).reason, Reason::WarmedNext);
        let permit = history.host_took(1, ms(10), WORTH_IT, true);
        assert_eq!(history.choice(1, WORTH_IT, true).reason, Reason::Warming);
        assert!(history.host_took(1, ms(10), WORTH_IT, true).is_none());
        permit.unwrap().settle(WarmUpOutcome::Took(ms(3)));
        let warm = Estimate { upload: Duration::ZERO, ..WORTH_IT };
        assert_eq!(history.choice(1, warm, true).target, Target::Device);
        // Measured times replace estimates; a slower time counts after a few runs.
        history.host_took(1, ms(2), warm, true);
        assert_eq!(history.choice(1, warm, true).target, Target::Host);
        (0..3).for_each(|_| assert!(history.host_took(1, ms(4), warm, true).is_none()));
        assert_eq!(history.choice(1, warm, true).target, Target::Device);
    }

    #[test]
    fn the_extremes_are_clear_at_once() {
        let history = Arc::new(PlacementHistory::default());
        let small = Estimate { host: ms(1), device: ms(2), ..WORTH_IT };
        for in_background in [false, true] {
            assert_eq!(history.choice(1, small, in_background).reason, Reason::Faster);
            assert!(history.host_took(1, ms(1), small, in_background).is_none());
        }
        let large = Estimate { host: ms(10_000), device: ms(1_000), ..WORTH_IT };
        assert_eq!(history.choice(2, large, false).reason, Reason::FasterEvenCold);
        // The background can pay, and an estimate may be wrong.
        assert_eq!(history.choice(2, large, true).target, Target::Host);
    }

    #[test]
    fn what_failed_is_asked_and_what_was_given_up_may_be_claimed_again() {
        let history = Arc::new(PlacementHistory::default());
        drop(history.host_took(1, ms(10), WORTH_IT, true).unwrap());
        history.host_took(1, ms(10), WORTH_IT, true).unwrap().settle(WarmUpOutcome::Failed);
        assert_eq!(history.choice(1, WORTH_IT, true).reason, Reason::Failed);
        history.host_took(2, ms(10), WORTH_IT, true).unwrap().settle(WarmUpOutcome::ShortOfMemory);
        assert_eq!(history.choice(2, WORTH_IT, true).reason, Reason::BelowOneTimeCost);
    }

    #[test]
    fn a_memory_mode_is_believed_for_a_while() {
        let history = PlacementHistory::default();
        assert_eq!(history.mode(1), MemoryMode::Resident);
        history.needs_mode(1, MemoryMode::Streamed);
        (0..FRUGAL_RUNS).for_each(|_| assert_eq!(history.mode(1), MemoryMode::Streamed));
        assert_eq!(history.mode(1), MemoryMode::Resident);
    }
}
