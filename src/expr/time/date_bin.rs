//! `date_bin`: timestamps and times to the start of their bin (DataFusion's `date_bin.rs`). What leaves 64 bits of
//! nanoseconds on the way is NULL.

use datafusion::arrow::datatypes::{DataType, IntervalDayTime, IntervalMonthDayNano, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::functions::{Call, Converted, Function};
use crate::expr::ir::{ArithmeticOp, Node};
use crate::expr::time::calendar::{I64, NANOS_IN_SECOND, SECONDS_IN_DAY, civil_from_days};
use crate::expr::time::date_trunc::nanos_per;
use crate::expr::tracer::integer::Int;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Value};

/// Bins of a width from an origin on.
#[derive(Clone, Debug, PartialEq)]
pub struct DateBin {
    stride: Stride,
    /// In nanoseconds.
    origin: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stride {
    Nanoseconds(i64),
    Months(i32),
}

pub fn convert(call: &Call) -> Converted {
    let operand = call.arg(1)?;
    let is_time = matches!(operand.data_type, DataType::Time32(_) | DataType::Time64(_));
    let day = (SECONDS_IN_DAY * NANOS_IN_SECOND) as i64;
    let stride = match call.literal(0) {
        Some(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months: 0, days, nanoseconds }))) => {
            let nanoseconds = i64::from(*days).checked_mul(day).and_then(|days| days.checked_add(*nanoseconds));
            nanoseconds.map(Stride::Nanoseconds)
        }
        Some(ScalarValue::IntervalDayTime(Some(IntervalDayTime { days, milliseconds }))) => {
            let nanoseconds =
                i64::from(*days).checked_mul(day).and_then(|d| d.checked_add(i64::from(*milliseconds) * 1_000_000));
            nanoseconds.map(Stride::Nanoseconds)
        }
        Some(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days: 0, nanoseconds: 0 }))) => {
            Some(Stride::Months(*months))
        }
        _ => None,
    };
    let possible = |stride: &Stride| match stride {
        Stride::Nanoseconds(width) => *width > 0 && (!is_time || *width < day),
        Stride::Months(months) => *months > 0 && !is_time,
    };
    let Some(stride) = stride.filter(possible) else {
        return Err(call.refuse("bins that are no positive constant have no device form"));
    };
    let origin = match call.literal(2) {
        None if call.n_args() == 2 => Some(0),
        Some(ScalarValue::TimestampNanosecond(Some(origin), _)) if !is_time => Some(*origin),
        Some(ScalarValue::Time32Second(Some(origin))) => i64::from(*origin).checked_mul(1_000_000_000),
        Some(ScalarValue::Time32Millisecond(Some(origin))) => i64::from(*origin).checked_mul(1_000_000),
        Some(ScalarValue::Time64Microsecond(Some(origin))) => origin.checked_mul(1_000),
        Some(ScalarValue::Time64Nanosecond(Some(origin))) => Some(*origin),
        _ => None,
    };
    let Some(origin) = origin else {
        return Err(call.refuse("an origin that is no constant has no device form"));
    };
    match operand.data_type {
        DataType::Timestamp(_, _) | DataType::Time32(_) | DataType::Time64(_) => {
            Ok(Node::Function(Function::DateBin(DateBin { stride, origin }), vec![operand]))
        }
        ref other => Err(call.refuse(format!("bins of {other} have no device form"))),
    }
}

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

    /// The origin moved by whole bins of months: into the value's month, and one bin back where that is after the value.
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

    /// What is within `limits`; the other rows join `lost`.
    fn keep(&mut self, int: &Int, limits: &Range, lost: &mut Option<Value>) -> Result<Int> {
        let (int, outside) = self.confine(int, limits)?;
        *lost = match (*lost, outside) {
            (Some(a), Some(b)) => Some(self.builder.or(a, b)?),
            (a, b) => a.or(b),
        };
        Ok(int)
    }
}
