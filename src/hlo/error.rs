//! Errors in building an HLO program. Every message names the operation and the operand shapes.

use crate::program::{ElementType, Shape};

pub type Result<T, E = HloError> = std::result::Result<T, E>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HloError {
    /// The shapes of the operands, or an attribute, do not fit the operation.
    #[error("{operation}: {problem}: {}", list(operands))]
    Operands { operation: &'static str, problem: String, operands: Vec<Shape> },

    /// An operand belongs to another computation. HLO computations capture nothing, so everything that a loop body or a
    /// comparator needs must be passed to it.
    #[error("{operation}: an operand belongs to another computation; pass it in as a parameter or loop-carried value")]
    ForeignValue { operation: &'static str },

    #[error("constant: {value} is not exactly representable as {element_type}")]
    Constant { element_type: ElementType, value: i128 },

    /// The list of outputs or aliases passed to `finish` is wrong.
    #[error("finish: {problem}")]
    Finish { problem: String },
}

impl HloError {
    pub(crate) fn operands(operation: &'static str, problem: impl Into<String>, operands: &[&Shape]) -> Self {
        Self::Operands {
            operation,
            problem: problem.into(),
            operands: operands.iter().map(|&shape| shape.clone()).collect(),
        }
    }
}

/// Formats shapes as `a`, `a and b`, or `a, b and c`.
fn list(shapes: &[Shape]) -> String {
    let mut text = String::new();
    for (i, shape) in shapes.iter().enumerate() {
        if i > 0 {
            text.push_str(if i + 1 == shapes.len() { " and " } else { ", " });
        }
        text.push_str(&shape.to_string());
    }
    if shapes.is_empty() { "no operands".to_string() } else { text }
}
