//! Numbers of some 106 bits: sums of two doubles (T. J. Dekker, "A floating-point technique for extending the available
//! precision", 1971; D. E. Knuth, "The Art of Computer Programming", volume 2, 4.2.2).

use crate::elementary::real::Real;

/// `high + low`, where `low` is small beside `high`.
#[derive(Clone, Copy)]
pub struct Pair<R> {
    pub high: R,
    pub low: R,
}

impl<R: Real> Pair<R> {
    /// `x` itself.
    #[inline]
    pub fn of(x: R) -> Self {
        Self { high: x, low: x.number(0.0) }
    }

    /// A constant that is the sum of two doubles.
    #[inline]
    pub fn constant(like: R, (high, low): (f64, f64)) -> Self {
        Self { high: like.number(high), low: like.number(low) }
    }

    /// `x + y`, exactly (Knuth).
    #[inline]
    pub fn sum(x: R, y: R) -> Self {
        let high = (x + y).hidden();
        let of_y = (high - x).hidden();
        let of_x = (high - of_y).hidden();
        Self { high, low: (x - of_x) + (y - of_y) }
    }

    /// `x + y`, exactly, where `x` is zero or has the greater magnitude (Dekker).
    #[inline]
    pub fn sum_of_ordered(x: R, y: R) -> Self {
        let high = (x + y).hidden();
        let of_y = (high - x).hidden();
        Self { high, low: y - of_y }
    }

    /// `x * y`, exactly (Dekker). The products of the halves have no more than 53 bits.
    #[inline]
    pub fn product(x: R, y: R) -> Self {
        let (x_upper, y_upper) = (x.upper_half(), y.upper_half());
        let (x_lower, y_lower) = (x - x_upper, y - y_upper);
        let high = x * y;
        let rest = x_upper * y_upper - high;
        let rest = rest + x_upper * y_lower;
        let rest = rest + x_lower * y_upper;
        Self { high, low: rest + x_lower * y_lower }
    }

    /// The nearest double.
    #[inline]
    pub fn rounded(self) -> R {
        self.high + self.low
    }

    #[inline]
    pub fn plus(self, other: Self) -> Self {
        let sum = Self::sum(self.high, other.high);
        Self::sum_of_ordered(sum.high, sum.low + (self.low + other.low))
    }

    #[inline]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    #[inline]
    pub fn times(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        let rest = self.high * other.low + self.low * other.high;
        Self::sum_of_ordered(product.high, product.low + rest)
    }

    /// The product with a power of two.
    #[inline]
    pub fn scaled(self, factor: R) -> Self {
        Self { high: self.high * factor, low: self.low * factor }
    }

    #[inline]
    pub fn over(self, divisor: Self) -> Self {
        let quotient = self.high / divisor.high;
        let product = Self::product(quotient, divisor.high);
        let rest = (self.high - product.high) - product.low;
        let rest = rest + (self.low - quotient * divisor.low);
        Self::sum_of_ordered(quotient, rest / divisor.high)
    }

    /// The square root. Zero has the root zero.
    #[inline]
    pub fn root(self) -> Self {
        let root = self.high.sqrt();
        let square = Self::product(root, root);
        let rest = ((self.high - square.high) - square.low) + self.low;
        let low = rest / (root + root);
        let zero = root.number(0.0);
        Self::sum_of_ordered(root, R::pick(zero.is_less(root), low, zero))
    }

    #[inline]
    pub fn pick(flag: R::Flag, yes: Self, no: Self) -> Self {
        Self { high: R::pick(flag, yes.high, no.high), low: R::pick(flag, yes.low, no.low) }
    }
}
