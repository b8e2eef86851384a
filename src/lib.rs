//! Parallax.
pub mod cache_dir;
pub mod config;
pub mod program;
pub mod session;
pub mod tables;
pub mod tpch;
