//! `ExecutionPlan` nodes of the device, and the engine that traces, compiles and runs them.
//!
//! ```text
//! DeviceToHostExec          asks the engine for the rows, downloads them, streams RecordBatches
//!   XlaSortExec             \
//!   XlaProjectionExec        |  steps over the groups: one program, run once
//!   XlaAggregateExec        /   update program, run over every chunk
//!     XlaFilterExec         \
//!     XlaJoinExec            |  steps of the update program: a mask, and a gather from what the build side has left
//!       XlaFilterExec       /   the build side: collected into one chunk, then a program that indexes its keys
//!         HostToDeviceExec      encodes and uploads its input, or finds it resident
//!       HostToDeviceExec
//! ```

pub mod boundary;
pub mod device_node;
pub mod operator;
pub mod placement;
pub mod run;
pub mod scan;
pub mod spill;
pub mod state;
pub mod trace;
