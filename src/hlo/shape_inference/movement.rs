//! Shape inference for operations that arrange elements: broadcast, reshape, transpose, slice, concatenate, pad,
//! reverse.

use crate::hlo::error::{HloError, Result};
use crate::hlo::shape_inference::{check_axes, check_element_count, check_per_axis};
use crate::program::{ElementType, Shape};

pub(crate) fn infer_iota(shape: &Shape, dimension: usize) -> Result<Shape> {
    check_axes("iota", &[dimension], shape)?;
    check_element_count("iota", shape)?;
    if shape.element_type == ElementType::Pred {
        return Err(HloError::operands("iota", "takes integers or floats", &[shape]));
    }
    Ok(shape.clone())
}

/// Axis k of `operand` becomes axis `broadcast_dimensions[k]` of the result, of the same dimension.
pub(crate) fn infer_broadcast_in_dim(operand: &Shape, dims: &[usize], broadcast_dimensions: &[usize]) -> Result<Shape> {
    let operation = "broadcast_in_dim";
    check_per_axis(operation, "broadcast dimensions", broadcast_dimensions, operand)?;
    let shape = Shape::new(operand.element_type, dims);
    check_axes(operation, broadcast_dimensions, &shape)?;
    check_element_count(operation, &shape)?;
    for (axis, &to) in broadcast_dimensions.iter().enumerate() {
        if operand.dims[axis] != dims[to] {
            let problem = format!("axis {axis} does not fit axis {to} of {shape}");
            return Err(HloError::operands(operation, problem, &[operand]));
        }
    }
    if !broadcast_dimensions.is_sorted() {
        return Err(HloError::operands(
            operation,
            "broadcast dimensions are not ascending; transpose first",
            &[operand],
        ));
    }
    Ok(shape)
}

pub(crate) fn infer_reshape(operand: &Shape, dims: &[usize]) -> Result<Shape> {
    let shape = Shape::new(operand.element_type, dims);
    if check_element_count("reshape", &shape)? == check_element_count("reshape", operand)? {
        Ok(shape)
    } else {
        Err(HloError::operands("reshape", format!("{shape} has a different number of elements"), &[operand]))
    }
}

/// Axis k of the result is axis `permutation[k]` of `operand`.
pub(crate) fn infer_transpose(operand: &Shape, permutation: &[usize]) -> Result<Shape> {
    check_per_axis("transpose", "axes permuted", permutation, operand)?;
    check_axes("transpose", permutation, operand)?;
    let dims: Vec<usize> = permutation.iter().map(|&axis| operand.dims[axis]).collect();
    Ok(Shape::new(operand.element_type, dims))
}

pub(crate) fn infer_slice(operand: &Shape, starts: &[usize], limits: &[usize], strides: &[usize]) -> Result<Shape> {
    check_per_axis("slice", "starts", starts, operand)?;
    check_per_axis("slice", "limits", limits, operand)?;
    check_per_axis("slice", "strides", strides, operand)?;
    let mut dims = Vec::with_capacity(operand.rank());
    for (axis, &dim) in operand.dims.iter().enumerate() {
        let (start, limit, stride) = (starts[axis], limits[axis], strides[axis]);
        if start > limit || limit > dim || stride == 0 {
            let problem = format!("[{start}:{limit}:{stride}] is not a range of axis {axis}");
            return Err(HloError::operands("slice", problem, &[operand]));
        }
        dims.push((limit - start).div_ceil(stride));
    }
    Ok(Shape::new(operand.element_type, dims))
}

