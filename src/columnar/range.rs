//! Value ranges of integer-like columns and expressions. A range determines the widths of storage and arithmetic, and
//! proves that an operation cannot overflow. 128 bits hold the values of every supported type.

use datafusion::arrow::datatypes::{DataType, IntervalUnit};

use crate::program::ElementType;

/// A closed interval `min..=max`. An empty or all-NULL column has the range of the single value 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    pub min: i128,
    pub max: i128,
}

impl Range {
    pub const FULL: Self = Self { min: i128::MIN, max: i128::MAX };

    pub fn new(min: i128, max: i128) -> Self {
        Self { min, max }
    }

    /// Returns the values of an element type, or `None` for floats.
    pub fn of_element(element_type: ElementType) -> Option<Self> {
        let bits = element_type.size_bytes() as u32 * 8;
        if element_type.is_signed_integer() {
            Some(Self::new(-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1))
        } else if element_type.is_unsigned_integer() {
            Some(Self::new(0, (1i128 << bits) - 1))
        } else {
            None
        }
    }

    /// Returns the values of an Arrow type as integers, or `None` if it is not an integer on the device. Arrow checks a
    /// decimal's precision only in casts, so arithmetic may use all 128 bits.
    pub fn of_type(data_type: &DataType) -> Option<Self> {
        let element_type = match data_type {
            DataType::Int8 => ElementType::S8,
            DataType::Int16 => ElementType::S16,
            DataType::Int32
            | DataType::Date32
            | DataType::Time32(_)
            | DataType::Interval(IntervalUnit::YearMonth)
            | DataType::Decimal32(_, _) => ElementType::S32,
            DataType::Int64
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_)
            | DataType::Decimal64(_, _) => ElementType::S64,
            DataType::UInt8 => ElementType::U8,
            DataType::UInt16 => ElementType::U16,
            DataType::UInt32 => ElementType::U32,
            DataType::UInt64 => ElementType::U64,
            DataType::Decimal128(_, _) => return Some(Self::FULL),
            _ => return None,
        };
        Self::of_element(element_type)
    }

    /// Returns the intersection, or `None` if it is empty.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let both = Self::new(self.min.max(other.min), self.max.min(other.max));
        (both.min <= both.max).then_some(both)
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    pub fn union(&self, other: &Self) -> Self {
        Self::new(self.min.min(other.min), self.max.max(other.max))
    }

    /// Returns the range of `lhs + rhs`, or `None` if 128 bits may overflow. The same holds for the operations below.
    pub fn add(&self, other: &Self) -> Option<Self> {
        Some(Self::new(self.min.checked_add(other.min)?, self.max.checked_add(other.max)?))
    }

    pub fn subtract(&self, other: &Self) -> Option<Self> {
        Some(Self::new(self.min.checked_sub(other.max)?, self.max.checked_sub(other.min)?))
    }

    pub fn multiply(&self, other: &Self) -> Option<Self> {
        let products = [
            self.min.checked_mul(other.min)?,
            self.min.checked_mul(other.max)?,
            self.max.checked_mul(other.min)?,
            self.max.checked_mul(other.max)?,
        ];
        Some(Self::new(*products.iter().min()?, *products.iter().max()?))
    }

    /// Returns the range of a truncating division by any non-zero divisor in `other`.
    pub fn divide(&self, other: &Self) -> Option<Self> {
        let magnitude = self.magnitude()?;
        let least_divisor = if other.min > 0 {
            other.min
        } else if other.max < 0 {
            other.max.checked_neg()?
        } else {
            1
        };
        let limit = magnitude / least_divisor;
        let same_sign = self.min >= 0 && other.min >= 0;
        Some(Self::new(if same_sign { 0 } else { -limit }, limit))
    }

    /// Returns the range of a remainder, which has the sign of the dividend.
    pub fn remainder(&self, other: &Self) -> Option<Self> {
        let limit = self.magnitude()?.min(other.magnitude()?.checked_sub(1)?.max(0));
        Some(Self::new(if self.min < 0 { -limit } else { 0 }, if self.max > 0 { limit } else { 0 }))
    }

    /// Returns the largest absolute value.
    pub fn magnitude(&self) -> Option<i128> {
        Some(self.min.checked_abs()?.max(self.max.checked_abs()?))
    }

    /// Returns the number of values, saturating.
    pub fn extent(&self) -> i128 {
        self.max.saturating_sub(self.min).saturating_add(1)
    }

    /// Returns the narrowest signed element type that holds the range, or `None` if two limbs are needed.
    pub fn storage(&self) -> Option<ElementType> {
        [ElementType::S8, ElementType::S16, ElementType::S32, ElementType::S64]
            .into_iter()
            .find(|t| Self::of_element(*t).is_some_and(|r| r.contains(self)))
    }
}

#[cfg(test)]
mod tests {
    use crate::columnar::range::Range;
    use crate::program::ElementType;

    #[test]
    fn storage_is_the_narrowest_signed_type() {
        let storage = |min, max| Range::new(min, max).storage();
        assert_eq!(storage(-128, 127), Some(ElementType::S8));
        assert_eq!(storage(0, 128), Some(ElementType::S16));
        assert_eq!(storage(0, u32::MAX as i128), Some(ElementType::S64));
        assert_eq!(storage(0, u64::MAX as i128), None);
    }

    #[test]
    fn arithmetic_bounds_hold_and_overflow_is_none() {
        let (a, b) = (Range::new(-5, 10), Range::new(2, 3));
        assert_eq!(a.multiply(&b), Some(Range::new(-15, 30)));
        assert_eq!(a.subtract(&b), Some(Range::new(-8, 8)));
        assert_eq!(a.remainder(&b), Some(Range::new(-2, 2)));
        assert_eq!(a.divide(&b), Some(Range::new(-5, 5)));
        assert_eq!(Range::FULL.add(&b), None);
    }
}
