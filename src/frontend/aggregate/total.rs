//! The totals of integers, decimals, durations and intervals: exact in 128 bits, those of DECIMAL(76) and of intervals in 256, and
//! checked in the end.

use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Int64Type, IntervalDayTime, IntervalDayTimeType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, TimeUnit, UInt64Type, i256,
};
use datafusion::common::{ScalarValue, exec_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use crate::error::sum_out_of_range;
use crate::frontend::aggregate::interval::Interval;

/// A total in the making.
pub trait Total: Copy + Default + Debug + PartialEq + Send + Sync + 'static {
    /// The type of a total between two phases: its bits, whatever the digits.
    const STATE: DataType;

    /// The sum of two; `None` if it needs more bits.
    fn plus(self, other: Self) -> Option<Self>;

    fn minus(self, other: Self) -> Option<Self>;

    /// Calls `add` with the row and value of each valid row that passes the filter.
    fn each(values: &ArrayRef, filter: Option<&BooleanArray>, add: impl FnMut(usize, Self) -> Result<()>)
    -> Result<()>;

    /// Whether it is a value of the result's type.
    fn fits(self, result: &DataType) -> bool;

    /// Totals that fit the result's type, as that type.
    fn array(totals: Vec<Option<Self>>, result: &DataType) -> Result<ArrayRef>;

    fn states(totals: Vec<Option<Self>>) -> ArrayRef;
}

impl Total for i128 {
    const STATE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }

    fn each(
        values: &ArrayRef,
        filter: Option<&BooleanArray>,
        mut add: impl FnMut(usize, Self) -> Result<()>,
    ) -> Result<()> {
        macro_rules! rows {
            ($type:ty) => {
                rows(values.as_primitive::<$type>(), filter, |row, value| add(row, value.into()))
            };
        }
        match values.data_type() {
            DataType::Int64 => rows!(Int64Type),
            DataType::UInt64 => rows!(UInt64Type),
            DataType::Decimal32(..) => rows!(Decimal32Type),
            DataType::Decimal64(..) => rows!(Decimal64Type),
            DataType::Decimal128(..) => rows!(Decimal128Type),
            DataType::Duration(TimeUnit::Second) => rows!(DurationSecondType),
            DataType::Duration(TimeUnit::Millisecond) => rows!(DurationMillisecondType),
            DataType::Duration(TimeUnit::Microsecond) => rows!(DurationMicrosecondType),
            DataType::Duration(TimeUnit::Nanosecond) => rows!(DurationNanosecondType),
            other => internal_err!("an exact sum of {other}"),
        }
    }

    fn fits(self, result: &DataType) -> bool {
        match result {
            DataType::Int64 | DataType::Duration(_) => i64::try_from(self).is_ok(),
            DataType::UInt64 => u64::try_from(self).is_ok(),
            DataType::Decimal32(precision, _)
            | DataType::Decimal64(precision, _)
            | DataType::Decimal128(precision, _) => self.unsigned_abs() < 10u128.pow(u32::from(*precision)),
            _ => false,
        }
    }

    fn array(totals: Vec<Option<Self>>, result: &DataType) -> Result<ArrayRef> {
        let totals = totals.into_iter();
        let integers = |totals: std::vec::IntoIter<Option<i128>>| {
            PrimitiveArray::<Int64Type>::from_iter(totals.map(|total| total.map(|total| total as i64)))
        };
        Ok(match result {
            DataType::Int64 => Arc::new(integers(totals)),
            DataType::Duration(_) => cast(&integers(totals), result)?,
            DataType::UInt64 => Arc::new(PrimitiveArray::<UInt64Type>::from_iter(totals.map(|t| t.map(|t| t as u64)))),
            DataType::Decimal32(..) => {
                let totals = PrimitiveArray::<Decimal32Type>::from_iter(totals.map(|t| t.map(|t| t as i32)));
                Arc::new(totals.with_data_type(result.clone()))
            }
            DataType::Decimal64(..) => {
                let totals = PrimitiveArray::<Decimal64Type>::from_iter(totals.map(|t| t.map(|t| t as i64)));
                Arc::new(totals.with_data_type(result.clone()))
            }
            DataType::Decimal128(..) => {
                Arc::new(PrimitiveArray::<Decimal128Type>::from_iter(totals).with_data_type(result.clone()))
            }
            other => return internal_err!("an exact sum as {other}"),
        })
    }

    fn states(totals: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(PrimitiveArray::<Decimal128Type>::from_iter(totals).with_data_type(Self::STATE))
    }
}

