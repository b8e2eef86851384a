//! The cube root: an approximation, and a step of Newton's method whose residual y^3 - x has twice the digits. Cubes have
//! exact roots.

use crate::elementary::pair::Pair;
use crate::elementary::real::Real;

/// Of a smaller number the residual would be subnormal, of a larger one it would overflow. Such a number is multiplied by a
/// power of eight first.
const SMALL: f64 = 1e-200;
const LARGE: f64 = 1e200;
const FACTOR: i32 = 600;

#[inline]
pub fn cube_root<R: Real>(x: R) -> R {
    let (number, subnormal) = x.normal();
    let magnitude = number.abs();
    let (small, large) = (magnitude.is_less(x.number(SMALL)), x.number(LARGE).is_less(magnitude));
    let power = |small_power: i32| {
        let [small_factor, large_factor] = [small_power, -small_power].map(|power| x.number(2f64.powi(power)));
        R::pick(small, small_factor, R::pick(large, large_factor, x.number(1.0)))
    };
    let (up, down) = (power(FACTOR), power(-FACTOR / 3));
    let down = R::pick(subnormal, x.number(2f64.powi(-1074 / 3)), down);
    let root = corrected(number * up) * down;
    // Zeros and what is not finite are their own roots.
    let y = R::pick((number * 0.0).is_nan(), x, root);
    R::pick(x.is_zero(), x, y)
}

#[inline]
fn corrected<R: Real>(x: R) -> R {
    let y = x.approximate_cube_root();
    let square = Pair::product(y, y);
    let cube = Pair::product(square.high, y);
    let residual = (cube.high - x) + (square.low * y + cube.low);
    y - residual / (square.high * 3.0)
}
