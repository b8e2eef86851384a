//! Compares two runs of one record.

use crate::conformance::engine::Run;
use crate::conformance::file::RecordOutcome;

/// How a run compares with its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The expected rows or error. If the baseline fails, too, the same result as there.
    Same,
    /// An EXPLAIN with another plan.
    Explain,
    /// The same rows in another order, where no order was requested.
    Order,
    /// The same rows except for the last digits of floats.
    LastDigits,
    /// Different rows.
    Rows,
    /// Rows where the baseline returns an error.
    NoError,
    /// A different error.
    ErrorText,
    /// An error where the baseline returns rows.
    Error,
    /// The run did not reach the record.
    NotRun,
}

impl Verdict {
    pub fn text(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Explain => "another plan",
            Self::Order => "another order",
            Self::LastDigits => "last digits of floats",
            Self::Rows => "other rows",
            Self::NoError => "rows instead of an error",
            Self::ErrorText => "another error",
            Self::Error => "an error instead of rows",
            Self::NotRun => "not run",
        }
    }
}

pub fn verdict(record: &RecordOutcome, run: Run) -> Verdict {
    let Some(baseline) = record.of(run.baseline()) else { return Verdict::Same };
    let Some(run) = record.of(run) else { return Verdict::NotRun };
    if baseline.passed && run.passed {
        return Verdict::Same;
    }
    let verdict = match (&baseline.observed.output, &run.observed.output) {
        (Some(Ok(expected)), Some(Ok(found))) => rows(expected, found, record.sorted),
        (Some(Ok(_)), Some(Err(_))) => Verdict::Error,
        (Some(Err(_)), Some(Ok(_))) => Verdict::NoError,
        // Error texts contain plans and partitions, so they are compared only by records that expect an error.
        (Some(Err(_)), Some(Err(_))) if !baseline.passed => Verdict::Same,
        (Some(Err(_)), Some(Err(_))) => Verdict::ErrorText,
        (None, None) => Verdict::Same,
        _ => Verdict::NotRun,
    };
    match verdict {
        Verdict::Same if baseline.passed => Verdict::Rows,
        Verdict::Order | Verdict::LastDigits | Verdict::Rows if record.is_explain() => Verdict::Explain,
        verdict => verdict,
    }
}

fn rows(expected: &[String], found: &[String], sorted: bool) -> Verdict {
    if expected == found {
        return Verdict::Same;
    }
    let order = |rows: &[String]| {
        let mut rows = rows.to_vec();
        rows.sort();
        rows
    };
    let (expected_sorted, found_sorted) = (order(expected), order(found));
    if expected_sorted == found_sorted {
        return if sorted { Verdict::Same } else { Verdict::Order };
    }
    let near = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly(a, b));
    if near(expected, found) || (sorted && near(&expected_sorted, &found_sorted)) {
        return Verdict::LastDigits;
    }
    Verdict::Rows
}

/// Returns whether two texts are equal word by word, with numbers equal to a relative 1e-9.
fn nearly(a: &str, b: &str) -> bool {
    let words =
        |text: &str| -> Vec<String> { text.split([' ', ',', '[', ']', '{', '}']).map(str::to_string).collect() };
    let (a, b) = (words(a), words(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| {
            a == b
                || match (a.parse::<f64>(), b.parse::<f64>()) {
                    (Ok(x), Ok(y)) if x.is_finite() && y.is_finite() => {
                        (x - y).abs() <= 1e-9 * x.abs().max(y.abs()) || (x - y).abs() < 1e-12
                    }
                    _ => false,
                }
        })
}
