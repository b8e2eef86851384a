//! Converts `+` and `-` on dates, times, intervals and durations. `child` converts an operand.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Literal};
use datafusion::physical_plan::PhysicalExpr;

use crate::expr::fallback::FallbackReason;
use crate::expr::functions::cast::cast_to;
use crate::expr::ir::{ArithmeticOp, DeviceExpr, Node};
use crate::expr::time::calendar::offset_of;

/// An interval to add: months and days are constants, nanoseconds may be a column.
struct Interval {
    months: i32,
    days: i32,
    nanos: DeviceExpr,
}

const NANOS_TYPE: DataType = DataType::Duration(TimeUnit::Nanosecond);

/// Converts an operator with a date, time, interval or duration among its operands; `None` for other operators.
pub fn convert_interval(
    expr: &Arc<dyn PhysicalExpr>,
    binary: &BinaryExpr,
    schema: &Schema,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Option<Result<Node, FallbackReason>> {
    let (left, right) = (binary.left().data_type(schema).ok()?, binary.right().data_type(schema).ok()?);
    if !left.is_temporal() && !right.is_temporal() {
        return None;
    }
    let subtract = match binary.op() {
        Operator::Plus => false,
        Operator::Minus => true,
        Operator::Multiply | Operator::Divide | Operator::Modulo => {
            let why = format!("{left} {} {right} has no device form yet", binary.op());
            return Some(Err(FallbackReason::expression(expr, why)));
        }
        _ => return None,
    };
    let is_interval = |t: &DataType| matches!(t, DataType::Interval(_));
    Some(if is_interval(&right) && !is_interval(&left) {
        shift(expr, binary.left(), binary.right(), subtract, child)
    } else if is_interval(&left) && !is_interval(&right) && !subtract {
        shift(expr, binary.right(), binary.left(), false, child)
    } else {
        difference(expr, binary, subtract, child)
    })
}

fn shift(
    expr: &Arc<dyn PhysicalExpr>,
    operand: &Arc<dyn PhysicalExpr>,
    interval: &Arc<dyn PhysicalExpr>,
    subtract: bool,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Result<Node, FallbackReason> {
    let refuse = |why: String| Err(FallbackReason::expression(expr, why));
    let operand = Box::new(child(operand)?);
    if offset_of(&operand.data_type).is_none() {
        return refuse("the offset of this time zone varies, which has no device form yet".to_string());
    }
    let Some(Interval { months, days, nanos }) = parts(interval, subtract, child)? else {
        return refuse(format!("an interval must be a constant or a duration to have a device form: {interval}"));
    };
    match operand.data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) | DataType::Time32(_) | DataType::Time64(_) => {
            Ok(Node::Shift { operand, months, days, nanos: Box::new(nanos), subtract })
        }
        ref other => refuse(format!("adding an interval to {other} has no device form")),
    }
}

/// Splits an interval into its parts, with months and days negated for a subtraction. Returns `None` unless the interval
/// is a constant or a duration that is cast to an interval.
fn parts(
    interval: &Arc<dyn PhysicalExpr>,
    subtract: bool,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Result<Option<Interval>, FallbackReason> {
    let constant = |months: i32, days: i32, nanos: Option<i64>| {
        let sign = |n: i32| if subtract { n.checked_neg() } else { Some(n) };
        let nanos = DeviceExpr::new(Node::Literal(ScalarValue::DurationNanosecond(nanos)), NANOS_TYPE);
        // The minimum has no negation; arrow's own negation would panic.
        sign(months).zip(sign(days)).map(|(months, days)| Interval { months, days, nanos })
    };
    if let Some(literal) = interval.downcast_ref::<Literal>() {
        return Ok(match literal.value() {
            ScalarValue::IntervalYearMonth(Some(months)) => constant(*months, 0, Some(0)),
            ScalarValue::IntervalDayTime(Some(i)) => constant(0, i.days, Some(i64::from(i.milliseconds) * 1_000_000)),
            ScalarValue::IntervalMonthDayNano(Some(i)) => constant(i.months, i.days, Some(i.nanoseconds)),
            value if value.is_null() => constant(0, 0, None),
            _ => None,
        });
    }
    if let Some(cast) = interval.downcast_ref::<CastExpr>()
        && *cast.cast_type() == DataType::Interval(IntervalUnit::MonthDayNano)
    {
        let duration = child(cast.expr())?;
        if matches!(duration.data_type, DataType::Duration(_)) {
            let nanos = cast_to(interval, duration, &NANOS_TYPE, cast.cast_options().safe)?;
            return Ok(Some(Interval { months: 0, days: 0, nanos }));
        }
    }
    Ok(None)
}

fn difference(
    expr: &Arc<dyn PhysicalExpr>,
    binary: &BinaryExpr,
    subtract: bool,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Result<Node, FallbackReason> {
    let (lhs, rhs) = (Box::new(child(binary.left())?), Box::new(child(binary.right())?));
    let op = if subtract { ArithmeticOp::Subtract } else { ArithmeticOp::Add };
    let known = match (&lhs.data_type, &rhs.data_type) {
        (DataType::Date32, DataType::Date32) | (DataType::Date64, DataType::Date64) => subtract,
        (DataType::Timestamp(l, _), DataType::Timestamp(r, _)) => subtract && l == r,
        (DataType::Timestamp(l, _), DataType::Duration(r)) => l == r,
        (DataType::Duration(l), DataType::Timestamp(r, _)) => !subtract && l == r,
        (DataType::Duration(l), DataType::Duration(r)) => l == r,
        _ => false,
    };
    if !known {
        let why = format!("{} {} {} has no device form yet", lhs.data_type, binary.op(), rhs.data_type);
        return Err(FallbackReason::expression(expr, why));
    }
    Ok(Node::Difference(op, lhs, rhs))
}
