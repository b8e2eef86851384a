//! The average of integers and durations from their exact sum, and of floats from a compensated one.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::error::Result;

use crate::frontend::aggregate::double_double::DoubleDouble;
use crate::frontend::aggregate::number::integers;
use crate::frontend::aggregate::state::AggregateState;

/// Which part of a sum has to remain, so that its 106 bits leave the remainder more than a double's.
const REMAINS: f64 = 1e-14;

/// The sum of a group, and how many values it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Average {
    count: i64,
    /// Of integers. 128 bits hold the sum of as many as there can be.
    whole: i128,
    /// Of finite floats.
    sum: DoubleDouble,
    /// The largest magnitude that the sum has had.
    largest: f64,
    /// How many are NaN, infinite, and infinite below zero.
    special: [i64; 3],
}

/// A value of the argument.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Integer(i128),
    Float(f64),
}

impl Average {
    /// The average; `None` without values.
    pub fn value(&self) -> Option<f64> {
        let [nan, above, below] = self.special;
        Some(match self.count {
            0 => return None,
            _ if nan > 0 || (above > 0 && below > 0) => f64::NAN,
            _ if above > 0 => f64::INFINITY,
            _ if below > 0 => f64::NEG_INFINITY,
            // One rounding: the quotient is exact up to 53 bits, and beyond them the rest is not seen.
            count if self.whole != 0 => {
                let (count, whole) = (i128::from(count), self.whole);
                (whole / count) as f64 + (whole % count) as f64 / count as f64
            }
            count => self.sum.over(count as f64).to_f64(),
        })
    }

    /// The average of integers, towards zero; `None` without values.
    pub fn integer(&self) -> Option<i64> {
        // It is not larger than the largest of them, all of which are of 64 bits.
        (self.count > 0).then(|| (self.whole / i128::from(self.count)) as i64)
    }

    fn count(&mut self, number: Number, by: i64) {
        self.count += by;
        match number {
            Number::Integer(integer) => self.whole += integer * i128::from(by),
            Number::Float(float) if float.is_finite() => {
                self.sum = self.sum + DoubleDouble::from(float * by as f64);
                self.largest = self.largest.max(self.sum.hi.abs());
            }
            Number::Float(float) if float.is_nan() => self.special[0] += by,
            Number::Float(float) => self.special[if float > 0.0 { 1 } else { 2 }] += by,
        }
    }
}

impl AggregateState for Average {
    type Row = Number;

    fn rows(arguments: &[ArrayRef]) -> Result<Vec<Option<Number>>> {
        let Some(argument) = arguments.first() else { return Ok(Vec::new()) };
        Ok(match argument.data_type() {
            DataType::Float64 => argument.as_primitive::<Float64Type>().iter().map(|v| v.map(Number::Float)).collect(),
            _ => integers(argument)?.into_iter().map(|v| v.map(Number::Integer)).collect(),
        })
    }

    fn add(&mut self, row: Number) {
        self.count(row, 1);
    }

    fn remove(&mut self, row: Number) {
        self.count(row, -1);
    }

    fn is_doubtful(&self) -> bool {
        !self.sum.hi.is_finite() || self.sum.hi.abs() < self.largest * REMAINS
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.whole += other.whole;
        self.sum = self.sum + other.sum;
        (0..3).for_each(|kind| self.special[kind] += other.special[kind]);
    }

    fn fields() -> Vec<(&'static str, DataType)> {
        vec![
            ("count", DataType::Int64),
            ("whole", DataType::Decimal128(38, 0)),
            ("sum", DataType::Float64),
            ("sum_lo", DataType::Float64),
            ("nan", DataType::Int64),
            ("infinite", DataType::Int64),
            ("infinite_below", DataType::Int64),
        ]
    }

    fn encode(states: &[Self]) -> Vec<ArrayRef> {
        let count =
            |of: fn(&Self) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(states.iter().map(of))) };
        let double =
            |of: fn(&Self) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(states.iter().map(of))) };
        let whole = Decimal128Array::from_iter_values(states.iter().map(|state| state.whole));
        vec![
            count(|state| state.count),
            Arc::new(whole.with_data_type(DataType::Decimal128(38, 0))),
            double(|state| state.sum.hi),
            double(|state| state.sum.lo),
            count(|state| state.special[0]),
            count(|state| state.special[1]),
            count(|state| state.special[2]),
        ]
    }

    fn decode(arrays: &[ArrayRef]) -> Vec<Self> {
        let count = |at: usize, row: usize| arrays[at].as_primitive::<Int64Type>().value(row);
        let double = |at: usize, row: usize| arrays[at].as_primitive::<Float64Type>().value(row);
        let state = |row: usize| Self {
            count: count(0, row),
            whole: arrays[1].as_primitive::<Decimal128Type>().value(row),
            sum: DoubleDouble { hi: double(2, row), lo: double(3, row) },
            largest: 0.0,
            special: [count(4, row), count(5, row), count(6, row)],
        };
        (0..arrays[0].len()).map(state).collect()
    }
}
