//! What a pipeline is expected to take on either side: its work (`placement::work`) times constants of the machine. Where a side has been
//! measured for a pipeline (`state::history`), the measured time takes the place of the estimate.

use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::exec::state::work_estimate::{Kind, WorkEstimate};

/// Nanoseconds for one of each kind of work; of rows and values on one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates([f64; Kind::ALL.len()]);

impl Rates {
    pub fn get(&self, kind: Kind) -> f64 {
        self.0[kind as usize]
    }

    pub fn set(&mut self, kind: Kind, nanoseconds: f64) {
        self.0[kind as usize] = nanoseconds;
    }

    /// Time of `work` where the rows are shared by `threads`.
    fn time(&self, work: &WorkEstimate, threads: usize) -> Duration {
        let shared: f64 = Kind::ALL.into_iter().skip(1).map(|kind| self.get(kind) * work.get(kind)).sum();
        let own = self.get(Kind::Operator) * work.get(Kind::Operator);
        nanoseconds(own + shared / threads.max(1) as f64)
    }
}

/// The constants of a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    pub host: Rates,
    pub device: Rates,
    /// Nanoseconds to trace and call one program, however few its rows are.
    pub program: f64,
    /// Nanoseconds to compile a program, and for every operator in it.
    pub compile_program: f64,
    pub compile_operator: f64,
    /// Nanoseconds to encode and upload a value, on one thread.
    pub upload: f64,
}

/// The names of the constants that are no rates.
const OTHERS: [&str; 4] = ["program", "compile program", "compile operator", "upload"];

/// The constants of this machine, once they are known.
static MACHINE: RwLock<Option<Costs>> = RwLock::new(None);

/// The constants of this machine, or until they are known those of another.
pub fn machine() -> Costs {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
}

pub fn set_machine(costs: Costs) {
    *MACHINE.write().unwrap_or_else(PoisonError::into_inner) = Some(costs);
}

/// Of the machine on which Parallax was written: two cores, 2.1 GHz (`make placement` prints estimates beside times).
impl Default for Costs {
    fn default() -> Self {
        Self {
            // operator decode filter project group aggregate sort build probe output
            host: Rates([20_000.0, 6.0, 1.5, 5.0, 25.0, 6.0, 12.0, 60.0, 12.0, 1.0]),
            device: Rates([60_000.0, 6.0, 0.15, 0.4, 5.0, 2.5, 2.0, 40.0, 10.0, 2.0]),
            program: 190_000.0,
            compile_program: 35e6,
            compile_operator: 20e6,
            upload: 10.0,
        }
    }
}

impl Costs {
    /// A machine whose host operators are so slow that `auto` runs on the device what it can: for tests of the device.
    #[cfg(any(test, feature = "internals"))]
    pub fn of_slow_host() -> Self {
        let mut costs = Self::default();
        costs.host.set(Kind::Operator, 1e15);
        costs
    }

    /// A machine whose device is so slow that it is never asked, under `auto`.
    #[cfg(any(test, feature = "internals"))]
    pub fn of_slow_device() -> Self {
        Self { program: 1e15, compile_program: 1e15, ..Self::default() }
    }

    /// Every constant, by name.
    pub fn named(&self) -> Vec<(String, f64)> {
        let rates = |side: &'static str, rates: Rates| {
            Kind::ALL.into_iter().map(move |kind| (format!("{side} {}", kind.name()), rates.get(kind)))
        };
        let others = [self.program, self.compile_program, self.compile_operator, self.upload];
        let others = OTHERS.into_iter().map(String::from).zip(others);
        rates("host", self.host).chain(rates("device", self.device)).chain(others).collect()
    }

    /// The reverse of [`Self::named`]; `None` if any is missing.
    pub fn from_named(value: impl Fn(&str) -> Option<f64>) -> Option<Self> {
        let rates = |side: &str| {
            let mut rates = Rates([0.0; Kind::ALL.len()]);
            for kind in Kind::ALL {
                rates.set(kind, value(&format!("{side} {}", kind.name()))?);
            }
            Some(rates)
        };
        let [program, compile_program, compile_operator, upload] = OTHERS.map(&value);
        Some(Self {
            host: rates("host")?,
            device: rates("device")?,
            program: program?,
            compile_program: compile_program?,
            compile_operator: compile_operator?,
            upload: upload?,
        })
    }

    pub fn estimate(&self, task: &Task) -> Estimate {
        let device = self.device.time(&task.device, task.device_threads);
        let below = self.host.time(&task.below, task.host_threads);
        let compile = self.compile_program * task.programs as f64 + self.compile_operator * task.operators as f64;
        let upload = self.upload * task.upload + self.host.get(Kind::Decode) * task.decode;
        let reload = self.upload * task.reload / task.host_threads.max(1) as f64;
        Estimate {
            host: self.host.time(&task.host, task.host_threads),
            device: device + below + nanoseconds(self.program * task.programs as f64 + reload),
            compile: nanoseconds(compile),
            upload: nanoseconds(upload / task.host_threads.max(1) as f64),
        }
    }
}

