//! The proleptic Gregorian calendar on columns of days, in integer arithmetic
//! (<https://howardhinnant.github.io/date_algorithms.html>), and constants and offsets of timestamps.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::tracer::Tracer;
use crate::expr::tracer::integer::Int;
use crate::hlo::{Comparison, Value};

pub const SECONDS_IN_DAY: i128 = 86_400;
pub const NANOS_IN_SECOND: i128 = 1_000_000_000;

/// The days of the years -262143 to 262142, which are the dates that chrono supports, and so DataFusion.
pub const CHRONO_DAYS: Range = Range { min: -96_465_292, max: 95_026_236 };

/// Units per second.
pub fn per_second(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => NANOS_IN_SECOND,
    }
}

/// Nanoseconds per unit.
pub fn nanos_per(unit: TimeUnit) -> i128 {
    NANOS_IN_SECOND / per_second(unit)
}

/// The dates of a column of days: year, month 1 to 12 and day 1 to 31.
#[derive(Clone, Copy)]
pub struct Civil {
    pub year: Int,
    pub month: Int,
    pub day: Int,
}

/// The offset from UTC in seconds of a time zone whose offset never changes; `None` for other time zones.
pub fn fixed_offset(zone: &str) -> Option<i128> {
    if ["UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Z"].contains(&zone) {
        return Some(0);
    }
    let (sign, digits) = match zone.as_bytes().first()? {
        b'+' => (1, &zone[1..]),
        b'-' => (-1, &zone[1..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        5 if digits.as_bytes()[2] == b':' => (digits.get(..2)?, digits.get(3..)?),
        4 => (digits.get(..2)?, digits.get(2..)?),
        2 => (digits, "0"),
        _ => return None,
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i128>().ok()).flatten();
    let seconds = number(hours)? * 3600 + number(minutes)? * 60;
    (seconds < SECONDS_IN_DAY).then_some(sign * seconds)
}

/// The fixed offset of a timestamp type, 0 without a time zone; `None` if the offset varies.
pub fn offset_of(data_type: &DataType) -> Option<i128> {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => fixed_offset(zone),
        _ => Some(0),
    }
}

/// The date of a day, computed as on the device.
pub fn civil_from_days(days: i128) -> (i128, i128, i128) {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i128::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// The day of a date. Months and days beyond the end of their year or month run into the next.
pub fn days_from_civil(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (year.div_euclid(400), year.rem_euclid(400));
    let mp = (month + 9).rem_euclid(12);
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5 + day - 1 - 719_468
}

impl Tracer {
    pub fn civil(&mut self, days: &Int) -> Result<Civil> {
        let z = self.plus_constant(days, 719_468)?;
        let (era, doe) = self.floor_divide(&z, 146_097)?;
        let (a, b, c) = (self.cut(&doe, 1_460)?, self.cut(&doe, 36_524)?, self.cut(&doe, 146_096)?);
        let yoe = self.minus(&doe, &a)?;
        let yoe = self.plus(&yoe, &b)?;
        let yoe = self.minus(&yoe, &c)?;
        let yoe = self.cut(&yoe, 365)?;
        let yoe = self.bounded(&yoe, Range::new(0, 399))?;
        let before = self.days_before_year_of_era(&yoe)?;
        let doy = self.minus(&doe, &before)?;
        let doy = self.bounded(&doy, Range::new(0, 365))?;
        let mp = self.times(&doy, 5)?;
        let mp = self.plus_constant(&mp, 2)?;
        let mp = self.cut(&mp, 153)?;
        let start = self.days_before_month(&mp)?;
        let day = self.minus(&doy, &start)?;
        let day = self.plus_constant(&day, 1)?;
        let ten = self.constant_int(10);
        let spring = self.compare_int(&mp, &ten, Comparison::Lt)?;
        let (later, earlier) = (self.plus_constant(&mp, 3)?, self.plus_constant(&mp, -9)?);
        let month = self.select_int(spring, &later, &earlier)?;
        let winter = self.builder.not(spring)?;
        let winter = self.int_of(winter)?;
        let year = self.times(&era, 400)?;
        let year = self.plus(&year, &yoe)?;
        let year = self.plus(&year, &winter)?;
        let years = Range::new(civil_from_days(days.range.min).0, civil_from_days(days.range.max).0);
        Ok(Civil {
            year: self.bounded(&year, years)?,
            month: self.bounded(&month, Range::new(1, 12))?,
            day: self.bounded(&day, Range::new(1, 31))?,
        })
    }

    /// The days of dates. The month must be from 1 to 12.
    pub fn days(&mut self, date: &Civil) -> Result<Int> {
        let three = self.constant_int(3);
        let winter = self.compare_int(&date.month, &three, Comparison::Lt)?;
        let winter_int = self.int_of(winter)?;
        let year = self.minus(&date.year, &winter_int)?;
        let (era, yoe) = self.floor_divide(&year, 400)?;
        let (later, earlier) = (self.plus_constant(&date.month, 9)?, self.plus_constant(&date.month, -3)?);
        let mp = self.select_int(winter, &later, &earlier)?;
        let mp = self.bounded(&mp, Range::new(0, 11))?;
        let start = self.days_before_month(&mp)?;
        let days = self.times(&era, 146_097)?;
        let before = self.days_before_year_of_era(&yoe)?;
        let days = self.plus(&days, &before)?;
        let days = self.plus(&days, &start)?;
        let days = self.plus(&days, &date.day)?;
        let days = self.plus_constant(&days, -719_469)?;
        let (years, day) = (date.year.range, date.day.range);
        let least = days_from_civil(years.min, 1, 1) + day.min - 1;
        self.bounded(&days, Range::new(least, days_from_civil(years.max, 12, 1) + day.max - 1))
    }

    /// The day of January 1 of a year.
    pub fn new_year(&mut self, year: &Int) -> Result<Int> {
        let first = self.constant_int(1);
        self.days(&Civil { year: *year, month: first, day: first })
    }

    /// Years begin in March here, so that the leap day is the last day of a year.
    fn days_before_year_of_era(&mut self, yoe: &Int) -> Result<Int> {
        let days = self.times(yoe, 365)?;
        let (fourth, hundredth) = (self.cut(yoe, 4)?, self.cut(yoe, 100)?);
        let days = self.plus(&days, &fourth)?;
        let days = self.minus(&days, &hundredth)?;
        self.bounded(&days, Range::new(0, 146_097))
    }

    fn days_before_month(&mut self, mp: &Int) -> Result<Int> {
        let days = self.times(mp, 153)?;
        let days = self.plus_constant(&days, 2)?;
        self.cut(&days, 5)
    }

    /// The number of days in a month.
    pub fn month_length(&mut self, year: &Int, month: &Int) -> Result<Int> {
        // The lengths alternate between 31 and 30 from January, and again from August.
        let from_august = self.cut(month, 8)?;
        let odd = self.plus(month, &from_august)?;
        let (_, odd) = self.floor_divide(&odd, 2)?;
        let length = self.plus_constant(&odd, 30)?;
        let divisible = |t: &mut Self, by: i128| -> Result<Value> {
            let (_, rest) = t.floor_divide(year, by)?;
            let zero = t.constant_int(0);
            t.compare_int(&rest, &zero, Comparison::Eq)
        };
        let (by4, by100, by400) = (divisible(self, 4)?, divisible(self, 100)?, divisible(self, 400)?);
        let not_by100 = self.builder.not(by100)?;
        let leap = self.builder.or(not_by100, by400)?;
        let leap = self.builder.and(by4, leap)?;
        let leap = self.int_of(leap)?;
        let february_length = self.plus_constant(&leap, 28)?;
        let two = self.constant_int(2);
        let february = self.compare_int(month, &two, Comparison::Eq)?;
        let length = self.select_int(february, &february_length, &length)?;
        self.bounded(&length, Range::new(28, 31))
    }

    /// The days `months` later. If that month is too short, its last day.
    pub fn add_months(&mut self, days: &Int, months: &Int) -> Result<Int> {
        let date = self.civil(days)?;
        let total = self.times(&date.year, 12)?;
        let total = self.plus(&total, &date.month)?;
        let total = self.plus_constant(&total, -1)?;
        let total = self.plus(&total, months)?;
        let (year, month) = self.floor_divide(&total, 12)?;
        let month = self.plus_constant(&month, 1)?;
        let length = self.month_length(&year, &month)?;
        let day = self.least(&date.day, &length)?;
        self.days(&Civil { year, month, day })
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::time::calendar::{CHRONO_DAYS, civil_from_days, days_from_civil, fixed_offset};

    #[test]
    fn dates_and_days_are_inverse() {
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
        for days in (-800_000..3_000_000).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(CHRONO_DAYS.min, days_from_civil(-262_143, 1, 1));
        assert_eq!(CHRONO_DAYS.max, days_from_civil(262_142, 12, 31));
    }

    #[test]
    fn zones_of_one_offset() {
        assert_eq!(fixed_offset("UTC"), Some(0));
        assert_eq!(fixed_offset("+05:30"), Some(19_800));
        assert_eq!(fixed_offset("-0800"), Some(-28_800));
        assert_eq!(fixed_offset("Europe/Berlin"), None);
    }
}
