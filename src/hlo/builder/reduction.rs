//! Reductions of whole axes, of several operands at once and of sliding windows, and the combiners that they call.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::computation::ComputationId;
use crate::hlo::error::Result;
use crate::hlo::operation::{Operation, ReduceKind, Window};
use crate::hlo::shape_inference::reduction::{check_results, infer_reduce, infer_reduce_window};
use crate::program::{ElementType, Shape};

impl Builder {
    /// Reduces the axes `dimensions` of `operand`, combining elements in any order. `init` must be the scalar identity
    /// of `kind` (0 for add, the type's maximum for minimum), because XLA may apply it any number of times.
    pub fn reduce(&mut self, operand: Value, init: Value, dimensions: &[usize], kind: ReduceKind) -> Result<Value> {
        let shapes = infer_reduce(&[self.operand("reduce", operand)?], &[self.operand("reduce", init)?], dimensions)?;
        let combiner = self.combiner_of(kind, self.element_type(operand))?;
        let operation = Operation::Reduce { dimensions: dimensions.to_vec(), combiner };
        let shape = shapes.into_iter().next().unwrap_or_else(|| self.shape(operand).clone());
        Ok(self.result(operation, &[operand, init], shape))
    }

    /// Reduces several operands of the same dimensions together. `combiner` gets one left and one right scalar of each
    /// operand and returns one scalar of each. It must be associative and commutative, and `inits` must be its
    /// identity.
    pub fn reduce_many(
        &mut self,
        operands: &[Value],
        inits: &[Value],
        dimensions: &[usize],
        combiner: impl FnOnce(&mut Self, &[Value], &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let shapes = infer_reduce(&self.operands("reduce", operands)?, &self.operands("reduce", inits)?, dimensions)?;
        let element_types: Vec<ElementType> = operands.iter().map(|&operand| self.element_type(operand)).collect();
        let combiner = self.combiner("reduce", &element_types, combiner)?;
        let operation = Operation::Reduce { dimensions: dimensions.to_vec(), combiner };
        Ok(self.results(operation, &[operands, inits].concat(), shapes))
    }

    /// Combines every window of `operand` into one element, with `init` as in [`Self::reduce`]. For example, the prefix
    /// sum of `[n]` is the window of size n, stride 1 and padding (n - 1, 0).
    pub fn reduce_window(&mut self, operand: Value, init: Value, window: Window, kind: ReduceKind) -> Result<Value> {
        let operation = "reduce_window";
        let shape = infer_reduce_window(self.operand(operation, operand)?, self.operand(operation, init)?, &window)?;
        let combiner = self.combiner_of(kind, self.element_type(operand))?;
        Ok(self.result(Operation::ReduceWindow { window, combiner }, &[operand, init], shape))
    }

    /// Returns the computation (a, b) -> a `kind` b on scalars.
    pub(in crate::hlo::builder) fn combiner_of(
        &mut self,
        kind: ReduceKind,
        element_type: ElementType,
    ) -> Result<ComputationId> {
        let op = kind.binary_op();
        self.computation(&format!("{}_{element_type}", op.name()), op.name(), 2, |b| {
            let lhs = b.parameter(Shape::scalar(element_type));
            let rhs = b.parameter(Shape::scalar(element_type));
            b.binary(op, lhs, rhs)
        })
    }

    /// Returns the computation (a0, a1 .., b0, b1 ..) -> (r0, r1 ..) on scalars of `element_types`.
    pub(in crate::hlo::builder) fn combiner(
        &mut self,
        operation: &'static str,
        element_types: &[ElementType],
        build: impl FnOnce(&mut Self, &[Value], &[Value]) -> Result<Vec<Value>>,
    ) -> Result<ComputationId> {
        let scalars: Vec<Shape> = element_types.iter().map(|&element_type| Shape::scalar(element_type)).collect();
        self.computation("combiner", operation, 2 * scalars.len(), |b| {
            let lhs: Vec<Value> = scalars.iter().map(|shape| b.parameter(shape.clone())).collect();
            let rhs: Vec<Value> = scalars.iter().map(|shape| b.parameter(shape.clone())).collect();
            let results = build(b, &lhs, &rhs)?;
            check_results(operation, &b.operands(operation, &results)?, &scalars.iter().collect::<Vec<_>>())?;
            Ok(match results[..] {
                [only] => only,
                _ => b.tuple(&results),
            })
        })
    }
}
