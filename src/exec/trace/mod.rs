//! Relations that are not computed yet, and the programs that they are traced into.

pub mod accumulate;
pub mod broadcast;
pub mod output;
pub mod program;
pub mod relation;
pub mod selection;
pub mod sort_keys;
pub mod step;
pub mod trace_relation;
