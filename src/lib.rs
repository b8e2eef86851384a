//! Parallax.
pub mod error;
pub mod program;
pub mod runtime;
