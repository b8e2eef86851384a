//! Whether a pipeline runs on the host or on the device.

pub mod profile;
pub mod work;
