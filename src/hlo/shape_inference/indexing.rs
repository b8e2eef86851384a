//! Shape inference for operations with computed positions: dynamic slices, gather, scatter.

use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::{GatherDims, ScatterDims};
use crate::hlo::shape_inference::{check_axes, check_element_count, check_per_axis};
use crate::program::Shape;

/// Checks that there is one integer scalar per axis, all of one type.
fn check_starts(operation: &'static str, operand: &Shape, starts: &[&Shape]) -> Result<()> {
    check_per_axis(operation, "start positions", starts, operand)?;
    let fit = starts.iter().all(|start| {
        start.rank() == 0 && start.element_type.is_integer() && start.element_type == starts[0].element_type
    });
    if fit {
        Ok(())
    } else {
        let problem = "start positions are not integer scalars of one element type";
        Err(HloError::operands(operation, problem, &[&[operand], starts].concat()))
    }
}

pub(crate) fn infer_dynamic_slice(operand: &Shape, starts: &[&Shape], sizes: &[usize]) -> Result<Shape> {
    check_starts("dynamic_slice", operand, starts)?;
    check_per_axis("dynamic_slice", "sizes", sizes, operand)?;
    if sizes.iter().zip(&operand.dims).any(|(size, dim)| size > dim) {
        let problem = format!("a slice of {sizes:?} is larger than the operand");
        return Err(HloError::operands("dynamic_slice", problem, &[operand]));
    }
    Ok(Shape::new(operand.element_type, sizes))
}

pub(crate) fn infer_dynamic_update_slice(operand: &Shape, update: &Shape, starts: &[&Shape]) -> Result<Shape> {
    let operation = "dynamic_update_slice";
    check_starts(operation, operand, starts)?;
    let fits = update.element_type == operand.element_type
        && update.rank() == operand.rank()
        && update.dims.iter().zip(&operand.dims).all(|(update, dim)| update <= dim);
    if fits {
        Ok(operand.clone())
    } else {
        Err(HloError::operands(operation, "the update does not fit into the operand", &[operand, update]))
    }
}

/// Returns the dimensions of `indices` without the axis of its index vectors, whose length must be `index_count`.
fn index_dims(
    operation: &'static str,
    operand: &Shape,
    indices: &Shape,
    index_vector_dim: usize,
    index_count: usize,
) -> Result<Vec<usize>> {
    if !indices.element_type.is_integer() {
        return Err(HloError::operands(operation, "indices are not integers", &[operand, indices]));
    }
    let mut dims = indices.dims.clone();
    let length = match index_vector_dim.cmp(&dims.len()) {
        std::cmp::Ordering::Less => dims.remove(index_vector_dim),
        std::cmp::Ordering::Equal => 1,
        std::cmp::Ordering::Greater => {
            let problem = format!("no index_vector_dim {index_vector_dim}");
            return Err(HloError::operands(operation, problem, &[operand, indices]));
        }
    };
    if length != index_count {
        let problem = format!("index vectors of length {length} for {index_count} indexed axes");
        return Err(HloError::operands(operation, problem, &[operand, indices]));
    }
    Ok(dims)
}

pub(crate) fn infer_gather(
    operand: &Shape,
    indices: &Shape,
    dims: &GatherDims,
    slice_sizes: &[usize],
) -> Result<Shape> {
    let error = |problem: String| HloError::operands("gather", problem, &[operand, indices]);
    check_per_axis("gather", "slice sizes", slice_sizes, operand)?;
    check_axes("gather", &dims.collapsed_slice_dims, operand)?;
    check_axes("gather", &dims.start_index_map, operand)?;
    let batch = index_dims("gather", operand, indices, dims.index_vector_dim, dims.start_index_map.len())?;
    if slice_sizes.iter().zip(&operand.dims).any(|(size, dim)| size > dim) {
        return Err(error(format!("a slice of {slice_sizes:?} is larger than the operand")));
    }
    if dims.collapsed_slice_dims.iter().any(|&axis| slice_sizes[axis] != 1) {
        return Err(error("a collapsed axis has a slice size other than 1".to_string()));
    }
    let slice = without(slice_sizes, &dims.collapsed_slice_dims);
    let shape = interleave(&batch, &slice, &dims.offset_dims)
        .map(|result| Shape::new(operand.element_type, result))
        .ok_or_else(|| {
            error(format!("offset_dims {:?} do not place the slice's {} axes", dims.offset_dims, slice.len()))
        })?;
    if !dims.offset_dims.is_sorted() || !dims.collapsed_slice_dims.is_sorted() {
        return Err(error("offset_dims or collapsed_slice_dims are not ascending".to_string()));
    }
    check_element_count("gather", &shape)?;
    Ok(shape)
}

