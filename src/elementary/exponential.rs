//! e^x with x = k log(2) + r, as fdlibm's `e_exp.c` has it, and the even and the odd part of e^r. The rest r is a pair.

use crate::elementary::pair::Pair;
use crate::elementary::real::{Real, polynomial};

/// log(2) in two parts, whose first has 40 bits: times an exponent it is exact.
const LN_2: (f64, f64) = (0.693_147_180_559_208_2, 7.371_002_565_167_799e-13);

/// 1/4!, 1/6!, .. 1/14!
const COSH: [f64; 6] =
    [1.0 / 24.0, 1.0 / 720.0, 1.0 / 40_320.0, 1.0 / 3_628_800.0, 1.0 / 479_001_600.0, 1.0 / 87_178_291_200.0];

/// 1/3!, 1/5!, .. 1/15!
const SINH: [f64; 7] = [
    1.0 / 6.0,
    1.0 / 120.0,
    1.0 / 5_040.0,
    1.0 / 362_880.0,
    1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    1.0 / 1_307_674_368_000.0,
];

/// 1/2!, 1/3!, .. 1/13!
const EXPONENTIAL: [f64; 12] = [
    0.5,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// An argument as `power * log(2) + rest`.
pub struct Reduced<R> {
    /// An integer.
    pub power: R,
    pub rest: Pair<R>,
}

/// With a rest of at most half of log(2).
#[inline]
pub fn reduce<R: Real>(x: R) -> Reduced<R> {
    let power = (x * std::f64::consts::LOG2_E).nearest_integer();
    // The second product is below 1e-9, so its rounding does not count.
    Reduced { power, rest: Pair::sum(x - power * LN_2.0, power * -LN_2.1) }
}

/// cosh(r) and sinh(r) by their series, for r up to half of log(2).
#[inline]
pub fn even_and_odd<R: Real>(r: Pair<R>) -> (Pair<R>, Pair<R>) {
    let square = Pair::product(r.high, r.high);
    let low = square.low + (r.high + r.high) * r.low;
    let terms = square.high * (square.high * polynomial(square.high, &COSH));
    let half = Pair::sum_of_ordered(r.high.number(1.0), square.high * 0.5);
    let even = Pair::sum_of_ordered(half.high, half.low + (low * 0.5 + terms));
    let terms = r.high * (square.high * polynomial(square.high, &SINH));
    let odd = Pair::sum_of_ordered(r.high, r.low * even.high + terms);
    (even, odd)
}

/// `x * 2^power`, for a power of -2000 to 2000. What overflows becomes infinite.
#[inline]
pub fn times_power_of_two<R: Real>(x: R, power: R) -> R {
    let half = (power * 0.5).nearest_integer();
    x * half.power_of_two() * (power - half).power_of_two()
}

#[inline]
pub fn exponential<R: Real>(x: R) -> R {
    let (most, least) = (x.number(720.0), x.number(-750.0));
    let bounded = R::pick(most.is_less(x), most, R::pick(x.is_less(least), least, x));
    let Reduced { power, rest } = reduce(bounded);
    let terms = rest.high * (rest.high * polynomial(rest.high, &EXPONENTIAL));
    let sum = Pair::sum_of_ordered(x.number(1.0), rest.high);
    let y = sum.high + (sum.low + (rest.low + terms));
    R::pick(x.is_nan(), x, times_power_of_two(y, power))
}
