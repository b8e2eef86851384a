//! asinh, acosh and atanh by the logarithm of 1 + y, with y a pair that is exact where the function is near zero (the formulas
//! of fdlibm's `s_asinh.c`, `e_acosh.c` and `e_atanh.c`).

use crate::elementary::logarithm::{log_of_one_plus, or_twice_huge};
use crate::elementary::pair::Pair;
use crate::elementary::real::{Real, identity_near_zero};

#[inline]
pub fn asinh<R: Real>(x: R) -> R {
    let (magnitude, one) = (x.abs(), x.number(1.0));
    let square = Pair::product(magnitude, magnitude);
    let root = square.plus(Pair::of(one)).root();
    let y = square.over(root.plus(Pair::of(one))).plus(Pair::of(magnitude));
    let (y, exponent) = or_twice_huge(magnitude, y);
    let log = log_of_one_plus(y, exponent).rounded();
    let log = R::pick(is_finite(x), log, x);
    identity_near_zero(x, log)
}

/// NaN below 1.
#[inline]
pub fn acosh<R: Real>(x: R) -> R {
    let one = x.number(1.0);
    let above = Pair::sum(x, -one);
    let root = Pair::product(x, x).plus(Pair::of(-one)).root();
    let (y, exponent) = or_twice_huge(x, above.plus(root));
    let log = log_of_one_plus(y, exponent).rounded();
    let log = R::pick(is_finite(x), log, x);
    R::pick(x.is_less(one), x.number(f64::NAN), log)
}

/// NaN beyond 1 and -1, at which it is infinite.
#[inline]
pub fn atanh<R: Real>(x: R) -> R {
    let (magnitude, one) = (x.abs(), x.number(1.0));
    let quotient = Pair::of(magnitude + magnitude).over(Pair::sum(one, -magnitude));
    let log = log_of_one_plus(quotient, x.number(0.0)).rounded() * 0.5;
    let log = R::pick(magnitude.is_less(one), log, x.number(f64::INFINITY));
    let log = R::pick(one.is_less(magnitude), x.number(f64::NAN), log);
    let log = R::pick(x.is_nan(), x, log);
    identity_near_zero(x, log)
}

/// False for infinities and NaN.
#[inline]
fn is_finite<R: Real>(x: R) -> R::Flag {
    x.abs().is_less(x.number(f64::INFINITY))
}
