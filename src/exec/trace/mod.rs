//! Relations that are not computed yet, and the programs that they are traced into.

pub mod broadcast;
pub mod program;
pub mod relation;
pub mod sort_keys;
