//! GROUP BY and aggregate functions.

pub mod accumulator;
pub mod aggregation;
pub mod call;
pub mod dense_keys;
pub mod grouping_sets;
pub mod hashed;
pub mod holistic;
pub mod lowering;
mod statistic;
