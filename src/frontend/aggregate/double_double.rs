//! Numbers of 106 bits as the unevaluated sum of two doubles (Dekker, "A floating-point technique for extending the available
//! precision", 1971; Knuth's two-sum). Relative error of each operation: below 2^-100.

use std::ops::{Add, Mul, Neg, Sub};

/// `hi + lo`, where `hi` is the nearest double.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DoubleDouble {
    pub hi: f64,
    pub lo: f64,
}

impl DoubleDouble {
    /// The nearest to an integer; exact up to 106 bits.
    pub fn of_int(value: i128) -> Self {
        let hi = value as f64;
        // Only i128::MAX and its neighbours round up to 2^127, which saturates: the difference is 1.
        let lo = value.wrapping_sub(hi as i128) as f64;
        Self::sum_of(hi, lo)
    }

    /// The exact sum of two doubles.
    pub fn sum_of(a: f64, b: f64) -> Self {
        let hi = a + b;
        let b_rounded = hi - a;
        let lo = (a - (hi - b_rounded)) + (b - b_rounded);
        Self { hi, lo: of_finite(hi, lo) }
    }

    /// The exact product of two doubles.
    pub fn product_of(a: f64, b: f64) -> Self {
        let hi = a * b;
        Self { hi, lo: of_finite(hi, a.mul_add(b, -hi)) }
    }

    pub fn to_f64(self) -> f64 {
        self.hi + self.lo
    }

    pub fn square(self) -> Self {
        self * self
    }

    /// Divides by a double.
    pub fn over(self, divisor: f64) -> Self {
        let quotient = self.hi / divisor;
        let rest = self - Self::product_of(quotient, divisor);
        normal(quotient, rest.hi / divisor)
    }
}

impl From<f64> for DoubleDouble {
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (hi, lo) = (Self::sum_of(self.hi, other.hi), Self::sum_of(self.lo, other.lo));
        let first = normal(hi.hi, hi.lo + lo.hi);
        normal(first.hi, first.lo + lo.lo)
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for DoubleDouble {
    type Output = Self;

    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Mul for DoubleDouble {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let product = Self::product_of(self.hi, other.hi);
        normal(product.hi, product.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Mul<f64> for DoubleDouble {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        let product = Self::product_of(self.hi, factor);
        normal(product.hi, product.lo + self.lo * factor)
    }
}

/// The sum of two doubles of which the second is smaller.
fn normal(hi: f64, lo: f64) -> DoubleDouble {
    let sum = hi + lo;
    DoubleDouble { hi: sum, lo: of_finite(sum, lo - (sum - hi)) }
}

/// What is left of a number that no double holds. An infinity leaves nothing: the difference would be NaN.
fn of_finite(hi: f64, lo: f64) -> f64 {
    if hi.is_finite() { lo } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::frontend::aggregate::double_double::DoubleDouble;

    #[test]
    fn integers_of_106_bits_are_exact() {
        for value in [0, -1, (1 << 100) + 1, -(1 << 105) + 7, i128::from(i64::MIN), i128::from(u64::MAX)] {
            let DoubleDouble { hi, lo } = DoubleDouble::of_int(value);
            assert_eq!(hi as i128 + lo as i128, value);
        }
    }

    #[test]
    fn arithmetic_keeps_what_a_double_drops() {
        let third = DoubleDouble::from(1.0).over(3.0);
        let error = third * 3.0 - DoubleDouble::from(1.0);
        assert!(error.to_f64().abs() < 1e-31, "{error:?}");
        let large = DoubleDouble::of_int(10i128.pow(25) + 1);
        assert_eq!((large - DoubleDouble::of_int(10i128.pow(25))).to_f64(), 1.0);
        let square = DoubleDouble::of_int(10i128.pow(15) + 1).square();
        let expected = DoubleDouble::of_int((10i128.pow(15) + 1).pow(2));
        assert_eq!((square - expected).to_f64(), 0.0);
    }
}
