//! Aggregate functions that lose nothing by overflow or rounding: sums, averages, variances, covariances, correlation and regression.
//!
//! DataFusion sums doubles one after the other, and rounds integers and decimals to doubles before: far from zero nothing of a
//! deviation is left (the standard deviation of milliseconds since 1970, say). These take numbers as they are, about a shift, in 106 bits.

mod average;
mod distinct;
mod double_double;
mod function;
mod interval;
mod moments;
mod number;
mod replace;
mod state;
pub mod statistic;
mod sum;
mod total;

pub use function::is_exact;
pub use replace::ExactAggregates;
