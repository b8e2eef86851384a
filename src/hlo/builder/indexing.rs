//! Operations with computed positions: dynamic slices, gather, scatter.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::computation::ComputationId;
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::{GatherDims, IndexHints, Operation, ScatterDims, ScatterKind};
use crate::hlo::shape_inference::indexing::{
    infer_dynamic_slice, infer_dynamic_update_slice, infer_gather, infer_scatter,
};
use crate::program::{ElementType, Shape};

impl Builder {
    /// Returns the block of `sizes` at `starts`, one integer scalar per axis. The starts are clamped so that the block
    /// fits.
    pub fn dynamic_slice(&mut self, operand: Value, starts: &[Value], sizes: &[usize]) -> Result<Value> {
        let operation = "dynamic_slice";
        let shape = infer_dynamic_slice(self.operand(operation, operand)?, &self.operands(operation, starts)?, sizes)?;
        Ok(self.result(Operation::DynamicSlice { sizes: sizes.to_vec() }, &[&[operand], starts].concat(), shape))
    }

    /// Returns `operand` with the block at `starts`, one integer scalar per axis, replaced by `update`. The starts are
    /// clamped so that the block fits.
    pub fn dynamic_update_slice(&mut self, operand: Value, update: Value, starts: &[Value]) -> Result<Value> {
        let operation = "dynamic_update_slice";
        let shape = infer_dynamic_update_slice(
            self.operand(operation, operand)?,
            self.operand(operation, update)?,
            &self.operands(operation, starts)?,
        )?;
        Ok(self.result(Operation::DynamicUpdateSlice, &[&[operand, update], starts].concat(), shape))
    }

    /// Returns a slice of `operand` for every index vector. Positions out of bounds are clamped so that the slice fits.
    pub fn gather(
        &mut self,
        operand: Value,
        indices: Value,
        dims: GatherDims,
        slice_sizes: &[usize],
        indices_are_sorted: bool,
    ) -> Result<Value> {
        let shape =
            infer_gather(self.operand("gather", operand)?, self.operand("gather", indices)?, &dims, slice_sizes)?;
        let operation = Operation::Gather { dims, slice_sizes: slice_sizes.to_vec(), indices_are_sorted };
        Ok(self.result(operation, &[operand, indices], shape))
    }

    /// Returns the elements of `operand` `[n]` at `indices`, integers of any dimensions, which the result also has.
    /// Positions out of bounds read the nearest element; `n` must be at least 1.
    pub fn take(&mut self, operand: Value, indices: Value) -> Result<Value> {
        let index_vector_dim = self.operand("take", indices)?.rank();
        let dims = GatherDims {
            offset_dims: Vec::new(),
            collapsed_slice_dims: vec![0],
            start_index_map: vec![0],
            index_vector_dim,
        };
        self.gather(operand, indices, dims, &[1], false)
    }

    /// Returns `operands`, of the same dimensions, with each update's window combined in at its index vector. A window
    /// that is not completely in bounds is dropped. `combiner` gets the current elements, one scalar per operand, and
    /// the updates, and returns the new elements. XLA may apply several updates to one element in any order.
    pub fn scatter(
        &mut self,
        operands: &[Value],
        indices: Value,
        updates: &[Value],
        dims: ScatterDims,
        hints: IndexHints,
        combiner: impl FnOnce(&mut Self, &[Value], &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let shapes = self.infer_scatter(operands, indices, updates, &dims)?;
        let element_types: Vec<ElementType> = shapes.iter().map(|shape| shape.element_type).collect();
        let combiner = self.combiner("scatter", &element_types, combiner)?;
        let operation = Operation::Scatter { dims, combiner, hints };
        Ok(self.results(operation, &[operands, &[indices], updates].concat(), shapes))
    }

    /// Combines `updates` `[m]`, or one scalar for all, into `operand` `[n]` at the integers `indices` `[m]`. XLA drops
    /// indices out of bounds, so use n for rows that are not live.
    pub fn scatter_1d(
        &mut self,
        operand: Value,
        indices: Value,
        updates: Value,
        kind: impl Into<ScatterKind>,
    ) -> Result<Value> {
        let indices_shape = self.operand("scatter", indices)?.clone();
        if indices_shape.rank() != 1 {
            return Err(HloError::operands("scatter_1d", "indices are not of rank 1", &[&indices_shape]));
        }
        self.operand("scatter", updates)?;
        let updates = self.broadcast_scalar(updates, &indices_shape.dims);
        let dims = ScatterDims {
            update_window_dims: Vec::new(),
            inserted_window_dims: vec![0],
            scatter_dims_to_operand_dims: vec![0],
            index_vector_dim: 1,
        };
        let shapes = self.infer_scatter(&[operand], indices, &[updates], &dims)?;
        let element_type = self.element_type(operand);
        let combiner = match kind.into() {
            ScatterKind::Reduce(kind) => self.combiner_of(kind, element_type)?,
            ScatterKind::Assign => self.assign(element_type)?,
        };
        let operation = Operation::Scatter { dims, combiner, hints: IndexHints::default() };
        let shape = shapes.into_iter().next().unwrap_or_else(|| self.shape(operand).clone());
        Ok(self.result(operation, &[operand, indices, updates], shape))
    }

    fn infer_scatter(
        &self,
        operands: &[Value],
        indices: Value,
        updates: &[Value],
        dims: &ScatterDims,
    ) -> Result<Vec<Shape>> {
        infer_scatter(
            &self.operands("scatter", operands)?,
            self.operand("scatter", indices)?,
            &self.operands("scatter", updates)?,
            dims,
        )
    }

    /// Returns the computation (a, b) -> b on scalars.
    fn assign(&mut self, element_type: ElementType) -> Result<ComputationId> {
        self.computation(&format!("assign_{element_type}"), "scatter", 2, |b| {
            b.parameter(Shape::scalar(element_type));
            Ok(b.parameter(Shape::scalar(element_type)))
        })
    }
}
