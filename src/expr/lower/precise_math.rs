//! Math functions that XLA:CPU computes with an error of more than one unit in the last place, computed so that they are within it:
//! by a step that corrects XLA's result, or from a function that is better.

use std::f64::consts::LN_2;

use datafusion::error::Result;

use crate::expr::tracer::Tracer;
use crate::hlo::{Comparison, Scalar, Value};
use crate::program::ElementType::F64;

impl Tracer {
    /// The cube root of an f64 that is neither zero nor subnormal: XLA's, and a step of Newton's method whose residual
    /// `y^3 - x` has twice the digits. Cubes have exact roots. XLA:CPU treats the residual of a tiny x as zero, so that is
    /// multiplied by a power of eight first.
    pub(super) fn cube_root(&mut self, x: Value) -> Result<Value> {
        let b = &mut self.builder;
        let (magnitude, least) = (b.abs(x)?, b.constant(Scalar::F64(1e-200)));
        let tiny = b.compare(magnitude, least, Comparison::Lt)?;
        let one = b.constant(Scalar::F64(1.0));
        let (up, down) = (b.constant(Scalar::F64(2f64.powi(600))), b.constant(Scalar::F64(2f64.powi(-200))));
        let (up, down) = (b.select(tiny, up, one)?, b.select(tiny, down, one)?);
        let x = b.multiply(x, up)?;
        let root = self.corrected_cube_root(x)?;
        Ok(self.builder.multiply(root, down)?)
    }

    fn corrected_cube_root(&mut self, x: Value) -> Result<Value> {
        let y = self.builder.cbrt(x)?;
        let (square, square_rest) = self.exact_product(y, y)?;
        let (cube, cube_rest) = self.exact_product(square, y)?;
        let b = &mut self.builder;
        let residual = b.subtract(cube, x)?;
        let rest = b.multiply(square_rest, y)?;
        let rest = b.add(rest, cube_rest)?;
        let residual = b.add(residual, rest)?;
        let three = b.constant(Scalar::F64(3.0));
        let slope = b.multiply(square, three)?;
        let step = b.divide(residual, slope)?;
        // Infinities and NaN have no residual.
        let (zero, number) = (b.constant(Scalar::F64(0.0)), b.compare(step, step, Comparison::Eq)?);
        let step = b.select(number, step, zero)?;
        Ok(b.subtract(y, step)?)
    }

    /// log(1 + x): of the rounded sum, and to first order what its rounding left. XLA's takes the logarithm of the rounded sum
    /// for all but the smallest x.
    pub(super) fn log_plus_one(&mut self, x: Value) -> Result<Value> {
        let one = self.float_parameter(F64, 1.0);
        let sum = self.builder.add(x, one)?;
        let sum = self.hide(sum)?;
        let rounded = self.builder.subtract(sum, one)?;
        let b = &mut self.builder;
        let left = b.subtract(x, rounded)?;
        let left = b.divide(left, sum)?;
        let log = b.log(sum)?;
        let y = b.add(log, left)?;
        // Of infinity nothing is left, and 1e300 is its own sum.
        let most = b.constant(Scalar::F64(2f64.powi(60)));
        let small = b.compare(x, most, Comparison::Lt)?;
        Ok(b.select(small, y, log)?)
    }

    /// acosh, by the formula of fdlibm's `e_acosh.c`: near 1 from x - 1, which is exact there.
    pub(super) fn inverse_cosh(&mut self, x: Value) -> Result<Value> {
        let (one, two) = (self.builder.constant(Scalar::F64(1.0)), self.builder.constant(Scalar::F64(2.0)));
        let above = self.builder.subtract(x, one)?;
        let root = self.builder.add(x, one)?;
        let (left, right) = (self.builder.sqrt(above)?, self.builder.sqrt(root)?);
        let leg = self.builder.multiply(left, right)?;
        let near = self.builder.add(above, leg)?;
        let near = self.log_plus_one(near)?;
        let far = self.builder.add(x, leg)?;
        let far = self.builder.log(far)?;
        // Where the sum may overflow, the leg is x.
        let (huge, ln2) = (self.builder.constant(Scalar::F64(2f64.powi(28))), self.builder.constant(Scalar::F64(LN_2)));
        let log = self.builder.log(x)?;
        let log = self.builder.add(log, ln2)?;
        let above_huge = self.builder.compare(x, huge, Comparison::Gt)?;
        let far = self.builder.select(above_huge, log, far)?;
        let below = self.builder.compare(x, two, Comparison::Lt)?;
        Ok(self.builder.select(below, near, far)?)
    }

    /// atanh, by the formula of fdlibm's `e_atanh.c`: below one half what the quotient adds is small beside 2x.
    pub(super) fn inverse_tanh(&mut self, x: Value) -> Result<Value> {
        let one = self.builder.constant(Scalar::F64(1.0));
        let half = self.builder.constant(Scalar::F64(0.5));
        let magnitude = self.builder.abs(x)?;
        let twice = self.builder.add(magnitude, magnitude)?;
        let rest = self.builder.subtract(one, magnitude)?;
        let far = self.builder.divide(twice, rest)?;
        let product = self.builder.multiply(twice, magnitude)?;
        let near = self.builder.divide(product, rest)?;
        let near = self.builder.add(twice, near)?;
        let below = self.builder.compare(magnitude, half, Comparison::Lt)?;
        let argument = self.builder.select(below, near, far)?;
        let y = self.log_plus_one(argument)?;
        let y = self.builder.multiply(y, half)?;
        self.copy_sign(y, x)
    }

    /// The rounded product of two f64, and what rounding left (Dekker's product).
    pub(super) fn exact_product(&mut self, x: Value, y: Value) -> Result<(Value, Value)> {
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
}
