//! Shape inference for reduce, reduce-window and sort.

use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Window;
use crate::hlo::shape_inference::{check_axes, check_element_count, check_per_axis};
use crate::program::{ElementType, Shape};

/// Checks that there is at least one operand and that all have the dimensions of the first.
fn check_same_dims(operation: &'static str, operands: &[&Shape]) -> Result<()> {
    let Some(first) = operands.first() else {
        return Err(HloError::operands(operation, "at least one operand is required", operands));
    };
    if operands.iter().all(|operand| operand.dims == first.dims) {
        Ok(())
    } else {
        Err(HloError::operands(operation, "dimensions differ", operands))
    }
}

/// Checks that there is one initial scalar per operand, of its element type.
fn check_inits(operation: &'static str, operands: &[&Shape], inits: &[&Shape]) -> Result<()> {
    let fit = operands.len() == inits.len()
        && operands.iter().zip(inits).all(|(operand, init)| **init == Shape::scalar(operand.element_type));
    if fit {
        Ok(())
    } else {
        let problem = "initial values are not one scalar per operand, of its element type";
        Err(HloError::operands(operation, problem, &[operands, inits].concat()))
    }
}

/// Returns the operands' shapes without the axes `dimensions`.
pub(crate) fn infer_reduce(operands: &[&Shape], inits: &[&Shape], dimensions: &[usize]) -> Result<Vec<Shape>> {
    check_same_dims("reduce", operands)?;
    check_inits("reduce", operands, inits)?;
    for operand in operands {
        check_axes("reduce", dimensions, operand)?;
    }
    let keep = |operand: &Shape| -> Vec<usize> {
        operand.dims.iter().enumerate().filter(|(axis, _)| !dimensions.contains(axis)).map(|(_, &dim)| dim).collect()
    };
    Ok(operands.iter().map(|operand| Shape::new(operand.element_type, keep(operand))).collect())
}

pub(crate) fn infer_reduce_window(operand: &Shape, init: &Shape, window: &Window) -> Result<Shape> {
    let operation = "reduce_window";
    check_inits(operation, &[operand], &[init])?;
    check_per_axis(operation, "window sizes", &window.sizes, operand)?;
    check_per_axis(operation, "strides", &window.strides, operand)?;
    check_per_axis(operation, "paddings", &window.padding, operand)?;
    let mut dims = Vec::with_capacity(operand.rank());
    for (axis, &dim) in operand.dims.iter().enumerate() {
        let (size, stride, (low, high)) = (window.sizes[axis], window.strides[axis], window.padding[axis]);
        if size == 0 || stride == 0 {
            let problem = format!("window of size {size} and stride {stride} on axis {axis}");
            return Err(HloError::operands(operation, problem, &[operand]));
        }
        let padded = dim.saturating_add(low).saturating_add(high);
        dims.push(if padded < size { 0 } else { (padded - size) / stride + 1 });
    }
    let shape = Shape::new(operand.element_type, dims);
    check_element_count(operation, &shape)?;
    Ok(shape)
}

/// Returns the shapes of the operands.
pub(crate) fn infer_sort(operands: &[&Shape], dimension: usize) -> Result<Vec<Shape>> {
    check_same_dims("sort", operands)?;
    for operand in operands {
        check_axes("sort", &[dimension], operand)?;
    }
    Ok(operands.iter().map(|&operand| operand.clone()).collect())
}

/// Checks that a comparator or a loop condition returns one `pred`.
pub(crate) fn check_is_pred(operation: &'static str, result: &Shape) -> Result<()> {
    if *result == Shape::scalar(ElementType::Pred) {
        Ok(())
    } else {
        Err(HloError::operands(operation, "the result of the condition or comparator is not pred[]", &[result]))
    }
}

