//! The core of [`Builder`], a computation under construction: values, parameters, constants, sharing of identical
//! instructions, sub-computations and `finish`. The other files of this folder hold the operations, by family.
//!
//! ```text
//!             Value ──► elementwise · movement · reduction · indexing · sort · control · collective · custom_call
//!                                      │ shapes from shape_inference, then
//!                                      ▼
//!  Builder::instruction / results: an identical instruction is reused, a new one is appended
//!                                      │
//!  Builder::finish ──► Computation (dead instructions dropped) ──► print ──► Program
//! ```

mod collective;
mod control;
mod custom_call;
mod elementwise;
mod indexing;
mod movement;
mod reduction;
mod sort;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::hlo::computation::{Computation, ComputationId, Instruction, ResultShape};
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Operation;
use crate::hlo::print::print_module;
use crate::hlo::scalar::Scalar;
use crate::program::{ElementType, Program, Shape};

/// Handle of an array that a [`Builder`] computes; cheap to copy. Equal handles denote the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    /// Identifies the builder; not part of the text.
    scope: u32,
    /// Position of the instruction that computes it.
    index: u32,
}

impl Value {
    fn position(self) -> usize {
        self.index as usize
    }
}

/// Distinguishes the builders of a process, so that using a value in another computation is an error, not another
/// value.
static NEXT_SCOPE: AtomicU32 = AtomicU32::new(0);

/// The shape that [`Builder::shape`] returns for another builder's value.
static NO_SHAPE: Shape = Shape { element_type: ElementType::Pred, dims: Vec::new() };

/// Builds the HLO text of one computation, instruction by instruction; see [`crate::hlo`].
#[derive(Debug)]
pub struct Builder {
    name: String,
    scope: u32,
    instructions: Vec<Instruction>,
    /// Positions of all instructions that may be shared, which are all but parameters.
    positions: HashMap<Instruction, usize>,
    /// Positions of the parameters, in order.
    parameters: Vec<usize>,
    /// Called computations of the whole module, callees first. The builder of a sub-computation borrows the list.
    computations: Vec<Computation>,
}

