//! Operators whose rows do not fit device memory.

pub mod multi_pass;
pub mod pass_step;
pub mod spill_buffer;
