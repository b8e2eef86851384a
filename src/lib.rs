//! Parallax.
pub mod program;
