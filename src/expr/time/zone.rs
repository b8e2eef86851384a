//! Time zones whose offset from UTC varies. The host makes a table with arrow (chrono-tz) that has, for each UTC day of a
//! column, the offset at its beginning and the second at which the offset changes.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, TimestampSecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Time32SecondType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::time::calendar::{SECONDS_IN_DAY, fixed_offset, per_second};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{I64, Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::Comparison;
use crate::program::ElementType::S32;

/// The days from 1800 to 2149. Before 1800 every zone has its local mean time, and chrono-tz knows no change after 2099.
const CHANGES: Range = Range { min: -62_091, max: 65_744 };

/// A bound on the offset of any time zone, in seconds.
const MOST_OFFSET: i128 = SECONDS_IN_DAY;

/// The offsets of a time zone, for each UTC day.
struct Offsets {
    /// The offset in seconds at the beginning of each day, and of the day after the last.
    at_midnight: Vec<i32>,
    /// The second of the day from which the offset of the next midnight applies; 0 if the offset does not change.
    change: Vec<i32>,
}

/// Whether chrono-tz knows the zone.
pub fn is_known(zone: &str) -> bool {
    offsets(&[0], zone).is_ok()
}

/// The offsets in seconds at moments that are given in seconds since 1970.
fn offsets(seconds: &[i64], zone: &str) -> Result<Vec<i32>> {
    let moments: ArrayRef = Arc::new(TimestampSecondArray::from(seconds.to_vec()).with_timezone(zone));
    let dates = cast(&moments, &DataType::Date32)?;
    let times = cast(&moments, &DataType::Time32(TimeUnit::Second))?;
    let local =
        dates.as_primitive::<Date32Type>().values().iter().zip(times.as_primitive::<Time32SecondType>().values());
    let local = local.map(|(date, time)| i64::from(*date) * SECONDS_IN_DAY as i64 + i64::from(*time));
    Ok(local.zip(seconds).map(|(local, utc)| (local - utc) as i32).collect())
}

impl Offsets {
    /// The offsets of the days from `first` to `last`.
    fn of(zone: &str, first: i64, last: i64) -> Result<Self> {
        let day = SECONDS_IN_DAY as i64;
        let midnights: Vec<i64> = (first..=last + 1).map(|d| d * day).collect();
        let at_midnight = offsets(&midnights, zone)?;
        let mut change = vec![0; midnights.len() - 1];
        let changing: Vec<usize> = (0..change.len()).filter(|d| at_midnight[*d] != at_midnight[d + 1]).collect();
        // The old offset holds at `low`, the new one at `high`.
        let (mut low, mut high) = (vec![0; changing.len()], vec![day; changing.len()]);
        while low.iter().zip(&high).any(|(low, high)| high - low > 1) {
            let middle: Vec<i64> = low.iter().zip(&high).map(|(low, high)| (low + high) / 2).collect();
            let moments: Vec<i64> = changing.iter().zip(&middle).map(|(d, middle)| midnights[*d] + middle).collect();
            for (i, offset) in offsets(&moments, zone)?.into_iter().enumerate() {
                match offset == at_midnight[changing[i]] {
                    true => low[i] = middle[i],
                    false => high[i] = middle[i],
                }
            }
        }
        for (d, high) in changing.into_iter().zip(high) {
            change[d] = high as i32;
        }
        Ok(Self { at_midnight, change })
    }
}

impl Tracer {
    pub fn to_local_time(&mut self, operand: &TracedColumn, data_type: &DataType) -> Result<TracedColumn> {
        let local = self.wall_clock(operand.int()?, &operand.data_type)?;
        let local =
            self.confine_or_fail(&local, &I64, operand.valid, ExpressionError::compute("Timestamp out of range"))?;
        Ok(TracedColumn { values: Values::Int(local), data_type: data_type.clone(), ..operand.clone() })
    }

