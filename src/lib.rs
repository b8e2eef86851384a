//! Parallax.
pub mod error;
pub mod config;
pub mod program;
pub mod hlo;
pub mod runtime;
pub mod columnar;
pub mod kernels;
pub mod expr;
pub mod exec;
pub mod planner;
pub mod session;
