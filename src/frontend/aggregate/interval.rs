//! Intervals as whole numbers of 256 bits, so that the sum of the numbers is that of the intervals: months, days and the parts of a day
//! have bits of their own, wide enough for more rows than any table has.

use datafusion::arrow::datatypes::i256;

/// Bits of the parts of a day: 2^32 rows of the greatest value fit.
const PARTS: u8 = 96;
/// Bits of the days: 2^48 rows of the greatest value fit.
const DAYS: u8 = 80;

/// An interval, or a sum of some. The parts of a day are milliseconds or nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub months: i128,
    pub days: i128,
    pub parts: i128,
}

impl Interval {
    pub fn pack(self) -> i256 {
        let [months, days, parts] = [self.months, self.days, self.parts].map(i256::from_i128);
        let low = (days << PARTS).wrapping_add(parts);
        (months << (PARTS + DAYS)).wrapping_add(low)
    }

    pub fn unpack(packed: i256) -> Self {
        let low = |value: i256, bits: u8| (value << (u8::MAX - bits + 1)) >> (u8::MAX - bits + 1);
        let parts = low(packed, PARTS);
        let rest = packed.wrapping_sub(parts) >> PARTS;
        let days = low(rest, DAYS);
        let months = rest.wrapping_sub(days) >> DAYS;
        Self { months: months.as_i128(), days: days.as_i128(), parts: parts.as_i128() }
    }
}

#[cfg(test)]
mod tests {
    use crate::frontend::aggregate::interval::Interval;

    #[test]
    fn sums_of_packed_intervals_are_those_of_their_parts() {
        let (ends, times) = ([i64::MIN, -1, 0, 1, i64::MAX], 1 << 20);
        for parts in ends {
            for days in ends.map(|end| end >> 32) {
                for months in ends.map(|end| end >> 32) {
                    let [months, days, parts] = [months, days, parts].map(i128::from);
                    let one = Interval { months, days, parts };
                    assert_eq!(Interval::unpack(one.pack()), one);
                    let packed = (0..20).fold(one.pack(), |sum, _| sum.wrapping_add(sum));
                    let sum = Interval { months: months * times, days: days * times, parts: parts * times };
                    assert_eq!(Interval::unpack(packed), sum);
                }
            }
        }
    }
}
