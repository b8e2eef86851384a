//! Converts arrays to the narrowest type that holds their values. A column that is decoded piece by piece is kept this
//! way until it is complete, so that each piece needs fresh memory only for its narrowed values.

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, PrimitiveArray, downcast_dictionary_array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::error::Result;
use std::sync::Arc;

use crate::columnar::range::Range;
use crate::columnar::representation::{plain_integer, reinterpret};
use crate::program::ElementType;

/// A native integer of Arrow that can be split into two 64-bit limbs.
pub trait Limbs: ArrowNativeType + Ord {
    fn low(self) -> i64;
    fn high(self) -> i64;
}

/// A native integer that a low limb can be truncated to.
pub trait Cut: ArrowNativeType {
    fn cut(low: i64) -> Self;
}

macro_rules! impl_limbs {
    ($($native:ty),*) => {$(
        impl Limbs for $native {
            fn low(self) -> i64 {
                self as i64
            }

            fn high(self) -> i64 {
                ((self as i128) >> 64) as i64
            }
        }
    )*};
}

macro_rules! impl_cut {
    ($($native:ty),*) => {$(
        impl Cut for $native {
            fn cut(low: i64) -> Self {
                low as $native
            }
        }
    )*};
}

impl_limbs!(i8, i16, i32, i64, i128, u8, u16, u32, u64);
impl_cut!(i8, i16, i32, i64, u64);

/// Converts `array` to the form that the encoder reads: dates, times and decimals become integers, and dictionaries
/// with NULL among their values become plain values.
pub fn plain(array: ArrayRef) -> Result<ArrayRef> {
    let has_null_values = array.as_any_dictionary_opt().is_some_and(|dictionary| dictionary.values().null_count() > 0);
    match array.data_type() {
        DataType::Dictionary(_, values) if has_null_values => Ok(cast(&array, values)?),
        data_type => match plain_integer(data_type) {
            Some(integer) => reinterpret(&array, &integer),
            None => Ok(array),
        },
    }
}

/// Converts a plain array to the narrowest signed integers, or a dictionary to the narrowest keys, with the same values
/// and NULLs. Other types are returned unchanged.
pub fn narrow(array: ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Decimal128(_, _) => integers::<Decimal128Type>(array),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_ref();
            downcast_dictionary_array!(
                dictionary => keys(dictionary)?.unwrap_or(array),
                _ => array
            )
        }
        _ => array,
    })
}

/// Returns the least and the greatest value, or `None` if all are NULL.
pub fn range_of<T: ArrowPrimitiveType<Native: Limbs>>(array: &PrimitiveArray<T>) -> Option<Range> {
    let widen = |value: T::Native| (i128::from(value.high()) << 64) | i128::from(value.low() as u64);
    let extremes = |values: &[T::Native]| {
        let first = *values.first()?;
        Some(values.iter().fold((first, first), |(min, max), value| (min.min(*value), max.max(*value))))
    };
    let (min, max) = if array.null_count() == 0 {
        extremes(array.values())?
    } else {
        let mut values = array.iter().flatten();
        let first = values.next()?;
        values.fold((first, first), |(min, max), value| (min.min(value), max.max(value)))
    };
    Some(Range::new(widen(min), widen(max)))
}

fn integers<T: ArrowPrimitiveType<Native: Limbs>>(array: ArrayRef) -> ArrayRef {
    let values = array.as_primitive::<T>();
    let range = range_of(values).unwrap_or(Range::new(0, 0));
    let width = size_of::<T::Native>();
    match range.storage() {
        Some(ElementType::S8) => cut::<T, Int8Type>(values),
        Some(ElementType::S16) if width > 2 => cut::<T, Int16Type>(values),
        Some(ElementType::S32) if width > 4 => cut::<T, Int32Type>(values),
        Some(ElementType::S64) if width > 8 => cut::<T, Int64Type>(values),
        _ => array,
    }
}

/// Truncates the values. Values under a NULL become arbitrary.
fn cut<T: ArrowPrimitiveType<Native: Limbs>, D: ArrowPrimitiveType<Native: Cut>>(
    array: &PrimitiveArray<T>,
) -> ArrayRef {
    let values = array.values().iter().map(|value| D::Native::cut(value.low()));
    Arc::new(PrimitiveArray::<D>::new(values.collect(), array.nulls().cloned()))
}

/// Returns the dictionary with narrower keys, if possible.
fn keys<K: ArrowDictionaryKeyType<Native: Limbs>>(array: &DictionaryArray<K>) -> Result<Option<ArrayRef>> {
    fn with_keys<K: ArrowDictionaryKeyType<Native: Limbs>, D: ArrowDictionaryKeyType<Native: Cut>>(
        array: &DictionaryArray<K>,
    ) -> Result<ArrayRef> {
        let keys = array.keys();
        let cut = keys.values().iter().map(|key| D::Native::cut(key.low())).collect();
        let keys = PrimitiveArray::<D>::new(cut, keys.nulls().cloned());
        Ok(Arc::new(DictionaryArray::try_new(keys, array.values().clone())?))
    }
    let width = size_of::<K::Native>();
    Ok(match array.values().len() {
        n if n <= 1 << 7 && width > 1 => Some(with_keys::<K, Int8Type>(array)?),
        n if n <= 1 << 15 && width > 2 => Some(with_keys::<K, Int16Type>(array)?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Array, ArrayRef, Date32Array, Decimal128Array, DictionaryArray, UInt64Array};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{DataType, Int32Type};

    use crate::columnar::narrow::{narrow, plain};

    /// Checks that the narrowed array has the same values.
    fn check(array: ArrayRef, expected: &DataType) {
        let array = plain(array).unwrap();
        let narrowed = narrow(array.clone()).unwrap();
        assert_eq!(narrowed.data_type(), expected);
        let text = |array: &ArrayRef| cast(array, &DataType::Utf8).unwrap();
        let integer = if let DataType::Decimal128(_, _) = array.data_type() {
            cast(&array, &DataType::Int64).unwrap()
        } else {
            array
        };
        assert_eq!(&text(&narrowed), &text(&integer));
    }

    #[test]
    fn values_take_the_narrowest_type_that_holds_them() {
        check(Arc::new(UInt64Array::from(vec![Some(3), None, Some(127)])), &DataType::Int8);
        check(Arc::new(UInt64Array::from(vec![Some(3), None, Some(128)])), &DataType::Int16);
        check(Arc::new(UInt64Array::from(vec![u64::MAX])), &DataType::UInt64);
        check(Arc::new(UInt64Array::from(vec![None, None])), &DataType::Int8);
        check(Arc::new(Date32Array::from(vec![8000, 12000])), &DataType::Int16);
        let decimals = |values: Vec<i128>| Decimal128Array::from(values).with_precision_and_scale(38, 0).unwrap();
        check(Arc::new(decimals(vec![-1, 1 << 40])), &DataType::Int64);
        let wide: ArrayRef = Arc::new(decimals(vec![1 << 64]));
        assert_eq!(&narrow(wide.clone()).unwrap(), &wide);
    }

    #[test]
    fn dictionaries_take_the_narrowest_keys() {
        let of = |n: usize| -> ArrayRef {
            let values: Vec<String> = (0..n).map(|i| format!("{i}")).collect();
            let values = values.iter().map(|value| Some(value.as_str())).chain([None]);
            Arc::new(values.collect::<DictionaryArray<Int32Type>>())
        };
        for (n, key) in [(128, DataType::Int8), (129, DataType::Int16), (40_000, DataType::Int32)] {
            check(of(n), &DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8)));
        }
    }
}
