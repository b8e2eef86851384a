//! Converts calls of math functions.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::expr::functions::call::{Call, Converted};
use crate::expr::ir::{ArithmeticOp, DeviceExpr, ExactMath, Function, Math, Math2, Node};

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Converts a call of a function of one float.
pub fn of_float(call: &Call, math: Math) -> Converted {
    let operand = call.arg(0)?;
    match is_float(&operand.data_type) && operand.data_type == *call.data_type && call.n_args() == 1 {
        true => Ok(Node::Function(Function::Math(math), vec![operand])),
        false => Err(call.refuse(format!("this function of {} has no device form", operand.data_type))),
    }
}

pub fn of_floats(call: &Call, math: Math2) -> Converted {
    let args = call.args()?;
    match args.len() == 2 && args.iter().all(|arg| is_float(&arg.data_type) && arg.data_type == *call.data_type) {
        true => Ok(Node::Function(Function::Math2(math), args)),
        false => Err(call.refuse("this function has a device form only for two floats of the same type")),
    }
}

/// Converts `log(x)` and `log(base, x)`, of floats and of decimals with a positive scale.
pub fn convert_log(call: &Call) -> Converted {
    let value = call.arg(call.n_args() - 1)?;
    let value = match &value.data_type {
        t if is_float(t) => value,
        DataType::Decimal128(_, scale) if *scale > 0 => call.cast(value, &DataType::Float64)?,
        other => return Err(call.refuse(format!("a logarithm of {other} has no device form yet"))),
    };
    let base = match call.n_args() {
        2 => call.arg(0)?,
        _ => DeviceExpr::new(
            Node::Literal(ScalarValue::new_ten(&value.data_type).map_err(|e| call.refuse(e.to_string()))?),
            value.data_type.clone(),
        ),
    };
    let base = call.cast(base, &value.data_type)?;
    if value.data_type != *call.data_type {
        return Err(call.refuse("the logarithm has another type"));
    }
    Ok(Node::Function(Function::Math2(Math2::Log), vec![base, value]))
}

fn is_integer_or_decimal(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Decimal128(_, _))
}

fn is_number(data_type: &DataType) -> bool {
    is_integer_or_decimal(data_type) || matches!(data_type, DataType::Float32 | DataType::Float64)
}

fn exact(call: &Call, function: ExactMath, known: fn(&DataType) -> bool) -> Converted {
    let args = call.args()?;
    match args.iter().find(|arg| !known(&arg.data_type)) {
        None => Ok(Node::Function(Function::Exact(function), args)),
        Some(arg) => Err(call.refuse(format!("this function of {} has no device form yet", arg.data_type))),
    }
}

pub fn convert_abs(call: &Call) -> Converted {
    exact(call, ExactMath::Abs, is_number)
}

pub fn convert_ceil(call: &Call) -> Converted {
    match call.data_type {
        DataType::Decimal128(_, _) => exact(call, ExactMath::Ceil, is_integer_or_decimal),
        _ => of_float(call, Math::Ceil),
    }
}

pub fn convert_floor(call: &Call) -> Converted {
    match call.data_type {
        DataType::Decimal128(_, _) => exact(call, ExactMath::Floor, is_integer_or_decimal),
        _ => of_float(call, Math::Floor),
    }
}

/// The number of decimal places if it is a constant; 0 if it is left out.
fn places(call: &Call) -> Option<i32> {
    match (call.n_args(), call.literal(1)) {
        (1, _) => Some(0),
        (_, Some(ScalarValue::Int32(places))) => *places,
        (_, Some(ScalarValue::Int64(places))) => places.and_then(|places| i32::try_from(places).ok()),
        _ => None,
    }
}

pub fn convert_round(call: &Call) -> Converted {
    let (operand, Some(places)) = (call.arg(0)?, places(call)) else {
        return Err(call.refuse("the number of places must be a constant to have a device form"));
    };
    let function = match (&operand.data_type, call.data_type) {
        (DataType::Float32 | DataType::Float64, _) => ExactMath::RoundFloat(places),
        (from, to) if from.is_integer() && from == to => ExactMath::Round(places),
        (DataType::Decimal128(precision, scale), DataType::Decimal128(_, _)) => {
            let digits = i32::from(*precision) - i32::from(*scale);
            let all_gone = places < 0 && (digits <= 0 || -places > digits);
            // DataFusion fails for any row if the power of ten does not fit 128 bits.
            if !all_gone && i32::from(*scale) - places > 38 {
                return Err(call.refuse("rounding to this many places has no device form"));
            }
            ExactMath::Round(places)
        }
        (other, _) => return Err(call.refuse(format!("rounding {other} has no device form yet"))),
    };
    Ok(Node::Function(Function::Exact(function), vec![operand]))
}

pub fn convert_trunc(call: &Call) -> Converted {
    let (operand, Some(places)) = (call.arg(0)?, places(call)) else {
        return Err(call.refuse("the number of places must be a constant to have a device form"));
    };
    match &operand.data_type {
        DataType::Float32 | DataType::Float64 if call.n_args() == 1 => of_float(call, Math::Trunc),
        DataType::Float32 | DataType::Float64 => {
            Ok(Node::Function(Function::Exact(ExactMath::TruncFloat(places)), vec![operand]))
        }
        DataType::Decimal128(_, _) => Ok(Node::Function(Function::Exact(ExactMath::Trunc(places)), vec![operand])),
        other => Err(call.refuse(format!("truncating {other} has no device form yet"))),
    }
}

pub fn convert_gcd(call: &Call) -> Converted {
    exact(call, ExactMath::Gcd, |t| *t == DataType::Int64)
}

pub fn convert_lcm(call: &Call) -> Converted {
    exact(call, ExactMath::Lcm, |t| *t == DataType::Int64)
}

pub fn convert_factorial(call: &Call) -> Converted {
    exact(call, ExactMath::Factorial, |t| *t == DataType::Int64)
}

/// The frontend's check of scalar subqueries.
pub fn convert_single_row(call: &Call) -> Converted {
    exact(call, ExactMath::SingleRow, |t| *t == DataType::Int64)
}

/// The frontend's cast, which the device's own is, too.
pub fn convert_decimal_to_double(call: &Call) -> Converted {
    Ok(Node::Cast { operand: Box::new(call.arg(0)?), safe: false })
}

/// The frontend's form of floats that are compared.
pub fn convert_canonical_float(call: &Call) -> Converted {
    exact(call, ExactMath::CanonicalFloat, |t| matches!(t, DataType::Float32 | DataType::Float64))
}

/// The frontend's arithmetic that does not wrap.
pub fn convert_checked(call: &Call, op: ArithmeticOp) -> Converted {
    exact(call, ExactMath::Checked(op), DataType::is_integer)
}

pub fn convert_checked_negate(call: &Call) -> Converted {
    exact(call, ExactMath::CheckedNegate, DataType::is_integer)
}

/// The frontend's check of decimals.
pub fn convert_within_precision(call: &Call) -> Converted {
    exact(call, ExactMath::WithinPrecision, |t| matches!(t, DataType::Decimal128(_, _)))
}

pub fn convert_isnan(call: &Call) -> Converted {
    exact(call, ExactMath::IsNan, is_number)
}

pub fn convert_iszero(call: &Call) -> Converted {
    exact(call, ExactMath::IsZero, is_number)
}
