//! Shape inference for collectives, for one replica.

use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::ReduceKind;
use crate::hlo::shape_inference::{check_axes, check_element_count};
use crate::program::{ElementType, Shape};

/// XLA supports sum, product, minimum and maximum of numbers and and/or of `pred`, but no bitwise all-reduce of
/// integers.
pub(crate) fn infer_all_reduce(operand: &Shape, kind: ReduceKind) -> Result<Shape> {
    let is_known = match kind {
        ReduceKind::Add | ReduceKind::Multiply | ReduceKind::Minimum | ReduceKind::Maximum => {
            operand.element_type != ElementType::Pred
        }
        ReduceKind::And | ReduceKind::Or => operand.element_type == ElementType::Pred,
        ReduceKind::Xor => false,
    };
    if is_known {
        return Ok(operand.clone());
    }
    let problem = format!("XLA has no all-reduce by {} of {}", kind.binary_op().name(), operand.element_type);
    Err(HloError::operands("all_reduce", problem, &[operand]))
}

/// Concatenates axis `dimension` of all replicas.
pub(crate) fn infer_all_gather(operand: &Shape, dimension: usize, n_replicas: usize) -> Result<Shape> {
    check_axes("all_gather", &[dimension], operand)?;
    let mut shape = operand.clone();
    shape.dims[dimension] = shape.dims[dimension].saturating_mul(n_replicas);
    check_element_count("all_gather", &shape)?;
    Ok(shape)
}

/// Splits axis `dimension` into `n_replicas` equal parts; part k goes to replica k.
pub(crate) fn infer_all_to_all(operand: &Shape, dimension: usize, n_replicas: usize) -> Result<Shape> {
    check_axes("all_to_all", &[dimension], operand)?;
    if n_replicas == 0 || !operand.dims[dimension].is_multiple_of(n_replicas) {
        let problem = format!("axis {dimension} does not split into {n_replicas} equal parts");
        return Err(HloError::operands("all_to_all", problem, &[operand]));
    }
    Ok(operand.clone())
}

/// Requires that no replica sends twice and none receives twice.
pub(crate) fn infer_collective_permute(operand: &Shape, pairs: &[(usize, usize)]) -> Result<Shape> {
    for (i, (source, target)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(s, t)| s == source || t == target) {
            let problem = format!("{source} -> {target} repeats a source or a target");
            return Err(HloError::operands("collective_permute", problem, &[operand]));
        }
    }
    Ok(operand.clone())
}

#[cfg(test)]
mod tests {
    use crate::hlo::operation::ReduceKind;
    use crate::hlo::shape_inference::collective::{
        infer_all_gather, infer_all_reduce, infer_all_to_all, infer_collective_permute,
    };
    use crate::program::ElementType::{Pred, S64};
    use crate::program::Shape;

    #[test]
    fn all_reduce_supports_few_kinds() {
        let (column, mask) = (Shape::new(S64, [8]), Shape::new(Pred, [8]));
        assert_eq!(infer_all_reduce(&column, ReduceKind::Add), Ok(column.clone()));
        assert_eq!(infer_all_reduce(&mask, ReduceKind::Or), Ok(mask.clone()));
        assert_eq!(
            infer_all_reduce(&column, ReduceKind::Xor).unwrap_err().to_string(),
            "all_reduce: XLA has no all-reduce by xor of s64: s64[8]"
        );
        assert!(infer_all_reduce(&column, ReduceKind::And).is_err());
        assert!(infer_all_reduce(&mask, ReduceKind::Maximum).is_err());
    }

    #[test]
    fn collectives_split_and_join_an_axis() {
        let column = Shape::new(S64, [8]);
        assert_eq!(infer_all_gather(&column, 0, 4), Ok(Shape::new(S64, [32])));
        assert_eq!(infer_all_to_all(&column, 0, 4), Ok(column.clone()));
        assert_eq!(
            infer_all_to_all(&column, 0, 3).unwrap_err().to_string(),
            "all_to_all: axis 0 does not split into 3 equal parts: s64[8]"
        );
        assert!(infer_all_gather(&column, 1, 4).is_err());
        assert!(infer_collective_permute(&column, &[(0, 1), (1, 0)]).is_ok());
        assert_eq!(
            infer_collective_permute(&column, &[(0, 1), (0, 2)]).unwrap_err().to_string(),
            "collective_permute: 0 -> 2 repeats a source or a target: s64[8]"
        );
    }
}
