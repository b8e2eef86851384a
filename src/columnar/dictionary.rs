//! Ordered dictionaries: the distinct values of a string column, sorted by bytes, so that codes compare as the strings
//! do. Dictionaries stay on the host; the device sees codes.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringViewArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::{HashMap, HashSet};

/// Distinct strings in order, the code of a value being its index; or, of a column that only passes through, its rows.
#[derive(Debug)]
pub struct Dictionary {
    values: StringViewArray,
    /// Codes compare as the strings do. Else a code is a row, and equal strings have several.
    ordered: bool,
    /// What functions say of the strings, the most recent last.
    remembered: Mutex<Vec<Remembered>>,
}

/// Something that was made of all strings by a function.
#[derive(Debug)]
struct Remembered {
    function: Arc<dyn PhysicalExpr>,
    operand_type: DataType,
    made: Arc<dyn Any + Send + Sync>,
}

/// Functions that are remembered for one dictionary.
const MOST_REMEMBERED: usize = 8;

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        self.ordered == other.ordered && self.values == other.values
    }
}

/// Rows of a column from which on its dictionary is built on all cores.
const PARALLEL_ROWS: usize = 1 << 17;

/// Strings that are looked at to estimate how many are distinct.
const SAMPLE: usize = 1 << 14;

/// How many of them follow one another.
const RUN: usize = 8;

/// The distinct strings of a part of a column in order, and the position in that order of each row's.
struct Part<'a> {
    distinct: Vec<&'a str>,
    codes: Vec<Vec<Option<i32>>>,
}

impl<'a> Part<'a> {
    fn of(arrays: &'a [ArrayRef]) -> Result<Self> {
        let mut seen: HashMap<&str, i32> = HashMap::new();
        let mut distinct: Vec<&str> = Vec::new();
        let mut codes: Vec<Vec<Option<i32>>> = Vec::with_capacity(arrays.len());
        for array in arrays {
            let mut of_array = Vec::with_capacity(array.len());
            for value in strings(array)? {
                of_array.push(value.map(|value| {
                    *seen.entry(value).or_insert_with(|| {
                        distinct.push(value);
                        distinct.len() as i32 - 1
                    })
                }));
            }
            codes.push(of_array);
        }
        let mut order: Vec<usize> = (0..distinct.len()).collect();
        order.sort_unstable_by_key(|i| distinct[*i]);
        let mut code_of = vec![0i32; distinct.len()];
        for (code, seen) in order.iter().enumerate() {
            code_of[*seen] = code as i32;
        }
        codes.iter_mut().flatten().flatten().for_each(|code| *code = code_of[*code as usize]);
        Ok(Self { distinct: order.iter().map(|i| distinct[*i]).collect(), codes })
    }

    /// The codes in a list that holds all of `distinct`.
    fn codes_in(self, all: &[&str]) -> Vec<Int32Array> {
        let mut at = 0;
        let mut code_of = Vec::with_capacity(self.distinct.len());
        for value in &self.distinct {
            while all[at] < *value {
                at += 1;
            }
            code_of.push(at as i32);
        }
        let codes = self.codes.into_iter();
        codes.map(|codes| codes.into_iter().map(|code| code.map(|code| code_of[code as usize])).collect()).collect()
    }
}

