//! The cotangent: the argument is reduced to a multiple of pi / 2 and a rest in pairs, however large it is (M. H. Payne and
//! R. N. Hanek, "Radian reduction for trigonometric functions", 1983), and cot(r) is cos(r) / sin(r) by their series.

use crate::elementary::pair::Pair;
use crate::elementary::real::{Real, polynomial};

const HALF_PI: (f64, f64) = (std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17);

const DIGIT_BITS: i32 = 26;

/// Four zeros and 2 / pi: digits of 26 bits, the first of weight 2^-26.
const DIGITS: [f64; 50] = [
    0.0,
    0.0,
    0.0,
    0.0,
    42_722_829.0,
    48_555_073.0,
    21_659_401.0,
    56_087_029.0,
    13_858_563.0,
    28_715_353.0,
    38_736_100.0,
    4_324_945.0,
    26_128_250.0,
    62_674_459.0,
    29_957_006.0,
    37_899_730.0,
    58_726_692.0,
    49_193_117.0,
    6_588_223.0,
    35_515_164.0,
    46_442_140.0,
    65_964_067.0,
    24_988_590.0,
    54_822_121.0,
    41_009_306.0,
    54_917_092.0,
    5_137_525.0,
    37_323_603.0,
    15_192_690.0,
    4_585_659.0,
    58_608_142.0,
    52_426_903.0,
    67_074_070.0,
    25_231_090.0,
    63_202_006.0,
    34_237_727.0,
    28_629_499.0,
    15_891_632.0,
    40_752_081.0,
    37_709_470.0,
    25_143_477.0,
    55_737_260.0,
    33_225_084.0,
    24_853_767.0,
    15_195_689.0,
    19_476_134.0,
    50_255_852.0,
    18_845_021.0,
    2_185_228.0,
    50_622_407.0,
];
const LEADING: f64 = 4.0;

/// Up to here an argument is its own rest.
const SMALL: f64 = 0.75;

const MINUS_SIXTH: (f64, f64) = (-1.0 / 6.0, -9.251_858_538_542_97e-18);

/// 1/5!, -1/7!, .. -1/19!
const SINE: [f64; 8] = [
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
    -1.0 / 121_645_100_408_832_000.0,
];

/// 1/4!, -1/6!, .. 1/20!
const COSINE: [f64; 9] = [
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
    -1.0 / 6_402_373_705_728_000.0,
    1.0 / 2_432_902_008_176_640_000.0,
];

/// A number as an integer, of which only oddness matters, and a rest of at most one half.
struct Parts<R> {
    integer: R,
    rest: Pair<R>,
}

impl<R: Real> Parts<R> {
    /// Moves the integer part of the rest.
    #[inline]
    fn plus(self, other: Pair<R>) -> Self {
        let rest = self.rest.plus(other);
        let integer = rest.high.nearest_integer();
        Self { integer: self.integer + integer, rest: Pair::sum(rest.high - integer, rest.low) }
    }
}

/// The even integer next to `x` taken off.
#[inline]
fn modulo_two<R: Real>(x: R) -> R {
    x - (x * 0.5).nearest_integer() * 2.0
}

/// `x * 2 / pi` of a positive x. Digits of 2 / pi are left out where their product with x is even, and after eight. No sum is
/// rounded before the integer is taken off, so that the rest has its relative accuracy however small it is.
#[inline]
fn quarter_turns<R: Real>(x: R) -> Parts<R> {
    let bits = f64::from(DIGIT_BITS);
    let (mantissa, exponent) = x.mantissa_and_exponent();
    // (exponent - 53) / 26, rounded down.
    let first = ((exponent - 65.5) * (1.0 / bits)).nearest_integer();
    let digits: [R; 8] = (first + LEADING).entries(&DIGITS);
    let scaled = mantissa * (exponent - first * bits - bits).power_of_two();
    let upper = scaled.upper_half();
    let lower = scaled - upper;
    // Products of 26 or 27 bits with 26.
    let product = |place: usize| {
        let weight = 2f64.powi(-DIGIT_BITS * place as i32);
        (upper * digits[place] * weight, lower * digits[place] * weight)
    };
    let small_product = |place: usize| {
        let (upper, lower) = product(place);
        Pair::sum(modulo_two(upper), modulo_two(lower))
    };
    let zero = x.number(0.0);
    let mut parts = Parts { integer: zero, rest: Pair::of(zero) };
    for place in 0..4 {
        parts = parts.plus(small_product(place));
    }
    for place in 4..8 {
        let (upper, lower) = product(place);
        parts.rest = parts.rest.plus(Pair::sum(upper, lower));
    }
    parts
}

/// sin(r) and cos(r) by their series, for r up to pi / 4.
#[inline]
fn sine_and_cosine<R: Real>(r: Pair<R>) -> (Pair<R>, Pair<R>) {
    let square = Pair::product(r.high, r.high);
    let low = square.low + (r.high + r.high) * r.low;
    let terms = square.high * (square.high * polynomial(square.high, &COSINE));
    let half = Pair::sum_of_ordered(r.high.number(1.0), square.high * -0.5);
    let cosine = Pair::sum_of_ordered(half.high, half.low + (terms - low * 0.5));
    let cube = Pair::product(square.high, r.high);
    let cube = Pair { high: cube.high, low: cube.low + low * r.high };
    let third = cube.times(Pair::constant(r.high, MINUS_SIXTH));
    let terms = cube.high * (square.high * polynomial(square.high, &SINE));
    let sum = Pair::sum_of_ordered(r.high, third.high);
    let sine = Pair::sum_of_ordered(sum.high, sum.low + (third.low + (r.low * cosine.high + terms)));
    (sine, cosine)
}

#[inline]
pub fn cotangent<R: Real>(x: R) -> R {
    let (magnitude, one) = (x.abs(), x.number(1.0));
    let Parts { integer, rest } = quarter_turns(magnitude);
    let small = magnitude.is_less(x.number(SMALL));
    let rest = Pair::pick(small, Pair::of(magnitude), rest.times(Pair::constant(x, HALF_PI)));
    let integer = R::pick(small, x.number(0.0), integer);
    let (sine, cosine) = sine_and_cosine(rest);
    let half = integer * 0.5;
    let even = (half - half.nearest_integer()).is_zero();
    let negated = Pair { high: -sine.high, low: -sine.low };
    let y = Pair::pick(even, cosine, negated).over(Pair::pick(even, sine, cosine)).rounded();
    let y = R::pick(magnitude.is_less(x.number(f64::INFINITY)), y, x.number(f64::NAN));
    let y = R::pick(magnitude.is_less(x.number(1e-30)), near_pole(magnitude), y);
    let y = R::pick(x.is_negative(), -y, y);
    let y = R::pick(x.is_zero(), one.number(f64::INFINITY).with_sign_of(x), y);
    R::pick(x.is_nan(), x, y)
}

/// 1 / x, of subnormal numbers, too.
#[inline]
fn near_pole<R: Real>(x: R) -> R {
    let one = x.number(1.0);
    let (number, subnormal) = x.normal();
    let up = |power: i32| R::pick(subnormal, one.number(2f64.powi(power)), one);
    one / number * up(1000) * up(74)
}
