//! Where a literal stands among the values of a type.
//!
//! ```text
//! seconds     .. 3 4 | 5 6 ..        4.5 s stands between 4 and 5: the first value not below it is 5, so is the first above it
//! decimals    .. 3 [4] 5 ..          4.00 is the value 4: the first not below it is 4, the first above it is 5
//! ```
//!
//! The values of a type are numbered in order. Whether value number n is below a literal is decided exactly, and the search for
//! the first that is not takes as many steps as the number has bits.

use std::cmp::Ordering;

use datafusion::arrow::datatypes::{DataType, TimeUnit, i256};
use datafusion::scalar::ScalarValue;

use crate::frontend::exact_literals::subject::{Dropped, Subject};

/// How a column is compared with a literal.
pub enum Position {
    /// By the place of the literal among the column's values.
    Among(Place),
    /// As a literal of the column's own type.
    As(ScalarValue),
}

/// The place of a literal among the values `min..=max` of a type.
pub struct Place {
    values: Values,
    /// The first value that is not below the literal, or one more than the largest.
    not_below: i128,
    /// The first value above the literal, or one more than the largest.
    above: i128,
}

impl Place {
    /// Whether the type has values below the literal.
    pub fn has_below(&self) -> bool {
        self.not_below > self.values.min
    }

    /// Whether the type has values above the literal.
    pub fn has_above(&self) -> bool {
        self.above <= self.values.max
    }

    /// Whether no value equals the literal.
    pub fn is_between_values(&self) -> bool {
        self.not_below == self.above
    }

    pub fn only_value(&self) -> Option<ScalarValue> {
        if self.not_below + 1 == self.above { self.values.value(self.not_below) } else { None }
    }

    /// The first value that is not below the literal, if there is one.
    pub fn first_not_below(&self) -> Option<ScalarValue> {
        if self.not_below <= self.values.max { self.values.value(self.not_below) } else { None }
    }

    /// The last value that is not above the literal, if there is one.
    pub fn last_not_above(&self) -> Option<ScalarValue> {
        if self.above > self.values.min { self.values.value(self.above - 1) } else { None }
    }
}

/// The values of a type in order: a number each.
struct Values {
    data_type: DataType,
    min: i128,
    max: i128,
}

