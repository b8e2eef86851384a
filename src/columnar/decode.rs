//! Device values -> Arrow arrays.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, Float32Array, Float64Array, Int32Array, PrimitiveArray, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::dictionary::Dictionary;
use crate::columnar::representation::{Representation, plain_integer, reinterpret};
use crate::program::ElementType;
use crate::runtime::Buffer;

/// What a result column of a program is.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    pub data_type: DataType,
    pub representation: Representation,
    pub nullable: bool,
    pub dictionary: Option<Arc<Dictionary>>,
}

/// Downloads one column: `buffers` are its value arrays, then its validity if `spec.nullable`. `live` keeps the rows
/// that are set; `None` keeps all.
pub fn decode_column(spec: &ColumnSpec, buffers: &[Buffer], live: Option<&BooleanArray>) -> Result<ArrayRef> {
    let n_values = spec.representation.element_types().len();
    let nulls = match buffers.get(n_values) {
        Some(valid) if spec.nullable => Some(NullBuffer::new(download_pred(valid)?)),
        _ => None,
    };
    let array: ArrayRef = match spec.representation {
        Representation::Pred if spec.data_type == DataType::Null => {
            new_null_array(&DataType::Null, buffers[0].shape().element_count())
        }
        Representation::Pred => Arc::new(BooleanArray::new(download_pred(&buffers[0])?, nulls)),
        Representation::Float(ElementType::F32) => {
            Arc::new(Float32Array::new(buffers[0].to_vec::<f32>()?.into(), nulls))
        }
        Representation::Float(_) => Arc::new(Float64Array::new(buffers[0].to_vec::<f64>()?.into(), nulls)),
        Representation::Int(_) | Representation::Wide => {
            let integers = download_integers(spec.representation, buffers)?;
            match &spec.dictionary {
                Some(dictionary) => {
                    let codes = integers.codes(dictionary.len());
                    let codes = Int32Array::new(codes.into(), nulls);
                    let codes = keep(Arc::new(codes), live)?;
                    let values = compute::take(dictionary.values(), &codes, None)?;
                    return Ok(compute::cast(&values, &spec.data_type)?);
                }
                None => integers.into_array(&spec.data_type, nulls)?,
            }
        }
    };
    keep(array, live)
}

/// A mask of one byte a row.
pub fn download_pred(buffer: &Buffer) -> Result<BooleanBuffer> {
    let bytes = buffer.download()?;
    Ok(BooleanBuffer::collect_bool(bytes.len(), |i| bytes[i] != 0))
}

fn keep(array: ArrayRef, live: Option<&BooleanArray>) -> Result<ArrayRef> {
    Ok(match live {
        Some(live) => compute::filter(&array, live)?,
        None => array,
    })
}

enum Integers {
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
}

fn download_integers(representation: Representation, buffers: &[Buffer]) -> Result<Integers> {
    fn widen<T: Copy + Into<i64>>(values: Vec<T>) -> Integers {
        Integers::Narrow(values.into_iter().map(Into::into).collect())
    }
    Ok(match representation {
        Representation::Int(ElementType::S8) => widen(buffers[0].to_vec::<i8>()?),
        Representation::Int(ElementType::S16) => widen(buffers[0].to_vec::<i16>()?),
        Representation::Int(ElementType::S32) => widen(buffers[0].to_vec::<i32>()?),
        Representation::Int(_) => Integers::Narrow(buffers[0].to_vec::<i64>()?),
        _ => {
            let (hi, lo) = (buffers[0].to_vec::<i64>()?, buffers[1].to_vec::<u64>()?);
            Integers::Wide(hi.iter().zip(lo).map(|(hi, lo)| (i128::from(*hi) << 64) | i128::from(lo)).collect())
        }
    })
}

impl Integers {
    fn into_array(self, data_type: &DataType, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        fn build<T: ArrowPrimitiveType>(
            integers: Integers,
            nulls: Option<NullBuffer>,
            narrow: impl Fn(i64) -> T::Native,
            wide: impl Fn(i128) -> T::Native,
        ) -> PrimitiveArray<T> {
            let values: Vec<T::Native> = match integers {
                Integers::Narrow(values) => values.into_iter().map(narrow).collect(),
                Integers::Wide(values) => values.into_iter().map(wide).collect(),
            };
            PrimitiveArray::new(values.into(), nulls)
        }
        macro_rules! integers {
            ($type:ty, $native:ty) => {
                Arc::new(build::<$type>(self, nulls, |v| v as $native, |v| v as $native))
            };
        }
        if let Some(plain) = plain_integer(data_type) {
            return reinterpret(&self.into_array(&plain, nulls)?, data_type);
        }
        Ok(match data_type {
            DataType::Int8 => integers!(Int8Type, i8),
            DataType::Int16 => integers!(Int16Type, i16),
            DataType::Int32 => integers!(Int32Type, i32),
            DataType::Int64 => integers!(Int64Type, i64),
            DataType::UInt8 => integers!(UInt8Type, u8),
            DataType::UInt16 => integers!(UInt16Type, u16),
            DataType::UInt32 => integers!(UInt32Type, u32),
            DataType::UInt64 => integers!(UInt64Type, u64),
            DataType::Decimal128(precision, scale) => {
                let array = build::<Decimal128Type>(self, nulls, i128::from, |v| v);
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            other => {
                return Err(DataFusionError::Internal(format!("{other} is not an integer on the device")));
            }
        })
    }

    /// Codes that are safe to look up: what lies under a NULL or in padding may be any number.
    fn codes(self, n: usize) -> Vec<i32> {
        let last = n.saturating_sub(1) as i64;
        match self {
            Self::Narrow(values) => values.into_iter().map(|v| v.clamp(0, last) as i32).collect(),
            Self::Wide(values) => values.into_iter().map(|v| v.clamp(0, i128::from(last)) as i32).collect(),
        }
    }
}