/// Returns the shapes of the operands.
pub(crate) fn infer_scatter(
    operands: &[&Shape],
    indices: &Shape,
    updates: &[&Shape],
    dims: &ScatterDims,
) -> Result<Vec<Shape>> {
    let all = [operands, &[indices], updates].concat();
    let error = |problem: String| HloError::operands("scatter", problem, &all);
    let Some(operand) = operands.first().filter(|_| operands.len() == updates.len()) else {
        return Err(error("not one update per operand".to_string()));
    };
    check_axes("scatter", &dims.inserted_window_dims, operand)?;
    check_axes("scatter", &dims.scatter_dims_to_operand_dims, operand)?;
    let index_count = dims.scatter_dims_to_operand_dims.len();
    let batch = index_dims("scatter", operand, indices, dims.index_vector_dim, index_count)?;
    let whole = without(&operand.dims, &dims.inserted_window_dims);
    for (other, update) in operands.iter().zip(updates) {
        if other.dims != operand.dims || other.element_type != update.element_type || update.dims != updates[0].dims {
            return Err(error("operands differ, or updates do, or their element types".to_string()));
        }
        check_axes("scatter", &dims.update_window_dims, update)?;
        let window: Vec<usize> = dims.update_window_dims.iter().map(|&axis| update.dims[axis]).collect();
        let fits = window.len() == whole.len()
            && window.iter().zip(&whole).all(|(window, dim)| window <= dim)
            && interleave(&batch, &window, &dims.update_window_dims).is_some_and(|wanted| wanted == update.dims);
        if !fits {
            return Err(error("updates are not one window per index vector".to_string()));
        }
    }
    if !dims.update_window_dims.is_sorted() || !dims.inserted_window_dims.is_sorted() {
        return Err(error("update_window_dims or inserted_window_dims are not ascending".to_string()));
    }
    Ok(operands.iter().map(|&operand| operand.clone()).collect())
}

/// Returns `dims` without the axes `removed`.
fn without(dims: &[usize], removed: &[usize]) -> Vec<usize> {
    dims.iter().enumerate().filter(|(axis, _)| !removed.contains(axis)).map(|(_, &dim)| dim).collect()
}

/// Returns `window` at the axes `window_axes` and `batch` at the others, or `None` if the counts do not match.
fn interleave(batch: &[usize], window: &[usize], window_axes: &[usize]) -> Option<Vec<usize>> {
    let rank = batch.len() + window.len();
    let (mut batch, mut window) = (batch.iter(), window.iter());
    let dims: Option<Vec<usize>> =
        (0..rank).map(|axis| if window_axes.contains(&axis) { window.next() } else { batch.next() }.copied()).collect();
    dims.filter(|_| window.next().is_none() && batch.next().is_none() && window_axes.iter().all(|axis| *axis < rank))
}

#[cfg(test)]
mod tests {
    use crate::hlo::operation::{GatherDims, ScatterDims};
    use crate::hlo::shape_inference::indexing::{
        infer_dynamic_slice, infer_dynamic_update_slice, infer_gather, infer_scatter,
    };
    use crate::program::ElementType::{F64, S32, S64, U32};
    use crate::program::Shape;

