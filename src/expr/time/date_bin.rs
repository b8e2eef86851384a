//! Lowers `date_bin`, which moves timestamps and times to the start of their bin (DataFusion's `date_bin.rs`). A row whose
//! nanoseconds overflow 64 bits at any step becomes NULL.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::{ArithmeticOp, DateBin, Stride};
use crate::expr::time::calendar::{NANOS_IN_SECOND, SECONDS_IN_DAY, civil_from_days, nanos_per};
use crate::expr::tracer::integer::{I64, Int};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Value};

impl Tracer {
    pub fn date_bin(&mut self, bin: &DateBin, operand: &TracedColumn) -> Result<TracedColumn> {
        let unit = match &operand.data_type {
            DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => *unit,
            _ => TimeUnit::Nanosecond,
        };
        let scale = nanos_per(unit);
        let mut lost = None;
        let limits = Range::new(I64.min / scale, I64.max / scale);
        let value = self.keep(operand.int()?, &limits, &mut lost)?;
        let value = self.times(&value, scale)?;
        let mut binned = match bin.stride {
            Stride::Nanoseconds(width) => self.bin_of_width(width, bin.origin, &value, &mut lost)?,
            Stride::Months(months) => self.bin_of_months(months.into(), bin.origin, &value)?,
        };
        binned = self.keep(&binned, &I64, &mut lost)?;
        if !matches!(operand.data_type, DataType::Timestamp(_, _)) {
            let day = self.constant_int(SECONDS_IN_DAY * NANOS_IN_SECOND);
            binned = self.exact(ArithmeticOp::Remainder, &binned, &day)?.int;
        }
        let binned = self.cut(&binned, scale)?;
        let mut valid = operand.valid;
        if let Some(lost) = lost {
            let kept = self.builder.not(lost)?;
            valid = and_valid(&mut self.builder, valid, Some(kept))?;
        }
        Ok(TracedColumn { values: Values::Int(binned), valid, ..operand.clone() })
    }

    fn bin_of_width(&mut self, width: i64, origin: i64, value: &Int, lost: &mut Option<Value>) -> Result<Int> {
        let (stride, origin) = (self.int_parameter(width.into()), self.int_parameter(origin.into()));
        let distance = self.minus(value, &origin)?;
        let distance = self.keep(&distance, &I64, lost)?;
        let rest = self.exact(ArithmeticOp::Remainder, &distance, &stride)?.int;
        let whole = self.minus(&distance, &rest)?;
        let whole = self.keep(&whole, &I64, lost)?;
        let below = if distance.range.min < 0 && width > 1 {
            let zero = self.constant_int(0);
            let negative = self.compare_int(&rest, &zero, Comparison::Lt)?;
            let down = self.minus(&whole, &stride)?;
            let down = self.select_int(negative, &down, &whole)?;
            self.keep(&down, &I64, lost)?
        } else {
            whole
        };
        self.plus(&origin, &below)
    }

    /// Moves the origin by whole bins of months into the month of the value, and one bin back if that is after the value.
    fn bin_of_months(&mut self, months: i128, origin: i64, value: &Int) -> Result<Int> {
        let day = SECONDS_IN_DAY * NANOS_IN_SECOND;
        let (origin_day, of_day) = (i128::from(origin).div_euclid(day), i128::from(origin).rem_euclid(day));
        let (year, month, _) = civil_from_days(origin_day);
        let (days, _) = self.floor_divide(value, day)?;
        let date = self.civil(&days)?;
        let distance = self.times(&date.year, 12)?;
        let distance = self.plus(&distance, &date.month)?;
        let origin_month = self.int_parameter(year * 12 + month);
        let distance = self.minus(&distance, &origin_month)?;
        let (bins, _) = self.floor_divide(&distance, months)?;
        let (origin_day, of_day) = (self.int_parameter(origin_day), self.int_parameter(of_day));
        let mut begins = Vec::with_capacity(2);
        for back in [0, -1] {
            let bins = self.plus_constant(&bins, back)?;
            let shift = self.times(&bins, months)?;
            let days = self.add_months(&origin_day, &shift)?;
            let midnight = self.times(&days, day)?;
            begins.push(self.plus(&midnight, &of_day)?);
        }
        let late = self.compare_int(&begins[0], value, Comparison::Gt)?;
        self.select_int(late, &begins[1], &begins[0])
    }

    /// Confines to `limits`, and adds the other rows to `lost`.
    fn keep(&mut self, int: &Int, limits: &Range, lost: &mut Option<Value>) -> Result<Int> {
        let (int, outside) = self.confine(int, limits)?;
        *lost = match (*lost, outside) {
            (Some(a), Some(b)) => Some(self.builder.or(a, b)?),
            (a, b) => a.or(b),
        };
        Ok(int)
    }
}
