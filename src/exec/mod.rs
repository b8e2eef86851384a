//! `ExecutionPlan` nodes of the device, and the pipeline that traces, compiles and runs them.
//!
//! ```text
//! DeviceToHostExec      runs the pipeline below it, downloads live rows, streams RecordBatches
//!   XlaSortExec           \
//!   XlaProjectionExec      |  traced into the finish program, once per query
//!   XlaAggregateExec      /   the update program ends here, run over every chunk
//!     XlaProjectionExec   \
//!     XlaFilterExec        |  traced into the update program
//!       HostToDeviceExec  /   encodes and uploads its input, or finds it resident
//!         DataSourceExec
//! ```

pub mod aggregate;
pub mod aggregate_lowering;
pub mod context;
pub mod device_node;
pub mod device_to_host;
pub mod filter;
pub mod group_keys;
pub mod host_fallback;
pub mod host_to_device;
pub mod pipeline;
pub mod projection;
pub mod resident;
pub mod run;
pub mod sort;
pub mod table_source;