impl Builder {
    /// Creates an empty program. `name` tells people which operators it fuses.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            scope: NEXT_SCOPE.fetch_add(1, Ordering::Relaxed),
            instructions: Vec::new(),
            positions: HashMap::new(),
            parameters: Vec::new(),
            computations: Vec::new(),
        }
    }

    /// Adds a parameter. Parameters are numbered in call order, and all of them are part of the signature, used or not.
    pub fn parameter(&mut self, shape: Shape) -> Value {
        self.next_parameter(ResultShape::Array(shape))
    }

    /// Returns the number of parameters so far.
    #[cfg(test)]
    pub fn parameter_count(&self) -> usize {
        self.parameters.len()
    }

    /// Returns the shape of a value of this builder. For another builder's value it returns `pred[]`, and any operation
    /// on that value fails.
    pub fn shape(&self, value: Value) -> &Shape {
        self.array_shape(value).unwrap_or(&NO_SHAPE)
    }

    /// Returns the element type of a value, as for [`Self::shape`].
    pub fn element_type(&self, value: Value) -> ElementType {
        self.shape(value).element_type
    }

    /// Creates a scalar constant.
    pub fn constant(&mut self, value: Scalar) -> Value {
        let shape = Shape::scalar(value.element_type());
        self.instruction(Operation::Constant { value }, &[], ResultShape::Array(shape))
    }

    /// Creates a scalar constant of any element type from an integer; `pred` takes 0 or 1.
    ///
    /// # Errors
    ///
    /// Fails if the type cannot represent `value` exactly.
    pub fn constant_of(&mut self, element_type: ElementType, value: i128) -> Result<Value> {
        Ok(self.constant(Scalar::try_from_integer(element_type, value)?))
    }

    /// Creates a constant of shape `[values.len()]`. It is meant for small tables, since it is printed in full.
    pub fn constant_array(&mut self, values: &[Scalar]) -> Result<Value> {
        let Some(element_type) = values.first().map(|value| value.element_type()) else {
            return Err(HloError::operands("constant_array", "no values", &[]));
        };
        if values.iter().any(|value| value.element_type() != element_type) {
            return Err(HloError::operands("constant_array", "element types differ", &[]));
        }
        let shape = Shape::new(element_type, [values.len()]);
        Ok(self.instruction(Operation::ConstantArray { values: values.to_vec() }, &[], ResultShape::Array(shape)))
    }

    /// Returns the program with the given `outputs`, in order. Each alias `(output, parameter)` donates the parameter's
    /// buffer to the output, which must have the same shape.
    ///
    /// # Errors
    ///
    /// Fails if there are no outputs, if an output belongs to another builder, or if an alias is out of range, used
    /// twice or of mismatched shapes.
    pub fn finish(mut self, outputs: &[Value], aliases: &[(usize, usize)]) -> Result<Program> {
        let finish = |problem: String| HloError::Finish { problem };
        let output_shapes = self.operands("finish", outputs)?.into_iter().cloned().collect::<Vec<_>>();
        if outputs.is_empty() {
            return Err(finish("a program needs at least one output".to_string()));
        }
        let parameters: Vec<Shape> = self
            .parameters
            .iter()
            .filter_map(|&position| match &self.instructions[position].shape {
                ResultShape::Array(shape) => Some(shape.clone()),
                ResultShape::Tuple(_) => None,
            })
            .collect();
        for (i, &(output, parameter)) in aliases.iter().enumerate() {
            let (Some(to), Some(from)) = (output_shapes.get(output), parameters.get(parameter)) else {
                return Err(finish(format!("no output {output} or no parameter {parameter} to alias")));
            };
            if to != from {
                return Err(finish(format!("output {output} is {to}, but parameter {parameter} is {from}: no alias")));
            }
            if aliases[..i].iter().any(|&(o, p)| o == output || p == parameter) {
                return Err(finish(format!("output {output} or parameter {parameter} is aliased twice")));
            }
        }
        let root = self.instruction(Operation::Tuple, outputs, ResultShape::Tuple(output_shapes.clone()));
        let entry = Computation::new("main".to_string(), self.instructions, root.position());
        Ok(Program {
            text: print_module(&self.name, &entry, &self.computations, aliases),
            name: self.name,
            parameters,
            outputs: output_shapes,
            aliases: aliases.to_vec(),
        })
    }

    fn next_parameter(&mut self, shape: ResultShape) -> Value {
        let operation = Operation::Parameter { number: self.parameters.len() };
        self.parameters.push(self.instructions.len());
        self.append(Instruction { operation, operands: Vec::new(), shape })
    }

    /// Returns the value of an instruction whose shapes have been checked, reusing an identical instruction if there is
    /// one.
    fn instruction(&mut self, operation: Operation, operands: &[Value], shape: ResultShape) -> Value {
        let operands = operands.iter().map(|operand| operand.position()).collect();
        let instruction = Instruction { operation, operands, shape };
        if let Some(&position) = self.positions.get(&instruction) {
            return self.value_at(position);
        }
        self.positions.insert(instruction.clone(), self.instructions.len());
        self.append(instruction)
    }

    /// Adds an instruction with one result, as [`Self::instruction`] does.
    fn result(&mut self, operation: Operation, operands: &[Value], shape: Shape) -> Value {
        self.instruction(operation, operands, ResultShape::Array(shape))
    }

    /// Adds an instruction as [`Self::instruction`] does. Its result is an array if there is only one, else a tuple.
    fn results(&mut self, operation: Operation, operands: &[Value], mut shapes: Vec<Shape>) -> Vec<Value> {
        if shapes.len() > 1 {
            return self.tuple_results(operation, operands, shapes);
        }
        shapes.pop().map(|shape| self.result(operation, operands, shape)).into_iter().collect()
    }

    /// Adds an instruction whose result is a tuple, and returns the elements.
    fn tuple_results(&mut self, operation: Operation, operands: &[Value], shapes: Vec<Shape>) -> Vec<Value> {
        let tuple = self.instruction(operation, operands, ResultShape::Tuple(shapes.clone()));
        self.tuple_elements(tuple, shapes)
    }

    fn tuple_elements(&mut self, tuple: Value, shapes: Vec<Shape>) -> Vec<Value> {
        let mut elements = Vec::with_capacity(shapes.len());
        for (index, shape) in shapes.into_iter().enumerate() {
            elements.push(self.result(Operation::GetTupleElement { index }, &[tuple], shape));
        }
        elements
    }

    fn tuple(&mut self, elements: &[Value]) -> Value {
        let shapes = elements.iter().map(|&element| self.shape(element).clone()).collect();
        self.instruction(Operation::Tuple, elements, ResultShape::Tuple(shapes))
    }

    /// Builds a computation with `parameter_count` parameters that an instruction will call. `build` creates its
    /// parameters and returns its root.
    fn computation(
        &mut self,
        role: &str,
        operation: &'static str,
        parameter_count: usize,
        build: impl FnOnce(&mut Self) -> Result<Value>,
    ) -> Result<ComputationId> {
        let mut child = Self::new(role);
        std::mem::swap(&mut self.computations, &mut child.computations);
        let root = build(&mut child);
        std::mem::swap(&mut self.computations, &mut child.computations);
        let root = root?;
        if child.parameters.len() != parameter_count || child.scope != root.scope {
            let problem = format!("the called computation should have {parameter_count} parameters and its own root");
            return Err(HloError::operands(operation, problem, &[]));
        }
        let computation = Computation::new(role.to_string(), child.instructions, root.position());
        let found = self.computations.iter().position(|other| *other == computation);
        Ok(ComputationId(found.unwrap_or_else(|| {
            self.computations.push(computation);
            self.computations.len() - 1
        })))
    }

    /// Returns the shape of an operand, which must belong to this builder.
    fn operand(&self, operation: &'static str, value: Value) -> Result<&Shape> {
        self.array_shape(value).ok_or(HloError::ForeignValue { operation })
    }

    fn operands(&self, operation: &'static str, values: &[Value]) -> Result<Vec<&Shape>> {
        values.iter().map(|&value| self.operand(operation, value)).collect()
    }

    /// Returns the operation that computes a value.
    fn operation(&self, value: Value) -> Option<&Operation> {
        self.instructions.get(value.position()).map(|instruction| &instruction.operation)
    }

    /// Returns operand `k` of the instruction that computes a value.
    fn operand_of(&self, value: Value, k: usize) -> Option<Value> {
        let position = *self.instructions.get(value.position())?.operands.get(k)?;
        Some(self.value_at(position))
    }

    /// Returns the constant that a value consists of, if it is a constant or the broadcast of one.
    fn as_constant(&self, value: Value) -> Option<Scalar> {
        match self.operation(value)? {
            Operation::Constant { value } => Some(*value),
            Operation::Broadcast { .. } => match self.operation(self.operand_of(value, 0)?)? {
                Operation::Constant { value } => Some(*value),
                _ => None,
            },
            _ => None,
        }
    }

    fn array_shape(&self, value: Value) -> Option<&Shape> {
        let instruction = self.instructions.get(value.position()).filter(|_| value.scope == self.scope)?;
        match &instruction.shape {
            ResultShape::Array(shape) => Some(shape),
            ResultShape::Tuple(_) => None,
        }
    }

    fn append(&mut self, instruction: Instruction) -> Value {
        self.instructions.push(instruction);
        self.value_at(self.instructions.len() - 1)
    }

    /// Positions fit into 32 bits, since a program of 2^32 instructions does not fit into memory.
    fn value_at(&self, position: usize) -> Value {
        Value { scope: self.scope, index: position as u32 }
    }
}
