//! Dates, times and timestamps plus intervals, and their differences (arrow-arith `numeric.rs`, DataFusion's `binary.rs`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Literal};
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::range::Range;
use crate::expr::convert::{cast_to, try_convert};
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{ArithmeticOp, DeviceExpr, Node};
use crate::expr::lower::arithmetic::type_range;
use crate::expr::time::calendar::{CHRONO_DAYS, I64, NANOS_IN_SECOND, SECONDS_IN_DAY, offset_of, per_second};
use crate::expr::time::date_trunc::nanos_per;
use crate::expr::tracer::integer::Int;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::Value;

/// An interval to be added: constant months and days, and nanoseconds that may be a column.
struct Interval {
    months: i32,
    days: i32,
    nanos: DeviceExpr,
}

const NANOS_TYPE: DataType = DataType::Duration(TimeUnit::Nanosecond);

/// What `+` and `-` become where dates, times, intervals or durations are operands; `None` where none is.
pub fn convert(
    expr: &Arc<dyn PhysicalExpr>,
    binary: &BinaryExpr,
    schema: &Schema,
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
        shift(expr, binary.left(), binary.right(), subtract, schema)
    } else if is_interval(&left) && !is_interval(&right) && !subtract {
        shift(expr, binary.right(), binary.left(), false, schema)
    } else {
        difference(expr, binary, subtract, schema)
    })
}

fn shift(
    expr: &Arc<dyn PhysicalExpr>,
    operand: &Arc<dyn PhysicalExpr>,
    interval: &Arc<dyn PhysicalExpr>,
    subtract: bool,
    schema: &Schema,
) -> Result<Node, FallbackReason> {
    let refuse = |why: String| Err(FallbackReason::expression(expr, why));
    let operand = Box::new(try_convert(operand, schema)?);
    if offset_of(&operand.data_type).is_none() {
        return refuse("the offset of this time zone varies, which has no device form yet".to_string());
    }
    let Some(Interval { months, days, nanos }) = parts(interval, subtract, schema)? else {
        return refuse(format!("an interval that is no constant has no device form yet: {interval}"));
    };
    match operand.data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) | DataType::Time32(_) | DataType::Time64(_) => {
            Ok(Node::Shift { operand, months, days, nanos: Box::new(nanos), subtract })
        }
        ref other => refuse(format!("an interval added to {other} has no device form")),
    }
}

