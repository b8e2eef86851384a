//! Columns of numbers as 128-bit integers and as double-doubles, so that nothing is rounded before it is added up.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use datafusion::error::{DataFusionError, Result};

use crate::frontend::aggregate::double_double::DoubleDouble;

/// The type in which an aggregate function takes an argument of type `from`; `None` if that is not a number.
pub fn argument_type(from: &DataType) -> Option<DataType> {
    Some(match from {
        DataType::UInt64 => DataType::UInt64,
        integer if integer.is_integer() => DataType::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => DataType::Float64,
        DataType::Decimal128(precision, scale) if *scale >= 0 => DataType::Decimal128(*precision, *scale),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) if *scale >= 0 => {
            DataType::Decimal128(*precision, *scale)
        }
        decimal if decimal.is_decimal() => DataType::Float64,
        _ => return None,
    })
}

/// By how much the integers of [`double_doubles`] are larger than the numbers.
pub fn factor(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Decimal128(_, scale) => 10f64.powi(i32::from(*scale)),
        _ => 1.0,
    }
}

/// The values of a column, of decimals their integers; `None` is NULL. The type is one of [`argument_type`]'s.
pub fn double_doubles(array: &ArrayRef) -> Result<Vec<Option<DoubleDouble>>> {
    Ok(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().map(|v| v.map(DoubleDouble::from)).collect(),
        _ => integers(array)?.into_iter().map(|v| v.map(DoubleDouble::of_int)).collect(),
    })
}

/// The integers of a column, of decimals without their scale, of durations in their unit; `None` is NULL.
pub fn integers(array: &ArrayRef) -> Result<Vec<Option<i128>>> {
    if matches!(array.data_type(), DataType::Duration(_)) {
        return integers(&cast(array, &DataType::Int64)?);
    }
    Ok(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().map(|v| v.map(i128::from)).collect(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().iter().map(|v| v.map(i128::from)).collect(),
        DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().iter().collect(),
        other => return Err(DataFusionError::Internal(format!("{other} is not a column of integers"))),
    })
}