impl Dictionary {
    /// The ordered dictionary of `arrays` and their codes, array by array, with the arrays' NULLs. Long columns are encoded in
    /// parts, one a core, whose dictionaries are merged.
    pub fn encode(arrays: &[ArrayRef]) -> Result<(Arc<Self>, Vec<Int32Array>)> {
        let rows: usize = arrays.iter().map(|a| a.len()).sum();
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let n_parts = if rows < PARALLEL_ROWS { 1 } else { cores.min(arrays.len()) };
        let per_part = arrays.len().div_ceil(n_parts.max(1)).max(1);
        let panicked = || DataFusionError::Internal("a thread that encodes strings has panicked".to_string());
        let parts = std::thread::scope(|scope| {
            let threads: Vec<_> = arrays.chunks(per_part).map(|part| scope.spawn(|| Part::of(part))).collect();
            let parts = threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())?);
            parts.collect::<Result<Vec<_>>>()
        })?;
        // The stable sort finds the runs and merges them.
        let mut all: Vec<&str> = parts.iter().flat_map(|part| part.distinct.iter().copied()).collect();
        all.sort();
        all.dedup();
        let codes = std::thread::scope(|scope| {
            let all = all.as_slice();
            let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || part.codes_in(all))).collect();
            let codes = threads.into_iter().map(|thread| thread.join().map_err(|_| panicked()));
            codes.collect::<Result<Vec<_>>>()
        })?;
        Ok((Arc::new(Self::from_sorted(all.into_iter())), codes.into_iter().flatten().collect()))
    }

    /// Whether a column has, by a sample, so many strings that each occurs less than some four times. Of n strings drawn from
    /// d, n^2 / 2d are expected to have occurred before.
    pub fn is_mostly_distinct(arrays: &[ArrayRef]) -> Result<bool> {
        let rows: usize = arrays.iter().map(|a| a.len()).sum();
        if rows < PARALLEL_ROWS {
            return Ok(false);
        }
        // Runs of neighbours, which may be alike, far apart; an odd distance, so as not to keep step with tables that repeat.
        let distance = (rows / SAMPLE * RUN) | 1;
        let mut seen = HashSet::with_capacity(SAMPLE);
        let (mut drawn, mut again, mut first) = (0, 0, 0);
        for array in arrays {
            let view = cast(array, &DataType::Utf8View)?;
            let view = view.as_string_view();
            let in_run = |row: &usize| (first + row) % distance < RUN && view.is_valid(*row);
            for row in (0..view.len()).filter(in_run) {
                drawn += 1;
                again += usize::from(!seen.insert(view.value(row).to_string()));
            }
            first += array.len();
        }
        Ok(drawn * drawn > again * rows / 2)
    }

    /// The rows of a column that nothing compares: codes are row numbers, and no string is looked at.
    pub fn of_rows(arrays: &[ArrayRef]) -> Result<(Arc<Self>, Vec<Int32Array>)> {
        let views = arrays.iter().map(|array| cast(array, &DataType::Utf8View)).collect::<Result<Vec<_>, _>>()?;
        let views: Vec<&dyn Array> = views.iter().map(|array| array.as_ref()).collect();
        let values =
            if views.is_empty() { StringViewArray::new_null(0) } else { concat(&views)?.as_string_view().clone() };
        let mut first = 0;
        let codes = arrays.iter().map(|array| {
            let rows = first..first + array.len() as i32;
            first = rows.end;
            Int32Array::new(rows.collect::<Vec<i32>>().into(), array.nulls().cloned())
        });
        let codes = codes.collect();
        Ok((Arc::new(Self { values, ordered: false, remembered: Mutex::default() }), codes))
    }

    fn from_sorted<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let values = StringViewArray::from_iter_values(values);
        Self { values, ordered: true, remembered: Mutex::default() }
    }

    /// What `make` makes of the strings for a deterministic `function` of an operand of `operand_type`: made once, as long as it is
    /// among those used last.
    pub fn remember<T: Any + Send + Sync>(
        &self,
        function: &Arc<dyn PhysicalExpr>,
        operand_type: &DataType,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let lock = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut remembered = lock();
            let same = |r: &Remembered| r.function.as_ref() == function.as_ref() && r.operand_type == *operand_type;
            if let Some(at) = remembered.iter().position(same) {
                let found = remembered.remove(at);
                let made = found.made.clone();
                remembered.push(found);
                if let Ok(made) = made.downcast::<T>() {
                    return Ok(made);
                }
            }
        }
        let made = Arc::new(make()?);
        let mut remembered = lock();
        if remembered.len() >= MOST_REMEMBERED {
            remembered.remove(0);
        }
        let (function, operand_type) = (function.clone(), operand_type.clone());
        remembered.push(Remembered { function, operand_type, made: made.clone() });
        Ok(made)
    }

    /// Whether codes compare as the strings do.
    pub fn is_ordered(&self) -> bool {
        self.ordered
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
    fn long_columns_are_encoded_in_parts() {
        let value = |i: usize| (!i.is_multiple_of(3)).then(|| format!("{}", i * 7919 % 1000));
        let arrays: Vec<ArrayRef> = (0..40)
            .map(|part| Arc::new(StringArray::from_iter((0..5000).map(|i| value(part * 5000 + i)))) as ArrayRef)
            .collect();
        let (dictionary, codes) = Dictionary::encode(&arrays).unwrap();
        assert!(dictionary.values().iter().flatten().is_sorted());
        for (i, code) in codes.iter().flat_map(|codes| codes.iter()).enumerate() {
            assert_eq!(code.map(|code| dictionary.values().value(code as usize).to_string()), value(i));
        }
    }

    #[test]
    fn a_sample_tells_columns_of_few_strings_from_those_of_many() {
        let column = |value: &dyn Fn(usize) -> usize| -> Vec<ArrayRef> {
            let part =
                |part: usize| StringArray::from_iter_values((0..5000).map(|i| value(part * 5000 + i).to_string()));
            (0..40).map(|number| Arc::new(part(number)) as ArrayRef).collect()
        };
        let random = |i: usize| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let is_distinct = |value: &dyn Fn(usize) -> usize| Dictionary::is_mostly_distinct(&column(value)).unwrap();
        for (distinct, expected) in [(10, false), (1000, false), (20_000, false), (400_000, true), (1 << 30, true)] {
            assert_eq!(is_distinct(&|i| random(i) % distinct), expected, "{distinct} strings in 200,000 rows");
        }
        // In order, each once; in order, each 20 times.
        assert!(is_distinct(&|i| i));
        assert!(!is_distinct(&|i| i / 20));
    }

    #[test]
    fn a_column_that_passes_through_keeps_its_rows() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None]));
        let b: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b")]));
        let (dictionary, codes) = Dictionary::of_rows(&[a, b]).unwrap();
        assert!(!dictionary.is_ordered());
        assert_eq!(codes[0].iter().collect::<Vec<_>>(), [Some(0), None]);
        assert_eq!(codes[1].iter().collect::<Vec<_>>(), [Some(2), Some(3)]);
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
