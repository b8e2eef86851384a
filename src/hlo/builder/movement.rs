//! Operations that arrange elements: iota, broadcasts, reshape, transpose, slice, concatenate, pad, reverse.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Operation;
use crate::hlo::shape_inference::movement::{
    infer_broadcast_in_dim, infer_concatenate, infer_iota, infer_pad, infer_reshape, infer_reverse, infer_slice,
    infer_transpose,
};
use crate::program::Shape;

impl Builder {
    /// Returns 0, 1, 2 .. along axis `dimension` of `shape`, repeated along the other axes. Integers or floats.
    pub fn iota(&mut self, shape: Shape, dimension: usize) -> Result<Value> {
        let shape = infer_iota(&shape, dimension)?;
        Ok(self.result(Operation::Iota { dimension }, &[], shape))
    }

    /// Returns an array of `dims` filled with the scalar `operand`.
    pub fn broadcast(&mut self, operand: Value, dims: &[usize]) -> Result<Value> {
        let shape = self.operand("broadcast", operand)?;
        if shape.rank() != 0 {
            return Err(HloError::operands("broadcast", "not a scalar; use broadcast_in_dim", &[shape]));
        }
        self.broadcast_in_dim(operand, dims, &[])
    }

    /// Broadcasts `operand` to `dims`. Its axis k becomes axis `broadcast_dimensions[k]`, of the same dimension, and it
    /// repeats along the other axes. A dimension of 1 is not stretched; remove it by a reshape first.
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

    /// Returns the same elements, in row-major order, with other `dims` of the same element count.
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

    /// Permutes the axes: axis k of the result is axis `permutation[k]` of `operand`.
    pub fn transpose(&mut self, operand: Value, permutation: &[usize]) -> Result<Value> {
        let shape = infer_transpose(self.operand("transpose", operand)?, permutation)?;
        if permutation.is_sorted() {
            return Ok(operand);
        }
        Ok(self.result(Operation::Transpose { permutation: permutation.to_vec() }, &[operand], shape))
    }

    /// Returns, on each axis, every `strides`-th element from `starts` to below `limits`. Each list has one entry per
    /// axis.
    pub fn slice(&mut self, operand: Value, starts: &[usize], limits: &[usize], strides: &[usize]) -> Result<Value> {
        let shape = infer_slice(self.operand("slice", operand)?, starts, limits, strides)?;
        if shape == *self.shape(operand) {
            return Ok(operand);
        }
        let operation =
            Operation::Slice { starts: starts.to_vec(), limits: limits.to_vec(), strides: strides.to_vec() };
        Ok(self.result(operation, &[operand], shape))
    }

    /// Concatenates the operands along axis `dimension`. Their other dimensions and element types must be equal.
    pub fn concatenate(&mut self, operands: &[Value], dimension: usize) -> Result<Value> {
        let shape = infer_concatenate(&self.operands("concatenate", operands)?, dimension)?;
        match operands {
            [only] => Ok(*only),
            _ => Ok(self.result(Operation::Concatenate { dimension }, operands, shape)),
        }
    }

    /// Pads each axis of `operand` with the scalar `padding_value`: `low` times before, `high` times after and
    /// `interior` times between the elements. Negative `low` or `high` removes elements.
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

    /// Reverses the elements along the axes `dimensions`.
    pub fn reverse(&mut self, operand: Value, dimensions: &[usize]) -> Result<Value> {
        let shape = infer_reverse(self.operand("reverse", operand)?, dimensions)?;
        if dimensions.is_empty() {
            return Ok(operand);
        }
        Ok(self.result(Operation::Reverse { dimensions: dimensions.to_vec() }, &[operand], shape))
    }

    /// Broadcasts a scalar of this builder to `dims`, which have been checked, and returns an array unchanged.
    pub(in crate::hlo::builder) fn broadcast_scalar(&mut self, value: Value, dims: &[usize]) -> Value {
        let shape = self.shape(value);
        if shape.rank() != 0 || dims.is_empty() {
            return value;
        }
        let shape = Shape::new(shape.element_type, dims);
        self.result(Operation::Broadcast { broadcast_dimensions: Vec::new() }, &[value], shape)
    }
}
