//! Lowers `make_date`, `make_time`, and `to_timestamp` of floats.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::time::calendar::{CHRONO_DAYS, Civil, NANOS_IN_SECOND};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{I64, Int, Limbs, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::{Comparison, Value};
use crate::program::ElementType::{F64, S64};

impl Tracer {
    pub fn make_date(&mut self, year: &TracedColumn, month: &TracedColumn, day: &TracedColumn) -> Result<TracedColumn> {
        let valid = self.all_valid(&[year, month, day])?;
        let month = self.field(month, Range::new(1, 12), valid, "Month value")?;
        let day = self.field(day, Range::new(1, 31), valid, "Day value")?;
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
        let hour = self.field(hour, Range::new(0, 23), valid, "Hour value")?;
        let minute = self.field(minute, Range::new(0, 59), valid, "Minute value")?;
        let second = self.field(second, Range::new(0, 59), valid, "Second value")?;
        let minutes = self.times(&hour, 60)?;
        let minutes = self.plus(&minutes, &minute)?;
        let seconds = self.times(&minutes, 60)?;
        let seconds = self.plus(&seconds, &second)?;
        let data_type = DataType::Time32(TimeUnit::Second);
        Ok(TracedColumn { values: Values::Int(seconds), valid, data_type, dictionary: None })
    }

    /// A field of a date or time. Rows outside `limits` fail with `message`.
    fn field(&mut self, column: &TracedColumn, limits: Range, valid: Option<Value>, message: &str) -> Result<Int> {
        self.confine_or_fail(column.int()?, &limits, valid, ExpressionError::execution(message))
    }

    /// `to_timestamp` of floats: seconds become nanoseconds.
    pub fn timestamp_from_float(&mut self, operand: &TracedColumn, to: &DataType) -> Result<TracedColumn> {
        let value = self.builder.convert(operand.float()?, F64)?;
        let billion = self.float_parameter(F64, NANOS_IN_SECOND as f64);
        let nanos = self.float_arithmetic(ArithmeticOp::Multiply, value, billion)?;
        // Converts as Rust's `as` does: saturates, and gives 0 for NaN.
        let int = Int { limbs: Limbs::Narrow(self.builder.convert(nanos, S64)?), range: type_range(to)? };
        let int = self.bounded(&int, I64)?;
        Ok(TracedColumn { values: Values::Int(int), data_type: to.clone(), ..operand.clone() })
    }
}
