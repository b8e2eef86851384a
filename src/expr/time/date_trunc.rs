//! `date_trunc` of timestamps and times (DataFusion's `date_trunc.rs`).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::expr::functions::{Call, Converted, Function};
use crate::expr::ir::{ArithmeticOp, Node};
use crate::expr::time::calendar::{Civil, I64, NANOS_IN_SECOND, SECONDS_IN_DAY, offset_of, per_second};
use crate::expr::tracer::integer::Int;
use crate::expr::tracer::{TracedColumn, Tracer, Values};

/// What a timestamp is cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTrunc {
    /// So many nanoseconds, up to a day.
    Nanos(i128),
    Week,
    Month,
    Quarter,
    Year,
}

const OUT_OF_RANGE: &str = "Execution error: Timestamp out of range";

pub fn convert(call: &Call) -> Converted {
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
    match &operand.data_type {
        zoned @ DataType::Timestamp(_, _) => {
            let below_an_hour = matches!(to, DateTrunc::Nanos(nanos) if nanos < 3600 * NANOS_IN_SECOND);
            if !below_an_hour && offset_of(zoned).is_none() {
                return Err(call.refuse("the offset of this time zone varies, which has no device form yet"));
            }
        }
        DataType::Time32(_) | DataType::Time64(_) if matches!(to, DateTrunc::Nanos(nanos) if nanos < SECONDS_IN_DAY * NANOS_IN_SECOND) =>
            {}
        other => return Err(call.refuse(format!("{other} cut to this precision has no device form"))),
    }
    Ok(Node::Function(Function::DateTrunc(to), vec![operand]))
}

/// Nanoseconds of one unit.
pub fn nanos_per(unit: TimeUnit) -> i128 {
    NANOS_IN_SECOND / per_second(unit)
}

impl Tracer {
    pub fn date_trunc(&mut self, to: DateTrunc, operand: &TracedColumn) -> Result<TracedColumn> {
        let int = *operand.int()?;
        let cut = match (&operand.data_type, to) {
            (DataType::Time32(unit) | DataType::Time64(unit), DateTrunc::Nanos(nanos)) => {
                match nanos / nanos_per(*unit) {
                    0 | 1 => int,
                    units => {
                        let by = self.constant_int(units);
                        let rest = self.exact(ArithmeticOp::Remainder, &int, &by)?.int;
                        let cut = self.minus(&int, &rest)?;
                        self.bounded(&cut, crate::expr::lower::arithmetic::type_range(&operand.data_type)?)?
                    }
                }
            }
            (DataType::Timestamp(unit, zone), DateTrunc::Nanos(nanos))
                if zone.is_none() || nanos < 3600 * NANOS_IN_SECOND =>
            {
                match nanos / nanos_per(*unit) {
                    0 | 1 => int,
                    units => {
                        let (quotient, _) = self.floor_divide(&int, units)?;
                        let cut = self.times(&quotient, units)?;
                        self.confine_or_fail(&cut, &I64, operand.valid, OUT_OF_RANGE)?
                    }
                }
            }
            (DataType::Timestamp(unit, _), _) => self.cut_to_calendar(to, &int, *unit, operand)?,
            (other, _) => return datafusion::common::internal_err!("date_trunc of {other}"),
        };
        Ok(TracedColumn { values: Values::Int(cut), ..operand.clone() })
    }

    /// DataFusion goes by way of nanoseconds, and fails where 64 bits do not hold them.
    fn cut_to_calendar(&mut self, to: DateTrunc, int: &Int, unit: TimeUnit, operand: &TracedColumn) -> Result<Int> {
        let scale = nanos_per(unit);
        let limits = crate::columnar::range::Range::new(I64.min / scale, I64.max / scale);
        let int = self.confine_or_fail(int, &limits, operand.valid, OUT_OF_RANGE)?;
        let offset = offset_of(&operand.data_type).unwrap_or(0) * per_second(unit);
        let cut = match to {
            DateTrunc::Nanos(nanos) => {
                let local = self.plus_constant(&int, offset)?;
                let (quotient, _) = self.floor_divide(&local, nanos / scale)?;
                self.times(&quotient, nanos / scale)?
            }
            _ => {
                let clock = self.clock(&int, &operand.data_type)?;
                let days = self.first_day(to, &clock.days)?;
                self.times(&days, SECONDS_IN_DAY * per_second(unit))?
            }
        };
        let cut = self.plus_constant(&cut, -offset)?;
        self.confine_or_fail(&cut, &limits, operand.valid, OUT_OF_RANGE)
    }

    fn first_day(&mut self, to: DateTrunc, days: &Int) -> Result<Int> {
        if to == DateTrunc::Week {
            let monday = self.days_from_monday(days)?;
            return self.minus(days, &monday);
        }
        let date = self.civil(days)?;
        let day = self.constant_int(1);
        let month = match to {
            DateTrunc::Month => date.month,
            DateTrunc::Quarter => {
                let before = self.plus_constant(&date.month, -1)?;
                let quarter = self.cut(&before, 3)?;
                let month = self.times(&quarter, 3)?;
                self.plus_constant(&month, 1)?
            }
            _ => day,
        };
        self.days(&Civil { year: date.year, month, day })
    }
}
