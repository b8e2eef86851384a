//! Control flow: loops, and barriers against XLA's rewriting.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::computation::ResultShape;
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Operation;
use crate::hlo::shape_inference::reduction::{check_is_pred, check_results};
use crate::program::Shape;

impl Builder {
    /// Runs a loop. The loop-carried values start as `init` and are replaced by the results of `body`, of the same
    /// shapes, while `condition` returns a true `pred[]`. Returns their final values. Both computations see only the
    /// loop-carried values and their own constants.
    pub fn while_loop(
        &mut self,
        init: &[Value],
        condition: impl FnOnce(&mut Self, &[Value]) -> Result<Value>,
        body: impl FnOnce(&mut Self, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let shapes: Vec<Shape> = self.operands("while", init)?.into_iter().cloned().collect();
        if shapes.is_empty() {
            return Err(HloError::operands("while", "no loop-carried values", &[]));
        }
        let condition = self.computation("condition", "while", 1, |b| {
            let values = b.tuple_parameter(&shapes);
            let result = condition(b, &values)?;
            check_is_pred("while", b.operand("while", result)?)?;
            Ok(result)
        })?;
        let body = self.computation("body", "while", 1, |b| {
            let values = b.tuple_parameter(&shapes);
            let results = body(b, &values)?;
            check_results("while", &b.operands("while", &results)?, &shapes.iter().collect::<Vec<_>>())?;
            Ok(b.tuple(&results))
        })?;
        let init = self.tuple(init);
        Ok(self.tuple_results(Operation::While { condition, body }, &[init], shapes))
    }

    /// Returns `values`, and keeps XLA from moving computation across: everything before the barrier is computed
    /// completely, and separately from everything after it.
    pub fn optimization_barrier(&mut self, values: &[Value]) -> Result<Vec<Value>> {
        let shapes: Vec<Shape> = self.operands("optimization_barrier", values)?.into_iter().cloned().collect();
        if shapes.is_empty() {
            return Ok(Vec::new());
        }
        let tuple = self.tuple(values);
        Ok(self.tuple_results(Operation::OptimizationBarrier, &[tuple], shapes))
    }

    fn tuple_parameter(&mut self, shapes: &[Shape]) -> Vec<Value> {
        let tuple = self.next_parameter(ResultShape::Tuple(shapes.to_vec()));
        self.tuple_elements(tuple, shapes.to_vec())
    }
}