    #[test]
    fn dynamic_slices_fit() {
        let column = Shape::new(S64, [8]);
        let start = Shape::scalar(S32);
        assert_eq!(infer_dynamic_slice(&column, &[&start], &[3]), Ok(Shape::new(S64, [3])));
        assert_eq!(
            infer_dynamic_slice(&column, &[&start], &[9]).unwrap_err().to_string(),
            "dynamic_slice: a slice of [9] is larger than the operand: s64[8]"
        );
        assert_eq!(
            infer_dynamic_slice(&column, &[&Shape::scalar(F64)], &[3]).unwrap_err().to_string(),
            "dynamic_slice: start positions are not integer scalars of one element type: s64[8] and f64[]"
        );
        assert_eq!(infer_dynamic_update_slice(&column, &Shape::new(S64, [3]), &[&start]), Ok(column.clone()));
        assert_eq!(
            infer_dynamic_update_slice(&column, &Shape::new(S64, [9]), &[&start]).unwrap_err().to_string(),
            "dynamic_update_slice: the update does not fit into the operand: s64[8] and s64[9]"
        );
    }

    #[test]
    fn gather_of_scalars_and_of_rows() {
        let scalars = GatherDims {
            collapsed_slice_dims: vec![0],
            start_index_map: vec![0],
            index_vector_dim: 1,
            ..GatherDims::default()
        };
        let table = Shape::new(F64, [100]);
        assert_eq!(infer_gather(&table, &Shape::new(S32, [7]), &scalars, &[1]), Ok(Shape::new(F64, [7])));
        let rows = GatherDims { offset_dims: vec![1], ..scalars.clone() };
        let matrix = Shape::new(F64, [100, 5]);
        assert_eq!(infer_gather(&matrix, &Shape::new(S32, [7]), &rows, &[1, 5]), Ok(Shape::new(F64, [7, 5])));
        assert_eq!(infer_gather(&matrix, &Shape::new(S32, [7, 1]), &rows, &[1, 5]), Ok(Shape::new(F64, [7, 5])));
        let error = |operand: &Shape, indices: &Shape, dims: &GatherDims, sizes: &[usize]| {
            infer_gather(operand, indices, dims, sizes).unwrap_err().to_string()
        };
        assert_eq!(
            error(&table, &Shape::new(F64, [7]), &scalars, &[1]),
            "gather: indices are not integers: f64[100] and f64[7]"
        );
        assert_eq!(
            error(&table, &Shape::new(S32, [7, 2]), &scalars, &[1]),
            "gather: index vectors of length 2 for 1 indexed axes: f64[100] and s32[7,2]"
        );
        assert_eq!(
            error(&matrix, &Shape::new(S32, [7]), &scalars, &[1, 5]),
            "gather: offset_dims [] do not place the slice's 1 axes: f64[100,5] and s32[7]"
        );
        assert_eq!(
            error(&matrix, &Shape::new(S32, [7]), &rows, &[2, 5]),
            "gather: a collapsed axis has a slice size other than 1: f64[100,5] and s32[7]"
        );
    }

    #[test]
    fn scatter_requires_a_window_per_index() {
        let scalars = ScatterDims {
            inserted_window_dims: vec![0],
            scatter_dims_to_operand_dims: vec![0],
            index_vector_dim: 1,
            ..ScatterDims::default()
        };
        let (table, indices) = (Shape::new(S64, [100]), Shape::new(U32, [7]));
        let updates = Shape::new(S64, [7]);
        assert_eq!(infer_scatter(&[&table], &indices, &[&updates], &scalars), Ok(vec![table.clone()]));
        let rows = ScatterDims { update_window_dims: vec![1], ..scalars.clone() };
        let matrix = Shape::new(S64, [100, 5]);
        assert!(infer_scatter(&[&matrix], &indices, &[&Shape::new(S64, [7, 5])], &rows).is_ok());
        let error = |operands: &[&Shape], updates: &[&Shape]| {
            infer_scatter(operands, &indices, updates, &scalars).unwrap_err().to_string()
        };
        assert_eq!(
            error(&[&table], &[&Shape::new(S64, [8])]),
            "scatter: updates are not one window per index vector: s64[100], u32[7] and s64[8]"
        );
        assert_eq!(
            error(&[&table], &[&Shape::new(S32, [7])]),
            "scatter: operands differ, or updates do, or their element types: s64[100], u32[7] and s32[7]"
        );
        assert_eq!(error(&[&table], &[]), "scatter: not one update per operand: s64[100] and u32[7]");
    }
}
