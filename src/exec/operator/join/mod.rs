//! Joins.

pub mod build;
pub mod existence;
pub mod expansion;
pub mod key_filter;
pub mod keys;
pub mod node;
pub mod pair_chunks;
pub mod probe;
pub mod skew;
pub mod spec;