/// What a pipeline has to do on either side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Task {
    /// Of the host plan.
    pub host: WorkEstimate,
    /// The part of it that the device does, and the part that host operators below do.
    pub device: WorkEstimate,
    pub below: WorkEstimate,
    /// Values to upload once, and of these the ones to read from files.
    pub upload: f64,
    pub decode: f64,
    /// Values to upload in every run: what host operators below give.
    pub reload: f64,
    pub programs: usize,
    /// Device operators.
    pub operators: usize,
    pub host_threads: usize,
    pub device_threads: usize,
}

/// What a pipeline is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// By the host operators.
    pub host: Duration,
    /// On the device, with its programs compiled and its columns there.
    pub device: Duration,
    /// To compile its programs.
    pub compile: Duration,
    /// To upload the columns that are not on the device.
    pub upload: Duration,
}

impl Estimate {
    /// What is paid once, before the device answers as fast as it can.
    pub fn once(&self) -> Duration {
        self.compile.saturating_add(self.upload)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}, device {}", short(self.host), short(self.device))?;
        if !self.compile.is_zero() {
            write!(f, " + {} to compile", short(self.compile))?;
        }
        if !self.upload.is_zero() {
            write!(f, " + {} to upload", short(self.upload))?;
        }
        Ok(())
    }
}

/// A time in two digits or so: `0.4 ms`, `12 ms`, `3.1 s`.
pub fn short(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..0.1 => format!("{ms:.2} ms"),
        ..10.0 => format!("{ms:.1} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1e3),
    }
}

fn nanoseconds(n: f64) -> Duration {
    Duration::from_nanos(n.min(1e18) as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::exec::state::costs::{Costs, Estimate, Task};
    use crate::exec::state::work_estimate::{Kind, WorkEstimate};

    fn group_by(rows: f64) -> Task {
        let mut work = WorkEstimate::default();
        work.add_amount(Kind::Operator, 1.0);
        work.add_amount(Kind::Group, rows);
        work.add_amount(Kind::Aggregate, 2.0 * rows);
        Task {
            host: work,
            device: work,
            upload: 2.0 * rows,
            programs: 2,
            operators: 2,
            host_threads: 2,
            device_threads: 2,
            ..Task::default()
        }
    }

    #[test]
    fn few_rows_are_the_host_s_and_many_the_device_s() {
        let costs = Costs::default();
        let few = costs.estimate(&group_by(10.0));
        assert!(few.host < few.device, "{few}");
        let many = costs.estimate(&group_by(1e7));
        assert!(many.host > many.device, "{many}");
        assert_eq!(few.compile, many.compile);
        assert!(few.upload < many.upload);
    }

    #[test]
    fn threads_share_rows() {
        let costs = Costs::default();
        let two = group_by(1e7);
        let one = Task { host_threads: 1, device_threads: 1, ..two };
        assert!(costs.estimate(&one).host > costs.estimate(&two).host.mul_f64(1.9));
        assert!(costs.estimate(&one).device > costs.estimate(&two).device.mul_f64(1.9));
    }

    #[test]
    fn an_estimate_in_words() {
        let ms = |ms| Duration::from_secs_f64(ms / 1e3);
        let mut estimate = Estimate { host: ms(0.42), device: ms(1.234), compile: ms(310.2), upload: ms(2.0) };
        assert_eq!(estimate.to_string(), "host 0.4 ms, device 1.2 ms + 310 ms to compile + 2.0 ms to upload");
        (estimate.compile, estimate.upload, estimate.host) = (ms(0.0), ms(0.0), ms(3100.0));
        assert_eq!(estimate.to_string(), "host 3.1 s, device 1.2 ms");
    }
}
