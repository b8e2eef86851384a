//! Lowers the math functions of floats. All but rounding compute in 64 bits, for Float32, too. Those that XLA:CPU has to
//! within one unit in the last place are XLA's, the others are the formulas of `crate::elementary`. XLA:CPU treats
//! subnormal numbers as zero, so functions in whose results that would show handle them separately.

use datafusion::error::Result;

use crate::elementary;
use crate::expr::ir::{ArithmeticOp, Math, Math2};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::program::ElementType::{F32, F64, S64};

/// Degrees per radian, or radians per degree.
fn degrees_factor(math: Math) -> f64 {
    match math {
        Math::Degrees => 180.0 / std::f64::consts::PI,
        _ => std::f64::consts::PI / 180.0,
    }
}

impl Tracer {
    pub fn math(&mut self, math: Math, operand: &TracedColumn) -> Result<TracedColumn> {
        let x = operand.float()?;
        if math == Math::Sqrt {
            let negative = self.is_below_zero(x)?;
            let message = "Execution error: cannot take square root of a negative number";
            self.fail(negative, operand.valid, ExpressionError::compute(message))?;
        }
        let element_type = self.builder.element_type(x);
        let y = match (math, element_type) {
            (Math::Degrees | Math::Radians, F32) => self.scale_single(math, x)?,
            _ => {
                let x = self.widen_float(x)?;
                let y = self.math_of_f64(math, x)?;
                self.narrow_float(y, element_type)?
            }
        };
        Ok(TracedColumn { values: Values::Float(y), ..operand.clone() })
    }

    fn math_of_f64(&mut self, math: Math, x: Value) -> Result<Value> {
        let one = self.builder.constant(Scalar::F64(1.0));
        Ok(match math {
            Math::Exp => self.formula(x, |x| elementary::exponential(x))?,
            Math::Ln => self.ln(x)?,
            Math::Log2 => self.formula(x, |x| elementary::log2(x))?,
            Math::Log10 => self.formula(x, |x| elementary::log10(x))?,
            Math::Sqrt => self.square_root(x)?,
            Math::Cbrt => self.formula(x, |x| elementary::cube_root(x))?,
            Math::Sin => self.builder.sine(x)?,
            Math::Cos => self.builder.cosine(x)?,
            Math::Tan => self.builder.tan(x)?,
            Math::Cot => self.formula(x, |x| elementary::cotangent(x))?,
            Math::Atan => {
                let y = self.builder.atan2(x, one)?;
                let tiny = self.is_subnormal(x)?;
                self.builder.select(tiny, x, y)?
            }
            Math::Asin => self.formula(x, |x| elementary::asin(x))?,
            Math::Acos => self.formula(x, |x| elementary::acos(x))?,
            Math::Sinh => self.formula(x, |x| elementary::sinh(x))?,
            Math::Cosh => self.formula(x, |x| elementary::cosh(x))?,
            Math::Tanh => self.formula(x, |x| elementary::tanh(x))?,
            Math::Asinh => self.formula(x, |x| elementary::asinh(x))?,
            Math::Acosh => self.formula(x, |x| elementary::acosh(x))?,
            Math::Atanh => self.formula(x, |x| elementary::atanh(x))?,
            Math::Degrees | Math::Radians => {
                let (n, tiny) = self.normal(x)?;
                let factor = self.float_parameter(F64, degrees_factor(math));
                let y = self.float_arithmetic(ArithmeticOp::Multiply, n, factor)?;
                let of_tiny = self.unscale(y)?;
                self.builder.select(tiny, of_tiny, y)?
            }
            Math::Floor | Math::Ceil => {
                let floor = math == Math::Floor;
                let y = if floor { self.builder.floor(x)? } else { self.builder.ceil(x)? };
                let (below, above) = if floor { (-1.0, 0.0) } else { (-0.0, 1.0) };
                let (below, above) =
                    (self.builder.constant(Scalar::F64(below)), self.builder.constant(Scalar::F64(above)));
                let negative = self.is_below_zero(x)?;
                let of_tiny = self.builder.select(negative, below, above)?;
                let tiny = self.is_subnormal(x)?;
                self.builder.select(tiny, of_tiny, y)?
            }
            Math::Trunc => {
                let y = self.truncate(x)?;
                self.one_zero(x, y)?
            }
            Math::Signum => {
                let y = self.copy_sign(one, x)?;
                let nan = self.builder.compare(x, x, Comparison::Ne)?;
                let y = self.builder.select(nan, x, y)?;
                self.one_zero(x, y)?
            }
        })
    }

    pub fn math2(&mut self, math: Math2, lhs: &TracedColumn, rhs: &TracedColumn) -> Result<TracedColumn> {
        let mut valid = and_valid(&mut self.builder, lhs.valid, rhs.valid)?;
        let (x, y) = (lhs.float()?, rhs.float()?);
        let element_type = self.builder.element_type(x);
        let value = match math {
            Math2::Nanvl => {
                let nan = self.builder.compare(x, x, Comparison::Ne)?;
                valid = match (lhs.valid, rhs.valid) {
                    (l, None) => l,
                    (l, Some(r)) => {
                        let number = self.builder.not(nan)?;
                        let chosen = self.builder.or(number, r)?;
                        and_valid(&mut self.builder, l, Some(chosen))?
                    }
                };
                self.builder.select(nan, y, x)?
            }
            Math2::Power => {
                let zero = self.is_zero(x)?;
                let negative = self.is_below_zero(y)?;
                let undefined = self.builder.and(zero, negative)?;
                let message = "zero raised to a negative power is undefined";
                self.fail(undefined, valid, ExpressionError::compute(message))?;
                self.power(x, y)?
            }
            Math2::Atan2 => {
                let (y, x) = (self.widen_float(x)?, self.widen_float(y)?);
                let angle = self.atan2_scaled(y, x)?;
                self.narrow_float(angle, element_type)?
            }
            Math2::Log => {
                let (base, x) = (self.widen_float(x)?, self.widen_float(y)?);
                let y = self.formula_of_two(base, x, |base, x| elementary::log(base, x))?;
                self.narrow_float(y, element_type)?
            }
        };
        Ok(TracedColumn { values: Values::Float(value), valid, data_type: lhs.data_type.clone(), dictionary: None })
    }

