//! The device operators: one file or folder each, and the registry that knows them all.

pub mod aggregate;
pub mod convert;
pub mod exchange;
pub mod filter;
pub mod host_plan;
pub mod join;
pub mod limit;
pub mod projection;
pub mod registry;
pub mod sort;
pub mod union;
