//! Elementary functions of doubles, to within one unit in the last place: formulas in pairs of doubles, written once for
//! everything that adds and multiplies doubles. The host computes them at once; the device's form of a number is a value of
//! the program under construction. Both round the same operations, so both give the same digits.
//!
//! The formulas take no branch, because a device computes whole columns: both sides of a case are computed, and one is
//! picked. Zero, infinity and NaN are picked last. Subnormal numbers only go into the operations that name them, because
//! XLA's CPU client treats them as zero in all others. Every function is inlined: a call would keep LLVM from vectorising
//! the host's loop over rows.

mod cotangent;
mod cube_root;
mod exponential;
mod hyperbolic;
mod inverse_hyperbolic;
mod inverse_sine;
mod logarithm;
mod pair;
mod real;

pub use crate::elementary::cotangent::cotangent;
pub use crate::elementary::cube_root::cube_root;
pub use crate::elementary::exponential::exponential;
pub use crate::elementary::hyperbolic::{cosh, sinh, tanh};
pub use crate::elementary::inverse_hyperbolic::{acosh, asinh, atanh};
pub use crate::elementary::inverse_sine::{acos, asin};
pub use crate::elementary::logarithm::{log, log2, log10};
pub use crate::elementary::real::Real;
