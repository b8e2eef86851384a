//! Parallax.
pub mod cache_dir;
pub mod cli;
pub mod columnar;
pub mod config;
pub mod error;
pub mod exec;
pub mod expr;
#[cfg(test)]
mod golden_programs;
pub mod hlo;
pub mod kernels;
pub mod plan_cache;
pub mod planner;
pub mod program;
pub mod runtime;
pub mod sample;
pub mod session;
pub mod shell;
pub mod tables;
pub mod tpch;
