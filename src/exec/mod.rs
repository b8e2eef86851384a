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

pub mod aggregate;
pub mod aggregate_call;
pub mod aggregate_lowering;

pub mod answer;
pub mod collect;
pub mod column_use;
pub mod context;
pub mod cost;
pub mod device_node;
pub mod device_to_host;
pub mod engine;
pub mod filter;
pub mod group_keys;
pub mod grouping_sets;
pub mod groups;
pub mod host_answer;
pub mod host_fallback;
pub mod host_to_device;
pub mod in_order;
pub mod join;
pub mod join_build;
pub mod join_exists;
pub mod join_expand;
pub mod join_keys;
pub mod join_probe;
pub mod key_words;
pub mod limit;
pub mod loads;
pub mod memo;
pub mod memory_mode;
pub mod parquet_chunk;
pub mod parquet_load;
pub mod parquet_prune;
pub mod parquet_table;
pub mod parts;
pub mod pipeline;
pub mod program_names;
pub mod projection;
pub mod reduction;
pub mod relation;
pub mod resident;
pub mod row_functions;
pub mod row_groups;
pub mod run;
pub mod select;
pub mod side;
pub mod sort;
pub mod spool;
pub mod table_source;
pub mod tier;
pub mod trace;
pub mod under_way;
pub mod union;
pub mod work;
