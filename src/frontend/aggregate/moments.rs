//! The moments of a group as they grow: shifted by a value of the group, so that values far from zero lose nothing, and with
//! compensated sums. Groups merge by moving one to the shift of the other (Chan, Golub and LeVeque, "Updating Formulae and a
//! Pairwise Algorithm for Computing Sample Variances", 1979).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::error::Result;

use crate::frontend::aggregate::double_double::DoubleDouble;
use crate::frontend::aggregate::number::double_doubles;
use crate::frontend::aggregate::state::AggregateState;
use crate::frontend::aggregate::statistic::Summary;

/// Which part of a sum of squares has to remain, so that its 106 bits leave the remainder more than a double's.
const REMAINS: f64 = 1e-14;

/// Double-doubles of a state.
const PARTS: usize = 7;

/// The moments of one group about a shift.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    /// Rows without NULL.
    count: i64,
    /// Those with NaN or an infinity, which are in no sum.
    not_finite: i64,
    shift: [DoubleDouble; 2],
    /// Of the differences to the shift.
    sum: [DoubleDouble; 2],
    /// Of products of differences: xx, yy, xy.
    products: [DoubleDouble; 3],
    /// The largest that the products xx and yy have been.
    largest: [f64; 2],
}

impl AggregateState for Moments {
    /// x and y.
    type Row = [DoubleDouble; 2];

    fn rows(arguments: &[ArrayRef]) -> Result<Vec<Option<Self::Row>>> {
        // The first argument is y; one argument is its own partner.
        let columns = arguments.iter().map(double_doubles).collect::<Result<Vec<_>>>()?;
        let row_count = columns.first().map_or(0, Vec::len);
        Ok((0..row_count).map(|row| Some([columns.last()?[row]?, columns.first()?[row]?])).collect())
    }

    fn add(&mut self, row: Self::Row) {
        self.count += 1;
        if !(row[0].hi.is_finite() && row[1].hi.is_finite()) {
            self.not_finite += 1;
            return;
        }
        if self.count - self.not_finite == 1 {
            *self = Self { count: self.count, not_finite: self.not_finite, shift: row, ..Self::default() };
            return;
        }
        let (x, y) = (row[0] - self.shift[0], row[1] - self.shift[1]);
        self.sum = [self.sum[0] + x, self.sum[1] + y];
        self.products = [self.products[0] + x.square(), self.products[1] + y.square(), self.products[2] + x * y];
        (0..2).for_each(|axis| self.largest[axis] = self.largest[axis].max(self.products[axis].hi));
    }

    fn remove(&mut self, row: Self::Row) {
        self.count -= 1;
        if !(row[0].hi.is_finite() && row[1].hi.is_finite()) {
            self.not_finite -= 1;
            return;
        }
        let (x, y) = (row[0] - self.shift[0], row[1] - self.shift[1]);
        self.sum = [self.sum[0] - x, self.sum[1] - y];
        self.products = [self.products[0] - x.square(), self.products[1] - y.square(), self.products[2] - x * y];
        // The value that gave the shift may have left: the shift follows the mean.
        let n = self.finite();
        if n > 0.0 {
            self.move_by([self.sum[0].over(n).hi.into(), self.sum[1].over(n).hi.into()]);
        }
    }

    fn is_doubtful(&self) -> bool {
        let products = |axis: usize| self.products[axis].hi;
        (0..2).any(|axis| products(axis).is_nan() || products(axis) < self.largest[axis] * REMAINS)
    }

    fn merge(&mut self, other: &Self) {
        let (mine, mut other) = (self.finite(), *other);
        let not_finite = self.not_finite + other.not_finite;
        let count = self.count + other.count;
        if mine == 0.0 {
            *self = other;
        } else if other.finite() > 0.0 {
            let distance = |axis: usize| self.shift[axis] - other.shift[axis];
            other.move_by([distance(0), distance(1)]);
            (0..2).for_each(|axis| self.sum[axis] = self.sum[axis] + other.sum[axis]);
            (0..3).for_each(|axis| self.products[axis] = self.products[axis] + other.products[axis]);
        }
        (self.count, self.not_finite) = (count, not_finite);
    }