    /// The local time of a timestamp in its time zone; values of other types are returned unchanged.
    pub fn wall_clock(&mut self, moment: &Int, data_type: &DataType) -> Result<Int> {
        let DataType::Timestamp(unit, Some(zone)) = data_type else { return Ok(*moment) };
        match fixed_offset(zone) {
            Some(offset) => self.plus_constant(moment, offset * per_second(*unit)),
            None => self.local_time(moment, zone, per_second(*unit)),
        }
    }

    /// The local time in `zone` of moments that are counted from 1970 UTC.
    fn local_time(&mut self, moment: &Int, zone: &str, per_second: i128) -> Result<Int> {
        let (days, of_day) = self.floor_divide(moment, SECONDS_IN_DAY * per_second)?;
        let known = days.range.intersection(&CHANGES).unwrap_or(if days.range.max < CHANGES.min {
            Range::new(CHANGES.min, CHANGES.min)
        } else {
            Range::new(CHANGES.max, CHANGES.max)
        });
        let table = Offsets::of(zone, known.min as i64, known.max as i64)?;
        let bytes = |table: &[i32]| table.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let (before, after) = (bytes(&table.at_midnight), bytes(&table.at_midnight[1..]));
        let (first, last) = (self.int_parameter(known.min), self.int_parameter(known.max));
        let mut day = days;
        for (limit, beyond) in [(&first, Comparison::Lt), (&last, Comparison::Gt)] {
            let beyond = self.compare_int(&day, limit, beyond)?;
            day = self.select_int(beyond, limit, &day)?;
        }
        let at = self.minus(&day, &first)?;
        let at = self.to_element(&at, S32)?;
        let [before, after, change] =
            [before, after, bytes(&table.change)].map(|bytes| self.table_parameter(S32, bytes));
        let offset = |limbs| Int { limbs: Limbs::Narrow(limbs), range: Range::new(-MOST_OFFSET, MOST_OFFSET) };
        let (before, after) = (offset(self.gather(before, at)?), offset(self.gather(after, at)?));
        let change = Int { limbs: Limbs::Narrow(self.gather(change, at)?), range: Range::new(0, SECONDS_IN_DAY) };
        let seconds = self.cut(&of_day, per_second)?;
        let changed = self.compare_int(&seconds, &change, Comparison::Ge)?;
        let offset = self.select_int(changed, &after, &before)?;
        let offset = self.times(&offset, per_second)?;
        self.plus(moment, &offset)
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::time::zone::{CHANGES, Offsets, is_known, offsets};

    #[test]
    fn zones_change_only_in_the_years_of_the_table() {
        let day = 86_400;
        for zone in ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Africa/Casablanca", "Australia/Lord_Howe"] {
            let (first, last) = (CHANGES.min as i64 * day, CHANGES.max as i64 * day);
            let before: Vec<i64> = (0..5000).map(|i| first - i * 97 * day).collect();
            let after: Vec<i64> = (0..5000).map(|i| last + i * 31 * day).collect();
            for moments in [before, after] {
                let offsets = offsets(&moments, zone).unwrap();
                assert!(offsets.iter().all(|offset| *offset == offsets[0]), "{zone}");
            }
        }
    }

    #[test]
    fn new_york_goes_to_summer_time_at_seven_utc() {
        // 2024-03-10 is day 19792, and 2024-11-03 day 20030.
        let offsets = Offsets::of("America/New_York", 19_791, 20_031).unwrap();
        assert_eq!(offsets.at_midnight[..3], [-18_000, -18_000, -14_400]);
        assert_eq!(offsets.change[..3], [0, 7 * 3600, 0]);
        assert_eq!(offsets.change[239], 6 * 3600);
        assert_eq!(offsets.at_midnight[239..], [-14_400, -18_000, -18_000]);
        assert!(is_known("Europe/Berlin") && !is_known("Mars/Olympus"));
    }
}
