//! Logarithms: with x = 2^k m and m between the square roots of 1/2 and 2, log(x) = k log(2) + 2 artanh((m - 1) / (m + 1)), as
//! fdlibm's `e_log.c` has it. The quotient is a pair, and of the series of artanh only the first term needs to be.

use crate::elementary::pair::Pair;
use crate::elementary::real::{Real, polynomial};

/// log(2) in two parts, whose first has 40 bits: times an exponent it is exact.
const LN_2: (f64, f64) = (0.693_147_180_559_208_2, 7.371_002_565_167_799e-13);

const INVERSE_LN_2: (f64, f64) = (std::f64::consts::LOG2_E, 2.035_527_374_093_103_3e-17);
const INVERSE_LN_10: (f64, f64) = (std::f64::consts::LOG10_E, 1.098_319_650_216_765e-17);

/// The series of 2 artanh(s) after its first term: 2 s^3 / 3, 2 s^5 / 5, ..
const ARTANH: [f64; 11] = [
    2.0 / 3.0,
    2.0 / 5.0,
    2.0 / 7.0,
    2.0 / 9.0,
    2.0 / 11.0,
    2.0 / 13.0,
    2.0 / 15.0,
    2.0 / 17.0,
    2.0 / 19.0,
    2.0 / 21.0,
    2.0 / 23.0,
];

/// From here on a number is computed with as its product with 2^-200: its square is near the greatest double.
const HUGE: f64 = 1e150;
const HUGE_EXPONENT: i32 = 200;

/// The logarithm of 2^power (1 + excess), of an excess from -0.3 to 0.42, as a pair with an error of 2^-57 of it.
#[inline]
fn log_of_excess<R: Real>(excess: Pair<R>, power: R) -> Pair<R> {
    let divisor = Pair::sum(power.number(2.0), excess.high);
    let divisor = Pair { high: divisor.high, low: divisor.low + excess.low };
    let quotient = excess.over(divisor);
    let square = quotient.high * quotient.high;
    let rest = quotient.high * (square * polynomial(square, &ARTANH));
    let sum = Pair::sum(power * LN_2.0, quotient.high * 2.0);
    let low = sum.low + (power * LN_2.1 + (quotient.low * 2.0 + rest));
    Pair::sum_of_ordered(sum.high, low)
}

/// A mantissa of 1 up to 2 and its exponent as a mantissa between the square roots of 1/2 and 2 and its exponent.
#[inline]
fn centred<R: Real>((mantissa, exponent): (R, R)) -> (R, R) {
    let above = mantissa.number(std::f64::consts::SQRT_2).is_less(mantissa);
    (R::pick(above, mantissa * 0.5, mantissa), R::pick(above, exponent + 1.0, exponent))
}

/// The logarithm of a positive number as a pair.
#[inline]
fn log_pair<R: Real>(x: R) -> Pair<R> {
    let (x, subnormal) = x.normal();
    let (mantissa, exponent) = centred(x.mantissa_and_exponent());
    let shift = R::pick(subnormal, x.number(-1074.0), x.number(0.0));
    log_of_excess(Pair::of(mantissa - 1.0), exponent + shift)
}

/// The logarithm of 2^exponent (1 + x), of x above -1, as a pair.
#[inline]
pub fn log_of_one_plus<R: Real>(x: Pair<R>, exponent: R) -> Pair<R> {
    let one = x.high.number(1.0);
    let sum = Pair::sum(one, x.high);
    let (mantissa, power) = centred(sum.high.mantissa_and_exponent());
    let low = (sum.low + x.low) * (-power).power_of_two();
    // Near 1 the sum has lost digits of x.
    let near = power.abs().is_less(one);
    let excess = Pair::pick(near, x, Pair::sum(mantissa - 1.0, low));
    log_of_excess(excess, power + exponent)
}

/// `y` and the exponent 0; but where `x` is so large that its square may overflow, what has the logarithm of `2 x`.
#[inline]
pub fn or_twice_huge<R: Real>(x: R, y: Pair<R>) -> (Pair<R>, R) {
    let huge = x.number(HUGE).is_less(x);
    let scaled = Pair::of(x * 2f64.powi(-HUGE_EXPONENT));
    let exponent = R::pick(huge, x.number(f64::from(HUGE_EXPONENT + 1)), x.number(0.0));
    (Pair::pick(huge, scaled, y), exponent)
}

/// The logarithm `y` of `x` to a base above 1, except where x is not a positive number.
#[inline]
fn where_defined<R: Real>(x: R, y: R) -> R {
    let y = R::pick(x.number(f64::MAX).is_less(x), x, y);
    let y = R::pick(x.is_zero(), x.number(f64::NEG_INFINITY), y);
    let y = R::pick(x.is_negative(), x.number(f64::NAN), y);
    R::pick(x.is_nan(), x, y)
}

/// The logarithm to base 2.
#[inline]
pub fn log2<R: Real>(x: R) -> R {
    let log = log_pair(x).times(Pair::constant(x, INVERSE_LN_2));
    where_defined(x, log.rounded())
}

/// The logarithm to base 10.
#[inline]
pub fn log10<R: Real>(x: R) -> R {
    let log = log_pair(x).times(Pair::constant(x, INVERSE_LN_10));
    where_defined(x, log.rounded())
}

/// The logarithm of `x` to a base: the quotient of their natural logarithms, as pairs where both are finite.
#[inline]
pub fn log<R: Real>(base: R, x: R) -> R {
    let (log, log_of_base) = (log_pair(x), log_pair(base));
    let quotient = log.over(log_of_base).rounded();
    let ends = where_defined(x, log.high) / where_defined(base, log_of_base.high);
    let y = R::pick((ends * 0.0).is_nan(), ends, quotient);
    R::pick(ends.is_zero(), ends, y)
}
