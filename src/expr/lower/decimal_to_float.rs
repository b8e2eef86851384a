//! Decimals of any digits as the nearest double: the integer as the sum of two doubles, divided by a power of ten that is one, too.
//! The quotient has some 104 bits before it is rounded, once. Arrow rounds the integer first, and the quotient again.

use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::Tracer;
use crate::expr::tracer::integer::{Int, Limbs, power_of_ten};
use crate::hlo::{Scalar, Value};
use crate::kernels::wide;
use crate::program::ElementType::F64;

/// Integers that are doubles.
const EXACT: Range = Range { min: -(1 << 53), max: 1 << 53 };

/// Powers of ten that are doubles.
const EXACT_POWER: i8 = 22;

/// A number as the sum of a double and what rounding left of it.
struct Pair {
    high: Value,
    low: Value,
}

impl Tracer {
    /// The double nearest to `int / 10^scale`.
    pub fn decimal_to_double(&mut self, int: &Int, scale: i8) -> Result<Value> {
        // Of a scale below zero the product is rounded twice, as Arrow's.
        if scale < 0 || EXACT.contains(&int.range) && scale <= EXACT_POWER {
            let value = self.int_to_float(int, F64)?;
            let power = self.float_parameter(F64, 10f64.powi(i32::from(scale)));
            return self.float_arithmetic(ArithmeticOp::Divide, value, power);
        }
        let dividend = self.pair_of(int)?;
        let power = power_of_ten(u32::from(scale.unsigned_abs()))?;
        let high = power as f64;
        let low = (power - high as i128) as f64;
        let (divisor, divisor_low) = (self.float_parameter(F64, high), self.float_parameter(F64, low));
        let first = self.builder.divide(dividend.high, divisor)?;
        let first = self.hide(first)?;
        let (product, rest) = self.exact_product(first, divisor)?;
        let b = &mut self.builder;
        let remainder = b.subtract(dividend.high, product)?;
        let remainder = b.subtract(remainder, rest)?;
        let remainder = b.add(remainder, dividend.low)?;
        let correction = b.multiply(first, divisor_low)?;
        let remainder = b.subtract(remainder, correction)?;
        let second = b.divide(remainder, divisor)?;
        let sum = b.add(first, second)?;
        self.hide(sum)
    }

    /// The integer as a pair: its 32-bit lanes added up, the most significant first.
    fn pair_of(&mut self, int: &Int) -> Result<Pair> {
        let lanes = match int.limbs {
            Limbs::Narrow(value) => wide::narrow_to_lanes(&mut self.builder, value)?.to_vec(),
            Limbs::Wide(value) => wide::to_lanes(&mut self.builder, value)?.to_vec(),
        };
        let zero = self.builder.constant(Scalar::F64(0.0));
        let mut sum = Pair { high: zero, low: zero };
        for (place, lane) in lanes.into_iter().enumerate().rev() {
            let lane = self.builder.convert(lane, F64)?;
            let weight = self.builder.constant(Scalar::F64(2f64.powi(32 * place as i32)));
            let term = self.builder.multiply(lane, weight)?;
            let (high, rest) = self.exact_sum_of(sum.high, term)?;
            let low = self.builder.add(sum.low, rest)?;
            sum = Pair { high, low };
        }
        let (high, low) = self.exact_sum_of(sum.high, sum.low)?;
        Ok(Pair { high, low })
    }

    /// The rounded sum of two doubles, and what rounding left (Knuth's sum). XLA must not see that it takes apart what it has added.
    fn exact_sum_of(&mut self, x: Value, y: Value) -> Result<(Value, Value)> {
        let sum = self.builder.add(x, y)?;
        let sum = self.hide(sum)?;
        let b = &mut self.builder;
        let of_y = b.subtract(sum, x)?;
        let of_y = self.hide(of_y)?;
        let b = &mut self.builder;
        let of_x = b.subtract(sum, of_y)?;
        let of_x = self.hide(of_x)?;
        let b = &mut self.builder;
        let (left_x, left_y) = (b.subtract(x, of_x)?, b.subtract(y, of_y)?);
        Ok((sum, b.add(left_x, left_y)?))
    }
}