pub(crate) fn infer_concatenate(operands: &[&Shape], dimension: usize) -> Result<Shape> {
    let Some((&first, rest)) = operands.split_first() else {
        return Err(HloError::operands("concatenate", "at least one operand is required", operands));
    };
    check_axes("concatenate", &[dimension], first)?;
    let mut shape = first.clone();
    for operand in rest {
        let fits = operand.element_type == first.element_type
            && operand.rank() == first.rank()
            && (0..first.rank()).all(|axis| axis == dimension || operand.dims[axis] == first.dims[axis]);
        if !fits {
            let problem = format!("operands differ in more than axis {dimension}");
            return Err(HloError::operands("concatenate", problem, operands));
        }
        shape.dims[dimension] = shape.dims[dimension].saturating_add(operand.dims[dimension]);
    }
    check_element_count("concatenate", &shape)?;
    Ok(shape)
}

/// Negative `low` and `high` remove elements.
pub(crate) fn infer_pad(
    operand: &Shape,
    padding_value: &Shape,
    low: &[i64],
    high: &[i64],
    interior: &[usize],
) -> Result<Shape> {
    if *padding_value != Shape::scalar(operand.element_type) {
        let problem = "the padding value is not a scalar of the operand's element type";
        return Err(HloError::operands("pad", problem, &[operand, padding_value]));
    }
    check_per_axis("pad", "low paddings", low, operand)?;
    check_per_axis("pad", "high paddings", high, operand)?;
    check_per_axis("pad", "interior paddings", interior, operand)?;
    let mut dims = Vec::with_capacity(operand.rank());
    for (axis, &dim) in operand.dims.iter().enumerate() {
        let (low, high, interior) = (low[axis], high[axis], interior[axis]);
        let inner = dim as i128 + dim.saturating_sub(1) as i128 * interior as i128;
        let padded = usize::try_from(inner + i128::from(low) + i128::from(high)).map_err(|_| {
            HloError::operands("pad", format!("padding {low}_{high}_{interior} exceeds axis {axis}"), &[operand])
        })?;
        dims.push(padded);
    }
    let shape = Shape::new(operand.element_type, dims);
    check_element_count("pad", &shape)?;
    Ok(shape)
}

pub(crate) fn infer_reverse(operand: &Shape, dimensions: &[usize]) -> Result<Shape> {
    check_axes("reverse", dimensions, operand)?;
    Ok(operand.clone())
}

#[cfg(test)]
mod tests {
    use crate::hlo::shape_inference::movement::{
        infer_broadcast_in_dim, infer_concatenate, infer_iota, infer_pad, infer_reshape, infer_reverse, infer_slice,
        infer_transpose,
    };
    use crate::program::ElementType::{F32, Pred, S32, S64};
    use crate::program::Shape;

    #[test]
    fn iota_counts_along_an_axis() {
        assert_eq!(infer_iota(&Shape::new(S32, [4, 8]), 1), Ok(Shape::new(S32, [4, 8])));
        let error = |shape: Shape, dimension| infer_iota(&shape, dimension).unwrap_err().to_string();
        assert_eq!(error(Shape::new(S32, [4]), 1), "iota: no axis 1: s32[4]");
        assert_eq!(error(Shape::new(Pred, [4]), 0), "iota: takes integers or floats: pred[4]");
    }

    #[test]
    fn broadcast_in_dim_places_axes() {
        let rows = Shape::new(S32, [4]);
        assert_eq!(infer_broadcast_in_dim(&rows, &[4, 8], &[0]), Ok(Shape::new(S32, [4, 8])));
        assert_eq!(infer_broadcast_in_dim(&Shape::scalar(S32), &[4, 8], &[]), Ok(Shape::new(S32, [4, 8])));
        let error = |operand: &Shape, dims: &[usize], to: &[usize]| {
            infer_broadcast_in_dim(operand, dims, to).unwrap_err().to_string()
        };
        assert_eq!(error(&rows, &[4, 8], &[1]), "broadcast_in_dim: axis 0 does not fit axis 1 of s32[4,8]: s32[4]");
        assert_eq!(error(&rows, &[4, 8], &[]), "broadcast_in_dim: 0 broadcast dimensions for 1 axes: s32[4]");
        assert_eq!(
            error(&Shape::new(S32, [4, 4]), &[4, 4], &[1, 0]),
            "broadcast_in_dim: broadcast dimensions are not ascending; transpose first: s32[4,4]"
        );
    }

