//! Who answers a pipeline under `auto`: the host operators that it replaces, or the device. Each side's time is an estimate (`cost`)
//! until that side has run; then it is what was measured. What the device pays once (to compile, to upload) is paid
//!
//! - at once, where the host is expected to take longer than that and the device's own time together, and nobody else could pay
//!   (without `xla.tiered`);
//! - never, while the host is expected to be faster than the device is with everything in place;
//! - else in the background (`xla.tiered`), while the host answers; or, without it, when the host has spent as much time on this
//!   pipeline as it costs. So no series of queries takes twice as long as on the better side.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::exec::state::costs::Estimate;
use crate::exec::state::memory_mode::MemoryMode;

/// Pipelines that are remembered; all are forgotten when there are more.
const MOST_PIPELINES: usize = 4096;

/// An estimate of the device may be this many times too high: it is tried where the host takes longer than the rest.
const DOUBT: u32 = 2;

/// Runs that start in the memory mode that was needed before, until a faster one is tried again: others may have held the memory.
const FRUGAL_RUNS: usize = 16;

/// What is known of a pipeline.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Time of the host operators, from start to end.
    host: Option<Duration>,
    /// Time of the device with its programs compiled and its columns uploaded.
    device: Option<Duration>,
    /// It has run on the device, so that its programs are compiled.
    ready: bool,
    /// What the host operators have spent since the device last ran.
    spent: Duration,
    /// It is being run in the background.
    warming: bool,
    /// It does not run in the background.
    needs_attention: bool,
    /// It failed in the background; when it is asked for, it shall say why.
    failed: bool,
    /// The memory mode that it needed, and for how many more runs that is believed.
    mode: Option<(MemoryMode, usize)>,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Device,
    Host,
}

/// Why one side answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is faster with everything in place.
    Faster,
    /// The device is faster with all that it has to do first.
    FasterColdToo,
    /// The device failed in the background, and shall say why.
    Failed,
    /// The device is made ready in the background.
    Warming,
    /// It will be.
    WarmedNext,
    /// The host has not spent what the device costs first.
    NotYetSpent,
    /// It has.
    Spent,
}

/// Who answers a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub side: Side,
    pub why: Why,
    /// What each side is expected to take.
    pub expected: Estimate,
    /// The same, with measured times where there are any.
    pub estimate: Estimate,
    pub host_measured: bool,
    pub device_measured: bool,
}

/// As EXPLAIN shows it.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = match (self.host_measured, self.device_measured) {
            (true, true) => " (both measured)",
            (true, false) => " (host measured)",
            (false, true) => " (device measured)",
            (false, false) => "",
        };
        let side = match self.side {
            Side::Host => "host",
            Side::Device => "device",
        };
        write!(f, "{}{measured}; auto: {side}", self.estimate)?;
        f.write_str(match self.why {
            Why::Faster => "",
            Why::FasterColdToo => ", at once",
            Why::Failed => ", which failed before",
            Why::Warming => ", while the device is made ready",
            Why::WarmedNext => ", and the device is made ready next",
            Why::NotYetSpent => ", until it has spent what the device costs first",
            Why::Spent => ", as the host has spent what it costs first",
        })
    }
}

/// What a session knows of its pipelines.
pub struct Tiers {
    known: Mutex<HashMap<u64, Known>>,
    /// Held by the pipeline that is run in the background; one at a time.
    pub background: Semaphore,
    host_answers: AtomicUsize,
}

impl Default for Tiers {
    fn default() -> Self {
        Self { known: Mutex::default(), background: Semaphore::new(1), host_answers: AtomicUsize::new(0) }
    }
}

/// The right and duty to run a pipeline in the background; if it is dropped before, somebody else may.
pub struct Claim {
    tiers: Arc<Tiers>,
    pipeline: u64,
}

/// How the run in the background ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// With everything in place the device takes this time.
    Took(Duration),
    /// Not without starting again, for which a query must wait.
    ShortOfMemory,
    Failed,
}

