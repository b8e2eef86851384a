//! Lowers the math functions of floats. All but rounding compute in 64 bits, for Float32, too. XLA:CPU treats subnormal
//! numbers as zero, so functions in whose results that would show handle them separately.

use datafusion::error::Result;

use crate::expr::ir::{ArithmeticOp, Math, Math2};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::program::ElementType::{F32, F64, S32, S64};

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
                let mut y = self.math_of_f64(math, x)?;
                if element_type == F32 && math == Math::Asinh {
                    y = self.overflow_single(x, y)?;
                }
                self.narrow_float(y, element_type)?
            }
        };
        Ok(TracedColumn { values: Values::Float(y), ..operand.clone() })
    }

    fn math_of_f64(&mut self, math: Math, x: Value) -> Result<Value> {
        let one = self.builder.constant(Scalar::F64(1.0));
        let half = self.builder.constant(Scalar::F64(0.5));
        // These functions map a subnormal number to itself.
        let near_identity = |t: &mut Self, y: Value| -> Result<Value> {
            let tiny = t.is_subnormal(x)?;
            Ok(t.builder.select(tiny, x, y)?)
        };
        Ok(match math {
            Math::Exp => self.builder.exponential(x)?,
            Math::Ln => self.ln(x)?,
            Math::Log2 => self.log2(x)?,
            Math::Log10 => self.log10(x)?,
            Math::Sqrt => self.scaled_root(x, 2)?,
            Math::Cbrt => self.scaled_root(x, 3)?,
            Math::Sin => self.builder.sine(x)?,
            Math::Cos => self.builder.cosine(x)?,
            Math::Tan => self.builder.tan(x)?,
            Math::Cot => {
                let tan = self.builder.tan(x)?;
                self.float_arithmetic(ArithmeticOp::Divide, one, tan)?
            }
            Math::Tanh => {
                let y = self.builder.tanh(x)?;
                near_identity(self, y)?
            }
            Math::Atan => {
                let y = self.builder.atan2(x, one)?;
                near_identity(self, y)?
            }
            Math::Asin => {
                let other = self.other_leg(x)?;
                let y = self.builder.atan2(x, other)?;
                near_identity(self, y)?
            }
            Math::Acos => {
                let other = self.other_leg(x)?;
                self.builder.atan2(other, x)?
            }
            Math::Sinh => {
                let magnitude = self.builder.abs(x)?;
                let u = self.builder.exponential_minus_one(magnitude)?;
                let v = self.builder.add(u, one)?;
                let rest = self.builder.divide(u, v)?;
                let sum = self.builder.add(u, rest)?;
                let y = self.builder.multiply(sum, half)?;
                let y = self.unless_huge(magnitude, y)?;
                let y = self.copy_sign(y, x)?;
                near_identity(self, y)?
            }
            Math::Cosh => {
                let magnitude = self.builder.abs(x)?;
                let e = self.builder.exponential(magnitude)?;
                let inverse = self.builder.divide(one, e)?;
                let sum = self.builder.add(e, inverse)?;
                let y = self.builder.multiply(sum, half)?;
                self.unless_huge(magnitude, y)?
            }
            // The formulas of Rust's standard library, as the host has them.
            Math::Asinh => {
                let ax = self.builder.abs(x)?;
                let ix = self.builder.divide(one, ax)?;
                let square = self.builder.multiply(ix, ix)?;
                let hypotenuse = self.builder.add(square, one)?;
                let hypotenuse = self.builder.sqrt(hypotenuse)?;
                let divisor = self.builder.add(hypotenuse, ix)?;
                let quotient = self.builder.divide(ax, divisor)?;
                let sum = self.builder.add(ax, quotient)?;
                let y = self.log_plus_one(sum)?;
                // Where 1/x overflows, the result is x.
                let small = self.builder.constant(Scalar::F64(1e-9));
                let tiny = self.builder.compare(ax, small, Comparison::Lt)?;
                let y = self.builder.select(tiny, ax, y)?;
                let y = self.copy_sign(y, x)?;
                near_identity(self, y)?
            }
            Math::Acosh => self.inverse_cosh(x)?,
            Math::Atanh => {
                let y = self.inverse_tanh(x)?;
                near_identity(self, y)?
            }
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
                let (base, x) = (self.ln(base)?, self.ln(x)?);
                let y = self.float_arithmetic(ArithmeticOp::Divide, x, base)?;
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

    /// Makes the result infinite where `x + x` is infinite in 32 bits, because Rust adds before it takes the logarithm.
    fn overflow_single(&mut self, x: Value, y: Value) -> Result<Value> {
        let magnitude = self.builder.abs(x)?;
        let most = self.builder.constant(Scalar::F64(f64::from(f32::MAX / 2.0)));
        let huge = self.builder.compare(magnitude, most, Comparison::Gt)?;
        let number = self.builder.compare(y, y, Comparison::Eq)?;
        let huge = self.builder.and(huge, number)?;
        let infinity = self.builder.constant(Scalar::F64(f64::INFINITY));
        let infinity = self.copy_sign(infinity, y)?;
        Ok(self.builder.select(huge, infinity, y)?)
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

    /// sqrt(1 - x^2), accurate near 1.
    fn other_leg(&mut self, x: Value) -> Result<Value> {
        let one = self.builder.constant(Scalar::F64(1.0));
        let (less, more) = (self.builder.subtract(one, x)?, self.builder.add(one, x)?);
        let product = self.builder.multiply(less, more)?;
        Ok(self.builder.sqrt(product)?)
    }

    /// `y`, except where e^x would overflow: there e^x / 2, computed as the product of two factors.
    fn unless_huge(&mut self, x: Value, y: Value) -> Result<Value> {
        let (half, limit) = (self.builder.constant(Scalar::F64(0.5)), self.builder.constant(Scalar::F64(700.0)));
        let halved = self.builder.multiply(x, half)?;
        let root = self.builder.exponential(halved)?;
        let first = self.builder.multiply(root, half)?;
        let first = self.hide(first)?;
        let huge_value = self.builder.multiply(first, root)?;
        let huge = self.builder.compare(x, limit, Comparison::Gt)?;
        Ok(self.builder.select(huge, huge_value, y)?)
    }

    fn ln(&mut self, x: Value) -> Result<Value> {
        let (x, tiny) = self.normal(x)?;
        let y = self.builder.log(x)?;
        let shift = self.builder.constant(Scalar::F64(1074.0 * std::f64::consts::LN_2));
        let shifted = self.builder.subtract(y, shift)?;
        Ok(self.builder.select(tiny, shifted, y)?)
    }

    fn log2(&mut self, x: Value) -> Result<Value> {
        let (n, tiny) = self.normal(x)?;
        let y = self.builder.log(n)?;
        let ln2 = self.float_parameter(F64, std::f64::consts::LN_2);
        let y = self.float_arithmetic(ArithmeticOp::Divide, y, ln2)?;
        // The logarithm of a power of two is its exponent.
        let bits = self.builder.bitcast_convert(n, S64)?;
        let mantissa = self.builder.constant(Scalar::S64((1 << 52) - 1));
        let mantissa = self.builder.and(bits, mantissa)?;
        let (zero, width) = (self.builder.constant(Scalar::S64(0)), self.builder.constant(Scalar::S64(52)));
        let power = self.builder.compare(mantissa, zero, Comparison::Eq)?;
        let exponent = self.builder.shift_right_arithmetic(bits, width)?;
        let (least, most) = (self.builder.constant(Scalar::S64(1)), self.builder.constant(Scalar::S64(2046)));
        let low = self.builder.compare(exponent, least, Comparison::Ge)?;
        let high = self.builder.compare(exponent, most, Comparison::Le)?;
        let within = self.builder.and(low, high)?;
        let power = self.builder.and(power, within)?;
        let bias = self.builder.constant(Scalar::S64(1023));
        let exponent = self.builder.subtract(exponent, bias)?;
        let exponent = self.builder.convert(exponent, F64)?;
        let y = self.builder.select(power, exponent, y)?;
        let shift = self.builder.constant(Scalar::F64(1074.0));
        let shifted = self.builder.subtract(y, shift)?;
        Ok(self.builder.select(tiny, shifted, y)?)
    }

    fn log10(&mut self, x: Value) -> Result<Value> {
        let y = self.ln(x)?;
        let ln10 = self.float_parameter(F64, std::f64::consts::LN_10);
        let y = self.float_arithmetic(ArithmeticOp::Divide, y, ln10)?;
        // The logarithm of the double nearest to a power of ten is the exponent.
        let power = |n: i32| format!("1e{n}").parse::<f64>().unwrap_or(0.0);
        let table = self.table_parameter(F64, (-307..=308).flat_map(|n| power(n).to_le_bytes()).collect());
        let nearest = self.builder.round_nearest_even(y)?;
        let index = self.builder.convert(nearest, S32)?;
        let (first, zero) = (self.builder.constant(Scalar::S32(307)), self.builder.constant(Scalar::S32(0)));
        let last = self.builder.constant(Scalar::S32(615));
        let index = self.builder.add(index, first)?;
        let index = self.builder.clamp(zero, index, last)?;
        let power = self.gather(table, index)?;
        let exact = self.builder.compare(power, x, Comparison::Eq)?;
        Ok(self.builder.select(exact, nearest, y)?)
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

    /// The square root or cube root.
    fn scaled_root(&mut self, x: Value, degree: i32) -> Result<Value> {
        let (n, tiny) = self.normal(x)?;
        let y = if degree == 2 { self.builder.sqrt(n)? } else { self.cube_root(n)? };
        let factor = self.builder.constant(Scalar::F64(2f64.powi(-1074 / degree)));
        let scaled = self.builder.multiply(y, factor)?;
        let y = self.builder.select(tiny, scaled, y)?;
        if degree == 2 {
            return Ok(y);
        }
        // The cube root of a zero or an infinity is the number itself.
        let (zero, finite) = (self.is_zero(x)?, self.builder.is_finite(x)?);
        let infinite = self.builder.not(finite)?;
        let itself = self.builder.or(zero, infinite)?;
        Ok(self.builder.select(itself, x, y)?)
    }
}
