//! Splits dates and timestamps into days and the time of day, in their local time.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::expr::time::calendar::{CHRONO_DAYS, SECONDS_IN_DAY, per_second};
use crate::expr::tracer::Tracer;
use crate::expr::tracer::integer::Int;
use crate::hlo::Value;

/// A column of dates or timestamps in local time.
pub struct Clock {
    /// Days since 1970.
    pub days: Int,
    /// Units since midnight.
    pub of_day: Int,
    /// Units per second.
    pub per_second: i128,
    /// The rows outside the years that chrono supports.
    pub unknown: Option<Value>,
}

impl Tracer {
    /// The days and the time of day of a date or timestamp column.
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
