//! Binary operators: arithmetic, bits, comparisons, AND and OR.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::Operator;
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::representation::Kind;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{ArithmeticOp, BitwiseOp, DeviceExpr, Node};
use crate::hlo::Comparison;

/// Converts a binary operator. Intervals and differences of times are converted by `interval` instead.
pub fn convert_binary(
    expr: &Arc<dyn PhysicalExpr>,
    operator: &Operator,
    lhs: DeviceExpr,
    rhs: DeviceExpr,
) -> Result<Node, FallbackReason> {
    let refuse = |why: &str| Err(FallbackReason::expression(expr, why));
    let (lhs, rhs) = (Box::new(lhs), Box::new(rhs));
    let arithmetic = match operator {
        Operator::Plus => Some(ArithmeticOp::Add),
        Operator::Minus => Some(ArithmeticOp::Subtract),
        Operator::Multiply => Some(ArithmeticOp::Multiply),
        Operator::Divide => Some(ArithmeticOp::Divide),
        Operator::Modulo => Some(ArithmeticOp::Remainder),
        _ => None,
    };
    if let Some(op) = arithmetic {
        let both_decimal =
            |l: &DataType, r: &DataType| matches!((l, r), (DataType::Decimal128(_, _), DataType::Decimal128(_, _)));
        let number =
            |t: &DataType| t.is_numeric() && !matches!(t, DataType::Decimal32(_, _) | DataType::Decimal64(_, _));
        let numeric = number(&lhs.data_type) && number(&rhs.data_type);
        if !numeric || (lhs.data_type != rhs.data_type && !both_decimal(&lhs.data_type, &rhs.data_type)) {
            return refuse(&format!("arithmetic on {} and {} has no device form yet", lhs.data_type, rhs.data_type));
        }
        return Ok(Node::Arithmetic(op, lhs, rhs));
    }
    if let Some(op) = bitwise_op(operator) {
        if !lhs.data_type.is_integer() || lhs.data_type != rhs.data_type {
            return refuse(&format!(
                "bitwise operators on {} and {} have no device form",
                lhs.data_type, rhs.data_type
            ));
        }
        return Ok(Node::Bitwise(op, lhs, rhs));
    }
    let comparison = match operator {
        Operator::Eq => Some(Comparison::Eq),
        Operator::NotEq => Some(Comparison::Ne),
        Operator::Lt => Some(Comparison::Lt),
        Operator::LtEq => Some(Comparison::Le),
        Operator::Gt => Some(Comparison::Gt),
        Operator::GtEq => Some(Comparison::Ge),
        _ => None,
    };
    let comparing = comparison.is_some() || matches!(operator, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    if comparing && !comparable(&lhs.data_type, &rhs.data_type) {
        return refuse(&format!("{} and {} cannot be compared on the device", lhs.data_type, rhs.data_type));
    }
    if let Some(direction) = comparison {
        return Ok(Node::Compare(direction, lhs, rhs));
    }
    match operator {
        Operator::And => Ok(Node::And(lhs, rhs)),
        Operator::Or => Ok(Node::Or(lhs, rhs)),
        Operator::IsDistinctFrom => Ok(Node::Distinct(false, lhs, rhs)),
        Operator::IsNotDistinctFrom => Ok(Node::Distinct(true, lhs, rhs)),
        op => refuse(&format!("the operator {op} has no device form yet")),
    }
}

fn bitwise_op(operator: &Operator) -> Option<BitwiseOp> {
    Some(match operator {
        Operator::BitwiseAnd => BitwiseOp::And,
        Operator::BitwiseOr => BitwiseOp::Or,
        Operator::BitwiseXor => BitwiseOp::Xor,
        Operator::BitwiseShiftLeft => BitwiseOp::ShiftLeft,
        Operator::BitwiseShiftRight => BitwiseOp::ShiftRight,
        _ => return None,
    })
}

/// Whether values of the two types compare without a cast.
pub fn comparable(lhs: &DataType, rhs: &DataType) -> bool {
    match (lhs, rhs) {
        (DataType::Decimal128(_, s1), DataType::Decimal128(_, s2)) => s1 == s2,
        (DataType::Decimal64(_, s1), DataType::Decimal64(_, s2)) => s1 == s2,
        (DataType::Decimal32(_, s1), DataType::Decimal32(_, s2)) => s1 == s2,
        // All timestamps count from the same moment, whatever their time zones.
        (DataType::Timestamp(l, _), DataType::Timestamp(r, _)) => l == r,
        (l, r) => l == r || (Kind::of(l) == Some(Kind::String) && Kind::of(r) == Some(Kind::String)),
    }
}
