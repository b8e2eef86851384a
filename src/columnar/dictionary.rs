//! Ordered dictionaries: the distinct values of a string column, sorted by bytes, so that codes compare like the
//! strings. Dictionaries stay on the host, and the device sees only codes.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringViewArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;

use crate::columnar::codes;

/// The distinct strings of a column in order, where the code of a value is its index. For a column that only passes
/// through, it holds the strings of all rows instead.
#[derive(Debug)]
pub struct Dictionary {
    values: StringViewArray,
    /// Whether codes compare like the strings. Otherwise a code is a row number, and equal strings have several codes.
    ordered: bool,
    /// Results of functions on the strings, the most recently used last.
    results: Mutex<Vec<CachedResult>>,
}

/// A cached result of a function on all strings.
#[derive(Debug)]
struct CachedResult {
    function: Arc<dyn PhysicalExpr>,
    operand_type: DataType,
    made: Arc<dyn Any + Send + Sync>,
}

/// Maximum number of results cached per dictionary.
const MAX_CACHED_RESULTS: usize = 8;

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        self.ordered == other.ordered && self.values == other.values
    }
}

impl Dictionary {
    /// Returns the ordered dictionary of `arrays` and their codes, array by array, with the NULLs of the arrays.
    pub fn encode(arrays: &[ArrayRef]) -> Result<(Arc<Self>, Vec<ArrayRef>)> {
        let (strings, codes) = codes::encode(arrays)?;
        Ok((Arc::new(Self::from_sorted(strings.into_iter())), codes))
    }

    /// Returns a dictionary of all rows, for a column that nothing compares. Codes are row numbers, and no string is
    /// read.
    pub fn of_rows(arrays: &[ArrayRef]) -> Result<(Arc<Self>, Vec<ArrayRef>)> {
        let views = arrays.iter().map(|array| cast(array, &DataType::Utf8View)).collect::<Result<Vec<_>, _>>()?;
        let views: Vec<&dyn Array> = views.iter().map(|array| array.as_ref()).collect();
        let values =
            if views.is_empty() { StringViewArray::new_null(0) } else { concat(&views)?.as_string_view().clone() };
        let mut first = 0;
        let codes = arrays.iter().map(|array| {
            let rows = first..first + array.len() as i32;
            first = rows.end;
            Arc::new(Int32Array::new(rows.collect::<Vec<i32>>().into(), array.nulls().cloned())) as ArrayRef
        });
        let codes = codes.collect();
        Ok((Arc::new(Self { values, ordered: false, results: Mutex::default() }), codes))
    }

