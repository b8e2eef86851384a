//! Infers the result shape of every operation from its operands' shapes, in pure functions that are tested without a
//! device.
//!
//! Glossary:
//!
//! - **axis**: the index of a dimension, counted from 0, slowest first. HLO attributes that list axes are called
//!   `dimensions`; that is XLA's name and stays in method arguments.
//! - **dimension**: a size. `s32[4,8]` has dimension 8 on axis 1.
//! - **rank**: the number of axes. A **scalar** has rank 0 and one element.
//! - **element type**: `pred` (a boolean, one byte), an integer or a float type. HLO never converts implicitly.
//! - **operand**: an array argument of an operation. An **attribute** is a constant part of its text.
//! - **window**: the block of elements that `reduce-window` combines, or that one index vector of a `scatter` writes. A
//!   **slice** is the block that one index vector of a `gather` reads.
//! - **index vector**: the position of a window or slice. Its length is the number of indexed axes.

pub(crate) mod collective;
pub(crate) mod elementwise;
pub(crate) mod indexing;
pub(crate) mod movement;
pub(crate) mod reduction;

use crate::hlo::error::{HloError, Result};
use crate::program::Shape;

/// Checks that each of `axes` is below the rank and none is listed twice.
fn check_axes(operation: &'static str, axes: &[usize], operand: &Shape) -> Result<()> {
    for (i, axis) in axes.iter().enumerate() {
        if *axis >= operand.rank() {
            return Err(HloError::operands(operation, format!("no axis {axis}"), &[operand]));
        }
        if axes[..i].contains(axis) {
            return Err(HloError::operands(operation, format!("axis {axis} is listed twice"), &[operand]));
        }
    }
    Ok(())
}

/// Checks that `list` has one entry per axis of `operand`.
fn check_per_axis<T>(operation: &'static str, what: &str, list: &[T], operand: &Shape) -> Result<()> {
    if list.len() == operand.rank() {
        return Ok(());
    }
    let problem = format!("{} {what} for {} axes", list.len(), operand.rank());
    Err(HloError::operands(operation, problem, &[operand]))
}

/// Returns the number of elements, or an error if it does not fit into XLA's signed 64 bits.
fn check_element_count(operation: &'static str, shape: &Shape) -> Result<usize> {
    shape
        .dims
        .iter()
        .try_fold(1usize, |count, &dim| count.checked_mul(dim))
        .filter(|count| i64::try_from(*count).is_ok())
        .ok_or_else(|| HloError::operands(operation, "too many elements", &[shape]))
}
