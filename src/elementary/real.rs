//! What the formulas are written over: numbers that add, multiply and compare, and `f64` as one of them.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A double, or a column of doubles in a program. Every operation rounds once, to the nearest double, halves to even.
pub trait Real:
    Copy
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
{
    /// The result of a comparison.
    type Flag: Copy;

    /// The number `value`, as this one is a number.
    fn number(self, value: f64) -> Self;

    /// The same number, of which a compiler knows no longer how it was computed: for a difference that shows what rounding
    /// took away, and which is zero in real numbers.
    fn hidden(self) -> Self;

    fn abs(self) -> Self;

    fn sqrt(self) -> Self;

    /// The cube root to within some units in the last place.
    fn approximate_cube_root(self) -> Self;

    /// The nearest integer, halves to even.
    fn nearest_integer(self) -> Self;

    /// The magnitude of this number with the sign of `other`.
    fn with_sign_of(self, other: Self) -> Self;

    /// The first 26 bits of the mantissa. Infinity and NaN may become either of the two.
    fn upper_half(self) -> Self;

    /// Of a normal positive number: the mantissa, from 1 up to 2, and the exponent.
    fn mantissa_and_exponent(self) -> (Self, Self);

    /// The number itself; of a subnormal number its product with 2^1074, and the flag.
    fn normal(self) -> (Self, Self::Flag);

    /// Two to the power of this integer, which is between -1022 and 1023.
    fn power_of_two(self) -> Self;

    fn is_less(self, other: Self) -> Self::Flag;

    /// Whether this is 0.0 or -0.0.
    fn is_zero(self) -> Self::Flag;

    /// Whether this is less than zero, subnormal numbers included.
    fn is_negative(self) -> Self::Flag;

    fn is_nan(self) -> Self::Flag;

    /// Entries of a table, the first of them the one that this integer is the number of.
    fn entries<const N: usize>(self, table: &[f64]) -> [Self; N];

    /// `yes` where the flag is set, else `no`.
    fn pick(flag: Self::Flag, yes: Self, no: Self) -> Self;
}

/// 1.5 * 2^52: added to an integer of less than 2^51, it leaves the integer in the last bits of the mantissa.
const INTEGER_IN_MANTISSA: f64 = 6_755_399_441_055_744.0;

/// 2^52: from here on all doubles are integers.
const FIRST_WITHOUT_FRACTION: f64 = 4_503_599_627_370_496.0;

const MANTISSA_BITS: u32 = 52;
const SIGN_BIT: u64 = 1 << 63;
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;

impl Real for f64 {
    type Flag = bool;

    #[inline]
    fn number(self, value: f64) -> Self {
        value
    }

    #[inline]
    fn hidden(self) -> Self {
        self
    }

    #[inline]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline]
    fn approximate_cube_root(self) -> Self {
        self.cbrt()
    }

    /// By additions, because without SSE 4.1 `round_ties_even` is a call.
    #[inline]
    fn nearest_integer(self) -> Self {
        let magnitude = self.abs();
        let rounded = (magnitude + FIRST_WITHOUT_FRACTION) - FIRST_WITHOUT_FRACTION;
        let integer = if magnitude < FIRST_WITHOUT_FRACTION { rounded } else { magnitude };
        integer.copysign(self)
    }

    #[inline]
    fn with_sign_of(self, other: Self) -> Self {
        self.copysign(other)
    }

    #[inline]
    fn upper_half(self) -> Self {
        Self::from_bits(self.to_bits() & !((1 << 27) - 1))
    }

    #[inline]
    fn mantissa_and_exponent(self) -> (Self, Self) {
        let bits = self.to_bits();
        let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
        let exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
        (Self::from_bits(mantissa | ONE_BITS), f64::from(exponent))
    }

    #[inline]
    fn normal(self) -> (Self, bool) {
        let subnormal = self.is_subnormal();
        // The bits of a subnormal number are its multiple of 2^-1074.
        let magnitude = (self.to_bits() & !SIGN_BIT) as f64;
        (if subnormal { magnitude.copysign(self) } else { self }, subnormal)
    }

    #[inline]
    fn power_of_two(self) -> Self {
        let shifted = (self + INTEGER_IN_MANTISSA).to_bits() << MANTISSA_BITS;
        Self::from_bits(shifted.wrapping_add(ONE_BITS))
    }

    #[inline]
    fn is_less(self, other: Self) -> bool {
        self < other
    }

    #[inline]
    fn is_zero(self) -> bool {
        self == 0.0
    }

    #[inline]
    fn is_negative(self) -> bool {
        self < 0.0
    }

    #[inline]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline]
    fn entries<const N: usize>(self, table: &[f64]) -> [Self; N] {
        std::array::from_fn(|i| table.get(self as usize + i).copied().unwrap_or(0.0))
    }

    #[inline]
    fn pick(flag: bool, yes: Self, no: Self) -> Self {
        if flag { yes } else { no }
    }
}

/// `coefficients[0] + coefficients[1] * x + ..`, by Horner's rule.
#[inline]
pub fn polynomial<R: Real>(x: R, coefficients: &[f64]) -> R {
    let mut terms = coefficients.iter().rev();
    let mut sum = x.number(*terms.next().unwrap_or(&0.0));
    for coefficient in terms {
        sum = sum * x + *coefficient;
    }
    sum
}

/// `y`, an odd function of x whose slope at zero is one, but `x` itself where no digit of the two differs.
#[inline]
pub fn identity_near_zero<R: Real>(x: R, y: R) -> R {
    let near = x.abs().is_less(x.number(1e-30));
    R::pick(near, x, y.with_sign_of(x))
}
