//! Types and values of the generator, as SQL literals and as Arrow arrays.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Date64Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, LargeStringArray, StringArray, StringViewArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::TimeUnit;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Date,
    /// Milliseconds, at midnight.
    Date64,
    /// Nanoseconds since midnight.
    Time,
    /// Without a zone.
    Timestamp(TimeUnit),
    /// Milliseconds in a zone of one offset.
    Zoned,
    /// Precision and scale.
    Decimal(u8, i8),
    Utf8,
    LargeUtf8,
    Utf8View,
}

impl Type {
    pub const ALL: [Self; 26] = [
        Self::Int64,
        Self::Boolean,
        Self::Int32,
        Self::Float64,
        Self::Decimal(15, 2),
        Self::Utf8View,
        Self::Date,
        Self::Int8,
        Self::Int16,
        Self::UInt8,
        Self::UInt16,
        Self::UInt32,
        Self::UInt64,
        Self::Float32,
        Self::Decimal(5, 2),
        Self::Decimal(18, 4),
        Self::Decimal(38, 10),
        Self::Utf8,
        Self::LargeUtf8,
        Self::Timestamp(TimeUnit::Nanosecond),
        Self::Timestamp(TimeUnit::Microsecond),
        Self::Timestamp(TimeUnit::Millisecond),
        Self::Timestamp(TimeUnit::Second),
        Self::Zoned,
        Self::Time,
        Self::Date64,
    ];

    pub const INTEGERS: [Self; 8] =
        [Self::Int64, Self::Int32, Self::Int16, Self::Int8, Self::UInt64, Self::UInt32, Self::UInt16, Self::UInt8];

