//! Encodes Arrow arrays as chunks of device values, in two passes. Statistics choose the representation; then each
//! chunk is written at its width and padded to its capacity.

use std::ops::Range as Rows;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, new_null_array,
};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{
    ArrowNativeType, DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::error::{DataFusionError, Result};

use crate::columnar::codes::{have_same_values, is_mostly_distinct};
use crate::columnar::dictionary::Dictionary;
use crate::columnar::narrow::{Cut, Limbs, plain, range_of};
use crate::columnar::range::Range;
use crate::columnar::representation::{Kind, Representation};
use crate::program::ElementType;
use crate::runtime::{Element, Scratch};

/// How strings are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StringEncoding {
    /// Row ids. The device never needs the values.
    RowIds,
    /// Codes for the lookup of function results. Row numbers if most strings are distinct, so that a dictionary would
    /// not help.
    LookupCodes,
    /// Codes into an ordered dictionary.
    OrderedDictionary,
}

/// A column ready to be encoded chunk by chunk.
pub struct ColumnEncoder {
    /// The arrays to write: those of the column, each with integers of its own width, or codes for strings.
    arrays: Vec<ArrayRef>,
    /// First row of each array, followed by the total.
    starts: Vec<usize>,
    /// Arrays that hold the column on the device.
    pub representation: Representation,
    /// Range of the values, or of the codes for strings; `None` for booleans and floats.
    pub range: Option<Range>,
    /// Number of NULLs.
    pub null_count: usize,
    /// Whether no value except NULL occurs twice. Only determined for integers.
    pub unique: bool,
    /// Whether the values are in ascending order without NULLs. Only determined for integers and ordered codes.
    pub ascending: bool,
    /// Strings of the codes, for string columns.
    pub dictionary: Option<Arc<Dictionary>>,
}

/// The bytes of one chunk: the arrays of its representation, and a validity of one byte per row if the column has
/// NULLs.
pub struct EncodedChunk {
    pub values: Vec<Buffer>,
    pub valid: Option<Buffer>,
}

macro_rules! for_integer_type {
    ($data_type:expr, $call:ident ! ($($args:tt)*)) => {
        match $data_type {
            DataType::Int8 => $call!(Int8Type, $($args)*),
            DataType::Int16 => $call!(Int16Type, $($args)*),
            DataType::Int32 => $call!(Int32Type, $($args)*),
            DataType::Int64 => $call!(Int64Type, $($args)*),
            DataType::UInt8 => $call!(UInt8Type, $($args)*),
            DataType::UInt16 => $call!(UInt16Type, $($args)*),
            DataType::UInt32 => $call!(UInt32Type, $($args)*),
            DataType::UInt64 => $call!(UInt64Type, $($args)*),
            DataType::Decimal128(_, _) => $call!(Decimal128Type, $($args)*),
            other => Err(DataFusionError::Internal(format!("{other} is not an integer on the device"))),
        }
    };
}

macro_rules! array_range {
    ($type:ty, $array:expr) => {{ Ok(range_of($array.as_primitive::<$type>())) }};
}

macro_rules! mark_distinct {
    ($type:ty, $array:expr, $min:expr, $seen:expr) => {{
        let array = $array.as_primitive::<$type>();
        let mut new = |value| {
            let offset = (value as i128 - $min) as usize;
            let (word, bit) = (&mut $seen[offset / 64], 1 << (offset % 64));
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        };
        Ok(if array.null_count() == 0 {
            array.values().iter().all(|value| new(*value))
        } else {
            array.iter().flatten().all(new)
        })
    }};
}

macro_rules! ascending_from {
    ($type:ty, $array:expr, $last:expr) => {{
        let values = $array.as_primitive::<$type>().values();
        let ascending = match (values.first(), $last) {
            (Some(first), Some(last)) => *first as i128 >= last,
            _ => true,
        };
        Ok((ascending && values.is_sorted(), values.last().map(|value| *value as i128)))
    }};
}

macro_rules! write_slice {
    ($type:ty, $array:expr, $out:expr, $narrow:expr) => {
        Ok(write_slice($array.as_primitive::<$type>(), $out, $narrow))
    };
}

impl ColumnEncoder {
    /// Computes the statistics of a column and, for strings, builds its dictionary.
    pub fn try_new(arrays: Vec<ArrayRef>, data_type: &DataType) -> Result<Self> {
        Self::with_string_encoding(arrays, data_type, StringEncoding::OrderedDictionary)
    }

