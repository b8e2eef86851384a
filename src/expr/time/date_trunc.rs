//! Lowers `date_trunc` on timestamps and times (DataFusion's `date_trunc.rs`).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::{ArithmeticOp, DateTrunc};
use crate::expr::time::calendar::{Civil, NANOS_IN_SECOND, SECONDS_IN_DAY, nanos_per, offset_of, per_second};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{I64, Int, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values};

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
                        self.bounded(&cut, type_range(&operand.data_type)?)?
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
                        self.confine_or_fail(&cut, &I64, operand.valid, out_of_range())?
                    }
                }
            }
            (DataType::Timestamp(unit, _), _) => self.cut_to_calendar(to, &int, *unit, operand)?,
            (other, _) => return datafusion::common::internal_err!("date_trunc of {other}"),
        };
        Ok(TracedColumn { values: Values::Int(cut), ..operand.clone() })
    }

    /// Truncates to a calendar unit. DataFusion converts to nanoseconds first, and fails if they do not fit 64 bits.
    fn cut_to_calendar(&mut self, to: DateTrunc, int: &Int, unit: TimeUnit, operand: &TracedColumn) -> Result<Int> {
        let scale = nanos_per(unit);
        let limits = Range::new(I64.min / scale, I64.max / scale);
        let int = self.confine_or_fail(int, &limits, operand.valid, out_of_range())?;
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
        self.confine_or_fail(&cut, &limits, operand.valid, out_of_range())
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

fn out_of_range() -> ExpressionError {
    ExpressionError::execution("Timestamp out of range")
}