impl Total for i256 {
    const STATE: DataType = DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0);

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }

    fn each(
        values: &ArrayRef,
        filter: Option<&BooleanArray>,
        mut add: impl FnMut(usize, Self) -> Result<()>,
    ) -> Result<()> {
        let packed = |months: i32, days: i32, parts: i64| {
            Interval { months: months.into(), days: days.into(), parts: parts.into() }.pack()
        };
        match values.data_type() {
            DataType::Decimal256(..) => rows(values.as_primitive::<Decimal256Type>(), filter, add),
            DataType::Interval(IntervalUnit::YearMonth) => {
                let values = values.as_primitive::<IntervalYearMonthType>();
                rows(values, filter, |row, months| add(row, packed(months, 0, 0)))
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                let values = values.as_primitive::<IntervalDayTimeType>();
                rows(values, filter, |row, v| add(row, packed(0, v.days, v.milliseconds.into())))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let values = values.as_primitive::<IntervalMonthDayNanoType>();
                rows(values, filter, |row, v| add(row, packed(v.months, v.days, v.nanoseconds)))
            }
            other => internal_err!("an exact sum of {other}"),
        }
    }

    fn fits(self, result: &DataType) -> bool {
        match result {
            DataType::Decimal256(precision, _) => {
                let limit = Self::from_i128(10).checked_pow(u32::from(*precision));
                limit.is_some_and(|limit| self < limit && self > limit.wrapping_neg())
            }
            DataType::Interval(unit) => {
                let Interval { months, days, parts } = Interval::unpack(self);
                let is_time = match unit {
                    IntervalUnit::MonthDayNano => i64::try_from(parts).is_ok(),
                    IntervalUnit::YearMonth | IntervalUnit::DayTime => i32::try_from(parts).is_ok(),
                };
                i32::try_from(months).is_ok() && i32::try_from(days).is_ok() && is_time
            }
            _ => false,
        }
    }

    fn array(totals: Vec<Option<Self>>, result: &DataType) -> Result<ArrayRef> {
        let intervals = totals.iter().map(|total| total.map(Interval::unpack));
        Ok(match result {
            DataType::Interval(IntervalUnit::YearMonth) => {
                Arc::new(PrimitiveArray::<IntervalYearMonthType>::from_iter(
                    intervals.map(|interval| interval.map(|interval| interval.months as i32)),
                ))
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                let value = |v: Interval| IntervalDayTime::new(v.days as i32, v.parts as i32);
                Arc::new(PrimitiveArray::<IntervalDayTimeType>::from_iter(
                    intervals.map(|interval| interval.map(value)),
                ))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let value = |v: Interval| IntervalMonthDayNano::new(v.months as i32, v.days as i32, v.parts as i64);
                Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from_iter(
                    intervals.map(|interval| interval.map(value)),
                ))
            }
            _ => Arc::new(PrimitiveArray::<Decimal256Type>::from_iter(totals).with_data_type(result.clone())),
        })
    }

    fn states(totals: Vec<Option<Self>>) -> ArrayRef {
        Arc::new(PrimitiveArray::<Decimal256Type>::from_iter(totals).with_data_type(Self::STATE))
    }
}

