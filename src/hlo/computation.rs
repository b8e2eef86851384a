//! Computations as data: instructions in order, without what the root does not reach.

use crate::hlo::operation::Operation;
use crate::program::Shape;

/// Position of a computation in its builder's list; a callee comes before its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ComputationId(pub(crate) usize);

/// What an instruction yields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ResultShape {
    Array(Shape),
    Tuple(Vec<Shape>),
}

/// Operands are positions of earlier instructions of the same computation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instruction {
    pub(crate) operation: Operation,
    pub(crate) operands: Vec<usize>,
    pub(crate) shape: ResultShape,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Computation {
    /// What it is for, e.g. `add_s64` or `body`; printed as its name.
    pub(crate) role: String,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) root: usize,
}

impl Computation {
    /// Keeps what `root` reaches, and every parameter: they are the signature.
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
