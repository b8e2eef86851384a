//! Where rows cross between host and device: the nodes around a pipeline, what they load, and how they run it.

pub mod device_to_host;
pub mod driver;
pub mod encoding_demand;
pub mod host_fallback;
pub mod host_plan;
pub mod host_to_device;
pub mod load;
pub mod program_names;