fn rows<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    filter: Option<&BooleanArray>,
    mut add: impl FnMut(usize, T::Native) -> Result<()>,
) -> Result<()> {
    if filter.is_none() && values.null_count() == 0 {
        return values.values().iter().enumerate().try_for_each(|(row, value)| add(row, *value));
    }
    let passes = |row: &usize| filter.is_none_or(|filter| filter.is_valid(*row) && filter.value(*row));
    let valid = |row: &usize| values.is_valid(*row);
    (0..values.len()).filter(valid).filter(passes).try_for_each(|row| add(row, values.value(row)))
}

fn out_of_range<T>(result: &DataType) -> Result<T> {
    exec_err!("{}", sum_out_of_range(result))
}

/// The total if it is a value of the result's type.
fn checked<T: Total>(total: T, result: &DataType) -> Result<T> {
    if total.fits(result) { Ok(total) } else { out_of_range(result) }
}

fn only(values: &[ArrayRef]) -> Result<&ArrayRef> {
    match values {
        [values] => Ok(values),
        _ => internal_err!("a sum of {} arguments", values.len()),
    }
}

fn in_bits<T: Total>(total: Option<T>, result: &DataType) -> Result<T> {
    total.map_or_else(|| out_of_range(result), Ok)
}

/// The sum of one group, also of a window that slides.
#[derive(Debug)]
pub struct OneTotal<T> {
    total: T,
    /// Rows that are not NULL; in a merge, states.
    rows: u64,
    result: DataType,
}

impl<T: Total> OneTotal<T> {
    pub fn new(result: DataType) -> Self {
        Self { total: T::default(), rows: 0, result }
    }
}

impl<T: Total> Accumulator for OneTotal<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Self { total, rows, result } = self;
        T::each(only(values)?, None, |_, value| {
            *total = in_bits(total.plus(value), result)?;
            *rows += 1;
            Ok(())
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Self { total, rows, result } = self;
        T::each(only(values)?, None, |_, value| {
            *total = in_bits(total.minus(value), result)?;
            *rows -= 1;
            Ok(())
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.rows == 0 {
            return ScalarValue::try_new_null(&self.result);
        }
        let total = checked(self.total, &self.result)?;
        ScalarValue::try_from_array(&T::array(vec![Some(total)], &self.result)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let total = (self.rows > 0).then_some(self.total);
        Ok(vec![ScalarValue::try_from_array(&T::states(vec![total]), 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The sums of many groups.
#[derive(Debug)]
pub struct ManyTotals<T> {
    totals: Vec<T>,
    /// Whether a group has a row that is not NULL.
    seen: Vec<bool>,
    result: DataType,
}

impl<T: Total> ManyTotals<T> {
    pub fn new(result: DataType) -> Self {
        Self { totals: Vec::new(), seen: Vec::new(), result }
    }

    /// The totals of the groups that are emitted; `None` is NULL.
    fn take(&mut self, emit_to: EmitTo) -> impl Iterator<Item = Option<T>> {
        let (totals, seen) = (emit_to.take_needed(&mut self.totals), emit_to.take_needed(&mut self.seen));
        totals.into_iter().zip(seen).map(|(total, seen)| seen.then_some(total))
    }
}

impl<T: Total> GroupsAccumulator for ManyTotals<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.totals.resize(group_count, T::default());
        self.seen.resize(group_count, false);
        let Self { totals, seen, result } = self;
        T::each(only(values)?, filter, |row, value| {
            let group = groups[row];
            totals[group] = in_bits(totals[group].plus(value), result)?;
            seen[group] = true;
            Ok(())
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let result = self.result.clone();
        let totals = self.take(emit_to).map(|total| total.map(|total| checked(total, &result)).transpose());
        T::array(totals.collect::<Result<Vec<_>>>()?, &result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![T::states(self.take(emit_to).collect())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], group_count: usize) -> Result<()> {
        self.update_batch(values, groups, None, group_count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = only(values)?;
        let mut totals = vec![None; values.len()];
        T::each(values, filter, |row, value| {
            totals[row] = Some(value);
            Ok(())
        })?;
        Ok(vec![T::states(totals)])
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<T>() + self.seen.capacity()
    }
}