impl Known {
    fn choose(&self, expected: Estimate, tiered: bool) -> Choice {
        let (ready, tiered) = (self.ready, tiered && !self.needs_attention);
        let estimate = Estimate {
            host: self.host.unwrap_or(expected.host),
            device: self.device.unwrap_or(expected.device),
            compile: if ready { Duration::ZERO } else { expected.compile },
            ..expected
        };
        let once = estimate.once();
        let device_measured = self.device.is_some();
        let hope = if device_measured { estimate.device } else { estimate.device / DOUBT };
        let (side, why) = if self.failed {
            (Side::Device, Why::Failed)
        } else if estimate.host <= hope {
            (Side::Host, Why::Faster)
        } else if estimate.host > estimate.device.saturating_add(once) && (ready || !tiered) {
            (Side::Device, if once.is_zero() { Why::Faster } else { Why::FasterColdToo })
        } else if self.warming {
            (Side::Host, Why::Warming)
        } else if tiered && (!ready || self.spent >= once) {
            (Side::Host, Why::WarmedNext)
        } else if self.spent < once {
            (Side::Host, Why::NotYetSpent)
        } else {
            (Side::Device, Why::Spent)
        };
        Choice { side, why, expected, estimate, host_measured: self.host.is_some(), device_measured }
    }
}

/// The time of a side after another run: less at once, more by and by, so that one slow run decides nothing.
fn blend(known: Option<Duration>, now: Duration) -> Duration {
    match known {
        Some(before) if before < now => before + (now - before) / 4,
        _ => now,
    }
}

impl Tiers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, pipeline: u64, f: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.lock();
        if known.len() >= MOST_PIPELINES && !known.contains_key(&pipeline) {
            known.clear();
        }
        f(known.entry(pipeline).or_default())
    }

    /// Who answers now.
    pub fn choice(&self, pipeline: u64, estimate: Estimate, tiered: bool) -> Choice {
        self.lock().get(&pipeline).copied().unwrap_or_default().choose(estimate, tiered)
    }

    /// Counts a pipeline that the host operators answer.
    pub fn host_answers_one(&self) {
        self.host_answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers the time of a full run of the host operators. Where the device is worth it, and `tiered`, the claim to make it
    /// ready.
    pub fn host_took(
        self: &Arc<Self>,
        pipeline: u64,
        time: Duration,
        estimate: Estimate,
        tiered: bool,
    ) -> Option<Claim> {
        let claimed = self.with(pipeline, |known| {
            known.host = Some(blend(known.host, time));
            known.spent += time;
            let next = tiered && known.choose(estimate, tiered).why == Why::WarmedNext;
            known.warming |= next;
            next
        });
        claimed.then(|| Claim { tiers: Arc::clone(self), pipeline })
    }

    /// Remembers a full run on the device; and its time, if nothing had to be compiled, read or uploaded.
    pub fn device_took(&self, pipeline: u64, time: Option<Duration>) {
        self.with(pipeline, |known| {
            known.ready = true;
            known.device = time.map(|time| blend(known.device, time)).or(known.device);
            known.spent = Duration::ZERO;
        });
    }

    /// The memory mode in which a run starts.
    pub fn mode(&self, pipeline: u64) -> MemoryMode {
        self.with(pipeline, |known| match &mut known.mode {
            Some((mode, runs)) if *runs > 0 => {
                *runs -= 1;
                *mode
            }
            _ => MemoryMode::Resident,
        })
    }

    /// Remembers that a run did not get through in a faster mode than this.
    pub fn needs_mode(&self, pipeline: u64, mode: MemoryMode) {
        self.with(pipeline, |known| known.mode = Some((mode, FRUGAL_RUNS)));
    }

    /// Whether nothing is being run in the background, or is about to be.
    pub fn at_rest(&self) -> bool {
        !self.lock().values().any(|known| known.warming)
    }

    /// Pipelines that the host operators have answered so far although the device could.
    pub fn host_answers(&self) -> usize {
        self.host_answers.load(Ordering::Relaxed)
    }
}

