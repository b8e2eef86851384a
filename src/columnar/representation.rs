//! The representation of Arrow types on the device.

use datafusion::arrow::array::{Array, ArrayRef, make_array};
use datafusion::arrow::datatypes::{DataType, IntervalUnit};
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::program::ElementType;

/// The kind of device values that represents an Arrow type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Booleans, and the type Null, as booleans that are all NULL.
    Boolean,
    /// Integers, dates, times, timestamps, durations and decimals (unscaled), narrowed to the width that the range
    /// allows, or two limbs.
    Integer,
    /// `F32` or `F64`.
    Float(ElementType),
    /// Codes into an ordered dictionary.
    String,
}

impl Kind {
    /// Returns `None` for a type without an encoding.
    pub fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Boolean | DataType::Null => Some(Self::Boolean),
            DataType::Float32 => Some(Self::Float(ElementType::F32)),
            DataType::Float64 => Some(Self::Float(ElementType::F64)),
            _ if string_type(data_type).is_some() => Some(Self::String),
            _ => Range::of_type(data_type).map(|_| Self::Integer),
        }
    }
}

/// Returns the string type of a column that has codes on the device: its own type, or the value type of an Arrow
/// dictionary. A result with more strings than small keys can
/// number is an error; the frontend widens them.
pub fn string_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(data_type),
        DataType::Dictionary(_, value) => match **value {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the plain integer type with the same bits for dates, times and similar types, or `None` for types that need
/// no conversion.
pub fn plain_integer(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Date32
        | DataType::Time32(_)
        | DataType::Interval(IntervalUnit::YearMonth)
        | DataType::Decimal32(_, _) => DataType::Int32,
        DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Duration(_)
        | DataType::Decimal64(_, _) => DataType::Int64,
        _ => return None,
    })
}

/// Reinterprets the bits as another type of the same width.
pub fn reinterpret(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    Ok(make_array(array.to_data().into_builder().data_type(data_type.clone()).build()?))
}

/// The device arrays of a stored column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Representation {
    Pred,
    /// Signed integers of 8 to 64 bits.
    Int(ElementType),
    /// Two arrays: high limb s64, low limb u64.
    Wide,
    Float(ElementType),
}

impl Representation {
    /// Returns the representation of integers of `range`.
    pub fn of_range(range: &Range) -> Self {
        range.storage().map_or(Self::Wide, Self::Int)
    }

    /// Returns the element types of the arrays that hold a column, in order.
    pub fn element_types(&self) -> &'static [ElementType] {
        use ElementType::{F32, F64, Pred, S8, S16, S32, S64, U64};
        match self {
            Self::Pred => &[Pred],
            Self::Int(S8) => &[S8],
            Self::Int(S16) => &[S16],
            Self::Int(S32) => &[S32],
            Self::Int(_) => &[S64],
            Self::Wide => &[S64, U64],
            Self::Float(F32) => &[F32],
            Self::Float(_) => &[F64],
        }
    }

    /// Returns the bytes per row, without validity.
    pub fn row_bytes(&self) -> usize {
        self.element_types().iter().map(|t| t.size_bytes()).sum()
    }
}