    fn fields() -> Vec<(&'static str, DataType)> {
        let doubles = [
            "shift_x",
            "shift_x_lo",
            "shift_y",
            "shift_y_lo",
            "sum_x",
            "sum_x_lo",
            "sum_y",
            "sum_y_lo",
            "xx",
            "xx_lo",
            "yy",
            "yy_lo",
            "xy",
            "xy_lo",
        ];
        let counts = ["count", "not_finite"].map(|name| (name, DataType::Int64));
        counts.into_iter().chain(doubles.map(|name| (name, DataType::Float64))).collect()
    }

    fn encode(states: &[Self]) -> Vec<ArrayRef> {
        let counts = [
            Int64Array::from_iter_values(states.iter().map(|state| state.count)),
            Int64Array::from_iter_values(states.iter().map(|state| state.not_finite)),
        ];
        let part = |at: usize, of: fn(DoubleDouble) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(states.iter().map(|state| of(state.parts()[at]))))
        };
        let parts = (0..PARTS).flat_map(|at| [part(at, |part| part.hi), part(at, |part| part.lo)]);
        counts.into_iter().map(|counts| Arc::new(counts) as ArrayRef).chain(parts).collect()
    }

    fn decode(arrays: &[ArrayRef]) -> Vec<Self> {
        let counts = |at: usize| arrays[at].as_primitive::<Int64Type>();
        let double = |at: usize, row: usize| arrays[at].as_primitive::<Float64Type>().value(row);
        let state = |row: usize| {
            let part = |at: usize| DoubleDouble { hi: double(2 + 2 * at, row), lo: double(3 + 2 * at, row) };
            Self {
                count: counts(0).value(row),
                not_finite: counts(1).value(row),
                shift: [part(0), part(1)],
                sum: [part(2), part(3)],
                products: [part(4), part(5), part(6)],
                largest: [0.0; 2],
            }
        };
        (0..arrays[0].len()).map(state).collect()
    }
}

impl Moments {
    /// Means and sums of products of deviations, of arguments that were scaled up by these factors.
    pub fn summary(&self, factor: [f64; 2]) -> Summary {
        if self.not_finite > 0 {
            let nan = f64::NAN;
            return Summary { count: self.count, mean_x: nan, mean_y: nan, sxx: nan, syy: nan, sxy: nan };
        }
        let n = self.finite().max(1.0);
        let mean = |axis: usize| ((self.shift[axis] + self.sum[axis].over(n)).to_f64()) / factor[axis];
        let deviations = |products: usize, a: usize, b: usize| {
            let about_mean = self.products[products] - (self.sum[a] * self.sum[b]).over(n);
            about_mean.to_f64() / factor[a] / factor[b]
        };
        Summary {
            count: self.count,
            mean_x: mean(0),
            mean_y: mean(1),
            sxx: square_sum(deviations(0, 0, 0)),
            syy: square_sum(deviations(1, 1, 1)),
            sxy: deviations(2, 0, 1),
        }
    }

    fn parts(&self) -> [DoubleDouble; PARTS] {
        let ([shift_x, shift_y], [sum_x, sum_y], [xx, yy, xy]) = (self.shift, self.sum, self.products);
        [shift_x, shift_y, sum_x, sum_y, xx, yy, xy]
    }

    fn finite(&self) -> f64 {
        (self.count - self.not_finite) as f64
    }

    /// Moves the shift.
    fn move_by(&mut self, distance: [DoubleDouble; 2]) {
        let n = self.finite();
        let [x, y] = distance;
        let [sum_x, sum_y] = self.sum;
        self.products[0] = self.products[0] - sum_x * x * 2.0 + x.square() * n;
        self.products[1] = self.products[1] - sum_y * y * 2.0 + y.square() * n;
        self.products[2] = self.products[2] - sum_x * y - sum_y * x + x * y * n;
        self.sum = [sum_x - x * n, sum_y - y * n];
        self.shift = [self.shift[0] + x, self.shift[1] + y];
    }
}

/// A sum of squares: not below zero, and infinite where finite numbers have exceeded a double.
fn square_sum(value: f64) -> f64 {
    if value.is_nan() { f64::INFINITY } else { value.max(0.0) }
}
