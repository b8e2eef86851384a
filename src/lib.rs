//! Parallax: a SQL engine whose operators are XLA programs. DataFusion parses and optimises; Parallax converts what it can
//! of the physical plan, traces it into a few HLO programs, and runs those over the chunks of a table on every core, or
//! on every device of a mesh.
//!
//! ```no_run
//! # async fn example() -> datafusion::error::Result<()> {
//! let session = parallax::session::Session::new()?;
//! session.register_path("trips", "trips.parquet".as_ref()).await?;
//! let batches = session.collect("SELECT vendor, sum(fare) FROM trips GROUP BY vendor").await?;
//! # Ok(()) }
//! ```
//!
//! A program that already has DataFusion adds Parallax to its session state: [`session::SessionStateBuilderExt`].
//! The options are those of [`config::XlaOptions`]; devices and meshes are in [`runtime`].
//!
//! Cargo features, all on by default: `shell` (the `parallax` program), `tpch` (TPC-H data and queries), `remote` (tables at
//! `http(s)://` and `s3://`). A program that embeds Parallax can leave them out.
//!
//! # The life of a query
//!
//! ```text
//! SELECT s, sum(d) FROM t WHERE a > 1 GROUP BY s ORDER BY s
//!
//!  session      SQL ──DataFusion──▶ physical plan           a repeated query: plan_cache
//!  frontend     logical rules and functions: what SQL means where DataFusion means something else
//!  planner      each operator is converted, or carries the reason why not
//!
//!               DeviceToHostExec            runs the pipeline, streams RecordBatches
//!                 XlaSortExec          ┐
//!                 XlaAggregateExec     ┴─ finish program: runs once
//!                 XlaAggregateExec     ┬─ update program: runs on every chunk
//!                 XlaFilterExec        ┘
//!                 HostToDeviceExec          columns found resident, or encoded and uploaded
//!                   DataSourceExec
//!
//!  columnar     Arrow arrays ──▶ narrowed integers, ordered dictionaries, validity; shards of chunks
//!  exec         walks the pipeline once per query and traces each operator into the program ...
//!  expr         ... each expression as HLO values, with their ranges, NULLs and error sites ...
//!  kernels      ... by way of algorithms that are written in HLO ...
//!  hlo          ... with a builder that checks every shape and prints text
//!  runtime      text ──▶ executable, found in the cache or compiled; runs it on the devices
//! ```
//!
//! # Layers
//!
//! A module imports from those above it (`tests/tidy.rs` checks it).
//!
//! | layer | what it knows |
//! |---|---|
//! | [`program`], `host_functions`, [`error`], [`config`], `cache_dir`, `cores`, `elementary` | nothing of the others |
//! | `hlo` · [`runtime`] | arrays and programs: one writes them, the other runs them; neither sees the other |
//! | `large_stack` | threads for statements that nest deeply |
//! | `columnar` | Arrow arrays and buffers |
//! | `kernels` | HLO values; no DataFusion, no Arrow, no device |
//! | `expr` | DataFusion's physical expressions and HLO values; runs nothing |
//! | `exec` | `ExecutionPlan` nodes, pipelines, the columns that stay on the device |
//! | `planner` | plans; never a device |
//! | `frontend` | logical plans and functions; no device and no physical plan |
//! | `calibration`, `plan_cache`, `statement`, `tables`, `tpch` · [`session`] | DataFusion's `SessionContext` |
//! | `shell`, `cli` | people |
//!
//! # What holds
//!
//! - **No operator is asked whether it is supported.** Conversion gives a device operator or a
//!   [`FallbackReason`](session::FallbackReason), and EXPLAIN shows the reason that was acted on.
//! - **No RecordBatch passes between device operators**, only HLO values of one chunk and a mask of live rows.
//! - **No literal, row count, key offset or dictionary is part of a program's text**: they are parameters, so that the text
//!   is the key of the compile cache.
//! - **No integer or decimal wraps unless DataFusion's does**, and no answer differs from DataFusion's in silence: ranges
//!   prove that 64 bits are enough, or two limbs are used, or an error code comes out of the program.
//! - **No `unsafe` and no `xla` crate outside [`runtime`]**, no DataFusion in `hlo`, `kernels` and [`program`].
//! - **No buffer without a reservation** in the account of device memory.
//!
//! `docs/architecture.md` tells each of these at length.

#![cfg_attr(not(feature = "internals"), warn(missing_docs))]

// The modules in the order in which a query meets them. What rustdoc shows of each is its own first line.
//
// A private module that the tests and benches of this crate need is public under the feature `internals`, which
// only they turn on: without it rustc sees what nothing uses. (Both lines are written out, because rustfmt does not look
// into macros for modules.)

// A session: DataFusion's context with devices, rules and cached plans, and the way to add Parallax to a session of one's own.
pub mod session;

// The physical plan of a statement, which may be deep.
mod plan;

// Physical plans of repeated queries, used again while nothing that they depend on has changed.
mod plan_cache;

// Host plan to device plan: two optimizer rules.
mod planner;

// What SQL means where DataFusion means something else: logical rules, and functions over DataFusion's.
mod frontend;

// The device operators, and the pipelines that trace, compile and run them.
#[cfg(not(feature = "internals"))]
mod exec;
#[cfg(feature = "internals")]
pub mod exec;

// Physical expressions to HLO, or the reason why not.
#[cfg(not(feature = "internals"))]
#[allow(missing_docs, reason = "each variant of FallbackReason says what its fields are")]
mod expr;
#[cfg(feature = "internals")]
pub mod expr;

// Relational algorithms written in HLO.
#[cfg(not(feature = "internals"))]
mod kernels;
#[cfg(feature = "internals")]
pub mod kernels;

// Arrow to device encodings, statistics, chunks and shards.
#[cfg(not(feature = "internals"))]
mod columnar;
#[cfg(feature = "internals")]
pub mod columnar;

// Math functions to within one unit in the last place, for host and device.
mod elementary;

// Typed builder of HLO text.
#[cfg(not(feature = "internals"))]
#[allow(dead_code, unused_imports, reason = "it has HLO's operations, not only those that a kernel uses today")]
mod hlo;
#[cfg(feature = "internals")]
pub mod hlo;

// HLO text with its signature: what `hlo` writes and `runtime` runs.
pub mod program;

// Names of the native functions that programs call on the CPU.
mod host_functions;

// Threads with stacks for statements that nest deeply.
mod large_stack;

// Devices, buffers, compiled programs and their memory: the only user of XLA.
pub mod runtime;

// Every `xla.*` option.
pub mod config;

// Errors below DataFusion, and what they become there.
pub mod error;

// CACHE TABLE, UNCACHE TABLE, SHOW CACHE, SHOW PROGRAMS.
mod statement;

// Files and folders as tables.
mod tables;

// TPC-H: data and queries.
#[cfg(feature = "tpch")]
pub mod tpch;

// What things cost on this machine, measured once.
mod calibration;

// Where downloads and sample data are kept.
#[cfg(not(feature = "internals"))]
mod cache_dir;
#[cfg(feature = "internals")]
pub mod cache_dir;

// How many threads run at a time.
#[cfg(not(feature = "internals"))]
mod cores;
#[cfg(feature = "internals")]
pub mod cores;

// The SQL shell.
#[cfg(feature = "shell")]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "people read it")]
mod shell;

// The command line. Public only for `main.rs`.
#[cfg(feature = "shell")]
#[doc(hidden)]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "people read it")]
pub mod cli;

#[cfg(test)]
mod golden_programs;
