//! Shape inference for elementwise operations: unary, binary, compare, select, clamp, conversions.

use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::{BinaryOp, Domain, UnaryOp};
use crate::hlo::shape_inference::check_element_count;
use crate::program::{ElementType, Shape};

fn check_domain(operation: &'static str, domain: Domain, operand: &Shape) -> Result<()> {
    let ty = operand.element_type;
    let (is_in, wanted) = match domain {
        Domain::Float => (ty.is_float(), "floats"),
        Domain::Signed => (ty.is_signed_integer() || ty.is_float(), "signed integers or floats"),
        Domain::Integer => (ty.is_integer(), "integers"),
        Domain::Number => (ty.is_integer() || ty.is_float(), "integers or floats"),
        Domain::PredOrInteger => (ty == ElementType::Pred || ty.is_integer(), "pred or integers"),
        Domain::Any => (true, "anything"),
    };
    if is_in { Ok(()) } else { Err(HloError::operands(operation, format!("takes {wanted}"), &[operand])) }
}

fn check_same_type(operation: &'static str, operands: &[&Shape]) -> Result<()> {
    if operands.windows(2).all(|pair| pair[0].element_type == pair[1].element_type) {
        Ok(())
    } else {
        Err(HloError::operands(operation, "element types differ", operands))
    }
}

/// Returns the dimensions common to all operands after broadcasting scalars. All non-scalars must have equal
/// dimensions.
pub(crate) fn infer_common_dims(operation: &'static str, operands: &[&Shape]) -> Result<Vec<usize>> {
    let mut common: Option<&Shape> = None;
    for &operand in operands.iter().filter(|operand| operand.rank() > 0) {
        match common {
            Some(first) if first.dims != operand.dims => {
                return Err(HloError::operands(operation, "dimensions differ", operands));
            }
            _ => common = Some(operand),
        }
    }
    Ok(common.map(|shape| shape.dims.clone()).unwrap_or_default())
}

pub(crate) fn infer_unary(op: UnaryOp, operand: &Shape) -> Result<Shape> {
    check_domain(op.name(), op.domain(), operand)?;
    let element_type = if op == UnaryOp::IsFinite { ElementType::Pred } else { operand.element_type };
    Ok(Shape::new(element_type, operand.dims.clone()))
}

/// Scalars broadcast.
pub(crate) fn infer_binary(op: BinaryOp, lhs: &Shape, rhs: &Shape) -> Result<Shape> {
    check_same_type(op.name(), &[lhs, rhs])?;
    check_domain(op.name(), op.domain(), lhs)?;
    Ok(Shape::new(lhs.element_type, infer_common_dims(op.name(), &[lhs, rhs])?))
}

/// Scalars broadcast. Total order applies to floats only, because for integers it is the ordinary order.
pub(crate) fn infer_compare(lhs: &Shape, rhs: &Shape, total_order: bool) -> Result<Shape> {
    check_same_type("compare", &[lhs, rhs])?;
    if total_order {
        check_domain("compare_total_order", Domain::Float, lhs)?;
    }
    Ok(Shape::new(ElementType::Pred, infer_common_dims("compare", &[lhs, rhs])?))
}

/// Scalars broadcast.
pub(crate) fn infer_select(pred: &Shape, on_true: &Shape, on_false: &Shape) -> Result<Shape> {
    if pred.element_type != ElementType::Pred {
        return Err(HloError::operands("select", "the first operand is not pred", &[pred, on_true, on_false]));
    }
    if on_true.element_type != on_false.element_type {
        return Err(HloError::operands("select", "element types differ", &[pred, on_true, on_false]));
    }
    Ok(Shape::new(on_true.element_type, infer_common_dims("select", &[pred, on_true, on_false])?))
}

/// Scalars broadcast.
pub(crate) fn infer_clamp(min: &Shape, operand: &Shape, max: &Shape) -> Result<Shape> {
    check_same_type("clamp", &[min, operand, max])?;
    check_domain("clamp", Domain::Number, operand)?;
    Ok(Shape::new(operand.element_type, infer_common_dims("clamp", &[min, operand, max])?))
}

pub(crate) fn infer_convert(operand: &Shape, element_type: ElementType) -> Shape {
    Shape::new(element_type, operand.dims.clone())
}

