//! Traces variances, covariances, correlation and regression. Deviations are taken from a row of the group first, exactly where the
//! argument is an integer or a decimal, then from the mean of those; what the rounding of that mean leaves is subtracted in the
//! end ("corrected two-pass algorithm": Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983).

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::exec::operator::aggregate::holistic::RowCall;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::frontend::statistic::{PRODUCTS_IN_RANGE, Statistic};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::dense_group;
use crate::program::ElementType::{F64, S32, S64};
use crate::program::Shape;

/// One argument, about a row of each group.
struct Argument {
    /// `[slots]` f64: the value of that row.
    shift: Value,
    /// `[rows]` f64: the difference of each row to the row of its group.
    differences: Value,
    /// By how much both are larger than the argument: a decimal's power of ten.
    factor: f64,
}

/// One argument, about the mean.
struct Deviations {
    /// `[slots]` f64
    mean: Value,
    /// `[rows]` f64: the deviation from nearly the mean.
    values: Value,
    /// `[slots]` f64: their sum, zero but for rounding.
    sum: Value,
    factor: f64,
}

impl RowCall<'_> {
    pub(super) fn statistic(&self, t: &mut Tracer, statistic: Statistic) -> Result<TracedColumn> {
        let live = self.counting(t)?;
        let ids = self.ids(t, live)?;
        let counts = self.counts(t, ids)?;
        let count = t.builder.convert(counts, F64)?;
        if statistic == Statistic::Count {
            let value = t.builder.convert(counts, S64)?;
            let range = Range::new(0, self.groups.rows() as i128);
            let values = Values::Int(Int { limbs: Limbs::Narrow(value), range });
            return Ok(TracedColumn { values, valid: None, data_type: self.data_type.clone(), dictionary: None });
        }
        let members = self.members(t, ids)?;
        let mut arguments = Vec::with_capacity(2);
        for column in self.columns {
            let argument = self.about_member(t, column, ids, members, live)?;
            arguments.push(self.about_mean(t, &argument, ids, count)?);
        }
        // One argument is its own partner; of two, the first is y.
        let (Some(y), Some(x)) = (arguments.first(), arguments.last()) else {
            return Err(datafusion::error::DataFusionError::Internal("a statistic of no argument".into()));
        };
        let (mean_y, mean_x) = (y.mean, x.mean);
        let sxx = self.products(t, x, x, ids, count)?;
        let (syy, sxy) = match arguments.len() {
            1 => (sxx, sxx),
            _ => (self.products(t, y, y, ids, count)?, self.products(t, x, y, ids, count)?),
        };
        let zero = t.builder.constant(Scalar::F64(0.0));
        let one = t.builder.constant(Scalar::F64(1.0));
        let at_least = |t: &mut Tracer, n: i128| -> Result<Value> {
            let n = t.builder.constant_of(S32, n)?;
            Ok(t.builder.compare(counts, n, Comparison::Ge)?)
        };
        let sample = t.builder.subtract(count, one)?;
        let (value, valid) = match statistic {
            Statistic::VarianceSample => (t.builder.divide(sxx, sample)?, at_least(t, 2)?),
            Statistic::DeviationSample => {
                let variance = t.builder.divide(sxx, sample)?;
                (t.builder.sqrt(variance)?, at_least(t, 2)?)
            }
            Statistic::VariancePopulation => (t.builder.divide(sxx, count)?, at_least(t, 1)?),
            Statistic::DeviationPopulation => {
                let variance = t.builder.divide(sxx, count)?;
                (t.builder.sqrt(variance)?, at_least(t, 1)?)
            }
            Statistic::CovarianceSample => (t.builder.divide(sxy, sample)?, at_least(t, 2)?),
            Statistic::CovariancePopulation => (t.builder.divide(sxy, count)?, at_least(t, 1)?),
            Statistic::Sxx => (sxx, at_least(t, 1)?),
            Statistic::Syy => (syy, at_least(t, 1)?),
            Statistic::Sxy => (sxy, at_least(t, 1)?),
            Statistic::AverageX => (mean_x, at_least(t, 1)?),
            Statistic::AverageY => (mean_y, at_least(t, 1)?),
            Statistic::Slope | Statistic::Intercept | Statistic::R2 => {
                let several = at_least(t, 2)?;
                let spread = t.builder.compare(sxx, zero, Comparison::Ne)?;
                let mut valid = t.builder.and(several, spread)?;
                let slope = t.builder.divide(sxy, sxx)?;
                let value = match statistic {
                    Statistic::Slope => slope,
                    Statistic::Intercept => {
                        let rise = t.builder.multiply(slope, mean_x)?;
                        t.builder.subtract(mean_y, rise)?
                    }
                    _ => {
                        let spread = t.builder.compare(syy, zero, Comparison::Ne)?;
                        valid = t.builder.and(valid, spread)?;
                        let explained = t.builder.multiply(slope, sxy)?;
                        t.builder.divide(explained, syy)?
                    }
                };
                (value, valid)
            }
            Statistic::Correlation => {
                let roots = [t.builder.sqrt(sxx)?, t.builder.sqrt(syy)?];
                let roots = t.builder.multiply(roots[0], roots[1])?;
                // One root is rounded less, where the product is in range.
                let product = t.builder.multiply(sxx, syy)?;
                let root = t.builder.sqrt(product)?;
                let (from, to) = PRODUCTS_IN_RANGE;
                let (from, to) = (t.builder.constant(Scalar::F64(from)), t.builder.constant(Scalar::F64(to)));
                let above = t.builder.compare(product, from, Comparison::Ge)?;
                let below = t.builder.compare(product, to, Comparison::Le)?;
                let in_range = t.builder.and(above, below)?;
                let product = t.builder.select(in_range, root, roots)?;
                let value = t.builder.divide(sxy, product)?;
                let (least, most) = (t.builder.constant(Scalar::F64(-1.0)), one);
                let value = t.builder.minimum(value, most)?;
                let value = t.builder.maximum(value, least)?;
                let spread = t.builder.compare(product, zero, Comparison::Ne)?;
                let several = at_least(t, 2)?;
                (value, t.builder.and(several, spread)?)
            }
            Statistic::Count => (count, at_least(t, 0)?),
        };
        Ok(TracedColumn {
            values: Values::Float(value),
            valid: Some(valid),
            data_type: self.data_type.clone(),
            dictionary: None,
        })
    }

    /// `[slots]` s32: a row of each group.
    fn members(&self, t: &mut Tracer, ids: Value) -> Result<Value> {
        let rows = self.groups.rows();
        let row = t.builder.iota(Shape::new(S32, [rows]), 0)?;
        let last = t.builder.constant_of(S32, rows as i128 - 1)?;
        let last = t.broadcast(last, self.groups.slots)?;
        Ok(dense_group::scatter_all(&mut t.builder, ids, &[(last, ReduceKind::Minimum)], &[row])?[0])
    }

    fn about_member(
        &self,
        t: &mut Tracer,
        column: &TracedColumn,
        ids: Value,
        members: Value,
        live: Option<Value>,
    ) -> Result<Argument> {
        let rows = self.groups.rows();
        let shift = t.take_column(column, members, rows)?;
        let member = t.builder.take(members, ids)?;
        let of_row = t.take_column(column, member, rows)?;
        let (shift, differences) = match (&column.values, &shift.values, &of_row.values) {
            (Values::Int(value), Values::Int(shift), Values::Int(of_row)) => {
                let difference = t.exact(ArithmeticOp::Subtract, value, of_row)?;
                if let Some(overflow) = difference.overflow {
                    let error = ExpressionError::overflow("the difference of two decimals exceeds 128 bits");
                    t.fail(overflow, live, error)?;
                }
                (t.int_to_float(shift, F64)?, t.int_to_float(&difference.int, F64)?)
            }
            _ => {
                let value = t.builder.convert(column.float()?, F64)?;
                let of_row = t.builder.convert(of_row.float()?, F64)?;
                (t.builder.convert(shift.float()?, F64)?, t.builder.subtract(value, of_row)?)
            }
        };
        let factor = match &column.data_type {
            DataType::Decimal128(_, scale) => 10f64.powi(i32::from(*scale)),
            _ => 1.0,
        };
        let (shift, differences) = (t.broadcast(shift, self.groups.slots)?, t.broadcast(differences, rows)?);
        Ok(Argument { shift, differences, factor })
    }

    fn about_mean(&self, t: &mut Tracer, argument: &Argument, ids: Value, count: Value) -> Result<Deviations> {
        let total = self.sums(t, ids, &[argument.differences])?[0];
        let mean = t.builder.divide(total, count)?;
        let of_row = t.builder.take(mean, ids)?;
        let values = t.builder.subtract(argument.differences, of_row)?;
        let sum = self.sums(t, ids, &[values])?[0];
        let left = t.builder.divide(sum, count)?;
        let about_shift = t.builder.add(mean, left)?;
        let mean = t.builder.add(argument.shift, about_shift)?;
        Ok(Deviations { mean: scaled_down(t, mean, argument.factor)?, values, sum, factor: argument.factor })
    }

    /// `[slots]` f64: the sum of products of deviations from the means.
    fn products(&self, t: &mut Tracer, a: &Deviations, b: &Deviations, ids: Value, count: Value) -> Result<Value> {
        let products = t.builder.multiply(a.values, b.values)?;
        // Sums of the upper halves are exact while values are of a size, so that many equal roundings do not add up.
        let (upper, lower) = t.halves(products)?;
        let sums = self.sums(t, ids, &[upper, lower])?;
        let total = t.builder.add(sums[0], sums[1])?;
        let left = t.builder.multiply(a.sum, b.sum)?;
        let left = t.builder.divide(left, count)?;
        let total = t.builder.subtract(total, left)?;
        let total = if std::ptr::eq(a, b) {
            let zero = t.builder.constant(Scalar::F64(0.0));
            let below = t.builder.compare(total, zero, Comparison::Lt)?;
            t.builder.select(below, zero, total)?
        } else {
            total
        };
        let total = scaled_down(t, total, a.factor)?;
        scaled_down(t, total, b.factor)
    }
}

fn scaled_down(t: &mut Tracer, value: Value, factor: f64) -> Result<Value> {
    if factor == 1.0 {
        return Ok(value);
    }
    let factor = t.float_parameter(F64, factor);
    t.float_arithmetic(ArithmeticOp::Divide, value, factor)
}
