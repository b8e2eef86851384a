//! Dates and timestamps split into days and the time of day, as a clock in their zone shows them.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::expr::time::calendar::{CHRONO_DAYS, SECONDS_IN_DAY, per_second};
use crate::expr::tracer::Tracer;
use crate::expr::tracer::integer::Int;
use crate::hlo::Value;

/// A column of dates or timestamps in its zone: days since 1970, and units since midnight.
pub struct Clock {
    pub days: Int,
    pub of_day: Int,
    /// Units in a second.
    pub per_second: i128,
    /// Rows beyond the years that chrono knows.
    pub unknown: Option<Value>,
}

impl Tracer {
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

    pub fn days_from_monday(&mut self, days: &Int) -> Result<Int> {
        let shifted = self.plus_constant(days, 3)?;
        Ok(self.floor_divide(&shifted, 7)?.1)
    }
}
