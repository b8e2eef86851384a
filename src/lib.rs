//! Parallax.
pub mod hlo;
pub mod program;
