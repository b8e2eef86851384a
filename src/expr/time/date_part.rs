//! `date_part` and EXTRACT of dates, times, timestamps and durations (DataFusion's `date_part.rs`, arrow's `temporal.rs`).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::expr::functions::{Call, Converted, Function};
use crate::expr::ir::{ArithmeticOp, Node};
use crate::expr::time::calendar::{CHRONO_DAYS, NANOS_IN_SECOND, SECONDS_IN_DAY, fixed_offset, per_second};
use crate::expr::time::zone;
use crate::expr::tracer::integer::Int;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::Value;
use crate::program::ElementType::F64;

/// A field of a date or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Epoch,
}

/// A column of dates or timestamps in its zone: days since 1970, and units since midnight.
pub struct Clock {
    pub days: Int,
    pub of_day: Int,
    /// Units in a second.
    pub per_second: i128,
    /// Rows beyond the years that chrono knows.
    pub unknown: Option<Value>,
}

/// Only the constant parts that DataFusion takes, by the names that arrow's `IntervalUnit` and DataFusion give them.
fn parse(part: &str) -> Option<DatePart> {
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

impl DatePart {
    /// Whether it is a part of a day.
    fn of_day(self) -> bool {
        use DatePart::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
        matches!(self, Hour | Minute | Second | Millisecond | Microsecond | Nanosecond)
    }
}

pub fn convert(call: &Call) -> Converted {
    let name = call.literal(0).and_then(|part| part.try_as_str().flatten());
    let Some(part) = name.and_then(parse) else {
        return Err(call.refuse("this part has no device form yet"));
    };
    let operand = call.arg(1)?;
    let known = match &operand.data_type {
        DataType::Date32 | DataType::Date64 => true,
        DataType::Timestamp(_, Some(zone)) => fixed_offset(zone).is_some() || zone::is_known(zone),
        DataType::Timestamp(_, None) => true,
        DataType::Time32(_) | DataType::Time64(_) => part.of_day() || part == DatePart::Epoch,
        DataType::Duration(_) => part.of_day() || matches!(part, DatePart::Week | DatePart::Day),
        _ => false,
    };
    // Second, millisecond and the like of a duration are not the rest of a minute.
    let rest = matches!(operand.data_type, DataType::Duration(_))
        && matches!(part, DatePart::Millisecond | DatePart::Microsecond | DatePart::Nanosecond);
    if !known || rest {
        return Err(call.refuse(format!("this part of {} has no device form yet", operand.data_type)));
    }
    Ok(Node::Function(Function::DatePart(part), vec![operand]))
}

impl Tracer {
    pub fn date_part(&mut self, part: DatePart, operand: &TracedColumn, data_type: &DataType) -> Result<TracedColumn> {
        let int = *operand.int()?;
        if part == DatePart::Epoch {
            let values = Values::Float(self.epoch(&int, &operand.data_type)?);
            return Ok(TracedColumn { values, valid: operand.valid, data_type: data_type.clone(), dictionary: None });
        }
        let (value, unknown) = match &operand.data_type {
            DataType::Date32 | DataType::Date64 if part.of_day() && !part.is_clock(&operand.data_type) => {
                (self.constant_int(0), None)
            }
            DataType::Time32(unit) | DataType::Time64(unit) => {
                let day = Range::new(0, SECONDS_IN_DAY * per_second(*unit) - 1);
                let (of_day, outside) = self.confine(&int, &day)?;
                (self.part_of_day(part, &of_day, per_second(*unit))?, outside)
            }
            DataType::Duration(unit) => {
                let seconds = match part {
                    DatePart::Week => 7 * SECONDS_IN_DAY,
                    DatePart::Day => SECONDS_IN_DAY,
                    DatePart::Hour => 3600,
                    DatePart::Minute => 60,
                    _ => 1,
                };
                let value = self.cut(&int, seconds * per_second(*unit))?;
                self.confine(&value, &Range::new(i32::MIN.into(), i32::MAX.into()))?
            }
            dated => {
                let clock = self.clock(&int, dated)?;
                let value = match part.of_day() {
                    true => self.part_of_day(part, &clock.of_day, clock.per_second)?,
                    false => self.part_of_date(part, &clock.days)?,
                };
                (value, clock.unknown)
            }
        };
        let mut valid = operand.valid;
        if let Some(unknown) = unknown {
            let known = self.builder.not(unknown)?;
            valid = and_valid(&mut self.builder, valid, Some(known))?;
        }
        Ok(TracedColumn { values: Values::Int(value), valid, data_type: data_type.clone(), dictionary: None })
    }

    /// Days and time of day of a date or a timestamp.
    pub fn clock(&mut self, int: &Int, data_type: &DataType) -> Result<Clock> {
        let per_second = match data_type {
            DataType::Timestamp(unit, _) => per_second(*unit),
            DataType::Date64 => 1_000,
            _ => 1,
        };
        let (days, of_day) = match data_type {
            DataType::Date32 => (*int, self.constant_int(0)),
            _ => {
                let local = self.wall_clock(int, data_type)?;
                self.floor_divide(&local, SECONDS_IN_DAY * per_second)?
            }
        };
        let (days, unknown) = self.confine(&days, &CHRONO_DAYS)?;
        Ok(Clock { days, of_day, per_second, unknown })
    }

    fn part_of_day(&mut self, part: DatePart, of_day: &Int, per_second: i128) -> Result<Int> {
        match part {
            DatePart::Hour => self.cut(of_day, 3600 * per_second),
            DatePart::Minute => {
                let minutes = self.cut(of_day, 60 * per_second)?;
                Ok(self.floor_divide(&minutes, 60)?.1)
            }
            DatePart::Second => {
                let seconds = self.cut(of_day, per_second)?;
                Ok(self.floor_divide(&seconds, 60)?.1)
            }
            // Seconds count into these, as in PostgreSQL.
            _ => {
                let of_minute = self.floor_divide(of_day, 60 * per_second)?.1;
                let wanted = match part {
                    DatePart::Millisecond => 1_000,
                    DatePart::Microsecond => 1_000_000,
                    _ => NANOS_IN_SECOND,
                };
                if wanted >= per_second {
                    self.times(&of_minute, wanted / per_second)
                } else {
                    self.cut(&of_minute, per_second / wanted)
                }
            }
        }
    }

    fn part_of_date(&mut self, part: DatePart, days: &Int) -> Result<Int> {
        match part {
            DatePart::Year => Ok(self.civil(days)?.year),
            DatePart::Month => Ok(self.civil(days)?.month),
            DatePart::Day => Ok(self.civil(days)?.day),
            DatePart::Quarter => {
                let month = self.civil(days)?.month;
                let quarter = self.plus_constant(&month, 2)?;
                self.cut(&quarter, 3)
            }
            DatePart::DayOfYear => {
                let year = self.civil(days)?.year;
                self.day_of_year(days, &year)
            }
            // The epoch is a Thursday.
            DatePart::DayOfWeek => {
                let shifted = self.plus_constant(days, 4)?;
                Ok(self.floor_divide(&shifted, 7)?.1)
            }
            DatePart::IsoDayOfWeek => {
                let monday = self.days_from_monday(days)?;
                self.plus_constant(&monday, 1)
            }
            // The year and the week of a day are those of its week's Thursday.
            _ => {
                let monday = self.days_from_monday(days)?;
                let thursday = self.minus(days, &monday)?;
                let thursday = self.plus_constant(&thursday, 3)?;
                let thursday = self.bounded(&thursday, Range::new(days.range.min - 3, days.range.max + 3))?;
                let year = self.civil(&thursday)?.year;
                if part == DatePart::IsoYear {
                    return Ok(year);
                }
                let day = self.day_of_year(&thursday, &year)?;
                let day = self.plus_constant(&day, 6)?;
                self.cut(&day, 7)
            }
        }
    }

    pub fn days_from_monday(&mut self, days: &Int) -> Result<Int> {
        let shifted = self.plus_constant(days, 3)?;
        Ok(self.floor_divide(&shifted, 7)?.1)
    }

    /// From 1.
    fn day_of_year(&mut self, days: &Int, year: &Int) -> Result<Int> {
        let first = self.new_year(year)?;
        let day = self.minus(days, &first)?;
        let day = self.plus_constant(&day, 1)?;
        self.bounded(&day, Range::new(1, 366))
    }

    fn epoch(&mut self, int: &Int, data_type: &DataType) -> Result<Value> {
        let value = self.int_to_float(int, F64)?;
        let (op, by) = match data_type {
            DataType::Date32 => (ArithmeticOp::Multiply, SECONDS_IN_DAY),
            DataType::Date64 => (ArithmeticOp::Divide, 1_000),
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => match unit {
                TimeUnit::Second => return Ok(value),
                unit => (ArithmeticOp::Divide, per_second(*unit)),
            },
            other => return Err(DataFusionError::Internal(format!("the epoch of {other}"))),
        };
        let by = self.float_parameter(F64, by as f64);
        self.float_arithmetic(op, value, by)
    }
}

impl DatePart {
    /// Whether the type has hours: arrow reads them of a Date64, but DataFusion no fractions of a second.
    fn is_clock(self, data_type: &DataType) -> bool {
        *data_type == DataType::Date64 && matches!(self, Self::Hour | Self::Minute | Self::Second)
    }
}
