//! Lowers `date_part` and EXTRACT on dates, times, timestamps and durations (DataFusion's `date_part.rs`, arrow's
//! `temporal.rs`).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::expr::ir::{ArithmeticOp, DatePart};
use crate::expr::time::calendar::{NANOS_IN_SECOND, SECONDS_IN_DAY, per_second};
use crate::expr::tracer::integer::Int;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::Value;
use crate::program::ElementType::F64;

impl Tracer {
    pub fn date_part(&mut self, part: DatePart, operand: &TracedColumn, data_type: &DataType) -> Result<TracedColumn> {
        let int = *operand.int()?;
        if part == DatePart::Epoch {
            let values = Values::Float(self.epoch(&int, &operand.data_type)?);
            return Ok(TracedColumn { values, valid: operand.valid, data_type: data_type.clone(), dictionary: None });
        }
        let (value, unknown) = match &operand.data_type {
            DataType::Date32 | DataType::Date64 if part.is_of_day() && !has_clock(part, &operand.data_type) => {
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
                let value = match part.is_of_day() {
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
            // These fields include the seconds, as in PostgreSQL.
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
            // 1970-01-01 was a Thursday.
            DatePart::DayOfWeek => {
                let shifted = self.plus_constant(days, 4)?;
                Ok(self.floor_divide(&shifted, 7)?.1)
            }
            DatePart::IsoDayOfWeek => {
                let monday = self.days_from_monday(days)?;
                self.plus_constant(&monday, 1)
            }
            // The ISO year and week of a day are those of the Thursday in its week.
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

    /// The day of the year, from 1.
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

/// Whether arrow reads a time of day from this type of date. A Date64 has hours, minutes and seconds; DataFusion ignores
/// fractions of its seconds.
fn has_clock(part: DatePart, data_type: &DataType) -> bool {
    *data_type == DataType::Date64 && matches!(part, DatePart::Hour | DatePart::Minute | DatePart::Second)
}