    #[test]
    fn reshape_keeps_the_number_of_elements() {
        assert_eq!(infer_reshape(&Shape::new(S32, [16]), &[2, 8]), Ok(Shape::new(S32, [2, 8])));
        assert_eq!(infer_reshape(&Shape::new(S32, [1]), &[]), Ok(Shape::scalar(S32)));
        assert_eq!(
            infer_reshape(&Shape::new(S32, [16]), &[3, 8]).unwrap_err().to_string(),
            "reshape: s32[3,8] has a different number of elements: s32[16]"
        );
        assert!(infer_reshape(&Shape::new(S32, [16]), &[usize::MAX, 8]).is_err());
    }

    #[test]
    fn transpose_requires_a_permutation() {
        assert_eq!(infer_transpose(&Shape::new(S32, [2, 8]), &[1, 0]), Ok(Shape::new(S32, [8, 2])));
        assert_eq!(
            infer_transpose(&Shape::new(S32, [2, 8]), &[1, 1]).unwrap_err().to_string(),
            "transpose: axis 1 is listed twice: s32[2,8]"
        );
    }

    #[test]
    fn slice_stays_in_bounds() {
        assert_eq!(infer_slice(&Shape::new(S32, [9]), &[1], &[8], &[3]), Ok(Shape::new(S32, [3])));
        assert_eq!(infer_slice(&Shape::new(S32, [9]), &[9], &[9], &[1]), Ok(Shape::new(S32, [0])));
        let error = |start, limit, stride| {
            infer_slice(&Shape::new(S32, [9]), &[start], &[limit], &[stride]).unwrap_err().to_string()
        };
        assert_eq!(error(0, 10, 1), "slice: [0:10:1] is not a range of axis 0: s32[9]");
        assert_eq!(error(2, 1, 1), "slice: [2:1:1] is not a range of axis 0: s32[9]");
        assert_eq!(error(0, 1, 0), "slice: [0:1:0] is not a range of axis 0: s32[9]");
    }

    #[test]
    fn concatenate_adds_up_one_axis() {
        let (a, b) = (Shape::new(S32, [2, 8]), Shape::new(S32, [3, 8]));
        assert_eq!(infer_concatenate(&[&a, &b], 0), Ok(Shape::new(S32, [5, 8])));
        assert_eq!(
            infer_concatenate(&[&a, &b], 1).unwrap_err().to_string(),
            "concatenate: operands differ in more than axis 1: s32[2,8] and s32[3,8]"
        );
        assert_eq!(
            infer_concatenate(&[], 0).unwrap_err().to_string(),
            "concatenate: at least one operand is required: no operands"
        );
    }

    #[test]
    fn pad_may_remove_elements() {
        let column = Shape::new(S64, [5]);
        let zero = Shape::scalar(S64);
        assert_eq!(infer_pad(&column, &zero, &[1], &[2], &[1]), Ok(Shape::new(S64, [12])));
        assert_eq!(infer_pad(&column, &zero, &[-1], &[1], &[0]), Ok(Shape::new(S64, [5])));
        assert_eq!(
            infer_pad(&column, &zero, &[-6], &[0], &[0]).unwrap_err().to_string(),
            "pad: padding -6_0_0 exceeds axis 0: s64[5]"
        );
        assert_eq!(
            infer_pad(&column, &Shape::scalar(F32), &[0], &[0], &[0]).unwrap_err().to_string(),
            "pad: the padding value is not a scalar of the operand's element type: s64[5] and f32[]"
        );
    }

    #[test]
    fn reverse_checks_its_axes() {
        assert!(infer_reverse(&Shape::new(S32, [4]), &[0]).is_ok());
        assert!(infer_reverse(&Shape::new(S32, [4]), &[1]).is_err());
    }
}
