//! Lowers CAST and TRY_CAST from, to and between dates, times, timestamps and durations, with the semantics of
//! arrow-cast: a few steps of integer arithmetic for each pair of types.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::expr::time::calendar::{CHRONO_DAYS, SECONDS_IN_DAY, offset_of, per_second};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::Value;

/// One step of a cast. A value outside the limits fails, or becomes NULL under TRY_CAST.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Times(i128),
    /// Divides and rounds towards zero.
    Cut(i128),
    Plus(i128),
    /// Divides by the units of a day and rounds down.
    Days(i128),
    /// The units since midnight, for a day of that many units.
    OfDay(i128),
    Within(Range),
    /// Like `Within`, but an error even under TRY_CAST.
    MustBeWithin(Range),
}

/// The steps between two types, at least one of which is a date or time. `None` if arrow or the device has no such cast.
fn steps(from: &DataType, to: &DataType) -> Option<Vec<Step>> {
    use DataType::{Date32, Date64, Duration, Int32, Int64, Time32, Time64, Timestamp};
    let day_millis = SECONDS_IN_DAY * 1_000;
    let within = |t: &DataType| Range::of_type(t).map(Step::Within);
    let scale = |from: i128, to: i128| if to >= from { Step::Times(to / from) } else { Step::Cut(from / to) };
    let known_dates = |per_second: i128| {
        let per_day = SECONDS_IN_DAY * per_second;
        Range::new(CHRONO_DAYS.min * per_day, (CHRONO_DAYS.max + 1) * per_day - 1)
    };
    // A timestamp without a time zone is a local time, and stays that local time in the new zone.
    let into_zone = |unit: TimeUnit, to: &DataType| -> Option<Vec<Step>> {
        match to {
            Timestamp(_, None) => Some(Vec::new()),
            _ => {
                let offset = offset_of(to)? * per_second(unit);
                Some(vec![Step::Within(known_dates(per_second(unit))), Step::Plus(-offset)])
            }
        }
    };
    let mut steps = match (from, to) {
        (Int32, Date32 | Time32(_)) | (Date32 | Time32(_), Int32 | Int64) => vec![],
        (Int64, Date32 | Date64 | Time64(_)) | (Date64 | Time64(_), Int64) | (Date64, Int32) => vec![],
        (Int32, Date64) | (Date32, Date64) => vec![Step::Times(day_millis)],
        (Date64, Date32) => vec![Step::Cut(day_millis)],
        (Time32(a) | Time64(a), Time32(b) | Time64(b)) => vec![scale(per_second(*a), per_second(*b))],
        (Timestamp(a, from_zone), Timestamp(b, _)) => {
            let mut steps = vec![scale(per_second(*a), per_second(*b)), within(to)?];
            if from_zone.is_none() {
                steps.extend(into_zone(*b, to)?);
            }
            steps
        }
        (Timestamp(unit, _), Date32) => {
            let (offset, per_second) = (offset_of(from)?, per_second(*unit));
            let limits = Step::MustBeWithin(known_dates(per_second));
            vec![limits, Step::Plus(offset * per_second), Step::Days(SECONDS_IN_DAY * per_second)]
        }
        (Timestamp(unit, _), Date64) => vec![scale(per_second(*unit), 1_000)],
        (Timestamp(a, _), Time32(b) | Time64(b)) => {
            let (offset, per_second_a) = (offset_of(from)?, per_second(*a));
            vec![
                Step::MustBeWithin(known_dates(per_second_a)),
                Step::Plus(offset * per_second_a),
                Step::OfDay(SECONDS_IN_DAY * per_second_a),
                scale(per_second_a, per_second(*b)),
            ]
        }
        (Date32 | Date64, Timestamp(unit, _)) => {
            let step = match from {
                Date32 => Step::Times(SECONDS_IN_DAY * per_second(*unit)),
                _ => scale(1_000, per_second(*unit)),
            };
            let mut steps = vec![step, within(to)?];
            steps.extend(into_zone(*unit, to)?);
            steps
        }
        (Duration(a), Duration(b)) => vec![scale(per_second(*a), per_second(*b))],
        (Timestamp(_, _) | Duration(_), to) if to.is_numeric() => vec![],
        (from, Timestamp(_, _) | Duration(_)) if from.is_numeric() => vec![],
        _ => return None,
    };
    steps.extend(within(to));
    Some(steps)
}

/// Whether the device has this cast from or to a date or time.
pub fn is_known(from: &DataType, to: &DataType) -> bool {
    steps(from, to).is_some() && !matches!((from, to), (DataType::Float16, _) | (_, DataType::Float16))
}

impl Tracer {
    pub fn cast_time(&mut self, operand: &TracedColumn, to: &DataType, safe: bool) -> Result<TracedColumn> {
        let from = &operand.data_type;
        let Some(steps) = steps(from, to) else {
            return Err(DataFusionError::Internal(format!("cast from {from} to {to} on the device")));
        };
        let (mut int, mut valid) = (*operand.int()?, operand.valid);
        for step in steps {
            int = match step {
                Step::Times(factor) => self.times(&int, factor)?,
                Step::Cut(divisor) => self.cut(&int, divisor)?,
                Step::Plus(offset) => self.plus_constant(&int, offset)?,
                Step::Days(units) => self.floor_divide(&int, units)?.0,
                Step::OfDay(units) => self.floor_divide(&int, units)?.1,
                Step::Within(limits) => {
                    let (int, outside) = self.confine(&int, &limits)?;
                    valid = self.lose(outside, valid, safe, to)?;
                    int
                }
                Step::MustBeWithin(limits) => {
                    let (int, outside) = self.confine(&int, &limits)?;
                    valid = self.lose(outside, valid, false, to)?;
                    int
                }
            };
        }
        Ok(TracedColumn { values: Values::Int(int), valid, data_type: to.clone(), dictionary: None })
    }

    /// Makes the flagged rows NULL or lets them fail, and returns the validity that is left.
    fn lose(&mut self, flag: Option<Value>, valid: Option<Value>, safe: bool, to: &DataType) -> Result<Option<Value>> {
        let Some(flag) = flag else { return Ok(valid) };
        if safe {
            let kept = self.builder.not(flag)?;
            return and_valid(&mut self.builder, valid, Some(kept));
        }
        self.fail(flag, valid, ExpressionError::cast(format!("Can't cast value to type {to}")))?;
        Ok(valid)
    }
}
