//! Decodes device values into Arrow arrays.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, Decimal128Array, PrimitiveArray, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::dictionary::Dictionary;
use crate::columnar::representation::{Representation, plain_integer, reinterpret};
use crate::cores::cores;
use crate::program::ElementType;
use crate::runtime::{Buffer, Element, Scratch};

/// Number of rows from which on columns are downloaded on all cores.
const PARALLEL_ROWS: usize = 1 << 20;

/// Describes one result column of a program.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// Arrow type of the decoded column.
    pub data_type: DataType,
    /// Arrays that hold it on the device.
    pub representation: Representation,
    /// Whether a validity array follows the value arrays.
    pub nullable: bool,
    /// Strings of the codes, for string columns.
    pub dictionary: Option<Arc<Dictionary>>,
}

/// Downloads one column. `buffers` are its value arrays, followed by its validity if `spec.nullable`. Only rows set in
/// `live` are kept; `None` keeps all rows.
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
        Representation::Float(ElementType::F32) => Arc::new(primitive::<Float32Type>(buffers[0].to_scratch()?, nulls)),
        Representation::Float(_) => Arc::new(primitive::<Float64Type>(buffers[0].to_scratch()?, nulls)),
        Representation::Int(_) | Representation::Wide => match &spec.dictionary {
            Some(dictionary) => {
                // Under a NULL and in padding, a code may be any number.
                let last = dictionary.len().saturating_sub(1) as i64;
                let mut codes = integers(&buffers[0], |code| code as i32)?;
                codes.iter_mut().for_each(|code| *code = i64::from(*code).clamp(0, last) as i32);
                let codes = keep(Arc::new(primitive::<Int32Type>(codes, nulls)), live)?;
                let values = compute::take(dictionary.values(), &codes, None)?;
                return Ok(compute::cast(&values, &spec.data_type)?);
            }
            None => integer_array(spec.representation, buffers, &spec.data_type, nulls)?,
        },
    };
    keep(array, live)
}

/// Downloads columns of the same rows, on all cores if there are many rows.
pub fn decode_columns(columns: &[(&ColumnSpec, &[Buffer])], live: &BooleanArray) -> Result<Vec<ArrayRef>> {
    let decode = |column: &(&ColumnSpec, &[Buffer])| decode_column(column.0, column.1, Some(live));
    let cores = cores();
    if live.len() < PARALLEL_ROWS || cores == 1 {
        return columns.iter().map(decode).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, ArrayRef)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(column) = columns.get(at) else { return Ok(done) };
            done.push((at, decode(column)?));
        }
    };
    let panicked = || DataFusionError::Internal("a thread that downloads columns has panicked".to_string());
    let mut done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(columns.len())).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())?);
        done.collect::<Result<Vec<_>>>()
    })?
    .concat();
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, array)| array).collect())
}

/// Downloads a mask of one byte per row.
pub fn download_pred(buffer: &Buffer) -> Result<BooleanBuffer> {
    let bytes = buffer.download()?;
    Ok(BooleanBuffer::collect_bool(bytes.len(), |i| bytes[i] != 0))
}

/// Returns the live rows. If all of them precede the others, no rows are copied.
fn keep(array: ArrayRef, live: Option<&BooleanArray>) -> Result<ArrayRef> {
    let Some(live) = live else { return Ok(array) };
    let count = live.true_count();
    Ok(match live.slice(0, count).true_count() == count {
        true => array.slice(0, count),
        false => compute::filter(&array, live)?,
    })
}

fn primitive<T: ArrowPrimitiveType>(values: Scratch<T::Native>, nulls: Option<NullBuffer>) -> PrimitiveArray<T>
where
    T::Native: Element + Send + Sync,
{
    let n = values.len();
    PrimitiveArray::new(ScalarBuffer::new(values.into_bytes().into(), 0, n), nulls)
}

/// Downloads integers of any width as `T`: directly if the width is the same, else with a conversion per element.
fn integers<T: Element>(buffer: &Buffer, cast: impl Fn(i64) -> T) -> Result<Scratch<T>> {
    fn each<S: Element + Into<i64>, T: Element>(buffer: &Buffer, cast: impl Fn(i64) -> T) -> Result<Scratch<T>> {
        let narrow = buffer.to_scratch::<S>()?;
        let mut values = Scratch::filled(narrow.len(), T::default());
        for (value, narrow) in values.iter_mut().zip(narrow.iter()) {
            *value = cast((*narrow).into());
        }
        Ok(values)
    }
    match buffer.shape().element_type {
        same if same.size_bytes() == T::TYPE.size_bytes() => Ok(buffer.to_scratch()?),
        ElementType::S8 => each::<i8, T>(buffer, cast),
        ElementType::S16 => each::<i16, T>(buffer, cast),
        ElementType::S32 => each::<i32, T>(buffer, cast),
        _ => each::<i64, T>(buffer, cast),
    }
}

fn integer_array(
    representation: Representation,
    buffers: &[Buffer],
    data_type: &DataType,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if let Some(plain) = plain_integer(data_type) {
        return reinterpret(&integer_array(representation, buffers, &plain, nulls)?, data_type);
    }
    let wide = representation == Representation::Wide;
    if let DataType::Decimal128(precision, scale) = data_type {
        let values: Vec<i128> = if wide {
            let (hi, lo) = (buffers[0].to_scratch::<i64>()?, buffers[1].to_scratch::<u64>()?);
            hi.iter().zip(lo.iter()).map(|(hi, lo)| (i128::from(*hi) << 64) | i128::from(*lo)).collect()
        } else {
            integers(&buffers[0], |v| v)?.iter().map(|v| i128::from(*v)).collect()
        };
        let array = Decimal128Array::new(values.into(), nulls);
        return Ok(Arc::new(array.with_precision_and_scale(*precision, *scale)?));
    }
    macro_rules! integers {
        ($type:ty, $native:ty) => {
            // A type of at most 64 bits may be held as two limbs if it is unsigned. Its bits are then in the low limb.
            Arc::new(primitive::<$type>(integers(&buffers[usize::from(wide)], |v| v as $native)?, nulls))
        };
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
        other => {
            return Err(DataFusionError::Internal(format!("{other} is not an integer on the device")));
        }
    })
}
