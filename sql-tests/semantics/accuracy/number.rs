//! Numbers of 128 bits and any magnitude, with an error of at most a few of their last bits an operation.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `mantissa * 2^exponent`, whose mantissa has its first bit set; zero has the mantissa 0.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    negative: bool,
    mantissa: u128,
    exponent: i32,
}

impl Number {
    pub const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0 };

    pub fn new(negative: bool, mantissa: u128, exponent: i32) -> Self {
        if mantissa == 0 {
            return Self::ZERO;
        }
        let shift = mantissa.leading_zeros();
        Self { negative, mantissa: mantissa << shift, exponent: exponent - shift as i32 }
    }

    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    pub fn is_negative(self) -> bool {
        self.negative
    }

    pub fn abs(self) -> Self {
        Self { negative: false, ..self }
    }

    /// The power of two that is not greater than the magnitude. Zero has a very small one.
    pub fn magnitude(self) -> i32 {
        if self.is_zero() { i32::MIN / 2 } else { self.exponent + 127 }
    }

    pub fn times_power_of_two(self, power: i32) -> Self {
        Self { exponent: self.exponent + power, ..self }
    }

    /// Whether adding it to a number of this size changes nothing.
    pub fn is_negligible_beside(self, sum: Self) -> bool {
        self.is_zero() || self.magnitude() < sum.magnitude() - 128
    }

    pub fn over(self, divisor: u64) -> Self {
        if self.is_zero() {
            return self;
        }
        // The shift keeps as many bits as the divisor takes.
        let divisor = u128::from(divisor);
        let quotient = self.mantissa / divisor;
        let rest = self.mantissa % divisor;
        let shift = quotient.leading_zeros();
        Self::new(self.negative, (quotient << shift) | ((rest << shift) / divisor), self.exponent - shift as i32)
    }

    pub fn round(self) -> i64 {
        self.to_f64().round() as i64
    }

    /// A double near it, if it is between the normal ones.
    pub fn to_f64(self) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        let first = (self.mantissa >> 64) as f64 * 2f64.powi(-63);
        let magnitude = self.magnitude().clamp(-1100, 1100);
        let value = first * 2f64.powi(magnitude / 2) * 2f64.powi(magnitude - magnitude / 2);
        if self.negative { -value } else { value }
    }

    /// The square root of a number that is not negative.
    pub fn sqrt(self) -> Self {
        if self.is_zero() {
            return self;
        }
        let power = self.magnitude() & !1;
        let x = self.times_power_of_two(-power);
        // Newton's method for 1 / sqrt(x): 53, 106, 128 bits.
        let mut root = Self::from(1.0 / x.to_f64().sqrt());
        for _ in 0..2 {
            let rest = Self::from(1.0) - x * root * root;
            root = root + root * rest.times_power_of_two(-1);
        }
        (x * root).times_power_of_two(power / 2)
    }

    /// How many units in the last place of a double of this size `rounded` is off.
    pub fn distance(self, rounded: f64) -> f64 {
        const LARGEST: i32 = 1023;
        let overflows = self.magnitude() > LARGEST || self.abs() >= Self::new(false, u128::MAX << 74, 896);
        if overflows || !rounded.is_finite() {
            let expected = if self.negative { f64::NEG_INFINITY } else { f64::INFINITY };
            return if overflows && rounded == expected { 0.0 } else { f64::INFINITY };
        }
        let unit = (self.magnitude() - 52).max(-1074);
        (self - Self::from(rounded)).times_power_of_two(-unit).to_f64().abs()
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i32;
        let fraction = u128::from(bits & ((1 << 52) - 1));
        match exponent {
            0 => Self::new(value.is_sign_negative(), fraction, -1074),
            _ => Self::new(value.is_sign_negative(), fraction | 1 << 52, exponent - 1075),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let difference = *self - *other;
        Some(match difference.is_zero() {
            true => Ordering::Equal,
            false if difference.negative => Ordering::Less,
            false => Ordering::Greater,
        })
    }
}

impl Neg for Number {
    type Output = Self;

    fn neg(self) -> Self {
        Self { negative: !self.negative, ..self }
    }
}

impl Add for Number {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (large, small) = if self.magnitude() >= other.magnitude() { (self, other) } else { (other, self) };
        let distance = large.magnitude() - small.magnitude();
        if small.is_zero() || distance > 128 {
            return large;
        }
        // One bit for the carry.
        let exponent = large.exponent + 1;
        let large_mantissa = large.mantissa >> 1;
        let small_mantissa = small.mantissa.checked_shr(distance as u32 + 1).unwrap_or(0);
        if large.negative == small.negative {
            return Self::new(large.negative, large_mantissa + small_mantissa, exponent);
        }
        if distance == 0 {
            let (negative, mantissa) = match large.mantissa.checked_sub(small.mantissa) {
                Some(mantissa) => (large.negative, mantissa),
                None => (small.negative, small.mantissa - large.mantissa),
            };
            return Self::new(negative, mantissa, large.exponent);
        }
        // The shifted number is smaller, and the difference has room for the bit.
        let small_mantissa = small.mantissa >> distance.min(127);
        Self::new(large.negative, large.mantissa - small_mantissa, large.exponent)
    }
}

impl Sub for Number {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Number {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let low_half = |x: u128| x & u128::from(u64::MAX);
        let (a, b) = (self.mantissa >> 64, low_half(self.mantissa));
        let (c, d) = (other.mantissa >> 64, low_half(other.mantissa));
        let (ad, bc) = (a * d, b * c);
        let carry = low_half(ad) + low_half(bc) + ((b * d) >> 64);
        let high = a * c + (ad >> 64) + (bc >> 64) + (carry >> 64);
        // The first bit of a product may be zero; then one more of the lower half is kept.
        let low_bit = carry >> 63 & 1;
        match high.leading_zeros() {
            0 => Self::new(self.negative != other.negative, high, self.exponent + other.exponent + 128),
            _ => Self::new(self.negative != other.negative, high << 1 | low_bit, self.exponent + other.exponent + 127),
        }
    }
}

impl Div for Number {
    type Output = Self;

    fn div(self, divisor: Self) -> Self {
        let power = divisor.magnitude();
        let x = divisor.times_power_of_two(-power);
        // Newton's method for 1 / x: 53, 106, 128 bits.
        let mut inverse = Self::from(1.0 / x.to_f64());
        for _ in 0..2 {
            let rest = Self::from(1.0) - x * inverse;
            inverse = inverse + inverse * rest;
        }
        (self * inverse).times_power_of_two(-power)
    }
}