    /// Does the same as [`Self::try_new`], with the requested encoding of strings.
    pub fn with_string_encoding(arrays: Vec<ArrayRef>, data_type: &DataType, form: StringEncoding) -> Result<Self> {
        let kind = Kind::of(data_type)
            .ok_or_else(|| DataFusionError::Internal(format!("a column of type {data_type} has no device encoding")))?;
        let arrays: Vec<ArrayRef> = match data_type {
            DataType::Null => arrays.iter().map(|a| new_null_array(&DataType::Boolean, a.len())).collect(),
            _ => arrays.into_iter().map(plain).collect::<Result<_>>()?,
        };
        let null_count = arrays.iter().map(|a| a.null_count()).sum();
        let (arrays, dictionary) = match kind {
            Kind::String => {
                let has_codes = match form {
                    StringEncoding::OrderedDictionary => true,
                    _ if are_dictionaries(&arrays) => true,
                    StringEncoding::LookupCodes => !is_mostly_distinct(&arrays),
                    StringEncoding::RowIds => false,
                };
                let (dictionary, codes) =
                    if has_codes { Dictionary::encode(&arrays)? } else { Dictionary::of_rows(&arrays)? };
                (codes, Some(dictionary))
            }
            _ => (arrays, None),
        };
        let mut starts = vec![0];
        for array in &arrays {
            starts.push(starts[starts.len() - 1] + array.len());
        }
        let (representation, range) = match kind {
            Kind::Boolean => (Representation::Pred, None),
            Kind::Float(element_type) => (Representation::Float(element_type), None),
            Kind::Integer | Kind::String => {
                let range = integer_range(&arrays)?;
                (Representation::of_range(&range), Some(range))
            }
        };
        let unique = match (kind, &range) {
            (Kind::Integer, Some(range)) => all_distinct(&arrays, range)?,
            _ => false,
        };
        let is_ordered = range.is_some() && dictionary.as_ref().is_none_or(|dictionary| dictionary.is_ordered());
        let ascending = is_ordered && null_count == 0 && are_ascending(&arrays)?;
        Ok(Self { arrays, starts, representation, range, null_count, unique, ascending, dictionary })
    }

    /// Returns the bytes per row on the device.
    pub fn row_bytes(&self) -> usize {
        self.representation.row_bytes() + usize::from(self.null_count > 0)
    }

    /// Encodes `rows` into arrays of `capacity` elements. NULLs and padding hold the minimum of the range.
    pub fn encode(&self, rows: Rows<usize>, capacity: usize) -> Result<EncodedChunk> {
        let values = match self.representation {
            Representation::Pred => {
                let mut out = vec![0u8; capacity];
                self.for_each_slice(&rows, |array, at| {
                    let array: &BooleanArray = array.as_boolean();
                    for (slot, value) in out[at..].iter_mut().zip(array.values().iter()) {
                        *slot = value as u8;
                    }
                    Ok(())
                })?;
                vec![Buffer::from_vec(out)]
            }
            Representation::Float(ElementType::F32) => vec![self.copy::<Float32Type>(&rows, capacity)?],
            Representation::Float(_) => vec![self.copy::<Float64Type>(&rows, capacity)?],
            Representation::Int(ElementType::S8) => vec![self.write::<i8>(&rows, capacity)?],
            Representation::Int(ElementType::S16) => vec![self.write::<i16>(&rows, capacity)?],
            Representation::Int(ElementType::S32) => vec![self.write::<i32>(&rows, capacity)?],
            Representation::Int(_) => vec![self.write::<i64>(&rows, capacity)?],
            Representation::Wide => {
                let high = |_, high| high;
                vec![self.write_with(&rows, capacity, high)?, self.write::<u64>(&rows, capacity)?]
            }
        };
        if self.null_count == 0 {
            return Ok(EncodedChunk { values, valid: None });
        }
        let mut out = vec![0u8; capacity];
        self.for_each_slice(&rows, |array, at| {
            match array.nulls() {
                None => out[at..at + array.len()].fill(1),
                Some(nulls) => {
                    for (slot, valid) in out[at..].iter_mut().zip(nulls.iter()) {
                        *slot = valid as u8;
                    }
                }
            }
            Ok(())
        })?;
        Ok(EncodedChunk { values, valid: Some(Buffer::from_vec(out)) })
    }