/// The parts of an interval, months and days with their sign changed for a subtraction; `None` of what is no constant, nor
/// a duration that was made one.
fn parts(
    interval: &Arc<dyn PhysicalExpr>,
    subtract: bool,
    schema: &Schema,
) -> Result<Option<Interval>, FallbackReason> {
    let constant = |months: i32, days: i32, nanos: Option<i64>| {
        let sign = |n: i32| if subtract { n.checked_neg() } else { Some(n) };
        let nanos = DeviceExpr::new(Node::Literal(ScalarValue::DurationNanosecond(nanos)), NANOS_TYPE);
        // The negation of the least number is none; arrow's own would panic.
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
        let duration = try_convert(cast.expr(), schema)?;
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
    schema: &Schema,
) -> Result<Node, FallbackReason> {
    let (lhs, rhs) = (Box::new(try_convert(binary.left(), schema)?), Box::new(try_convert(binary.right(), schema)?));
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

impl Tracer {
    /// `operand` plus an interval (or minus its nanoseconds: months and days have their sign already).
    pub fn shift(
        &mut self,
        operand: &TracedColumn,
        months: i32,
        days: i32,
        nanos: &TracedColumn,
        subtract: bool,
    ) -> Result<TracedColumn> {
        let valid = and_valid(&mut self.builder, operand.valid, nanos.valid)?;
        let (int, mut nanos) = (*operand.int()?, *nanos.int()?);
        if subtract {
            let zero = self.constant_int(0);
            nanos = self.minus(&zero, &nanos)?;
        }
        let shifted = match &operand.data_type {
            DataType::Date32 => self.shift_days(&int, months, days, &nanos, valid)?,
            DataType::Date64 => {
                let per_day = SECONDS_IN_DAY * 1_000;
                let whole = self.cut(&int, per_day)?;
                let shifted = self.shift_days(&whole, months, days, &nanos, valid)?;
                self.times(&shifted, per_day)?
            }
            DataType::Time32(unit) | DataType::Time64(unit) => {
                let day = self.constant_int(SECONDS_IN_DAY * NANOS_IN_SECOND);
                let nanos = self.exact(ArithmeticOp::Remainder, &nanos, &day)?.int;
                let (units, _) = self.floor_divide(&nanos, nanos_per(*unit))?;
                let sum = self.plus(&int, &units)?;
                self.floor_divide(&sum, SECONDS_IN_DAY * per_second(*unit))?.1
            }
            DataType::Timestamp(unit, _) => self.shift_timestamp(&int, *unit, operand, months, days, &nanos, valid)?,
            other => return Err(DataFusionError::Internal(format!("an interval added to {other}"))),
        };
        Ok(TracedColumn { values: Values::Int(shifted), valid, ..operand.clone() })
    }

    fn shift_days(&mut self, int: &Int, months: i32, days: i32, nanos: &Int, valid: Option<Value>) -> Result<Int> {
        const MESSAGE: &str = "Arrow error: Compute error: Date arithmetic overflow";
        let mut date = self.confine_or_fail(int, &CHRONO_DAYS, valid, MESSAGE)?;
        if months != 0 {
            let months = self.int_parameter(months.into());
            date = self.add_months(&date, &months)?;
            date = self.confine_or_fail(&date, &CHRONO_DAYS, valid, MESSAGE)?;
        }
        if days != 0 {
            let days = self.int_parameter(days.into());
            date = self.plus(&date, &days)?;
            date = self.confine_or_fail(&date, &CHRONO_DAYS, valid, MESSAGE)?;
        }
        let whole_days = self.cut(nanos, SECONDS_IN_DAY * NANOS_IN_SECOND)?;
        date = self.plus(&date, &whole_days)?;
        self.confine_or_fail(&date, &CHRONO_DAYS, valid, MESSAGE)
    }

    #[allow(clippy::too_many_arguments)]
    fn shift_timestamp(
        &mut self,
        int: &Int,
        unit: TimeUnit,
        operand: &TracedColumn,
        months: i32,
        days: i32,
        nanos: &Int,
        valid: Option<Value>,
    ) -> Result<Int> {
        const MESSAGE: &str = "Arrow error: Compute error: Timestamp out of range";
        let per_second = per_second(unit);
        let per_day = SECONDS_IN_DAY * per_second;
        let limits = Range::new(CHRONO_DAYS.min * per_day, (CHRONO_DAYS.max + 1) * per_day - 1);
        let limits = limits.intersection(&I64).unwrap_or(I64);
        let mut time = self.confine_or_fail(int, &limits, valid, MESSAGE)?;
        if months != 0 {
            let clock = self.clock(&time, &operand.data_type)?;
            let months = self.int_parameter(months.into());
            let date = self.add_months(&clock.days, &months)?;
            let date = self.confine_or_fail(&date, &CHRONO_DAYS, valid, MESSAGE)?;
            let midnight = self.times(&date, per_day)?;
            time = self.plus(&midnight, &clock.of_day)?;
            let offset = offset_of(&operand.data_type).unwrap_or(0);
            time = self.plus_constant(&time, -offset * per_second)?;
        }
        if days != 0 {
            let days = self.int_parameter(days.into());
            let days = self.times(&days, per_day)?;
            time = self.plus(&time, &days)?;
        }
        let (units, _) = self.floor_divide(nanos, nanos_per(unit))?;
        time = self.plus(&time, &units)?;
        self.confine_or_fail(&time, &limits, valid, MESSAGE)
    }

    /// Differences of dates in days, of timestamps as durations; timestamps and durations plus or minus durations.
    pub fn difference(
        &mut self,
        op: ArithmeticOp,
        lhs: &TracedColumn,
        rhs: &TracedColumn,
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        let valid = and_valid(&mut self.builder, lhs.valid, rhs.valid)?;
        let (l, r) = (*lhs.int()?, *rhs.int()?);
        let value = self.exact(op, &l, &r)?.int;
        let value = match lhs.data_type {
            DataType::Date32 => value,
            DataType::Date64 => {
                let value = self.confine_or_fail(&value, &I64, valid, "Arrow error: Arithmetic overflow")?;
                self.cut(&value, SECONDS_IN_DAY * 1_000)?
            }
            _ => {
                let limits = type_range(data_type)?;
                self.confine_or_fail(&value, &limits, valid, "Arrow error: Arithmetic overflow")?
            }
        };
        Ok(TracedColumn { values: Values::Int(value), valid, data_type: data_type.clone(), dictionary: None })
    }
}
