//! Typed builder of HLO text: the layer in which kernels are written. It needs no device; `runtime` compiles what it makes.
//!
//! A [`Builder`] makes one [`Program`](crate::program::Program): parameters and constants, then operations on
//! [`Value`]s, then [`Builder::finish`]. Each method bears the name of XLA's operation in snake_case (`while_loop` and
//! `optimization_barrier` aside) and checks its operands' shapes, so that a wrong program fails where it is written:
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
//! What holds of every program:
//!
//! - The text is deterministic: the same calls give the same text, in any process.
//! - Identical instructions are one, and so are identical called computations; what no output needs is not printed,
//!   but parameters always are: they are the signature.
//! - Nothing here panics, and nothing converts element types by itself.
//!
//! XLA defines what each operation means: <https://openxla.org/xla/operation_semantics>. The words axis, dimension, rank,
//! window are in the glossary on top of `shape_inference/mod.rs`.
//!
//! To add an operation:
//!
//! 1. Elementwise: a line in a table of `operation.rs` and one in the same-named table of `builder/elementwise.rs`.
//! 2. Any other: a variant of `Operation` with its name, its attributes in `print.rs`, an `infer_xxx` with a good and a
//!    bad case in `shape_inference/`, and a method in the file of its family in `builder/`.
//! 3. Put it into a program of `goldens.rs`: a test with a device compiles and runs every one of those.

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
