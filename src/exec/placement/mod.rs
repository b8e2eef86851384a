//! Whether a pipeline runs on the host or on the device: the work on either side, by the plan.

pub mod profile;
pub mod work;
