//! Float arithmetic that rounds as on the host, and tests of floats for zero, sign and subnormal numbers. XLA:CPU treats
//! subnormal numbers as zero, so tests and conversions work on the bits.

use datafusion::error::Result;

use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::Tracer;
use crate::hlo::{Comparison, Scalar, Value};
use crate::kernels::order_key;
use crate::program::ElementType::{self, F32, F64, S32, S64};

impl Tracer {
    /// IEEE arithmetic that rounds after every operation.
    ///
    /// XLA would turn `a / (b / c)` into `a * c / b`, and LLVM would contract `a * b + c` to an operation that rounds once.
    /// Both change the last digits. Adding -0.0 changes no number, but keeps XLA and LLVM from combining a product or
    /// quotient with the operations that use it. The -0.0 is a parameter, so that they do not know its value.
    pub fn float_arithmetic(&mut self, op: ArithmeticOp, lhs: Value, rhs: Value) -> Result<Value> {
        let b = &mut self.builder;
        let result = match op {
            ArithmeticOp::Add => return Ok(b.add(lhs, rhs)?),
            ArithmeticOp::Subtract => return Ok(b.subtract(lhs, rhs)?),
            ArithmeticOp::Remainder => return Ok(b.remainder(lhs, rhs)?),
            ArithmeticOp::Multiply => b.multiply(lhs, rhs)?,
            ArithmeticOp::Divide => b.divide(lhs, rhs)?,
        };
        let element_type = self.builder.element_type(result);
        let negative_zero = self.float_parameter(element_type, -0.0);
        Ok(self.builder.add(result, negative_zero)?)
    }

    pub fn is_nan(&mut self, x: Value) -> Result<Value> {
        Ok(self.builder.compare(x, x, Comparison::Ne)?)
    }

    /// Whether a float is 0.0 or -0.0; false for subnormal numbers.
    pub fn is_zero(&mut self, x: Value) -> Result<Value> {
        self.compare_key(x, Comparison::Eq)
    }

    /// Whether a float is less than zero; false for NaN.
    pub fn is_below_zero(&mut self, x: Value) -> Result<Value> {
        let below = self.compare_key(x, Comparison::Lt)?;
        let number = self.builder.compare(x, x, Comparison::Eq)?;
        Ok(self.builder.and(below, number)?)
    }

    pub fn compare_key(&mut self, x: Value, direction: Comparison) -> Result<Value> {
        let key = order_key::from_float_one_zero(&mut self.builder, x)?;
        let zero = self.builder.constant_of(self.builder.element_type(key), 0)?;
        Ok(self.builder.compare(key, zero, direction)?)
    }

    pub fn truncate(&mut self, x: Value) -> Result<Value> {
        let zero = self.builder.constant_of(self.builder.element_type(x), 0)?;
        let (floor, ceil) = (self.builder.floor(x)?, self.builder.ceil(x)?);
        let negative = self.builder.compare(x, zero, Comparison::Lt)?;
        let y = self.builder.select(negative, ceil, floor)?;
        // A number between -1 and 1 becomes a zero with its sign.
        self.copy_sign(y, x)
    }

    /// 0.0 if `x` is 0.0 or -0.0, else `y`.
    pub fn one_zero(&mut self, x: Value, y: Value) -> Result<Value> {
        let zero = self.is_zero(x)?;
        let plus_zero = self.builder.constant_of(self.builder.element_type(y), 0)?;
        Ok(self.builder.select(zero, plus_zero, y)?)
    }

    /// A float with one form of NaN and of zero.
    pub fn canonical_float(&mut self, x: Value) -> Result<Value> {
        let one_zero = self.one_zero(x, x)?;
        self.one_nan(one_zero)
    }

    /// A float whose NaN has no sign, as processors give to that of 0.0 / 0.0.
    pub fn one_nan(&mut self, x: Value) -> Result<Value> {
        let nan = self.builder.constant(match self.builder.element_type(x) {
            F32 => Scalar::F32(f32::NAN),
            _ => Scalar::F64(f64::NAN),
        });
        let is_nan = self.is_nan(x)?;
        Ok(self.builder.select(is_nan, nan, x)?)
    }

    /// The magnitude of `y` with the sign of `x`.
    pub fn copy_sign(&mut self, y: Value, x: Value) -> Result<Value> {
        let float = self.builder.element_type(x);
        let (bits_type, sign) = match float {
            F32 => (S32, i128::from(i32::MIN)),
            _ => (S64, i128::from(i64::MIN)),
        };
        let sign = self.builder.constant_of(bits_type, sign)?;
        let b = &mut self.builder;
        let rest = b.not(sign)?;
        let (y, x) = (b.bitcast_convert(y, bits_type)?, b.bitcast_convert(x, bits_type)?);
        let (y, x) = (b.and(y, rest)?, b.and(x, sign)?);
        let bits = b.or(y, x)?;
        Ok(b.bitcast_convert(bits, float)?)
    }

    /// The same value, hidden from XLA's rewriting: see [`Tracer::float_arithmetic`].
    pub fn hide(&mut self, value: Value) -> Result<Value> {
        let negative_zero = self.float_parameter(self.builder.element_type(value), -0.0);
        Ok(self.builder.add(value, negative_zero)?)
    }

