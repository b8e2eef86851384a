//! Amounts of work: how many rows or values each kind of operator reads.

use std::ops::{Add, Sub};

/// What there is to do. Everything but `Operator` is counted in rows, or rows times expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An operator, however few its rows are.
    Operator,
    /// A value read from files.
    Decode,
    /// A row that a condition is asked of.
    Filter,
    /// A value that is computed.
    Project,
    /// A value of a group key.
    Group,
    /// A value that is aggregated.
    Aggregate,
    /// A row that is sorted, times the logarithm of the rows.
    Sort,
    /// A row of a join's smaller side.
    Build,
    /// A row of a join's larger side.
    Probe,
    /// A value in the result.
    Output,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Operator,
        Self::Decode,
        Self::Filter,
        Self::Project,
        Self::Group,
        Self::Aggregate,
        Self::Sort,
        Self::Build,
        Self::Probe,
        Self::Output,
    ];

    /// As it is called in the file of constants.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Decode => "decode",
            Self::Filter => "filter",
            Self::Project => "project",
            Self::Group => "group",
            Self::Aggregate => "aggregate",
            Self::Sort => "sort",
            Self::Build => "build",
            Self::Probe => "probe",
            Self::Output => "output",
        }
    }
}

/// How much there is of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkEstimate([f64; Kind::ALL.len()]);

impl WorkEstimate {
    pub fn get(&self, kind: Kind) -> f64 {
        self.0[kind as usize]
    }

    pub fn add_amount(&mut self, kind: Kind, amount: f64) {
        self.0[kind as usize] += amount;
    }

    pub fn without(mut self, kind: Kind) -> Self {
        self.0[kind as usize] = 0.0;
        self
    }
}

impl Add for WorkEstimate {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
        self
    }
}

/// What is left to do when a part is done elsewhere.
impl Sub for WorkEstimate {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = (*a - b).max(0.0));
        self
    }
}
