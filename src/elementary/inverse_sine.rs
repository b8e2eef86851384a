//! asin and acos: a polynomial up to one half, and beyond by asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)), as fdlibm's `e_asin.c`
//! and `e_acos.c` have it, with pairs for the sums.

use crate::elementary::pair::Pair;
use crate::elementary::real::{Real, identity_near_zero, polynomial};

const PI: (f64, f64) = (std::f64::consts::PI, 1.224_646_799_147_353_2e-16);
const HALF_PI: (f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17);

/// (asin(s) - s) / s^3 as a polynomial in s^2 from 0 to 1/4: it meets the function at the 14 Chebyshev nodes of that range, and
/// is off by at most 2^-61 / s^2.
const ASIN: [f64; 14] = [
    0.166_666_666_666_666_66,
    0.075_000_000_000_001_18,
    0.044_642_857_142_551_895,
    0.030_381_944_475_532_34,
    0.022_372_157_443_507_22,
    0.017_352_816_540_325_496,
    0.013_963_780_012_203_57,
    0.011_566_459_612_121_669,
    0.009_621_842_970_100_282,
    0.009_319_560_794_767_446,
    0.003_044_879_909_455_677_3,
    0.019_554_513_336_123_378,
    -0.019_241_671_746_743_04,
    0.029_612_011_264_954_95,
];

/// asin of the magnitude up to one half, else of sqrt((1 - magnitude) / 2).
struct Reduced<R: Real> {
    angle: Pair<R>,
    small: R::Flag,
}

#[inline]
fn reduced<R: Real>(magnitude: R) -> Reduced<R> {
    let small = magnitude.is_less(magnitude.number(0.5));
    let square = Pair::of((magnitude.number(1.0) - magnitude) * 0.5);
    let square = Pair::pick(small, Pair::product(magnitude, magnitude), square);
    let sine = Pair::pick(small, Pair::of(magnitude), square.root());
    let rest = sine.high * (square.high * polynomial(square.high, &ASIN));
    Reduced { angle: Pair::sum_of_ordered(sine.high, sine.low + rest), small }
}

/// NaN beyond 1 and -1.
#[inline]
pub fn asin<R: Real>(x: R) -> R {
    let Reduced { angle, small } = reduced(x.abs());
    let twice = angle.plus(angle);
    let angle = Pair::pick(small, angle, Pair::constant(x, HALF_PI).minus(twice));
    identity_near_zero(x, within_one(x, angle.rounded()))
}

/// NaN beyond 1 and -1.
#[inline]
pub fn acos<R: Real>(x: R) -> R {
    let Reduced { angle, small } = reduced(x.abs());
    let signed = |y: Pair<R>| Pair { high: y.high.with_sign_of(x), low: R::pick(x.is_negative(), -y.low, y.low) };
    let of_small = Pair::constant(x, HALF_PI).minus(signed(angle));
    let twice = angle.plus(angle);
    let of_large = Pair::pick(x.is_negative(), Pair::constant(x, PI).minus(twice), twice);
    within_one(x, Pair::pick(small, of_small, of_large).rounded())
}

#[inline]
fn within_one<R: Real>(x: R, y: R) -> R {
    let y = R::pick(x.number(1.0).is_less(x.abs()), x.number(f64::NAN), y);
    R::pick(x.is_nan(), x, y)
}
