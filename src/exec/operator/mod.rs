//! The device operators.

pub mod aggregate;
pub mod filter;
pub mod join;
pub mod limit;
pub mod projection;
pub mod sort;
pub mod union;
