//! Sorting.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::{Comparison, Operation};
use crate::hlo::shape_inference::reduction::{check_is_pred, infer_sort};
use crate::program::Shape;

impl Builder {
    /// Sorts the operands, of the same dimensions, together along axis `dimension`. `comparator` gets one left and one
    /// right scalar of each operand and returns as `pred` whether left goes before right. It must be a strict weak
    /// order.
    pub fn sort(
        &mut self,
        operands: &[Value],
        dimension: usize,
        is_stable: bool,
        comparator: impl FnOnce(&mut Self, &[Value], &[Value]) -> Result<Value>,
    ) -> Result<Vec<Value>> {
        let shapes = infer_sort(&self.operands("sort", operands)?, dimension)?;
        let scalars: Vec<Shape> = shapes.iter().map(|shape| Shape::scalar(shape.element_type)).collect();
        let comparator = self.computation("comparator", "sort", 2 * scalars.len(), |b| {
            // XLA passes left and right of the first operand, then of the second, and so on.
            let (mut lhs, mut rhs) = (Vec::new(), Vec::new());
            for shape in &scalars {
                lhs.push(b.parameter(shape.clone()));
                rhs.push(b.parameter(shape.clone()));
            }
            let result = comparator(b, &lhs, &rhs)?;
            check_is_pred("sort", b.operand("sort", result)?)?;
            Ok(result)
        })?;
        Ok(self.results(Operation::Sort { dimension, is_stable, comparator }, operands, shapes))
    }

    /// Sorts unsigned `keys` in ascending order along their last axis, stably, and `payload`, of the same dimensions,
    /// with them. XLA:GPU turns this form of sort into CUB's radix sort: at most two operands and a plain comparison.
    pub fn sort_unsigned(&mut self, keys: Value, payload: Option<Value>) -> Result<(Value, Option<Value>)> {
        let shape = self.operand("sort_unsigned", keys)?;
        let Some(dimension) = shape.rank().checked_sub(1).filter(|_| shape.element_type.is_unsigned_integer()) else {
            return Err(HloError::operands("sort_unsigned", "keys are not an array of unsigned integers", &[shape]));
        };
        let operands: Vec<Value> = std::iter::once(keys).chain(payload).collect();
        let sorted = self.sort(&operands, dimension, true, |b, lhs, rhs| b.compare(lhs[0], rhs[0], Comparison::Lt))?;
        Ok((sorted[0], sorted.get(1).copied()))
    }
}