    /// A double as the sum of two: of its first 26 bits, and of the rest (zero of what is not finite).
    pub fn halves(&mut self, x: Value) -> Result<(Value, Value)> {
        let upper = self.upper_half(x)?;
        let b = &mut self.builder;
        let lower = b.subtract(x, upper)?;
        let (zero, number) = (b.constant(Scalar::F64(0.0)), b.compare(lower, lower, Comparison::Eq)?);
        Ok((upper, b.select(number, lower, zero)?))
    }

    /// The first 26 bits of a double.
    pub fn upper_half(&mut self, x: Value) -> Result<Value> {
        let b = &mut self.builder;
        let kept = b.constant(Scalar::S64(!((1 << 27) - 1)));
        let bits = b.bitcast_convert(x, S64)?;
        let upper = b.and(bits, kept)?;
        Ok(b.bitcast_convert(upper, F64)?)
    }

    /// The rounded product of two f64, and what rounding left (Dekker's product).
    pub fn exact_product(&mut self, x: Value, y: Value) -> Result<(Value, Value)> {
        let ((x_upper, x_lower), (y_upper, y_lower)) = (self.halves(x)?, self.halves(y)?);
        let b = &mut self.builder;
        let product = b.multiply(x, y)?;
        let upper = b.multiply(x_upper, y_upper)?;
        let rest = b.subtract(upper, product)?;
        let cross = b.multiply(x_upper, y_lower)?;
        let rest = b.add(rest, cross)?;
        let cross = b.multiply(x_lower, y_upper)?;
        let rest = b.add(rest, cross)?;
        let lower = b.multiply(x_lower, y_lower)?;
        Ok((product, b.add(rest, lower)?))
    }

    pub fn is_subnormal(&mut self, x: Value) -> Result<Value> {
        let magnitude = self.magnitude_bits(x)?;
        let (zero, least) = (self.builder.constant(Scalar::S64(0)), self.builder.constant(Scalar::S64(1 << 52)));
        let above = self.builder.compare(magnitude, zero, Comparison::Gt)?;
        let below = self.builder.compare(magnitude, least, Comparison::Lt)?;
        Ok(self.builder.and(above, below)?)
    }

    pub fn magnitude_bits(&mut self, x: Value) -> Result<Value> {
        let bits = self.builder.bitcast_convert(x, S64)?;
        let rest = self.builder.constant(Scalar::S64(i64::MAX));
        Ok(self.builder.and(bits, rest)?)
    }

    /// `x` with subnormal numbers multiplied by 2^1074, and a flag for the rows where that was done.
    pub fn normal(&mut self, x: Value) -> Result<(Value, Value)> {
        let tiny = self.is_subnormal(x)?;
        let magnitude = self.magnitude_bits(x)?;
        let scaled = self.builder.convert(magnitude, F64)?;
        let scaled = self.copy_sign(scaled, x)?;
        Ok((self.builder.select(tiny, scaled, x)?, tiny))
    }

    /// The same value as an F64, subnormal numbers included.
    pub fn widen_float(&mut self, x: Value) -> Result<Value> {
        if self.builder.element_type(x) == F64 {
            return Ok(x);
        }
        let b = &mut self.builder;
        let bits = b.bitcast_convert(x, S32)?;
        let rest = b.constant(Scalar::S32(i32::MAX));
        let magnitude = b.and(bits, rest)?;
        let least = b.constant(Scalar::S32(1 << 23));
        let tiny = b.compare(magnitude, least, Comparison::Lt)?;
        let scaled = b.convert(magnitude, F64)?;
        let unit = b.constant(Scalar::F64(2f64.powi(-149)));
        let scaled = b.multiply(scaled, unit)?;
        let negated = b.negate(scaled)?;
        let zero = b.constant(Scalar::S32(0));
        let negative = b.compare(bits, zero, Comparison::Lt)?;
        let scaled = b.select(negative, negated, scaled)?;
        let wide = b.convert(x, F64)?;
        Ok(b.select(tiny, scaled, wide)?)
    }

    /// The nearest float of `element_type`, subnormal numbers included.
    pub fn narrow_float(&mut self, y: Value, element_type: ElementType) -> Result<Value> {
        if element_type == F64 {
            return Ok(y);
        }
        let b = &mut self.builder;
        let narrow = b.convert(y, F32)?;
        let magnitude = b.abs(y)?;
        let least = b.constant(Scalar::F64(f64::from(f32::MIN_POSITIVE)));
        let tiny = b.compare(magnitude, least, Comparison::Lt)?;
        let unit = b.constant(Scalar::F64(2f64.powi(149)));
        let scaled = b.multiply(magnitude, unit)?;
        let scaled = b.round_nearest_even(scaled)?;
        let bits = b.convert(scaled, S32)?;
        let subnormal = b.bitcast_convert(bits, F32)?;
        let subnormal = self.copy_sign(subnormal, narrow)?;
        Ok(self.builder.select(tiny, subnormal, narrow)?)
    }
}
