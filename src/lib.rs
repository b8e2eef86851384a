//! Parallax.
pub mod config;
pub mod program;
pub mod session;
