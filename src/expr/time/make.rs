//! Functions that make dates, times and timestamps of numbers, and back: `make_date`, `to_timestamp` and the like.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::time::calendar::{CHRONO_DAYS, Civil, NANOS_IN_SECOND};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{I64, Int, Limbs, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::Comparison;
use crate::program::ElementType::{F64, S64};

impl Tracer {
    pub fn make_date(&mut self, year: &TracedColumn, month: &TracedColumn, day: &TracedColumn) -> Result<TracedColumn> {
        let valid = self.all_valid(&[year, month, day])?;
        let month =
            self.confine_or_fail(month.int()?, &Range::new(1, 12), valid, ExpressionError::execution("Month value"))?;
        let day =
            self.confine_or_fail(day.int()?, &Range::new(1, 31), valid, ExpressionError::execution("Day value"))?;
        let unknown = ExpressionError::execution("Unable to parse date");
        let year = self.confine_or_fail(year.int()?, &Range::new(-262_143, 262_142), valid, unknown.clone())?;
        let length = self.month_length(&year, &month)?;
        let too_late = self.compare_int(&day, &length, Comparison::Gt)?;
        self.fail(too_late, valid, unknown)?;
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
        let hour =
            self.confine_or_fail(hour.int()?, &Range::new(0, 23), valid, ExpressionError::execution("Hour value"))?;
        let minute =
            self.confine_or_fail(minute.int()?, &Range::new(0, 59), valid, ExpressionError::execution("Minute value"))?;
        let second =
            self.confine_or_fail(second.int()?, &Range::new(0, 59), valid, ExpressionError::execution("Second value"))?;
        let minutes = self.times(&hour, 60)?;
        let minutes = self.plus(&minutes, &minute)?;
        let seconds = self.times(&minutes, 60)?;
        let seconds: Int = self.plus(&seconds, &second)?;
        let data_type = DataType::Time32(TimeUnit::Second);
        Ok(TracedColumn { values: Values::Int(seconds), valid, data_type, dictionary: None })
    }

    /// Seconds as they are counted in a type that counts nanoseconds, from floats (`to_timestamp`).
    pub fn timestamp_from_float(&mut self, operand: &TracedColumn, to: &DataType) -> Result<TracedColumn> {
        let value = self.builder.convert(operand.float()?, F64)?;
        let billion = self.float_parameter(F64, NANOS_IN_SECOND as f64);
        let nanos = self.float_arithmetic(ArithmeticOp::Multiply, value, billion)?;
        // As Rust's `as`: saturating, and 0 for NaN.
        let int = Int { limbs: Limbs::Narrow(self.builder.convert(nanos, S64)?), range: type_range(to)? };
        let int = self.bounded(&int, I64)?;
        Ok(TracedColumn { values: Values::Int(int), data_type: to.clone(), ..operand.clone() })
    }
}