/// A narrower type adds an axis for the parts, low bits first. A wider type removes the last axis, whose dimension must
/// be exactly the number of parts.
pub(crate) fn infer_bitcast_convert(operand: &Shape, element_type: ElementType) -> Result<Shape> {
    let error = |problem: String| HloError::operands("bitcast_convert", problem, &[operand]);
    if operand.element_type == ElementType::Pred || element_type == ElementType::Pred {
        return Err(error(format!("pred cannot be bitcast; target {element_type}")));
    }
    let from = operand.element_type.size_bytes();
    let to = element_type.size_bytes();
    let mut dims = operand.dims.clone();
    if from > to {
        dims.push(from / to);
    } else if from < to && dims.pop() != Some(to / from) {
        return Err(error(format!("the last dimension must be {} to become {element_type}", to / from)));
    }
    let shape = Shape::new(element_type, dims);
    check_element_count("bitcast_convert", &shape)?;
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use crate::hlo::operation::{BinaryOp, UnaryOp};
    use crate::hlo::shape_inference::elementwise::{
        infer_binary, infer_bitcast_convert, infer_clamp, infer_compare, infer_select, infer_unary,
    };
    use crate::program::ElementType::{F32, F64, Pred, S32, S64, U32, U64};
    use crate::program::Shape;

    fn shape(element_type: crate::program::ElementType, dims: &[usize]) -> Shape {
        Shape::new(element_type, dims)
    }

    #[test]
    fn binary_broadcasts_scalars_only() {
        let column = shape(S32, &[1024]);
        let scalar = Shape::scalar(S32);
        assert_eq!(infer_binary(BinaryOp::Add, &column, &scalar), Ok(column.clone()));
        assert_eq!(infer_binary(BinaryOp::Add, &scalar, &column), Ok(column.clone()));
        assert_eq!(infer_binary(BinaryOp::Add, &scalar, &scalar), Ok(scalar));
        let error = |op, lhs: &Shape, rhs: &Shape| infer_binary(op, lhs, rhs).unwrap_err().to_string();
        assert_eq!(
            error(BinaryOp::Add, &column, &shape(S64, &[1024])),
            "add: element types differ: s32[1024] and s64[1024]"
        );
        assert_eq!(
            error(BinaryOp::Multiply, &column, &shape(S32, &[1])),
            "multiply: dimensions differ: s32[1024] and s32[1]"
        );
        assert_eq!(error(BinaryOp::And, &shape(F32, &[2]), &shape(F32, &[2])), "and: takes pred or integers: f32[2]");
        assert_eq!(
            error(BinaryOp::ShiftLeft, &Shape::scalar(Pred), &Shape::scalar(Pred)),
            "shift-left: takes integers: pred[]"
        );
    }

    #[test]
    fn unary_checks_its_domain() {
        assert_eq!(infer_unary(UnaryOp::IsFinite, &shape(F64, &[3])), Ok(shape(Pred, &[3])));
        assert_eq!(infer_unary(UnaryOp::Negate, &shape(U32, &[3])), Ok(shape(U32, &[3])));
        let error = |op, operand: &Shape| infer_unary(op, operand).unwrap_err().to_string();
        assert_eq!(error(UnaryOp::Abs, &shape(U32, &[3])), "abs: takes signed integers or floats: u32[3]");
        assert_eq!(error(UnaryOp::Sqrt, &shape(S32, &[3])), "sqrt: takes floats: s32[3]");
        assert_eq!(error(UnaryOp::Not, &shape(F32, &[])), "not: takes pred or integers: f32[]");
    }

    #[test]
    fn compare_gives_pred() {
        assert_eq!(infer_compare(&shape(F64, &[8]), &Shape::scalar(F64), true), Ok(shape(Pred, &[8])));
        assert_eq!(
            infer_compare(&shape(S32, &[8]), &Shape::scalar(S32), true).unwrap_err().to_string(),
            "compare_total_order: takes floats: s32[8]"
        );
        assert_eq!(
            infer_compare(&shape(S32, &[8]), &shape(S32, &[8, 1]), false).unwrap_err().to_string(),
            "compare: dimensions differ: s32[8] and s32[8,1]"
        );
    }

    #[test]
    fn select_broadcasts_any_operand() {
        let mask = shape(Pred, &[8]);
        assert_eq!(infer_select(&mask, &Shape::scalar(S64), &Shape::scalar(S64)), Ok(shape(S64, &[8])));
        assert_eq!(infer_select(&Shape::scalar(Pred), &shape(S64, &[8]), &Shape::scalar(S64)), Ok(shape(S64, &[8])));
        assert_eq!(
            infer_select(&mask, &shape(S64, &[8]), &shape(S32, &[8])).unwrap_err().to_string(),
            "select: element types differ: pred[8], s64[8] and s32[8]"
        );
        assert_eq!(
            infer_select(&shape(S32, &[8]), &shape(S64, &[8]), &shape(S64, &[8])).unwrap_err().to_string(),
            "select: the first operand is not pred: s32[8], s64[8] and s64[8]"
        );
    }

    #[test]
    fn clamp_takes_numbers() {
        assert_eq!(infer_clamp(&Shape::scalar(S32), &shape(S32, &[8]), &Shape::scalar(S32)), Ok(shape(S32, &[8])));
        assert!(infer_clamp(&Shape::scalar(Pred), &Shape::scalar(Pred), &Shape::scalar(Pred)).is_err());
    }

    #[test]
    fn bitcast_adds_or_removes_an_axis() {
        assert_eq!(infer_bitcast_convert(&shape(F64, &[8]), U64), Ok(shape(U64, &[8])));
        assert_eq!(infer_bitcast_convert(&shape(U64, &[8]), U32), Ok(shape(U32, &[8, 2])));
        assert_eq!(infer_bitcast_convert(&shape(U32, &[8, 2]), U64), Ok(shape(U64, &[8])));
        assert_eq!(
            infer_bitcast_convert(&shape(U32, &[8]), U64).unwrap_err().to_string(),
            "bitcast_convert: the last dimension must be 2 to become u64: u32[8]"
        );
        assert!(infer_bitcast_convert(&shape(Pred, &[8]), U32).is_err());
    }
}
