//! Lowers CAST and TRY_CAST between booleans, integers, floats and decimals, with the semantics of arrow-cast. A value
//! that does not fit is an error, or NULL under TRY_CAST (`safe`). `time::cast` has the steps for dates and times, and
//! casts of strings become lookups.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::columnar::representation::Kind;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs, power_of_ten, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::kernels::{order_key, wide};
use crate::program::ElementType::{F64, S8};

/// Values, and a flag for the rows whose value does not fit.
struct Fallible {
    values: Values,
    failed: Option<Value>,
}

impl Tracer {
    pub fn cast(&mut self, operand: &TracedColumn, to: &DataType, safe: bool) -> Result<TracedColumn> {
        let from = &operand.data_type;
        if from == to {
            return Ok(operand.clone());
        }
        if *from == DataType::Null {
            return self.literal(&ScalarValue::try_from(to)?, to);
        }
        if from.is_temporal() || to.is_temporal() {
            return self.cast_temporal(operand, to, safe);
        }
        let (Some(from_kind), Some(to_kind)) = (Kind::of(from), Kind::of(to)) else {
            return Err(DataFusionError::Internal(format!("cast from {from} to {to} on the device")));
        };
        let Fallible { values, failed } = match (from_kind, to_kind) {
            // Both string types share the dictionary; decoding makes the Arrow type.
            (Kind::String, Kind::String) => Fallible { values: operand.values.clone(), failed: None },
            (Kind::Boolean, Kind::Integer) => self.bool_to_integer(operand.pred()?, to)?,
            (Kind::Boolean, Kind::Float(element_type)) => {
                Fallible { values: Values::Float(self.builder.convert(operand.pred()?, element_type)?), failed: None }
            }
            (Kind::Integer, Kind::Boolean) => {
                let zero = self.constant_int(0);
                let value = self.compare_int(operand.int()?, &zero, Comparison::Ne)?;
                Fallible { values: Values::Pred(value), failed: None }
            }
            (Kind::Float(_), Kind::Boolean) => {
                // Compares as integers, because XLA:CPU's float comparison treats subnormal numbers as zero.
                let key = order_key::from_float_one_zero(&mut self.builder, operand.float()?)?;
                let zero = self.builder.constant_of(self.builder.element_type(key), 0)?;
                let value = self.builder.compare(key, zero, Comparison::Ne)?;
                Fallible { values: Values::Pred(value), failed: None }
            }
            (Kind::Float(_), Kind::Float(element_type)) => {
                let wide = self.widen_float(operand.float()?)?;
                Fallible { values: Values::Float(self.narrow_float(wide, element_type)?), failed: None }
            }
            (Kind::Integer, Kind::Integer) => self.integer_to_integer(*operand.int()?, from, to)?,
            (Kind::Integer, Kind::Float(element_type)) => {
                let value = match from {
                    DataType::Decimal128(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal32(_, scale) => {
                        let value = self.decimal_to_double(operand.int()?, *scale)?;
                        self.builder.convert(value, element_type)?
                    }
                    _ => self.int_to_float(operand.int()?, element_type)?,
                };
                Fallible { values: Values::Float(value), failed: None }
            }
            (Kind::Float(_), Kind::Integer) => self.float_to_integer(operand.float()?, to)?,
            _ => return Err(DataFusionError::Internal(format!("cast from {from} to {to} on the device"))),
        };
        let mut valid = operand.valid;
        if let Some(failed) = failed {
            if safe {
                let fits = self.builder.not(failed)?;
                valid = and_valid(&mut self.builder, valid, Some(fits))?;
            } else {
                self.fail(failed, operand.valid, ExpressionError::cast(format!("Can't cast value to type {to}")))?;
            }
        }
        Ok(TracedColumn { values, valid, data_type: to.clone(), dictionary: operand.dictionary.clone() })
    }

    /// Casts from and to dates and times. Casts between numbers and timestamps or durations go through 64-bit integers.
    fn cast_temporal(&mut self, operand: &TracedColumn, to: &DataType, safe: bool) -> Result<TracedColumn> {
        let (from, plain) = (&operand.data_type, DataType::Int64);
        let counts_units = |t: &DataType| matches!(t, DataType::Timestamp(_, _) | DataType::Duration(_));
        if from.is_numeric() && *from != plain && counts_units(to) {
            let integer = self.cast(operand, &plain, safe)?;
            return self.cast_time(&integer, to, safe);
        }
        if to.is_numeric() && *to != plain && counts_units(from) {
            let integer = TracedColumn { data_type: plain, ..operand.clone() };
            return self.cast(&integer, to, safe);
        }
        self.cast_time(operand, to, safe)
    }

    fn bool_to_integer(&mut self, pred: Value, to: &DataType) -> Result<Fallible> {
        let value = self.builder.convert(pred, S8)?;
        let int = Int { limbs: Limbs::Narrow(value), range: Range::new(0, 1) };
        match to {
            DataType::Decimal128(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal32(precision, scale) => {
                let (int, failed) = self.rescale(int, 0, *scale)?;
                self.limit(int, failed, &decimal_range(*precision)?)
            }
            _ => Ok(Fallible { values: Values::Int(int), failed: None }),
        }
    }

    fn integer_to_integer(&mut self, int: Int, from: &DataType, to: &DataType) -> Result<Fallible> {
        let (int, failed, limits) = match (decimal_parts(from), decimal_parts(to)) {
            (Some((p1, s1)), Some((p2, s2))) => {
                let limits = decimal_range(p2)?;
                if s1 == s2 && p1 <= p2 {
                    return Ok(Fallible { values: Values::Int(int), failed: None });
                }
                // Arrow skips the check if the new precision is large enough for any value.
                let infallible = if s2 >= s1 {
                    i16::from(p1) + i16::from(s2 - s1) <= i16::from(p2)
                } else {
                    i16::from(p1) - i16::from(s1 - s2) < i16::from(p2)
                };
                let unchecked = infallible && matches!(to, DataType::Decimal128(_, _));
                let (int, failed) = self.rescale(int, s1, s2)?;
                (int, failed, if unchecked { Range::FULL } else { limits })
            }
            (Some((_, scale)), None) => {
                let (int, failed) = if scale >= 0 {
                    let divisor = self.constant_int(power_of_ten(scale as u32)?);
                    (self.exact(ArithmeticOp::Divide, &int, &divisor)?.int, None)
                } else {
                    self.rescale(int, scale, 0)?
                };
                (int, failed, type_range(to)?)
            }
            (None, Some((precision, scale))) => {
                let (int, failed) = self.rescale(int, 0, scale)?;
                (int, failed, decimal_range(precision)?)
            }
            _ => (int, None, type_range(to)?),
        };
        self.limit(int, failed, &limits)
    }

    /// Changes a decimal's scale and flags 128-bit overflow. A smaller scale rounds half away from zero.
    fn rescale(&mut self, int: Int, from: i8, to: i8) -> Result<(Int, Option<Value>)> {
        if to >= from {
            let factor = self.constant_int(power_of_ten((to - from) as u32)?);
            let exact = self.exact(ArithmeticOp::Multiply, &int, &factor)?;
            return Ok((exact.int, exact.overflow));
        }
        let power = (from - to) as u32;
        let Ok(divisor_value) = power_of_ten(power) else {
            return Ok((self.constant_int(0), None));
        };
        let divisor = self.constant_int(divisor_value);
        let quotient = self.exact(ArithmeticOp::Divide, &int, &divisor)?.int;
        let remainder = self.exact(ArithmeticOp::Remainder, &int, &divisor)?.int;
        let half = self.constant_int(divisor_value / 2);
        let negative_half = self.constant_int(-(divisor_value / 2));
        let one = self.constant_int(1);
        let up = self.exact(ArithmeticOp::Add, &quotient, &one)?.int;
        let down = self.exact(ArithmeticOp::Subtract, &quotient, &one)?.int;
        let rounds_up = self.compare_int(&remainder, &half, Comparison::Ge)?;
        let rounds_down = self.compare_int(&remainder, &negative_half, Comparison::Le)?;
        let rounded = self.select_int(rounds_down, &down, &quotient)?;
        Ok((self.select_int(rounds_up, &up, &rounded)?, None))
    }

    /// Flags the rows outside `limits` in addition to those in `failed`, and narrows the range.
    fn limit(&mut self, int: Int, failed: Option<Value>, limits: &Range) -> Result<Fallible> {
        let outside = self.outside(&int, limits)?;
        let failed = match (failed, outside) {
            (Some(a), Some(b)) => Some(self.builder.or(a, b)?),
            (a, b) => a.or(b),
        };
        let (min, max) = (int.range.min.max(limits.min), int.range.max.min(limits.max));
        let range = if min <= max { Range::new(min, max) } else { Range::new(limits.min, limits.min) };
        let int = self.fit(&Int { limbs: int.limbs, range })?;
        Ok(Fallible { values: Values::Int(int), failed })
    }

    fn float_to_integer(&mut self, value: Value, to: &DataType) -> Result<Fallible> {
        let value = self.builder.convert(value, F64)?;
        let (value, limits) = match to {
            DataType::Decimal128(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal32(precision, scale) => {
                let power = self.builder.constant(Scalar::F64(10f64.powi(i32::from(*scale))));
                let scaled = self.builder.multiply(value, power)?;
                (self.builder.round_nearest_afz(scaled)?, decimal_range(*precision)?)
            }
            _ => (value, type_range(to)?),
        };
        // Checks first that 127 bits hold the value, which NaN fails, too, and then the exact limits of the type.
        let bound = self.builder.constant(Scalar::F64(2f64.powi(127)));
        let magnitude = self.builder.abs(value)?;
        let representable = self.builder.compare(magnitude, bound, Comparison::Lt)?;
        let unrepresentable = self.builder.not(representable)?;
        let zero = self.builder.constant(Scalar::F64(0.0));
        let value = self.builder.select(representable, value, zero)?;
        let int = Int { limbs: Limbs::Wide(wide::from_f64(&mut self.builder, value)?), range: Range::FULL };
        self.limit(int, Some(unrepresentable), &limits)
    }
}

/// The precision and scale of a decimal type that is encoded as an integer.
fn decimal_parts(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(p, s) | DataType::Decimal64(p, s) | DataType::Decimal32(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// The range of the unscaled values of a decimal with `precision` digits.
fn decimal_range(precision: u8) -> Result<Range> {
    let limit = power_of_ten(u32::from(precision))? - 1;
    Ok(Range::new(-limit, limit))
}
