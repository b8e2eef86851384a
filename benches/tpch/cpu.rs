//! Measures the processor time that other programs use while the benchmark runs, since it makes every time longer.

use std::fs::read_to_string;

/// Processor time since the machine was started, in kernel ticks.
#[derive(Clone, Copy)]
struct Ticks {
    /// All processors, idle or not.
    all: u64,
    /// All processors, busy.
    busy: u64,
    /// This benchmark's processes.
    own: u64,
}

/// A measurement interval.
pub struct Watch {
    worker: Option<u32>,
    start: Ticks,
}

impl Watch {
    /// Starts an interval. `worker` is the process of the other engines.
    pub fn start(worker: Option<u32>) -> Self {
        Self { worker, start: Ticks::now(worker) }
    }

    /// Returns the share of all processors that other programs used since the start, or 0 if the system does not report
    /// it.
    pub fn others(&self) -> f64 {
        let now = Ticks::now(self.worker);
        let (all, busy, own) =
            (now.all - self.start.all, now.busy - self.start.busy, now.own.saturating_sub(self.start.own));
        busy.saturating_sub(own) as f64 / all.max(1) as f64
    }
}

impl Ticks {
    fn now(worker: Option<u32>) -> Self {
        let about = read_to_string("/proc/stat").unwrap_or_default();
        // The fields are user, nice, system, idle, iowait, irq, softirq and steal.
        let fields: Vec<u64> =
            about.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).map(number).collect();
        let all: u64 = fields.iter().sum();
        let own = of_process("self") + worker.map_or(0, |id| of_process(&id.to_string()));
        Self { all, busy: all - fields.iter().skip(3).take(2).sum::<u64>(), own }
    }
}

/// Returns user and system time of a process.
fn of_process(id: &str) -> u64 {
    let about = read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain blanks.
    let after_name = about.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).map(number).sum()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}
