//! The functions in 128 bits, by series. Their errors are below 2^-100 of the results.

use std::sync::LazyLock;

use bigdecimal::num_bigint::BigUint;
use bigdecimal::num_traits::ToPrimitive;

use crate::semantics::accuracy::number::Number;

/// Bits of pi after the point: enough for the greatest double to be reduced.
const PI_BITS: u32 = 1400;

fn one() -> Number {
    Number::from(1.0)
}

/// The first 128 bits of a fixed-point number.
pub fn first_bits(value: &BigUint, bits_after_point: u64) -> Number {
    let shift = value.bits().saturating_sub(128);
    let mantissa = (value >> shift).to_u128().expect("128 bits");
    Number::new(false, mantissa, (shift as i64 - bits_after_point as i64) as i32)
}

/// pi in fixed point, by Machin's formula.
static PI: LazyLock<BigUint> = LazyLock::new(|| {
    let guard = 16;
    let arctan_of_inverse = |n: u32| {
        let mut power = (BigUint::from(1u32) << (PI_BITS + guard)) / n;
        let (mut plus, mut minus) = (BigUint::ZERO, BigUint::ZERO);
        for i in 0u32.. {
            let term = &power / (2 * i + 1);
            if term == BigUint::ZERO {
                break;
            }
            if i % 2 == 0 {
                plus += term
            } else {
                minus += term
            }
            power /= n * n;
        }
        plus - minus
    };
    (arctan_of_inverse(5) * 16u32 - arctan_of_inverse(239) * 4u32) >> guard
});

static HALF_PI: LazyLock<Number> = LazyLock::new(|| first_bits(&PI, u64::from(PI_BITS)).times_power_of_two(-1));

/// 2 / pi in fixed point.
static INVERSE: LazyLock<BigUint> = LazyLock::new(|| (BigUint::from(1u32) << (2 * PI_BITS + 1)) / &*PI);

static LN_2: LazyLock<Number> = LazyLock::new(|| artanh(one().over(3)).times_power_of_two(1));

/// x + x^3 / 3 + x^5 / 5 ..
fn artanh(x: Number) -> Number {
    let square = x * x;
    let (mut power, mut sum) = (x, x);
    for n in (3..).step_by(2) {
        power = power * square;
        let term = power.over(n);
        if term.is_negligible_beside(sum) {
            break;
        }
        sum = sum + term;
    }
    sum
}

/// The sum of x^n / n!, with n from `first` in steps of two, and with alternating signs if `alternates`.
fn factorial_series(x: Number, first: u64, alternates: bool) -> Number {
    let square = if alternates { -(x * x) } else { x * x };
    let mut term = if first == 0 { one() } else { x };
    let mut sum = term;
    for n in (first + 1..).step_by(2) {
        term = (term * square).over(n * (n + 1));
        if term.is_negligible_beside(sum) {
            break;
        }
        sum = sum + term;
    }
    sum
}

pub fn exp(x: Number) -> Number {
    // Far beyond the doubles the size is enough.
    if x.magnitude() >= 20 {
        return one().times_power_of_two(if x.is_negative() { -(1 << 24) } else { 1 << 24 });
    }
    let power = (x / *LN_2).round();
    let rest = x - *LN_2 * Number::from(power as f64);
    let e = factorial_series(rest, 0, false) + factorial_series(rest, 1, false);
    e.times_power_of_two(power as i32)
}

/// log(1 + x).
fn log_of_one_plus(x: Number) -> Number {
    if x.magnitude() < -2 {
        return artanh(x / (x + Number::from(2.0))).times_power_of_two(1);
    }
    ln(x + one())
}

pub fn ln(x: Number) -> Number {
    let mut power = x.magnitude();
    let mut mantissa = x.times_power_of_two(-power);
    if mantissa > Number::from(std::f64::consts::SQRT_2) {
        mantissa = mantissa.times_power_of_two(-1);
        power += 1;
    }
    let log = artanh((mantissa - one()) / (mantissa + one())).times_power_of_two(1);
    log + *LN_2 * Number::from(f64::from(power))
}

pub fn log2(x: Number) -> Number {
    ln(x) / *LN_2
}

pub fn log(base: Number, x: Number) -> Number {
    ln(x) / ln(base)
}

pub fn log10(x: Number) -> Number {
    log(Number::from(10.0), x)
}

pub fn sqrt(x: Number) -> Number {
    x.sqrt()
}

pub fn cbrt(x: Number) -> Number {
    let root = exp(ln(x.abs()).over(3));
    if x.is_negative() { -root } else { root }
}

/// Of a positive base.
pub fn power(base: Number, exponent: Number) -> Number {
    exp(exponent * ln(base))
}

/// Whether e^x and e^-x differ by so little that their difference would lose bits.
fn is_small(x: Number) -> bool {
    x.magnitude() < 0
}

