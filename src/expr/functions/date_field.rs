//! Converts calls of `date_part`, `date_trunc` and `date_bin`.

use datafusion::arrow::datatypes::{DataType, IntervalDayTime, IntervalMonthDayNano};
use datafusion::common::ScalarValue;

use crate::expr::functions::call::{Call, Converted};
use crate::expr::ir::{DateBin, DatePart, DateTrunc, Function, Node, Stride};
use crate::expr::time::calendar::{NANOS_IN_SECOND, SECONDS_IN_DAY, fixed_offset, offset_of};
use crate::expr::time::zone;

/// Parses the names that DataFusion accepts: those of arrow's `IntervalUnit` and DataFusion's own.
fn parse_part(part: &str) -> Option<DatePart> {
    let quote = |c| c == '\'' || c == '"';
    let part = part.strip_prefix(quote).and_then(|s| s.strip_suffix(quote)).unwrap_or(part);
    Some(match part.to_lowercase().as_str() {
        "y" | "yr" | "yrs" | "year" | "years" => DatePart::Year,
        "mon" | "mons" | "month" | "months" => DatePart::Month,
        "w" | "week" | "weeks" => DatePart::Week,
        "d" | "day" | "days" => DatePart::Day,
        "h" | "hr" | "hrs" | "hour" | "hours" => DatePart::Hour,
        "m" | "min" | "mins" | "minute" | "minutes" => DatePart::Minute,
        "s" | "sec" | "secs" | "second" | "seconds" => DatePart::Second,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => DatePart::Millisecond,
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => DatePart::Microsecond,
        "nanosecond" | "nanoseconds" => DatePart::Nanosecond,
        "isoyear" => DatePart::IsoYear,
        "qtr" | "quarter" => DatePart::Quarter,
        "doy" => DatePart::DayOfYear,
        "dow" => DatePart::DayOfWeek,
        "isodow" => DatePart::IsoDayOfWeek,
        "epoch" => DatePart::Epoch,
        _ => return None,
    })
}

pub fn convert_date_part(call: &Call) -> Converted {
    let name = call.literal(0).and_then(|part| part.try_as_str().flatten());
    let Some(part) = name.and_then(parse_part) else {
        return Err(call.refuse("this field has no device form yet"));
    };
    let operand = call.arg(1)?;
    let known = match &operand.data_type {
        DataType::Date32 | DataType::Date64 => true,
        DataType::Timestamp(_, Some(zone)) => fixed_offset(zone).is_some() || zone::is_known(zone),
        DataType::Timestamp(_, None) => true,
        DataType::Time32(_) | DataType::Time64(_) => part.is_of_day() || part == DatePart::Epoch,
        DataType::Duration(_) => part.is_of_day() || matches!(part, DatePart::Week | DatePart::Day),
        _ => false,
    };
    // For a duration, arrow does not count these fields within the minute.
    let rest = matches!(operand.data_type, DataType::Duration(_))
        && matches!(part, DatePart::Millisecond | DatePart::Microsecond | DatePart::Nanosecond);
    if !known || rest {
        return Err(call.refuse(format!("this field of {} has no device form yet", operand.data_type)));
    }
    Ok(Node::Function(Function::DatePart(part), vec![operand]))
}

pub fn convert_date_trunc(call: &Call) -> Converted {
    let name = call.literal(0).and_then(|to| to.try_as_str().flatten()).unwrap_or("").to_lowercase();
    let seconds = |seconds: i128| DateTrunc::Nanos(seconds * NANOS_IN_SECOND);
    let to = match name.as_str() {
        "microsecond" => DateTrunc::Nanos(1_000),
        "millisecond" => DateTrunc::Nanos(1_000_000),
        "second" => seconds(1),
        "minute" => seconds(60),
        "hour" => seconds(3600),
        "day" => seconds(SECONDS_IN_DAY),
        "week" => DateTrunc::Week,
        "month" => DateTrunc::Month,
        "quarter" => DateTrunc::Quarter,
        "year" => DateTrunc::Year,
        _ => return Err(call.refuse("DataFusion has no such precision")),
    };
    let operand = call.arg(1)?;
    let is_below = |seconds: i128| matches!(to, DateTrunc::Nanos(nanos) if nanos < seconds * NANOS_IN_SECOND);
    match &operand.data_type {
        zoned @ DataType::Timestamp(_, _) => {
            if !is_below(3600) && offset_of(zoned).is_none() {
                return Err(call.refuse("the offset of this time zone varies, which has no device form yet"));
            }
        }
        DataType::Time32(_) | DataType::Time64(_) if is_below(SECONDS_IN_DAY) => {}
        other => return Err(call.refuse(format!("truncating {other} to this precision has no device form"))),
    }
    Ok(Node::Function(Function::DateTrunc(to), vec![operand]))
}

pub fn convert_date_bin(call: &Call) -> Converted {
    let operand = call.arg(1)?;
    let is_time = matches!(operand.data_type, DataType::Time32(_) | DataType::Time64(_));
    let day = (SECONDS_IN_DAY * NANOS_IN_SECOND) as i64;
    let stride = match call.literal(0) {
        Some(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months: 0, days, nanoseconds }))) => {
            let nanoseconds = i64::from(*days).checked_mul(day).and_then(|days| days.checked_add(*nanoseconds));
            nanoseconds.map(Stride::Nanoseconds)
        }
        Some(ScalarValue::IntervalDayTime(Some(IntervalDayTime { days, milliseconds }))) => {
            let nanoseconds =
                i64::from(*days).checked_mul(day).and_then(|d| d.checked_add(i64::from(*milliseconds) * 1_000_000));
            nanoseconds.map(Stride::Nanoseconds)
        }
        Some(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days: 0, nanoseconds: 0 }))) => {
            Some(Stride::Months(*months))
        }
        _ => None,
    };
    let possible = |stride: &Stride| match stride {
        Stride::Nanoseconds(width) => *width > 0 && (!is_time || *width < day),
        Stride::Months(months) => *months > 0 && !is_time,
    };
    let Some(stride) = stride.filter(possible) else {
        return Err(call.refuse("bins have a device form only if their width is a positive constant"));
    };
    let origin = match call.literal(2) {
        None if call.n_args() == 2 => Some(0),
        Some(ScalarValue::TimestampNanosecond(Some(origin), _)) if !is_time => Some(*origin),
        Some(ScalarValue::Time32Second(Some(origin))) => i64::from(*origin).checked_mul(1_000_000_000),
        Some(ScalarValue::Time32Millisecond(Some(origin))) => i64::from(*origin).checked_mul(1_000_000),
        Some(ScalarValue::Time64Microsecond(Some(origin))) => origin.checked_mul(1_000),
        Some(ScalarValue::Time64Nanosecond(Some(origin))) => Some(*origin),
        _ => None,
    };
    let Some(origin) = origin else {
        return Err(call.refuse("an origin must be a constant to have a device form"));
    };
    match operand.data_type {
        DataType::Timestamp(_, _) | DataType::Time32(_) | DataType::Time64(_) => {
            Ok(Node::Function(Function::DateBin(DateBin { stride, origin }), vec![operand]))
        }
        ref other => Err(call.refuse(format!("bins of {other} have no device form"))),
    }
}
