//! Which expressions can fail for some row.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

/// Scalar functions that fail for some values of arguments of the right types.
const FALLIBLE_FUNCTIONS: &[&str] = &[
    "abs",
    "arrow_cast",
    "checked_add",
    "checked_multiply",
    "checked_negate",
    "checked_subtract",
    "chr",
    "decode",
    "factorial",
    "from_unixtime",
    "gcd",
    "lcm",
    "make_date",
    "make_time",
    "power",
    "repeat",
    "single_row",
    "substr",
    "to_char",
    "to_date",
    "to_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
    "to_unixtime",
    "within_precision",
];

/// Whether evaluating the expression can fail for some row.
pub fn can_fail(expr: &Expr, schema: &DFSchema) -> bool {
    let mut found = false;
    let walked = expr.apply(|expr| {
        found = match expr {
            // Its value decides nothing that is evaluated twice.
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => return Ok(TreeNodeRecursion::Jump),
            Expr::BinaryExpr(binary) => operator_can_fail(binary, schema),
            Expr::Negative(operand) => is_exact_number(&operand.get_type(schema).unwrap_or(DataType::Null)),
            Expr::Cast(cast) => cast_can_fail(cast, schema),
            Expr::ScalarFunction(call) => FALLIBLE_FUNCTIONS.contains(&call.name()),
            _ => false,
        };
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || walked.is_err()
}

fn operator_can_fail(binary: &BinaryExpr, schema: &DFSchema) -> bool {
    let type_of = |operand: &Expr| operand.get_type(schema).unwrap_or(DataType::Null);
    match binary.op {
        Operator::Divide | Operator::Modulo => {
            let divisor = type_of(&binary.right);
            let zero_free = matches!(&*binary.right, Expr::Literal(value, _) if !is_zero_or_null(value));
            !(divisor.is_floating() || zero_free && divisor.is_integer())
        }
        // Integers wrap; decimals fail.
        Operator::Plus | Operator::Minus | Operator::Multiply => {
            type_of(&binary.left).is_decimal() || type_of(&binary.right).is_decimal()
        }
        _ => false,
    }
}

fn is_zero_or_null(value: &ScalarValue) -> bool {
    value.is_null() || ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero == *value)
}

fn is_exact_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// Whether a value of the operand may have no counterpart in the target type.
fn cast_can_fail(cast: &Cast, schema: &DFSchema) -> bool {
    let Ok(from) = cast.expr.get_type(schema) else { return true };
    let to = cast.field.data_type();
    !(from == *to
        || to.is_string()
        || is_text(to)
        || from.is_null()
        || to.is_floating() && from.is_numeric()
        || widens(&from, to))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, values) if values.is_string())
}

/// Whether every value of `from` is one of `to`.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Date64, Dictionary, Timestamp};
    if let (true, Some(digits)) = (from.is_integer(), integer_digits(from)) {
        if let Some(room) = integer_digits(to) {
            return match (from.is_unsigned_integer(), to.is_unsigned_integer()) {
                (true, false) => room > digits,
                (false, true) => false,
                _ => room >= digits,
            };
        }
        return whole_digits(to).is_some_and(|room| room >= digits);
    }
    match (from, to) {
        (Boolean, _) => to.is_numeric(),
        (Date32 | Date64 | Timestamp(..), Date32 | Date64 | Timestamp(..)) => true,
        (Dictionary(_, values), _) => values.as_ref() == to || widens(values, to),
        _ => match (whole_digits(from), whole_digits(to)) {
            (Some(digits), Some(room)) => room > digits,
            _ => false,
        },
    }
}

/// Decimal digits that hold each value of an integer type.
fn integer_digits(data_type: &DataType) -> Option<i32> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    })
}

/// Digits of a decimal before the point.
fn whole_digits(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some(i32::from(*precision) - i32::from(*scale)),
        _ => None,
    }
}
