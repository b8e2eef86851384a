//! Joins.

pub mod build;
pub mod existence;
pub mod expansion;
pub mod join_operator;
pub mod keys;
pub mod probe;
pub mod runtime_filter;