    fn from_sorted<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let values = StringViewArray::from_iter_values(values);
        Self { values, ordered: true, results: Mutex::default() }
    }

    /// Returns what `make` computes from the strings for a deterministic `function` with an operand of `operand_type`.
    /// The result is cached, and the least recently used one is evicted.
    pub fn remember<T: Any + Send + Sync>(
        &self,
        function: &Arc<dyn PhysicalExpr>,
        operand_type: &DataType,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let lock = || self.results.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut results = lock();
            let same = |r: &CachedResult| r.function.as_ref() == function.as_ref() && r.operand_type == *operand_type;
            if let Some(at) = results.iter().position(same) {
                let found = results.remove(at);
                let made = found.made.clone();
                results.push(found);
                if let Ok(made) = made.downcast::<T>() {
                    return Ok(made);
                }
            }
        }
        let made = Arc::new(make()?);
        let mut results = lock();
        if results.len() >= MAX_CACHED_RESULTS {
            results.remove(0);
        }
        let (function, operand_type) = (function.clone(), operand_type.clone());
        results.push(CachedResult { function, operand_type, made: made.clone() });
        Ok(made)
    }

    /// Returns whether codes compare like the strings.
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Creates a dictionary of the given values, sorted and without duplicates.
    pub fn of(values: &[&str]) -> Arc<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        Arc::new(Self::from_sorted(sorted.into_iter()))
    }

    /// Returns the number of values.
    #[allow(clippy::len_without_is_empty, reason = "only the number is asked for")]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns the values in order.
    pub fn values(&self) -> &StringViewArray {
        &self.values
    }

    /// Returns the number of values below `value`, which is its code if it is present, else its insertion position.
    pub fn lower_bound(&self, value: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.values.value(middle) < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns the code of `value`, if it is present.
    pub fn code(&self, value: &str) -> Option<usize> {
        let at = self.lower_bound(value);
        (at < self.len() && self.values.value(at) == value).then_some(at)
    }

    /// Returns, for each code, the code of the same string in `other`, or -1.
    pub fn codes_in(&self, other: &Self) -> Vec<i32> {
        let mut codes = Vec::with_capacity(self.len());
        let mut at = 0;
        for value in self.values.iter().flatten() {
            while at < other.len() && other.values.value(at) < value {
                at += 1;
            }
            let same = at < other.len() && other.values.value(at) == value;
            codes.push(if same { at as i32 } else { -1 });
        }
        codes
    }

    /// Returns one dictionary with the values of both, and for each of them the new code of every old code.
    pub fn merge(lhs: &Self, rhs: &Self) -> (Arc<Self>, Vec<i32>, Vec<i32>) {
        let mut merged: Vec<&str> = Vec::with_capacity(lhs.len() + rhs.len());
        let (mut from_lhs, mut from_rhs) = (Vec::with_capacity(lhs.len()), Vec::with_capacity(rhs.len()));
        while from_lhs.len() < lhs.len() || from_rhs.len() < rhs.len() {
            let l = (from_lhs.len() < lhs.len()).then(|| lhs.values.value(from_lhs.len()));
            let r = (from_rhs.len() < rhs.len()).then(|| rhs.values.value(from_rhs.len()));
            let code = merged.len() as i32;
            let next = match (l, r) {
                (Some(l), Some(r)) => l.min(r),
                (Some(value), None) | (None, Some(value)) => value,
                (None, None) => break,
            };
            if l == Some(next) {
                from_lhs.push(code);
            }
            if r == Some(next) {
                from_rhs.push(code);
            }
            merged.push(next);
        }
        (Arc::new(Self::from_sorted(merged.into_iter())), from_lhs, from_rhs)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray, StringViewArray,
    };
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{DataType, Int32Type, UInt16Type};

    use crate::columnar::dictionary::Dictionary;

    /// Converts codes of any width.
    fn numbers(codes: &ArrayRef) -> Vec<Option<i32>> {
        cast(codes, &DataType::Int32).unwrap().as_primitive::<Int32Type>().iter().collect()
    }

    #[test]
    fn codes_compare_like_the_strings() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some(""), Some("ba")]));
        let b: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b")]));
        let (dictionary, codes) = Dictionary::encode(&[a, b]).unwrap();
        assert_eq!(dictionary.values().iter().flatten().collect::<Vec<_>>(), ["", "a", "b", "ba"]);
        assert_eq!(numbers(&codes[0]), [Some(2), None, Some(0), Some(3)]);
        assert_eq!(numbers(&codes[1]), [Some(1), Some(2)]);
        assert_eq!((dictionary.code("b"), dictionary.code("aa"), dictionary.lower_bound("aa")), (Some(2), None, 2));
    }

    #[test]
    fn arrow_dictionaries_are_merged_by_the_values_in_use() {
        let a: ArrayRef = Arc::new(["b", "a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>());
        let b: ArrayRef = Arc::new([None, Some("c"), Some("a")].into_iter().collect::<DictionaryArray<UInt16Type>>());
        let c: ArrayRef = Arc::new(StringViewArray::from(vec![Some("d"), Some("a"), None]));
        let none: ArrayRef = Arc::new([None::<&str>; 2].into_iter().collect::<DictionaryArray<Int32Type>>());
        // Slices of one dictionary, one of whose strings no row uses.
        let parts = [a.slice(0, 1), a.slice(2, 1), b.clone(), c.clone(), none.clone()];
        let (dictionary, codes) = Dictionary::encode(&parts).unwrap();
        assert_eq!(dictionary.values().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        let codes: Vec<_> = codes.iter().flat_map(numbers).collect();
        let expected = [Some(1), Some(1), None, Some(2), Some(0), Some(3), Some(0), None, None, None];
        assert_eq!(codes, expected);
        let (dictionary, _) = Dictionary::encode(&[a.slice(0, 1), b]).unwrap();
        assert_eq!(dictionary.len(), 3);
        assert_eq!(Dictionary::encode(&[none]).unwrap().0.len(), 0);
    }

    #[test]
    fn keys_under_a_null_are_ignored() {
        let keys = Int32Array::new(vec![0, 7, 1].into(), Some(vec![true, false, true].into()));
        let values: ArrayRef = Arc::new(StringArray::from(vec!["y", "x"]));
        let array: ArrayRef = Arc::new(DictionaryArray::try_new(keys, values).unwrap());
        assert_eq!(numbers(&Dictionary::encode(&[array]).unwrap().1[0]), [Some(1), None, Some(0)]);
    }

    #[test]
    fn codes_are_translated_to_another_dictionary() {
        let (l, r) = (Dictionary::of(&["a", "c", "d"]), Dictionary::of(&["b", "c", "d", "e"]));
        assert_eq!(l.codes_in(&r), [-1, 1, 2]);
        assert_eq!(Dictionary::of(&[]).codes_in(&r), [0; 0]);
    }

    #[test]
    fn long_columns_are_encoded_in_parts() {
        let value = |i: usize| (!i.is_multiple_of(3)).then(|| format!("{}", i * 7919 % 1000));
        let arrays: Vec<ArrayRef> = (0..40)
            .map(|part| Arc::new(StringArray::from_iter((0..5000).map(|i| value(part * 5000 + i)))) as ArrayRef)
            .collect();
        let (dictionary, codes) = Dictionary::encode(&arrays).unwrap();
        assert!(dictionary.values().iter().flatten().is_sorted());
        for (i, code) in codes.iter().flat_map(numbers).enumerate() {
            assert_eq!(code.map(|code| dictionary.values().value(code as usize).to_string()), value(i));
        }
    }

    #[test]
    fn a_column_that_passes_through_keeps_its_rows() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None]));
        let b: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b")]));
        let (dictionary, codes) = Dictionary::of_rows(&[a, b]).unwrap();
        assert!(!dictionary.is_ordered());
        assert_eq!(numbers(&codes[0]), [Some(0), None]);
        assert_eq!(numbers(&codes[1]), [Some(2), Some(3)]);
        assert_eq!(dictionary.values().value(3), "b");
    }

    #[test]
    fn merge_keeps_order_and_maps_both() {
        let (l, r) = (Dictionary::of(&["a", "c"]), Dictionary::of(&["b", "c", "d"]));
        let (merged, from_l, from_r) = Dictionary::merge(&l, &r);
        assert_eq!(merged.values().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!((from_l, from_r), (vec![0, 2], vec![1, 2, 3]));
    }
}
