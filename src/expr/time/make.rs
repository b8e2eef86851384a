//! Functions that make dates, times and timestamps of numbers, and back: `make_date`, `to_timestamp` and the like.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::functions::{Call, Converted, Function};
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::time::calendar::{CHRONO_DAYS, Civil};
use crate::expr::tracer::integer::Int;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::Value;

/// A call that is a cast of its only argument, by way of other types.
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
        return Err(call.refuse("only three Int32 have a device form"));
    }
    Ok(Node::Function(function, args))
}

pub fn convert_from_unixtime(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    if operand.data_type != DataType::Int64 || (call.n_args() == 2 && call.literal(1).is_none()) {
        return Err(call.refuse("only Int64 and a constant zone have a device form"));
    }
    // A count of seconds keeps its value in any zone.
    by_casts(call, operand, std::slice::from_ref(call.data_type))
}

pub fn convert_to_date(call: &Call) -> Converted {
    let operand = call.arg(0)?;
    let types: &[DataType] = match &operand.data_type {
        DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
            &[DataType::Date32]
        }
        t if t.is_integer() => &[DataType::Int32, DataType::Date32],
        other => return Err(call.refuse(format!("a date of {other} has no device form yet"))),
    };
    match call.n_args() {
        1 => by_casts(call, operand, types),
        _ => Err(call.refuse("formats are for strings")),
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
        _ => Err(call.refuse("formats are for strings")),
    }
}

/// `to_timestamp` counts seconds of whole numbers and fractions of them of floats; the others count their own unit.
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
        other => return Err(call.refuse(format!("a timestamp of {other} has no device form yet"))),
    };
    match call.n_args() {
        1 => by_casts(call, operand, &types),
        _ => Err(call.refuse("formats are for strings")),
    }
}

impl Tracer {
    pub fn make_date(&mut self, year: &TracedColumn, month: &TracedColumn, day: &TracedColumn) -> Result<TracedColumn> {
        let valid = self.all_valid(&[year, month, day])?;
        let month = self.confine_or_fail(month.int()?, &Range::new(1, 12), valid, "Execution error: Month value")?;
        let day = self.confine_or_fail(day.int()?, &Range::new(1, 31), valid, "Execution error: Day value")?;
        let unknown = "Execution error: Unable to parse date";
        let year = self.confine_or_fail(year.int()?, &Range::new(-262_143, 262_142), valid, unknown)?;
        let length = self.month_length(&year, &month)?;
        let too_late = self.compare_int(&day, &length, crate::hlo::Comparison::Gt)?;
        self.fail(too_late, valid, unknown.to_string())?;
        let days = self.days(&Civil { year, month, day })?;
        let days = self.bounded(&days, CHRONO_DAYS)?;
        Ok(TracedColumn { values: Values::Int(days), valid, data_type: DataType::Date32, dictionary: None })
    }

    pub fn make_time(
        &mut self,
        hour: &TracedColumn,
        minute: &TracedColumn,
        second: &TracedColumn,
    ) -> Result<TracedColumn> {
        let valid = self.all_valid(&[hour, minute, second])?;
        let hour = self.confine_or_fail(hour.int()?, &Range::new(0, 23), valid, "Execution error: Hour value")?;
        let minute = self.confine_or_fail(minute.int()?, &Range::new(0, 59), valid, "Execution error: Minute value")?;
        let second = self.confine_or_fail(second.int()?, &Range::new(0, 59), valid, "Execution error: Second value")?;
        let minutes = self.times(&hour, 60)?;
        let minutes = self.plus(&minutes, &minute)?;
        let seconds = self.times(&minutes, 60)?;
        let seconds: Int = self.plus(&seconds, &second)?;
        let data_type = DataType::Time32(TimeUnit::Second);
        Ok(TracedColumn { values: Values::Int(seconds), valid, data_type, dictionary: None })
    }

    pub fn all_valid(&mut self, columns: &[&TracedColumn]) -> Result<Option<Value>> {
        let mut valid = None;
        for column in columns {
            valid = and_valid(&mut self.builder, valid, column.valid)?;
        }
        Ok(valid)
    }
}
