//! Dates, times, timestamps, durations and intervals.

pub mod calendar;
pub mod cast;
pub mod date_bin;
pub mod date_part;
pub mod date_trunc;
pub mod interval;
pub mod make;
pub mod zone;