/// Checks that a called computation returns what its caller expects.
pub(crate) fn check_results(operation: &'static str, results: &[&Shape], wanted: &[&Shape]) -> Result<()> {
    if results == wanted {
        return Ok(());
    }
    let wanted = wanted.iter().map(|shape| shape.to_string()).collect::<Vec<_>>().join(", ");
    Err(HloError::operands(operation, format!("the called computation should give ({wanted})"), results))
}

#[cfg(test)]
mod tests {
    use crate::hlo::operation::Window;
    use crate::hlo::shape_inference::reduction::{check_results, infer_reduce, infer_reduce_window, infer_sort};
    use crate::program::ElementType::{S32, S64, U32};
    use crate::program::Shape;

    #[test]
    fn reduce_drops_axes() {
        let (operand, init) = (Shape::new(S64, [4, 8, 2]), Shape::scalar(S64));
        assert_eq!(infer_reduce(&[&operand], &[&init], &[1]), Ok(vec![Shape::new(S64, [4, 2])]));
        assert_eq!(infer_reduce(&[&operand], &[&init], &[2, 0, 1]), Ok(vec![Shape::scalar(S64)]));
        let ids = Shape::new(U32, [4, 8, 2]);
        assert_eq!(
            infer_reduce(&[&operand, &ids], &[&init, &Shape::scalar(U32)], &[0, 1]),
            Ok(vec![Shape::new(S64, [2]), Shape::new(U32, [2])])
        );
        assert_eq!(infer_reduce(&[&operand], &[&init], &[3]).unwrap_err().to_string(), "reduce: no axis 3: s64[4,8,2]");
        assert_eq!(
            infer_reduce(&[&operand], &[&Shape::scalar(S32)], &[0]).unwrap_err().to_string(),
            "reduce: initial values are not one scalar per operand, of its element type: s64[4,8,2] and s32[]"
        );
        assert_eq!(
            infer_reduce(&[], &[], &[]).unwrap_err().to_string(),
            "reduce: at least one operand is required: no operands"
        );
    }

    #[test]
    fn reduce_window_slides() {
        let infer = |sizes: &[usize], strides: &[usize], padding: &[(usize, usize)]| {
            let window = Window { sizes: sizes.into(), strides: strides.into(), padding: padding.into() };
            infer_reduce_window(&Shape::new(S64, [8]), &Shape::scalar(S64), &window)
        };
        assert_eq!(infer(&[8], &[1], &[(7, 0)]), Ok(Shape::new(S64, [8])));
        assert_eq!(infer(&[4], &[4], &[(0, 0)]), Ok(Shape::new(S64, [2])));
        assert_eq!(infer(&[9], &[1], &[(0, 0)]), Ok(Shape::new(S64, [0])));
        assert_eq!(
            infer(&[0], &[1], &[(0, 0)]).unwrap_err().to_string(),
            "reduce_window: window of size 0 and stride 1 on axis 0: s64[8]"
        );
        assert_eq!(
            infer(&[1, 1], &[1], &[(0, 0)]).unwrap_err().to_string(),
            "reduce_window: 2 window sizes for 1 axes: s64[8]"
        );
    }

    #[test]
    fn sort_keeps_shapes() {
        let (key, row) = (Shape::new(S64, [8]), Shape::new(U32, [8]));
        assert_eq!(infer_sort(&[&key, &row], 0), Ok(vec![key.clone(), row.clone()]));
        assert_eq!(infer_sort(&[&key, &row], 1).unwrap_err().to_string(), "sort: no axis 1: s64[8]");
        assert_eq!(
            infer_sort(&[&key, &Shape::new(U32, [9])], 0).unwrap_err().to_string(),
            "sort: dimensions differ: s64[8] and u32[9]"
        );
    }

    #[test]
    fn mismatched_results_are_named() {
        assert_eq!(
            check_results("while", &[&Shape::scalar(S32)], &[&Shape::scalar(S64)]).unwrap_err().to_string(),
            "while: the called computation should give (s64[]): s32[]"
        );
    }
}
