//! Typed builder for HLO text, in which kernels are written. It needs no device; `runtime` compiles the programs.
//!
//! A [`Builder`] creates one [`Program`](crate::program::Program): first parameters and constants, then operations on
//! [`Value`]s, then [`Builder::finish`]. Each method has the name of XLA's operation in snake_case (except `while_loop`
//! and `optimization_barrier`) and checks the shapes of its operands, so that a wrong program fails where it is written:
//!
//! ```ignore
//! let mut b = Builder::new("masked_sum");
//! let prices = b.parameter(Shape::new(ElementType::S64, [1024]));
//! let limit = b.parameter(Shape::scalar(ElementType::S64));
//! let mask = b.compare(prices, limit, Comparison::Lt)?; // pred[1024]: the scalar is broadcast
//! let zero = b.constant(Scalar::S64(0));
//! let masked = b.select(mask, prices, zero)?;
//! let sum = b.reduce(masked, zero, &[0], ReduceKind::Add)?;
//! let program = b.finish(&[sum], &[])?; // (s64[1024], s64[]) -> (s64[])
//! ```
//!
//! Invariants:
//!
//! - The text is deterministic: the same calls give the same text, in any process.
//! - Identical instructions are shared, and so are identical called computations. Dead instructions are not printed.
//!   Parameters always are, because they are the signature.
//! - Nothing here panics, and nothing converts element types implicitly.
//!
//! XLA defines the meaning of each operation: <https://openxla.org/xla/operation_semantics>. The glossary in
//! `shape_inference/mod.rs` defines axis, dimension, rank and window.
//!
//! To add an operation:
//!
//! 1. For an elementwise one, add a line to a table of `operation.rs` and one to the same-named table of
//!    `builder/elementwise.rs`.
//! 2. For any other, add a variant of `Operation` with its name, its attributes in `print.rs`, an `infer_xxx` with a good
//!    and a bad case in `shape_inference/`, and a method in the file of its family in `builder/`.
//! 3. Use it in a program of `goldens/coverage.rs`. `golden_programs` compiles and runs all of these.

mod builder;
mod computation;
mod error;
#[cfg(test)]
pub(crate) mod goldens;
mod operation;
mod print;
mod scalar;
mod shape_inference;

pub use builder::{Builder, Value};
pub use error::{HloError, Result};
pub use operation::{Comparison, GatherDims, IndexHints, ReduceKind, ScatterDims, ScatterKind, Window};
pub use scalar::Scalar;
