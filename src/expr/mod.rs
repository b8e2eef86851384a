//! Converts DataFusion's physical expressions to device expressions and lowers those to HLO. [`convert`] returns an
//! expression or the reason why it has no device form; [`ir`] is the typed tree, which always lowers.

// The floors, lowest first: each uses only those above it in this list (`tests/tidy.rs` checks it).

// Why something stays on the host.
pub mod fallback;

// The typed expression tree.
pub mod ir;

// The program under construction, and the arithmetic that every lowering shares.
pub mod tracer;

// Lowering of dates, times and intervals.
pub mod time;

// Lowering of everything else, and of whole trees.
pub mod lower;

// DataFusion's scalar functions and casts: which calls have a device form.
pub mod functions;

// Physical expressions to the tree.
pub mod convert;