    pub fn is_integer(self) -> bool {
        self.bounds().is_some()
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    pub fn is_decimal(self) -> bool {
        matches!(self, Self::Decimal(..))
    }

    pub fn is_string(self) -> bool {
        matches!(self, Self::Utf8 | Self::LargeUtf8 | Self::Utf8View)
    }

    pub fn is_timestamp(self) -> bool {
        matches!(self, Self::Timestamp(_) | Self::Zoned)
    }

    /// Returns the units per second of a type that counts time.
    pub fn per_second(self) -> i128 {
        match self {
            Self::Timestamp(TimeUnit::Second) => 1,
            Self::Timestamp(TimeUnit::Microsecond) => 1_000_000,
            Self::Timestamp(TimeUnit::Nanosecond) | Self::Time => 1_000_000_000,
            _ => 1_000,
        }
    }

    /// Returns the name for `arrow_cast`.
    fn arrow_name(self) -> String {
        match self {
            Self::Timestamp(unit) => format!("Timestamp({unit:?}, None)"),
            Self::Zoned => "Timestamp(Millisecond, Some(\"+05:30\"))".to_string(),
            Self::Time => "Time64(Nanosecond)".to_string(),
            _ => format!("{self:?}"),
        }
    }

    /// Returns minimum and maximum of an integer type.
    pub fn bounds(self) -> Option<(i128, i128)> {
        Some(match self {
            Self::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Self::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Self::Int32 => (i32::MIN.into(), i32::MAX.into()),
            Self::Int64 => (i64::MIN.into(), i64::MAX.into()),
            Self::UInt8 => (0, u8::MAX.into()),
            Self::UInt16 => (0, u16::MAX.into()),
            Self::UInt32 => (0, u32::MAX.into()),
            Self::UInt64 => (0, u64::MAX.into()),
            _ => return None,
        })
    }

    /// Returns whether every value of this integer type fits the other, so that a cast cannot fail.
    pub fn widens_to(self, wider: Self) -> bool {
        match (self.bounds(), wider.bounds()) {
            (Some((low, high)), Some((wide_low, wide_high))) => wide_low <= low && high <= wide_high,
            _ => false,
        }
    }

    /// Returns the array of `values`, which are all of this type.
    pub fn array(self, values: &[Option<Value>]) -> ArrayRef {
        macro_rules! integers {
            ($array:ident) => {
                Arc::new(values.iter().map(|v| v.as_ref().map(|v| v.integer() as _)).collect::<$array>())
            };
        }
        macro_rules! texts {
            ($array:ident) => {
                Arc::new(values.iter().map(|v| v.as_ref().map(Value::text)).collect::<$array>())
            };
        }
        match self {
            Self::Boolean => {
                Arc::new(values.iter().map(|v| v.as_ref().map(|v| v.integer() != 0)).collect::<BooleanArray>())
            }
            Self::Int8 => integers!(Int8Array),
            Self::Int16 => integers!(Int16Array),
            Self::Int32 => integers!(Int32Array),
            Self::Int64 => integers!(Int64Array),
            Self::UInt8 => integers!(UInt8Array),
            Self::UInt16 => integers!(UInt16Array),
            Self::UInt32 => integers!(UInt32Array),
            Self::UInt64 => integers!(UInt64Array),
            Self::Date => integers!(Date32Array),
            Self::Date64 => integers!(Date64Array),
            Self::Time => integers!(Time64NanosecondArray),
            Self::Timestamp(TimeUnit::Second) => integers!(TimestampSecondArray),
            Self::Timestamp(TimeUnit::Millisecond) => integers!(TimestampMillisecondArray),
            Self::Timestamp(TimeUnit::Microsecond) => integers!(TimestampMicrosecondArray),
            Self::Timestamp(TimeUnit::Nanosecond) => integers!(TimestampNanosecondArray),
            Self::Zoned => {
                let array: TimestampMillisecondArray =
                    values.iter().map(|v| v.as_ref().map(Value::milliseconds)).collect();
                Arc::new(array.with_timezone("+05:30"))
            }
            Self::Float32 => {
                Arc::new(values.iter().map(|v| v.as_ref().map(|v| v.float() as f32)).collect::<Float32Array>())
            }
            Self::Float64 => Arc::new(values.iter().map(|v| v.as_ref().map(Value::float)).collect::<Float64Array>()),
            Self::Decimal(precision, scale) => {
                let array: Decimal128Array = values.iter().map(|v| v.as_ref().map(Value::integer)).collect();
                Arc::new(array.with_precision_and_scale(precision, scale).expect("a precision of at most 38"))
            }
            Self::Utf8 => texts!(StringArray),
            Self::LargeUtf8 => texts!(LargeStringArray),
            Self::Utf8View => texts!(StringViewArray),
        }
    }

    /// Returns a literal of exactly this type.
    pub fn literal(self, value: Option<&Value>) -> String {
        let counts = self.is_timestamp() || matches!(self, Self::Time | Self::Date64);
        if counts {
            let value = value.map_or("NULL".to_string(), |value| value.integer().to_string());
            return format!("arrow_cast({value}, '{}')", self.arrow_name());
        }
        let Some(value) = value else { return format!("CAST(NULL AS {self})") };
        match (self, value) {
            (Self::Boolean, v) => (v.integer() != 0).to_string(),
            (Self::Int64, v) => v.integer().to_string(),
            (Self::Float64, Value::Float(f)) if f.is_finite() => format!("{f:?}"),
            (Self::Date, v) => format!("DATE '{}'", date(v.integer())),
            (Self::Utf8 | Self::LargeUtf8 | Self::Utf8View, v) => format!("'{}'", v.text()),
            (Self::Decimal(_, scale), v) => format!("CAST('{}' AS {self})", decimal(v.integer(), scale)),
            (_, Value::Float(f)) if !f.is_finite() => format!("CAST('{f}' AS {self})"),
            (_, Value::Float(f)) => format!("CAST({f:?} AS {self})"),
            (_, v) => format!("CAST({} AS {self})", v.integer()),
        }
    }
}

/// The type's SQL name; strings of every layout are VARCHAR.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "BOOLEAN",
            Self::Int8 => "TINYINT",
            Self::Int16 => "SMALLINT",
            Self::Int32 => "INT",
            Self::Int64 => "BIGINT",
            Self::UInt8 => "TINYINT UNSIGNED",
            Self::UInt16 => "SMALLINT UNSIGNED",
            Self::UInt32 => "INT UNSIGNED",
            Self::UInt64 => "BIGINT UNSIGNED",
            Self::Float32 => "FLOAT",
            Self::Float64 => "DOUBLE",
            Self::Date => "DATE",
            Self::Date64 | Self::Time | Self::Timestamp(_) | Self::Zoned => return f.write_str(&self.arrow_name()),
            Self::Decimal(precision, scale) => return write!(f, "DECIMAL({precision}, {scale})"),
            Self::Utf8 | Self::LargeUtf8 | Self::Utf8View => "VARCHAR",
        })
    }
}

/// Booleans, integers, days since 1970 and unscaled decimals are `Integer`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(i128),
    Float(f64),
    Text(String),
}

impl Value {
    fn integer(&self) -> i128 {
        match self {
            Self::Integer(i) => *i,
            other => unreachable!("{other:?} is not an integer"),
        }
    }

    fn milliseconds(&self) -> i64 {
        self.integer() as i64
    }

    fn float(&self) -> f64 {
        match self {
            Self::Float(f) => *f,
            other => unreachable!("{other:?} is not a float"),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => unreachable!("{other:?} is not text"),
        }
    }
}

fn decimal(unscaled: i128, scale: i8) -> String {
    let one = 10u128.pow(scale as u32);
    let (sign, magnitude) = (if unscaled < 0 { "-" } else { "" }, unscaled.unsigned_abs());
    match scale {
        0 => format!("{sign}{magnitude}"),
        _ => format!("{sign}{}.{:0width$}", magnitude / one, magnitude % one, width = scale as usize),
    }
}

/// Formats days since 1970-01-01 as a date of the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn date(days: i128) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