impl Claim {
    pub fn settle(self, end: WarmUp) {
        match end {
            WarmUp::Took(time) => self.tiers.device_took(self.pipeline, Some(time)),
            WarmUp::ShortOfMemory => self.tiers.with(self.pipeline, |known| known.needs_attention = true),
            WarmUp::Failed => self.tiers.with(self.pipeline, |known| known.failed = true),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.tiers.with(self.pipeline, |known| known.warming = false);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::exec::state::costs::Estimate;
    use crate::exec::state::history::{FRUGAL_RUNS, Side, Tiers, WarmUp, Why};
    use crate::exec::state::memory_mode::MemoryMode;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pipeline that the device answers ten times faster, once its programs are compiled.
    const WORTH_IT: Estimate = Estimate { host: ms(10), device: ms(1), compile: ms(100), upload: ms(5) };

    #[test]
    fn without_a_background_the_host_answers_until_it_has_spent_what_the_device_costs_first() {
        let tiers = Arc::new(Tiers::default());
        for _ in 0..11 {
            assert_eq!(tiers.choice(1, WORTH_IT, false).why, Why::NotYetSpent);
            assert_eq!(tiers.choice(1, WORTH_IT, false).side, Side::Host);
            assert!(tiers.host_took(1, ms(10), WORTH_IT, false).is_none());
        }
        assert_eq!(tiers.choice(1, WORTH_IT, false).why, Why::Spent);
        // A run that compiled says nothing of those that follow.
        tiers.device_took(1, None);
        let warm = Estimate { upload: Duration::ZERO, ..WORTH_IT };
        let choice = tiers.choice(1, warm, false);
        assert_eq!((choice.side, choice.device_measured), (Side::Device, false));
        tiers.device_took(1, Some(ms(2)));
        let choice = tiers.choice(1, warm, false);
        assert_eq!((choice.side, choice.why), (Side::Device, Why::Faster));
        assert_eq!(choice.to_string(), "host 10 ms, device 2.0 ms (both measured); auto: device");
        // Its table has changed: the columns are uploaded when that has paid.
        assert_eq!(tiers.choice(1, WORTH_IT, false).side, Side::Device);
        let larger = Estimate { upload: ms(50), ..WORTH_IT };
        assert_eq!(tiers.choice(1, larger, false).why, Why::NotYetSpent);
    }

    #[test]
    fn in_the_background_the_device_is_made_ready_where_it_is_worth_it() {
        let tiers = Arc::new(Tiers::default());
        assert_eq!(tiers.choice(1, WORTH_IT, true).why, Why::WarmedNext);
        let claim = tiers.host_took(1, ms(10), WORTH_IT, true);
        assert_eq!(tiers.choice(1, WORTH_IT, true).why, Why::Warming);
        assert!(tiers.host_took(1, ms(10), WORTH_IT, true).is_none());
        claim.unwrap().settle(WarmUp::Took(ms(3)));
        let warm = Estimate { upload: Duration::ZERO, ..WORTH_IT };
        assert_eq!(tiers.choice(1, warm, true).side, Side::Device);
        // What is measured counts, and by and by what is slower.
        tiers.host_took(1, ms(2), warm, true);
        assert_eq!(tiers.choice(1, warm, true).side, Side::Host);
        (0..3).for_each(|_| assert!(tiers.host_took(1, ms(4), warm, true).is_none()));
        assert_eq!(tiers.choice(1, warm, true).side, Side::Device);
    }

    #[test]
    fn the_extremes_are_clear_at_once() {
        let tiers = Arc::new(Tiers::default());
        let small = Estimate { host: ms(1), device: ms(2), ..WORTH_IT };
        for tiered in [false, true] {
            assert_eq!(tiers.choice(1, small, tiered).why, Why::Faster);
            assert!(tiers.host_took(1, ms(1), small, tiered).is_none());
        }
        let large = Estimate { host: ms(10_000), device: ms(1_000), ..WORTH_IT };
        assert_eq!(tiers.choice(2, large, false).why, Why::FasterColdToo);
        // The background can pay, and an estimate may be wrong.
        assert_eq!(tiers.choice(2, large, true).side, Side::Host);
    }

    #[test]
    fn what_failed_is_asked_and_what_was_given_up_may_be_claimed_again() {
        let tiers = Arc::new(Tiers::default());
        drop(tiers.host_took(1, ms(10), WORTH_IT, true).unwrap());
        tiers.host_took(1, ms(10), WORTH_IT, true).unwrap().settle(WarmUp::Failed);
        assert_eq!(tiers.choice(1, WORTH_IT, true).why, Why::Failed);
        tiers.host_took(2, ms(10), WORTH_IT, true).unwrap().settle(WarmUp::ShortOfMemory);
        assert_eq!(tiers.choice(2, WORTH_IT, true).why, Why::NotYetSpent);
    }

    #[test]
    fn a_memory_mode_is_believed_for_a_while() {
        let tiers = Tiers::default();
        assert_eq!(tiers.mode(1), MemoryMode::Resident);
        tiers.needs_mode(1, MemoryMode::Streamed);
        (0..FRUGAL_RUNS).for_each(|_| assert_eq!(tiers.mode(1), MemoryMode::Streamed));
        assert_eq!(tiers.mode(1), MemoryMode::Resident);
    }
}
