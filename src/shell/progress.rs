//! The line on stderr that says a long query is under way, or with a bar how far its tables are loaded, and how times and
//! counts are written.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use crate::exec::state::load_progress::LoadProgress;

const QUIET: Duration = Duration::from_secs(1);

/// Until a bar is shown, which has more to say.
const QUIET_LOAD: Duration = Duration::from_millis(500);

/// Characters of the bar.
const BAR: u64 = 20;

/// A line on stderr with the time and the rows so far, shown from the first second on and erased at the end; while tables are
/// loaded, from the first half second on, with a bar. It is shown only where stderr is a terminal.
pub struct Progress {
    started: Instant,
    hint: &'static str,
    enabled: bool,
    shown: bool,
}

impl Progress {
    /// `hint` stands at the end of the line.
    pub fn start(hint: &'static str) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { started: Instant::now(), hint, enabled: stderr().is_terminal() && !dumb, shown: false }
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Draws the line afresh.
    pub fn tick(&mut self, rows: usize, loading: Option<&LoadProgress>) {
        let quiet = if loading.is_some() { QUIET_LOAD } else { QUIET };
        if self.enabled && self.elapsed() >= quiet {
            let line = match loading {
                Some(loading) => bar(self.elapsed(), loading),
                None => line(self.elapsed(), rows, self.hint),
            };
            // A terminal that has gone away is no reason to stop the query.
            let _ = write!(stderr(), "\r\x1b[2K{line}");
            let _ = stderr().flush();
            self.shown = true;
        }
    }

    /// Takes the line away, so that something else can be printed.
    pub fn erase(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[2K");
            let _ = stderr().flush();
            self.shown = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.erase();
    }
}

fn line(elapsed: Duration, rows: usize, hint: &str) -> String {
    format!("{:.1} s, {} so far{hint}", elapsed.as_secs_f64(), row_count(rows))
}

/// `2.5 s, loading lineitem.l_tax [=====     ] 45% of 208 MB`: no more than a terminal's 80 characters.
fn bar(elapsed: Duration, loading: &LoadProgress) -> String {
    let part = |of: u64| loading.done * of / loading.total.max(1);
    let full = "=".repeat(part(BAR) as usize);
    let (seconds, width) = (elapsed.as_secs_f64(), BAR as usize);
    let megabytes = loading.total as f64 / 1e6;
    let what: String = loading.what.chars().take(24).collect();
    format!("{seconds:.1} s, loading {what} [{full:width$}] {}% of {megabytes:.0} MB", part(100))
}

/// `1 row`, `1,234 rows`.
pub fn row_count(rows: usize) -> String {
    format!("{} row{}", count(rows), if rows == 1 { "" } else { "s" })
}

/// `1,234,567`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.42 ms`, `12.3 ms`, `1.23 s`, `2 min 3 s`.
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.2} s"),
        _ => format!("{} min {} s", elapsed.as_secs() / 60, elapsed.as_secs() % 60),
    }
}

/// `1.2`, `9.9`, `34`.
pub fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::exec::state::load_progress::LoadProgress;
    use crate::shell::progress::{bar, count, duration, line, row_count};

    #[test]
    fn times_and_counts_are_short() {
        assert_eq!(duration(Duration::from_micros(420)), "0.42 ms");
        assert_eq!(duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration(Duration::from_millis(1234)), "1.23 s");
        assert_eq!(duration(Duration::from_secs(123)), "2 min 3 s");
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((row_count(1), row_count(0)), ("1 row".to_string(), "0 rows".to_string()));
        let loading = LoadProgress { what: "t.a".into(), done: 7_000_000, total: 21_000_000 };
        assert_eq!(
            bar(Duration::from_millis(2540), &loading),
            "2.5 s, loading t.a [======              ] 33% of 21 MB"
        );
        assert_eq!(line(Duration::from_millis(2540), 1000, "!"), "2.5 s, 1,000 rows so far!");
    }
}
