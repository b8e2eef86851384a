//! The result shape of every operation from its operands' shapes: pure functions, tested with no device.
//!
//! Glossary:
//!
//! - **axis**: the index of a dimension, counted from 0, slowest first. HLO attributes that list axes are called
//!   `dimensions`; that is XLA's name and stays in method arguments.
//! - **dimension**: a size. `s32[4,8]` has dimension 8 on axis 1.
//! - **rank**: the number of axes. A **scalar** has rank 0, and one element.
//! - **element type**: `pred` (a boolean, one byte), integers, floats. HLO never converts by itself.
//! - **operand**: an array argument of an operation; an **attribute** is a constant part of its text.
//! - **window**: the block of elements that `reduce-window` combines or that one index vector of a `scatter` writes;
//!   a **slice** is the block that one index vector of a `gather` reads.
//! - **index vector**: the position of a window or slice; its length is the number of axes that are indexed.

pub(crate) mod collective;
pub(crate) mod elementwise;
pub(crate) mod indexing;
pub(crate) mod movement;
pub(crate) mod reduction;

use crate::hlo::error::{HloError, Result};
use crate::program::Shape;

/// Each of `axes` is below `rank`, and none is listed twice.
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

/// `list` has one entry per axis of `operand`.
fn check_per_axis<T>(operation: &'static str, what: &str, list: &[T], operand: &Shape) -> Result<()> {
    if list.len() == operand.rank() {
        return Ok(());
    }
    let problem = format!("{} {what} for {} axes", list.len(), operand.rank());
    Err(HloError::operands(operation, problem, &[operand]))
}

/// Number of elements, or an error where it does not fit XLA's signed 64 bits.
fn check_element_count(operation: &'static str, shape: &Shape) -> Result<usize> {
    shape
        .dims
        .iter()
        .try_fold(1usize, |count, &dim| count.checked_mul(dim))
        .filter(|count| i64::try_from(*count).is_ok())
        .ok_or_else(|| HloError::operands(operation, "too many elements", &[shape]))
}
