//! Lowers the addition of intervals to dates, times and timestamps, and differences of those (arrow-arith `numeric.rs`,
//! DataFusion's `binary.rs`).

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::time::calendar::{CHRONO_DAYS, NANOS_IN_SECOND, SECONDS_IN_DAY, nanos_per, offset_of, per_second};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{I64, Int, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::Value;

impl Tracer {
    /// Adds an interval to `operand`. `subtract` applies to the nanoseconds only: months and days carry their sign.
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
        let overflow = || ExpressionError::compute("Date arithmetic overflow");
        let mut date = self.confine_or_fail(int, &CHRONO_DAYS, valid, overflow())?;
        if months != 0 {
            let months = self.int_parameter(months.into());
            date = self.add_months(&date, &months)?;
            date = self.confine_or_fail(&date, &CHRONO_DAYS, valid, overflow())?;
        }
        if days != 0 {
            let days = self.int_parameter(days.into());
            date = self.plus(&date, &days)?;
            date = self.confine_or_fail(&date, &CHRONO_DAYS, valid, overflow())?;
        }
        let whole_days = self.cut(nanos, SECONDS_IN_DAY * NANOS_IN_SECOND)?;
        date = self.plus(&date, &whole_days)?;
        self.confine_or_fail(&date, &CHRONO_DAYS, valid, overflow())
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
        let overflow = || ExpressionError::compute("Timestamp out of range");
        let per_second = per_second(unit);
        let per_day = SECONDS_IN_DAY * per_second;
        let limits = Range::new(CHRONO_DAYS.min * per_day, (CHRONO_DAYS.max + 1) * per_day - 1);
        let limits = limits.intersection(&I64).unwrap_or(I64);
        let mut time = self.confine_or_fail(int, &limits, valid, overflow())?;
        if months != 0 {
            let clock = self.clock(&time, &operand.data_type)?;
            let months = self.int_parameter(months.into());
            let date = self.add_months(&clock.days, &months)?;
            let date = self.confine_or_fail(&date, &CHRONO_DAYS, valid, overflow())?;
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
        self.confine_or_fail(&time, &limits, valid, overflow())
    }

    /// Subtracts dates, to days, and timestamps, to durations; adds and subtracts durations.
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
        let overflow = || ExpressionError::overflow(format!("Overflow happened on a difference of {}", lhs.data_type));
        let value = match lhs.data_type {
            DataType::Date32 => value,
            DataType::Date64 => {
                let value = self.confine_or_fail(&value, &I64, valid, overflow())?;
                self.cut(&value, SECONDS_IN_DAY * 1_000)?
            }
            _ => {
                let limits = type_range(data_type)?;
                self.confine_or_fail(&value, &limits, valid, overflow())?
            }
        };
        Ok(TracedColumn { values: Values::Int(value), valid, data_type: data_type.clone(), dictionary: None })
    }
}
