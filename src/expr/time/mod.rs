//! Lowers dates, times, timestamps, durations and intervals: integer arithmetic on counts of days and units.

pub mod calendar;
pub mod cast;
pub mod clock;
pub mod date_bin;
pub mod date_part;
pub mod date_trunc;
pub mod interval;
pub mod make;
pub mod zone;