pub fn sinh(x: Number) -> Number {
    if is_small(x) {
        return factorial_series(x, 1, false);
    }
    let e = exp(x);
    (e - one() / e).times_power_of_two(-1)
}

pub fn cosh(x: Number) -> Number {
    let e = exp(x);
    (e + one() / e).times_power_of_two(-1)
}

pub fn tanh(x: Number) -> Number {
    if is_small(x) {
        return sinh(x) / cosh(x);
    }
    let e = exp(x.abs().times_power_of_two(1));
    let y = one() - Number::from(2.0) / (e + one());
    if x.is_negative() { -y } else { y }
}

pub fn asinh(x: Number) -> Number {
    let magnitude = x.abs();
    let root = (magnitude * magnitude + one()).sqrt();
    let y = log_of_one_plus(magnitude + magnitude * magnitude / (root + one()));
    if x.is_negative() { -y } else { y }
}

pub fn acosh(x: Number) -> Number {
    let above = x - one();
    log_of_one_plus(above + (above * (x + one())).sqrt())
}

pub fn atanh(x: Number) -> Number {
    let magnitude = x.abs();
    let y = log_of_one_plus(magnitude.times_power_of_two(1) / (one() - magnitude)).times_power_of_two(-1);
    if x.is_negative() { -y } else { y }
}

/// The quarter turns in an angle, modulo four, and the sine and the cosine of what is left.
fn quarter_turns(x: f64) -> (u32, Number, Number) {
    let exact = Number::from(x.abs());
    let bits = x.abs().to_bits();
    let power = (bits >> 52).max(1) as i32 - 1075;
    let mantissa = match bits >> 52 {
        0 => bits,
        _ => bits & ((1 << 52) - 1) | 1 << 52,
    };
    let mut rest = exact;
    let mut turns = 0;
    if exact > HALF_PI.times_power_of_two(-1) {
        // The angle in quarter turns; `point` bits of it are after the point.
        let product = BigUint::from(mantissa) * &*INVERSE;
        let point = (PI_BITS as i32 - power) as u64;
        let whole = &product >> point;
        let mut fraction = &product - (&whole << point);
        turns = (whole % 4u32).to_u32().expect("less than four");
        let above = fraction.bits() == point;
        if above {
            turns += 1;
            fraction = (BigUint::from(1u32) << point) - fraction;
        }
        rest = first_bits(&fraction, point) * *HALF_PI;
        rest = if above { -rest } else { rest };
    }
    let (sine, cosine) = (factorial_series(rest, 1, true), factorial_series(rest, 0, true));
    (turns % 4, sine, cosine)
}

pub fn sin(x: f64) -> Number {
    let (turns, sine, cosine) = quarter_turns(x);
    let y = if turns % 2 == 0 { sine } else { cosine };
    if (turns >= 2) != (x < 0.0) { -y } else { y }
}

pub fn cos(x: f64) -> Number {
    let (turns, sine, cosine) = quarter_turns(x);
    let y = if turns % 2 == 0 { cosine } else { sine };
    if turns == 1 || turns == 2 { -y } else { y }
}

pub fn tan(x: f64) -> Number {
    sin(x) / cos(x)
}

pub fn cot(x: f64) -> Number {
    cos(x) / sin(x)
}

pub fn atan(x: Number) -> Number {
    let magnitude = x.abs();
    let inverted = magnitude > one();
    let mut y = if inverted { one() / magnitude } else { magnitude };
    let halvings = 3;
    for _ in 0..halvings {
        y = y / (one() + (one() + y * y).sqrt());
    }
    let square = y * y;
    let (mut power, mut sum) = (y, y);
    for n in (3..).step_by(2) {
        power = -(power * square);
        let term = power.over(n);
        if term.is_negligible_beside(sum) {
            break;
        }
        sum = sum + term;
    }
    let angle = sum.times_power_of_two(halvings);
    let angle = if inverted { *HALF_PI - angle } else { angle };
    if x.is_negative() { -angle } else { angle }
}

pub fn atan2(y: Number, x: Number) -> Number {
    if x.is_zero() {
        return if y.is_negative() { -*HALF_PI } else { *HALF_PI };
    }
    let angle = atan(y / x);
    match (x.is_negative(), y.is_negative()) {
        (false, _) => angle,
        (true, false) => angle + HALF_PI.times_power_of_two(1),
        (true, true) => angle - HALF_PI.times_power_of_two(1),
    }
}

/// sqrt(1 - x^2).
fn other_leg(x: Number) -> Number {
    ((one() - x) * (one() + x)).sqrt()
}

pub fn asin(x: Number) -> Number {
    atan2(x, other_leg(x))
}

pub fn acos(x: Number) -> Number {
    atan2(other_leg(x), x)
}

pub fn degrees(x: Number) -> Number {
    x * Number::from(90.0) / *HALF_PI
}

pub fn radians(x: Number) -> Number {
    x * *HALF_PI / Number::from(90.0)
}
