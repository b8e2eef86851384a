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

// From low to high: a module imports only from those above it (tests/tidy.rs).

pub mod state;
pub mod strategy;

pub mod fallback_error;
pub mod trace;

pub mod run;

pub mod scan;

pub mod device_exec;
pub mod device_operator;
pub mod required_encodings;
pub mod runtime_filter;
pub mod shape_hash;
pub mod step_operator;

pub mod spill;

pub mod open;

pub mod operator;

pub mod placement;

pub mod boundary;