    /// Multiplies in 32 bits, as DataFusion does.
    fn scale_single(&mut self, math: Math, x: Value) -> Result<Value> {
        let wide = self.widen_float(x)?;
        let factor = self.float_parameter(F64, f64::from(degrees_factor(math) as f32));
        // The product of two 24-bit mantissas is exact in 53 bits.
        let product = self.float_arithmetic(ArithmeticOp::Multiply, wide, factor)?;
        self.narrow_float(product, F32)
    }

    /// `y * 2^-1074`, rounded to the nearest subnormal number if it is one.
    fn unscale(&mut self, y: Value) -> Result<Value> {
        let magnitude = self.builder.abs(y)?;
        let limit = self.builder.constant(Scalar::F64(2f64.powi(53)));
        let small = self.builder.compare(magnitude, limit, Comparison::Lt)?;
        let rounded = self.builder.round_nearest_even(magnitude)?;
        let bits = self.builder.convert(rounded, S64)?;
        let subnormal = self.builder.bitcast_convert(bits, F64)?;
        let half = self.float_parameter(F64, 2f64.powi(-537));
        let scaled = self.builder.multiply(magnitude, half)?;
        let scaled = self.builder.multiply(scaled, half)?;
        let value = self.builder.select(small, subnormal, scaled)?;
        self.copy_sign(value, y)
    }

    /// atan2. If one operand is subnormal and the other below one, both are first multiplied by 2^1000.
    fn atan2_scaled(&mut self, y: Value, x: Value) -> Result<Value> {
        let (ny, y_tiny) = self.normal(y)?;
        let (nx, x_tiny) = self.normal(x)?;
        let rest = self.builder.constant(Scalar::F64(2f64.powi(-74)));
        let up = self.builder.constant(Scalar::F64(2f64.powi(1000)));
        let mut scaled = Vec::with_capacity(2);
        for (n, tiny) in [(ny, y_tiny), (nx, x_tiny)] {
            let factor = self.builder.select(tiny, rest, up)?;
            scaled.push(self.builder.multiply(n, factor)?);
        }
        let any = self.builder.or(y_tiny, x_tiny)?;
        let one = self.builder.constant(Scalar::F64(1.0));
        let (ay, ax) = (self.builder.abs(y)?, self.builder.abs(x)?);
        let largest = self.builder.maximum(ay, ax)?;
        let below = self.builder.compare(largest, one, Comparison::Lt)?;
        let any = self.builder.and(any, below)?;
        let (y, x) = (self.builder.select(any, scaled[0], y)?, self.builder.select(any, scaled[1], x)?);
        Ok(self.builder.atan2(y, x)?)
    }

    /// Rounds or truncates `x * 10^places` and divides by `10^places`, in the type of `x`.
    pub fn round_float(&mut self, operand: &TracedColumn, places: i32, cut: bool) -> Result<TracedColumn> {
        let x = operand.float()?;
        let element_type = self.builder.element_type(x);
        let factor = match element_type {
            F32 if cut => f64::from(10f32.powi(places)),
            _ => 10f64.powi(places),
        };
        let factor = self.float_parameter(element_type, factor);
        let scaled = self.float_arithmetic(ArithmeticOp::Multiply, x, factor)?;
        let whole = if cut { self.truncate(scaled)? } else { self.builder.round_nearest_afz(scaled)? };
        let y = self.float_arithmetic(ArithmeticOp::Divide, whole, factor)?;
        Ok(TracedColumn { values: Values::Float(y), ..operand.clone() })
    }

    fn ln(&mut self, x: Value) -> Result<Value> {
        let (x, tiny) = self.normal(x)?;
        let y = self.builder.log(x)?;
        let shift = self.builder.constant(Scalar::F64(1074.0 * std::f64::consts::LN_2));
        let shifted = self.builder.subtract(y, shift)?;
        Ok(self.builder.select(tiny, shifted, y)?)
    }

    /// Treats a subnormal base as m * 2^-1074.
    fn power(&mut self, base: Value, exponent: Value) -> Result<Value> {
        let element_type = self.builder.element_type(base);
        let (base, exponent) = (self.widen_float(base)?, self.widen_float(exponent)?);
        let (base, tiny) = self.normal(base)?;
        let y = self.builder.power(base, exponent)?;
        let (two, shift) = (self.float_parameter(F64, 2.0), self.float_parameter(F64, -537.0));
        let half = self.builder.multiply(exponent, shift)?;
        let half = self.builder.power(two, half)?;
        let scaled = self.builder.multiply(y, half)?;
        let scaled = self.hide(scaled)?;
        let scaled = self.builder.multiply(scaled, half)?;
        let y = self.builder.select(tiny, scaled, y)?;
        self.narrow_float(y, element_type)
    }

    fn square_root(&mut self, x: Value) -> Result<Value> {
        let (n, tiny) = self.normal(x)?;
        let y = self.builder.sqrt(n)?;
        let factor = self.builder.constant(Scalar::F64(2f64.powi(-1074 / 2)));
        let scaled = self.builder.multiply(y, factor)?;
        Ok(self.builder.select(tiny, scaled, y)?)
    }
}
