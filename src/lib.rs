//! Parallax.
pub mod cache_dir;
pub mod cli;
pub mod config;
pub mod program;
pub mod sample;
pub mod session;
pub mod shell;
pub mod tables;
pub mod tpch;
