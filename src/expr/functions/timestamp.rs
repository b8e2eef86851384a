//! Converts calls that make dates, times and timestamps from numbers, and numbers from those.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::expr::functions::call::{Call, Converted};
use crate::expr::ir::{DeviceExpr, Function, Node};
use crate::expr::time::calendar::fixed_offset;
use crate::expr::time::zone;

/// Converts a call that casts its argument to each of `types` in turn.
fn by_casts(call: &Call, operand: DeviceExpr, types: &[DataType]) -> Converted {
    let mut operand = operand;
    for to in types {
        operand = call.cast(operand, to)?;
    }
    Ok(match operand.node {
        // The argument has the type already.
        Node::Column(_) | Node::Literal(_) => Node::Cast { operand: Box::new(operand), safe: false },
        node => node,
    })
}

pub fn convert_make_date(call: &Call) -> Converted {
    of_int32(call, Function::MakeDate)
}

pub fn convert_make_time(call: &Call) -> Converted {
    of_int32(call, Function::MakeTime)
}

fn of_int32(call: &Call, function: Function) -> Converted {
    let args = call.args()?;
    if args.len() != 3 || args.iter().any(|arg| arg.data_type != DataType::Int32) {
        return Err(call.refuse("only three Int32 arguments have a device form"));
    }
    Ok(Node::Function(function, args))
}

pub fn convert_from_unixtime(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    if operand.data_type != DataType::Int64 || (call.n_args() == 2 && call.literal(1).is_none()) {
        return Err(call.refuse("only Int64 with a constant time zone has a device form"));
    }
    // The number of seconds is the same in every time zone.
    by_casts(call, operand, std::slice::from_ref(call.data_type))
}

pub fn convert_to_date(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    let types: &[DataType] = match &operand.data_type {
        DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            &[DataType::Date32]
        }
        t if t.is_integer() => &[DataType::Int32, DataType::Date32],
        other => return Err(call.refuse(format!("making a date from {other} has no device form yet"))),
    };
    match call.n_args() {
        1 => by_casts(call, operand, types),
        _ => Err(call.refuse("a format applies only to strings")),
    }
}

pub fn convert_to_unixtime(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    let types = match &operand.data_type {
        DataType::Date32 | DataType::Date64 => vec![DataType::Timestamp(TimeUnit::Second, None), DataType::Int64],
        DataType::Timestamp(_, zone) => vec![DataType::Timestamp(TimeUnit::Second, zone.clone()), DataType::Int64],
        t if t.is_integer() || matches!(t, DataType::Float32 | DataType::Float64) => vec![DataType::Int64],
        other => return Err(call.refuse(format!("the seconds of {other} have no device form yet"))),
    };
    match call.n_args() {
        1 => by_casts(call, operand, &types),
        _ => Err(call.refuse("a format applies only to strings")),
    }
}

/// `to_timestamp` reads integers as seconds and floats as seconds with fractions. The other functions read their own unit.
pub fn convert_to_timestamp(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    let plain = call.expr.fun().name() == "to_timestamp";
    let to = call.data_type.clone();
    let float = matches!(operand.data_type, DataType::Float32 | DataType::Float64);
    let types = match &operand.data_type {
        DataType::Timestamp(_, _) => vec![to],
        _ if float && plain => return Ok(Node::Function(Function::ToTimestamp, vec![operand])),
        _ if float => vec![DataType::Int64, to],
        t if t.is_integer() && plain => vec![DataType::Timestamp(TimeUnit::Second, None), to],
        t if t.is_integer() || (matches!(t, DataType::Decimal128(_, _)) && !plain) => vec![to],
        other => return Err(call.refuse(format!("making a timestamp from {other} has no device form yet"))),
    };
    match call.n_args() {
        1 => by_casts(call, operand, &types),
        _ => Err(call.refuse("a format applies only to strings")),
    }
}

/// `to_local_time` returns the local time of a timestamp with a time zone, as a timestamp without one.
pub fn convert_to_local_time(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    match &operand.data_type {
        DataType::Timestamp(_, zone)
            if zone.as_ref().is_none_or(|z| fixed_offset(z).is_some() || zone::is_known(z)) =>
        {
            Ok(Node::Function(Function::ToLocalTime, vec![operand]))
        }
        other => Err(call.refuse(format!("the local time of {other} has no device form yet"))),
    }
}