/// Whether [`locate`] may know the type.
pub fn is_ordered_type(data_type: &DataType) -> bool {
    Values::of(data_type).is_some() || matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Where `literal` stands among the values of the subject's type. Returns `None` for comparisons that DataFusion decides right, or not
/// at all.
pub fn locate(subject: &Subject, literal: &ScalarValue) -> Option<Position> {
    if let (Some((value, scale)), true) = (decimal_of(literal), subject.data_type.is_floating()) {
        let text = decimal_text(value, scale.try_into().ok()?);
        return match subject.data_type {
            DataType::Float64 => Some(Position::As(ScalarValue::Float64(Some(text.parse().ok()?)))),
            DataType::Float32 => Some(Position::As(ScalarValue::Float32(Some(text.parse().ok()?)))),
            _ => None,
        };
    }
    let values = Values::of(&subject.data_type)?;
    let order = comparison(subject, literal)?;
    let not_below = values.first(|n| order.of(n) != Ordering::Less);
    let above = values.first(|n| order.of(n) == Ordering::Greater);
    Some(Position::Among(Place { values, not_below, above }))
}

impl Values {
    fn of(data_type: &DataType) -> Option<Self> {
        let (min, max) = match data_type {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 | DataType::Date32 => (i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 | DataType::Timestamp(..) => (i64::MIN.into(), i64::MAX.into()),
            DataType::UInt8 => (0, u8::MAX.into()),
            DataType::UInt16 => (0, u16::MAX.into()),
            DataType::UInt32 => (0, u32::MAX.into()),
            DataType::UInt64 => (0, u64::MAX.into()),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
                if *scale >= 0 =>
            {
                let max = 10_i128.checked_pow((*precision).into())? - 1;
                (-max, max)
            }
            _ => return None,
        };
        Some(Self { data_type: data_type.clone(), min, max })
    }

    /// The first value for which a condition holds that holds for all values after it; one more than the largest if there is none.
    fn first(&self, holds: impl Fn(i128) -> bool) -> i128 {
        let (mut low, mut high) = (self.min, self.max + 1);
        while low < high {
            // The range may have more values than an i128 counts.
            let middle = low + (high.wrapping_sub(low).cast_unsigned() / 2).cast_signed();
            if holds(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn value(&self, n: i128) -> Option<ScalarValue> {
        Some(match &self.data_type {
            DataType::Int8 => ScalarValue::Int8(Some(n.try_into().ok()?)),
            DataType::Int16 => ScalarValue::Int16(Some(n.try_into().ok()?)),
            DataType::Int32 => ScalarValue::Int32(Some(n.try_into().ok()?)),
            DataType::Int64 => ScalarValue::Int64(Some(n.try_into().ok()?)),
            DataType::UInt8 => ScalarValue::UInt8(Some(n.try_into().ok()?)),
            DataType::UInt16 => ScalarValue::UInt16(Some(n.try_into().ok()?)),
            DataType::UInt32 => ScalarValue::UInt32(Some(n.try_into().ok()?)),
            DataType::UInt64 => ScalarValue::UInt64(Some(n.try_into().ok()?)),
            DataType::Date32 => ScalarValue::Date32(Some(n.try_into().ok()?)),
            DataType::Decimal32(p, s) => ScalarValue::Decimal32(Some(n.try_into().ok()?), *p, *s),
            DataType::Decimal64(p, s) => ScalarValue::Decimal64(Some(n.try_into().ok()?), *p, *s),
            DataType::Decimal128(p, s) => ScalarValue::Decimal128(Some(n), *p, *s),
            DataType::Timestamp(unit, zone) => {
                let (n, zone) = (Some(n.try_into().ok()?), zone.clone());
                match unit {
                    TimeUnit::Second => ScalarValue::TimestampSecond(n, zone),
                    TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(n, zone),
                    TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(n, zone),
                    TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(n, zone),
                }
            }
            _ => return None,
        })
    }
}

/// How a value of a type, given by its number, compares with one literal.
enum Comparison {
    /// The number times `unit` with a moment, both in nanoseconds.
    Time {
        unit: i128,
        literal: i128,
    },
    /// A number over 10 to the power of `scale` with another such.
    Decimal {
        dropped: Option<Dropped>,
        scale: u32,
        literal: i128,
        literal_scale: u32,
    },
    /// The float nearest to such a number with a float.
    Float64 {
        dropped: Option<Dropped>,
        scale: u32,
        literal: f64,
    },
    Float32 {
        dropped: Option<Dropped>,
        scale: u32,
        literal: f32,
    },
}

impl Comparison {
    fn of(&self, n: i128) -> Ordering {
        match self {
            Self::Time { unit, literal } => (n * unit).cmp(literal),
            Self::Decimal { dropped, scale, literal, literal_scale } => {
                scaled(drop_digits(n, *dropped), *literal_scale).cmp(&scaled(*literal, *scale))
            }
            // NaN is larger than every number.
            Self::Float64 { dropped, scale, literal } => {
                let value: f64 = decimal_text(drop_digits(n, *dropped), *scale).parse().unwrap_or(f64::NAN);
                value.partial_cmp(literal).unwrap_or(Ordering::Less)
            }
            Self::Float32 { dropped, scale, literal } => {
                let value: f32 = decimal_text(drop_digits(n, *dropped), *scale).parse().unwrap_or(f32::NAN);
                value.partial_cmp(literal).unwrap_or(Ordering::Less)
            }
        }
    }
}

/// At most 38 digits with at most 38 zeros: 76 digits fit 256 bits.
fn scaled(n: i128, zeros: u32) -> i256 {
    i256::from_i128(n).wrapping_mul(i256::from_i128(10).wrapping_pow(zeros))
}

/// A decimal as text, which Rust parses to the nearest float.
fn decimal_text(n: i128, scale: u32) -> String {
    format!("{n}e-{scale}")
}

/// A number without its last digits.
fn drop_digits(n: i128, dropped: Option<Dropped>) -> i128 {
    let Some(dropped) = dropped else { return n };
    // No number has more than 38 digits.
    let Some(unit) = 10_i128.checked_pow(dropped.digits) else { return 0 };
    let (whole, rest) = (n / unit, n % unit);
    if dropped.rounds && rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) { whole + n.signum() } else { whole }
}

/// How values of a type compare with a literal of another type, if this rule is to decide it.
fn comparison(subject: &Subject, literal: &ScalarValue) -> Option<Comparison> {
    let data_type = &subject.data_type;
    if data_type == &literal.data_type() && !subject.is_below_cast {
        return None;
    }
    match data_type {
        DataType::Timestamp(unit, zone) => {
            let literal = moment(literal, unit, zone.as_deref())?;
            Some(Comparison::Time { unit: nanoseconds(unit), literal })
        }
        DataType::Date32 => match literal.data_type() {
            DataType::Timestamp(_, None) => {
                Some(Comparison::Time { unit: 86_400_000_000_000, literal: moment(literal, &TimeUnit::Second, None)? })
            }
            _ => None,
        },
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            let dropped = subject.dropped;
            let scale = u32::try_from(*scale).ok()?.checked_sub(dropped.map_or(0, |dropped| dropped.digits))?;
            match literal {
                ScalarValue::Float64(Some(literal)) => Some(match decimal_meant(*literal) {
                    Some((literal, literal_scale)) => Comparison::Decimal { dropped, scale, literal, literal_scale },
                    None => Comparison::Float64 { dropped, scale, literal: *literal },
                }),
                ScalarValue::Float32(Some(literal)) => Some(Comparison::Float32 { dropped, scale, literal: *literal }),
                _ => {
                    let (literal, literal_scale) = decimal_of(literal).or_else(|| integer_of(literal))?;
                    let literal_scale = literal_scale.try_into().ok()?;
                    Some(Comparison::Decimal { dropped, scale, literal, literal_scale })
                }
            }
        }
        // DataFusion compares integers with integers and with floats right.
        _ if data_type.is_integer() => {
            let integer = || integer_of(literal).filter(|_| subject.is_below_cast);
            let (literal, literal_scale) = decimal_of(literal).or_else(integer)?;
            let literal_scale = literal_scale.try_into().ok()?;
            Some(Comparison::Decimal { dropped: None, scale: 0, literal, literal_scale })
        }
        _ => None,
    }
}

/// The decimal of at most 15 digits that was meant by a float that is not the nearest to any: SQL's numerals are decimals, and DataFusion
/// reads them as floats, so that 0.06 + 0.01 is 0.06999999999999999. `None` if some operations on floats do not explain the difference.
fn decimal_meant(literal: f64) -> Option<(i128, u32)> {
    let text = format!("{literal:.14e}");
    let near: f64 = text.parse().ok()?;
    let difference = (near - literal).abs();
    // Not a number is not close to anything.
    if !(difference > 0.0 && difference <= 4.0 * f64::EPSILON * literal.abs()) {
        return None;
    }
    let (digits, exponent) = text.split_once('e')?;
    let mut value: i128 = digits.replace('.', "").parse().ok()?;
    let mut scale = 14 - exponent.parse::<i32>().ok()?;
    while scale > 0 && value % 10 == 0 {
        (value, scale) = (value / 10, scale - 1);
    }
    let zeros = 10_i128.checked_pow(scale.min(0).unsigned_abs())?;
    let value = value.checked_mul(zeros).filter(|value| value.unsigned_abs() < 10_u128.pow(38))?;
    Some((value, u32::try_from(scale.max(0)).ok().filter(|scale| *scale <= 38)?))
}

fn decimal_of(literal: &ScalarValue) -> Option<(i128, i8)> {
    match literal {
        ScalarValue::Decimal32(Some(value), _, scale) => Some(((*value).into(), *scale)),
        ScalarValue::Decimal64(Some(value), _, scale) => Some(((*value).into(), *scale)),
        ScalarValue::Decimal128(Some(value), _, scale) => Some((*value, *scale)),
        _ => None,
    }
}

fn integer_of(literal: &ScalarValue) -> Option<(i128, i8)> {
    let value: i128 = match literal {
        ScalarValue::Int8(Some(value)) => (*value).into(),
        ScalarValue::Int16(Some(value)) => (*value).into(),
        ScalarValue::Int32(Some(value)) => (*value).into(),
        ScalarValue::Int64(Some(value)) => (*value).into(),
        ScalarValue::UInt8(Some(value)) => (*value).into(),
        ScalarValue::UInt16(Some(value)) => (*value).into(),
        ScalarValue::UInt32(Some(value)) => (*value).into(),
        ScalarValue::UInt64(Some(value)) => (*value).into(),
        _ => return None,
    };
    Some((value, 0))
}

/// The moment of a literal in nanoseconds, for a timestamp column of this unit and zone.
fn moment(literal: &ScalarValue, unit: &TimeUnit, zone: Option<&str>) -> Option<i128> {
    let literal = match (literal.data_type(), zone) {
        (DataType::Timestamp(_, None), None) | (DataType::Timestamp(_, Some(_)), Some(_)) => literal.clone(),
        // Without a zone it is the local time of the column's zone.
        (DataType::Timestamp(unit, None), Some(zone)) => {
            literal.cast_to(&DataType::Timestamp(unit, Some(zone.into()))).ok()?
        }
        (DataType::Date32, None) => literal.clone(),
        // DataFusion would read the text in the column's unit.
        (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, _) if *unit != TimeUnit::Nanosecond => {
            literal.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into))).ok()?
        }
        _ => return None,
    };
    let (value, unit) = match literal {
        ScalarValue::Date32(Some(days)) => return Some(i128::from(days) * 86_400_000_000_000),
        ScalarValue::TimestampSecond(Some(value), _) => (value, TimeUnit::Second),
        ScalarValue::TimestampMillisecond(Some(value), _) => (value, TimeUnit::Millisecond),
        ScalarValue::TimestampMicrosecond(Some(value), _) => (value, TimeUnit::Microsecond),
        ScalarValue::TimestampNanosecond(Some(value), _) => (value, TimeUnit::Nanosecond),
        _ => return None,
    };
    Some(i128::from(value) * nanoseconds(&unit))
}

fn nanoseconds(unit: &TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}