    /// Calls `f(slice, offset in the chunk)` for the parts of the arrays that cover `rows`.
    fn for_each_slice(&self, rows: &Rows<usize>, mut f: impl FnMut(&ArrayRef, usize) -> Result<()>) -> Result<()> {
        let first = self.starts.partition_point(|start| *start <= rows.start).saturating_sub(1);
        for (array, start) in self.arrays[first.min(self.arrays.len())..].iter().zip(&self.starts[first..]) {
            if *start >= rows.end {
                break;
            }
            let from = rows.start.max(*start);
            let to = rows.end.min(start + array.len());
            if from < to {
                f(&array.slice(from - start, to - from), from - rows.start)?;
            }
        }
        Ok(())
    }

    fn copy<T: ArrowPrimitiveType>(&self, rows: &Rows<usize>, capacity: usize) -> Result<Buffer> {
        let mut out = vec![T::Native::default(); capacity];
        self.for_each_slice(rows, |array, at| {
            out[at..at + array.len()].copy_from_slice(array.as_primitive::<T>().values());
            Ok(())
        })?;
        Ok(Buffer::from_vec(out))
    }

    /// Writes the low limbs.
    fn write<D: Cut + Element>(&self, rows: &Rows<usize>, capacity: usize) -> Result<Buffer> {
        self.write_with(rows, capacity, |low, _| D::cut(low))
    }

    /// Writes integers converted by `narrow(low limb, high limb)`.
    fn write_with<D: ArrowNativeType + Element>(
        &self,
        rows: &Rows<usize>,
        capacity: usize,
        narrow: impl Fn(i64, i64) -> D,
    ) -> Result<Buffer> {
        let fill = self.range.map_or(0, |r| r.min);
        let mut out = Scratch::filled(capacity, narrow(fill.low(), fill.high()));
        self.for_each_slice(rows, |array, at| {
            let out = &mut out[at..at + array.len()];
            for_integer_type!(array.data_type(), write_slice!(array, out, &narrow))
        })?;
        Ok(Buffer::from(out.into_bytes()))
    }
}

fn write_slice<T: ArrowPrimitiveType<Native: Limbs>, D: ArrowNativeType>(
    array: &PrimitiveArray<T>,
    out: &mut [D],
    narrow: &impl Fn(i64, i64) -> D,
) {
    match array.nulls() {
        None => {
            for (slot, value) in out.iter_mut().zip(array.values()) {
                *slot = narrow(value.low(), value.high());
            }
        }
        Some(nulls) => {
            for ((slot, value), valid) in out.iter_mut().zip(array.values()).zip(nulls.iter()) {
                if valid {
                    *slot = narrow(value.low(), value.high());
                }
            }
        }
    }
}

/// Returns whether strings come as Arrow dictionaries that are short compared to the rows, so that merging them is
/// cheap.
fn are_dictionaries(arrays: &[ArrayRef]) -> bool {
    let rows: usize = arrays.iter().map(|a| a.len()).sum();
    let mut values = 0;
    let mut last: Option<&ArrayRef> = None;
    for array in arrays {
        let Some(dictionary) = array.as_any_dictionary_opt() else { return false };
        if !last.is_some_and(|last| have_same_values(last, dictionary.values())) {
            values += dictionary.values().len();
        }
        last = Some(dictionary.values());
    }
    values * 4 <= rows
}

/// Returns whether the integers of all arrays, none of which has NULLs, are in ascending order. Stops at the first that
/// is not.
fn are_ascending(arrays: &[ArrayRef]) -> Result<bool> {
    let mut last: Option<i128> = None;
    for array in arrays {
        let (ascending, greatest) = for_integer_type!(array.data_type(), ascending_from!(array, last))?;
        if !ascending {
            return Ok(false);
        }
        last = greatest.or(last);
    }
    Ok(true)
}

/// Maximum size of the duplicate-detecting bitmap, in bits per row.
const BITS_A_ROW: i128 = 64;

