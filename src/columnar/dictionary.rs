//! Ordered dictionaries: the distinct values of a string column, sorted by bytes, so that codes compare as the strings
//! do. Dictionaries stay on the host; the device sees codes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use hashbrown::HashMap;

/// Sorted distinct strings; the code of a value is its index.
#[derive(Debug, PartialEq)]
pub struct Dictionary {
    values: StringViewArray,
}

impl Dictionary {
    /// The dictionary of `arrays` and their codes, array by array, with the arrays' NULLs.
    pub fn encode(arrays: &[ArrayRef]) -> Result<(Arc<Self>, Vec<Int32Array>)> {
        let mut distinct: HashMap<&str, i32> = HashMap::new();
        let mut first_seen: Vec<&str> = Vec::new();
        let mut encoded: Vec<Vec<Option<i32>>> = Vec::with_capacity(arrays.len());
        for array in arrays {
            let mut codes = Vec::with_capacity(array.len());
            for value in strings(array)? {
                codes.push(value.map(|value| {
                    *distinct.entry(value).or_insert_with(|| {
                        first_seen.push(value);
                        first_seen.len() as i32 - 1
                    })
                }));
            }
            encoded.push(codes);
        }
        let mut order: Vec<usize> = (0..first_seen.len()).collect();
        order.sort_unstable_by_key(|i| first_seen[*i]);
        let mut code_of = vec![0i32; first_seen.len()];
        for (code, seen) in order.iter().enumerate() {
            code_of[*seen] = code as i32;
        }
        let dictionary = Arc::new(Self::from_sorted(order.iter().map(|i| first_seen[*i])));
        let codes = encoded
            .into_iter()
            .map(|codes| codes.into_iter().map(|c| c.map(|c| code_of[c as usize])).collect())
            .collect();
        Ok((dictionary, codes))
    }

    fn from_sorted<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        Self { values: StringViewArray::from_iter_values(values) }
    }

    /// A dictionary of the given values, sorted and freed of duplicates.
    pub fn of(values: &[&str]) -> Arc<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        Arc::new(Self::from_sorted(sorted.into_iter()))
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values in order.
    pub fn values(&self) -> &StringViewArray {
        &self.values
    }

    /// Number of values below `value`: its code where it is present, else where it would stand.
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

    /// The code of `value`, if it is present.
    pub fn code(&self, value: &str) -> Option<usize> {
        let at = self.lower_bound(value);
        (at < self.len() && self.values.value(at) == value).then_some(at)
    }

    /// For each code the code of the same string in `other`, or -1.
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

    /// One dictionary of the values of both, and for each of them the new code of every old one.
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

/// The strings of an array of any string type.
pub fn strings(array: &ArrayRef) -> Result<Box<dyn Iterator<Item = Option<&str>> + '_>> {
    Ok(match array.data_type() {
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
        DataType::Utf8View => Box::new(array.as_string_view().iter()),
        other => return Err(DataFusionError::Internal(format!("{other} is not a string type"))),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, StringArray, StringViewArray};

    use crate::columnar::dictionary::Dictionary;

    #[test]
    fn codes_compare_as_the_strings_do() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some(""), Some("ba")]));
        let b: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b")]));
        let (dictionary, codes) = Dictionary::encode(&[a, b]).unwrap();
        assert_eq!(dictionary.values().iter().flatten().collect::<Vec<_>>(), ["", "a", "b", "ba"]);
        assert_eq!(codes[0].iter().collect::<Vec<_>>(), [Some(2), None, Some(0), Some(3)]);
        assert_eq!(codes[1].iter().collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert_eq!((dictionary.code("b"), dictionary.code("aa"), dictionary.lower_bound("aa")), (Some(2), None, 2));
    }

    #[test]
    fn codes_are_translated_to_another_dictionary() {
        let (l, r) = (Dictionary::of(&["a", "c", "d"]), Dictionary::of(&["b", "c", "d", "e"]));
        assert_eq!(l.codes_in(&r), [-1, 1, 2]);
        assert_eq!(Dictionary::of(&[]).codes_in(&r), [0; 0]);
    }

    #[test]
    fn merge_keeps_order_and_maps_both() {
        let (l, r) = (Dictionary::of(&["a", "c"]), Dictionary::of(&["b", "c", "d"]));
        let (merged, from_l, from_r) = Dictionary::merge(&l, &r);
        assert_eq!(merged.values().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!((from_l, from_r), (vec![0, 2], vec![1, 2, 3]));
    }
}
