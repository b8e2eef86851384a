//! Computations as data: instructions in order, without those that the root does not reach.

use crate::hlo::operation::Operation;
use crate::program::Shape;

/// Position of a computation in its builder's list. Callees come before their callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ComputationId(pub(crate) usize);

/// Shape of the result of an instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ResultShape {
    Array(Shape),
    Tuple(Vec<Shape>),
}

/// An instruction. Its operands are positions of earlier instructions in the same computation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instruction {
    pub(crate) operation: Operation,
    pub(crate) operands: Vec<usize>,
    pub(crate) shape: ResultShape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Computation {
    /// The purpose, e.g. `add_s64` or `body`; printed as the name.
    pub(crate) role: String,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) root: usize,
}

impl Computation {
    /// Creates a computation of the instructions that `root` reaches and of every parameter, since parameters are the
    /// signature.
    pub(crate) fn new(role: String, instructions: Vec<Instruction>, root: usize) -> Self {
        let mut is_live = vec![false; instructions.len()];
        if let Some(live) = is_live.get_mut(root) {
            *live = true;
        }
        for (i, instruction) in instructions.iter().enumerate().rev() {
            if is_live[i] {
                for &operand in &instruction.operands {
                    is_live[operand] = true;
                }
            }
            is_live[i] |= matches!(instruction.operation, Operation::Parameter { .. });
        }
        let mut position = vec![0; instructions.len()];
        let mut kept = Vec::new();
        for (i, mut instruction) in instructions.into_iter().enumerate() {
            if is_live[i] {
                position[i] = kept.len();
                for operand in &mut instruction.operands {
                    *operand = position[*operand];
                }
                kept.push(instruction);
            }
        }
        Self { role, instructions: kept, root: position.get(root).copied().unwrap_or(0) }
    }
}