/// Returns whether all integers are distinct, using a bitmap of their range. Stops at the first duplicate.
fn all_distinct(arrays: &[ArrayRef], range: &Range) -> Result<bool> {
    let rows: usize = arrays.iter().map(|a| a.len()).sum();
    let extent = range.extent();
    if extent > BITS_A_ROW * rows.max(1024) as i128 {
        return Ok(false);
    }
    let mut seen = vec![0u64; (extent as usize).div_ceil(64)];
    for array in arrays {
        if !for_integer_type!(array.data_type(), mark_distinct!(array, range.min, seen))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the range over all arrays. A column without values has the range of 0.
fn integer_range(arrays: &[ArrayRef]) -> Result<Range> {
    let mut range: Option<Range> = None;
    for array in arrays {
        let of_array: Option<Range> = for_integer_type!(array.data_type(), array_range!(array))?;
        range = match (range, of_array) {
            (Some(a), Some(b)) => Some(a.union(&b)),
            (a, b) => a.or(b),
        };
    }
    Ok(range.unwrap_or(Range::new(0, 0)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
    use datafusion::arrow::datatypes::DataType;

    use crate::columnar::encode::{ColumnEncoder, StringEncoding};
    use crate::columnar::range::Range;
    use crate::columnar::representation::Representation;
    use crate::program::ElementType;

    #[test]
    fn int64_of_a_small_range_is_stored_in_a_byte_across_arrays() {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(-3), None]));
        let b: ArrayRef = Arc::new(Int64Array::from(vec![5, 6, 7]));
        let encoder = ColumnEncoder::try_new(vec![a, b], &DataType::Int64).unwrap();
        assert_eq!(encoder.representation, Representation::Int(ElementType::S8));
        assert_eq!(encoder.range, Some(Range::new(-3, 7)));
        let chunk = encoder.encode(1..4, 5).unwrap();
        assert_eq!(chunk.values[0].typed_data::<i8>(), &[-3, 5, 6, -3, -3]);
        assert_eq!(chunk.valid.unwrap().as_slice(), &[0, 1, 1, 0, 0]);
    }

    #[test]
    fn ascending_columns_are_detected() {
        let ascending = |arrays: Vec<Vec<Option<i64>>>| {
            let arrays = arrays.into_iter().map(|values| Arc::new(Int64Array::from(values)) as ArrayRef).collect();
            ColumnEncoder::try_new(arrays, &DataType::Int64).unwrap().ascending
        };
        assert!(ascending(vec![vec![Some(-3), Some(-3)], vec![], vec![Some(4), Some(i64::MAX)]]));
        assert!(!ascending(vec![vec![Some(-3), Some(5)], vec![Some(4)]]));
        assert!(!ascending(vec![vec![Some(1), Some(0)]]));
        assert!(!ascending(vec![vec![Some(1), None]]));
        assert!(ascending(vec![]));
        let strings = |form| {
            let array: ArrayRef = Arc::new(StringArray::from(vec!["b", "a"]));
            ColumnEncoder::with_string_encoding(vec![array], &DataType::Utf8, form).unwrap().ascending
        };
        assert!(!strings(StringEncoding::OrderedDictionary));
        // Row numbers do not show the order of the strings.
        assert!(!strings(StringEncoding::RowIds));
    }

    #[test]
    fn unique_columns_are_detected() {
        let unique = |values: Vec<Option<i64>>| {
            let (first, rest) = values.split_at(values.len() / 2);
            let arrays = [first, rest].map(|part| Arc::new(Int64Array::from(part.to_vec())) as ArrayRef);
            ColumnEncoder::try_new(arrays.to_vec(), &DataType::Int64).unwrap().unique
        };
        assert!(unique(vec![Some(5), Some(-3), None, Some(4), None]));
        assert!(!unique(vec![Some(5), Some(-3), None, Some(4), Some(5)]));
        assert!(unique(vec![]));
        // The range is too wide for a bitmap.
        assert!(!unique(vec![Some(i64::MIN), Some(i64::MAX)]));
    }

    #[test]
    fn decimals_beyond_64_bits_take_two_limbs() {
        let values = vec![i128::from(u64::MAX), -1];
        let array: ArrayRef = Arc::new(Decimal128Array::from(values));
        let encoder = ColumnEncoder::try_new(vec![array], &DataType::Decimal128(38, 10)).unwrap();
        assert_eq!(encoder.representation, Representation::Wide);
        let chunk = encoder.encode(0..2, 2).unwrap();
        assert_eq!(chunk.values[0].typed_data::<i64>(), &[0, -1]);
        assert_eq!(chunk.values[1].typed_data::<u64>(), &[u64::MAX, u64::MAX]);
    }

    #[test]
    fn an_empty_column_encodes_to_padding() {
        let encoder = ColumnEncoder::try_new(vec![], &DataType::Int64).unwrap();
        assert_eq!(encoder.encode(0..0, 4).unwrap().values[0].len(), 4);
    }
}
