//! Operations that place elements: iota, broadcasts, reshape, transpose, slice, concatenate, pad, reverse.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Operation;
use crate::hlo::shape_inference::movement::{
    infer_broadcast_in_dim, infer_concatenate, infer_iota, infer_pad, infer_reshape, infer_reverse, infer_slice,
    infer_transpose,
};
use crate::program::Shape;

impl Builder {
    /// 0, 1, 2 .. along axis `dimension` of `shape`, the same along the others. Integers or floats.
    pub fn iota(&mut self, shape: Shape, dimension: usize) -> Result<Value> {
        let shape = infer_iota(&shape, dimension)?;
        Ok(self.result(Operation::Iota { dimension }, &[], shape))
    }

    /// The scalar `operand` at every place of `dims`.
    pub fn broadcast(&mut self, operand: Value, dims: &[usize]) -> Result<Value> {
        let shape = self.operand("broadcast", operand)?;
        if shape.rank() != 0 {
            return Err(HloError::operands("broadcast", "not a scalar; use broadcast_in_dim", &[shape]));
        }
        self.broadcast_in_dim(operand, dims, &[])
    }

    /// `operand` in a larger array of `dims`: its axis k becomes axis `broadcast_dimensions[k]`, of the same dimension
    /// (a dimension of 1 does not stretch: reshape it away first); along the other axes it repeats.
    pub fn broadcast_in_dim(
        &mut self,
        operand: Value,
        dims: &[usize],
        broadcast_dimensions: &[usize],
    ) -> Result<Value> {
        let shape = infer_broadcast_in_dim(self.operand("broadcast_in_dim", operand)?, dims, broadcast_dimensions)?;
        if shape.rank() == broadcast_dimensions.len() {
            return Ok(operand);
        }
        if let (Some(Operation::Broadcast { broadcast_dimensions: inner }), Some(source)) =
            (self.operation(operand), self.operand_of(operand, 0))
        {
            let broadcast_dimensions = inner.iter().map(|&axis| broadcast_dimensions[axis]).collect();
            return Ok(self.result(Operation::Broadcast { broadcast_dimensions }, &[source], shape));
        }
        let broadcast_dimensions = broadcast_dimensions.to_vec();
        Ok(self.result(Operation::Broadcast { broadcast_dimensions }, &[operand], shape))
    }

    /// The same elements in row-major order as `dims`, which hold as many.
    pub fn reshape(&mut self, operand: Value, dims: &[usize]) -> Result<Value> {
        let shape = infer_reshape(self.operand("reshape", operand)?, dims)?;
        if shape == *self.shape(operand) {
            return Ok(operand);
        }
        match (self.operation(operand), self.operand_of(operand, 0)) {
            (Some(Operation::Reshape), Some(source)) => self.reshape(source, dims),
            (Some(Operation::Broadcast { broadcast_dimensions }), Some(scalar)) if broadcast_dimensions.is_empty() => {
                Ok(self.broadcast_scalar(scalar, dims))
            }
            _ => Ok(self.result(Operation::Reshape, &[operand], shape)),
        }
    }

    /// Axis k of the result is axis `permutation[k]` of `operand`.
    pub fn transpose(&mut self, operand: Value, permutation: &[usize]) -> Result<Value> {
        let shape = infer_transpose(self.operand("transpose", operand)?, permutation)?;
        if permutation.is_sorted() {
            return Ok(operand);
        }
        Ok(self.result(Operation::Transpose { permutation: permutation.to_vec() }, &[operand], shape))
    }

    /// On each axis every `strides`-th element from `starts` to below `limits`: one entry per axis in each list.
    pub fn slice(&mut self, operand: Value, starts: &[usize], limits: &[usize], strides: &[usize]) -> Result<Value> {
        let shape = infer_slice(self.operand("slice", operand)?, starts, limits, strides)?;
        if shape == *self.shape(operand) {
            return Ok(operand);
        }
        let operation =
            Operation::Slice { starts: starts.to_vec(), limits: limits.to_vec(), strides: strides.to_vec() };
        Ok(self.result(operation, &[operand], shape))
    }

    /// The operands one after another along axis `dimension`; their other dimensions and element types are equal.
    pub fn concatenate(&mut self, operands: &[Value], dimension: usize) -> Result<Value> {
        let shape = infer_concatenate(&self.operands("concatenate", operands)?, dimension)?;
        match operands {
            [only] => Ok(*only),
            _ => Ok(self.result(Operation::Concatenate { dimension }, operands, shape)),
        }
    }

    /// `operand` with the scalar `padding_value` put `low` times before, `high` times after and `interior` times between
    /// the elements of each axis. Negative `low` or `high` take elements away.
    pub fn pad(
        &mut self,
        operand: Value,
        padding_value: Value,
        low: &[i64],
        high: &[i64],
        interior: &[usize],
    ) -> Result<Value> {
        let shape = infer_pad(self.operand("pad", operand)?, self.operand("pad", padding_value)?, low, high, interior)?;
        if low.iter().chain(high).all(|&count| count == 0) && interior.iter().all(|&count| count == 0) {
            return Ok(operand);
        }
        let operation = Operation::Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() };
        Ok(self.result(operation, &[operand, padding_value], shape))
    }

    /// The elements in opposite order along the axes `dimensions`.
    pub fn reverse(&mut self, operand: Value, dimensions: &[usize]) -> Result<Value> {
        let shape = infer_reverse(self.operand("reverse", operand)?, dimensions)?;
        if dimensions.is_empty() {
            return Ok(operand);
        }
        Ok(self.result(Operation::Reverse { dimensions: dimensions.to_vec() }, &[operand], shape))
    }

    /// A scalar of this builder as an array of `dims`, which have been checked; an array as it is.
    pub(in crate::hlo::builder) fn broadcast_scalar(&mut self, value: Value, dims: &[usize]) -> Value {
        let shape = self.shape(value);
        if shape.rank() != 0 || dims.is_empty() {
            return value;
        }
        let shape = Shape::new(shape.element_type, dims);
        self.result(Operation::Broadcast { broadcast_dimensions: Vec::new() }, &[value], shape)
    }
}
