//! Encodes strings as codes into an ordered dictionary. Plain strings are hashed row by row, on all cores. The
//! dictionaries of Arrow arrays, as read from Parquet files, are merged, and their keys are translated.
//!
//! ```text
//! arrays ──▶ parts (the strings seen, numbered) ──▶ one sorted list ──▶ codes, array by array
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, downcast_dictionary_array,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{ArrowNativeType, DataType, Int8Type, Int16Type, Int32Type};
use datafusion::error::{DataFusionError, Result};
use hashbrown::{HashMap, HashSet};

use crate::columnar::narrow::Cut;
use crate::cores::cores;

/// Number of plain-string rows from which on they are hashed on all cores.
const PARALLEL_ROWS: usize = 1 << 17;

/// Number of rows from which on a column is sampled for whether its strings are distinct.
const SAMPLED_ROWS: usize = 1 << 17;

/// Number of strings sampled to estimate how many are distinct.
const SAMPLE: usize = 1 << 14;

/// Number of consecutive strings in each run of the sample.
const RUN: usize = 8;

/// The codes of one array within a part.
enum Codes<'a> {
    /// For each row, the number of its string among those seen; 0 under a NULL.
    Rows(Vec<i32>, Option<NullBuffer>),
    /// An Arrow dictionary, and for each of its values the number among the strings seen; -1 if no row has it.
    Keys(&'a ArrayRef, Arc<[i32]>),
}

/// The strings of some of the arrays.
#[derive(Default)]
struct Part<'a> {
    /// Number of each string. `None` if nearly all strings are distinct; equal strings then have several numbers.
    numbers: Option<HashMap<&'a str, i32>>,
    /// Strings by number.
    seen: Vec<&'a str>,
    /// The numbers, in the order of their strings.
    sorted: Vec<i32>,
    codes: Vec<Codes<'a>>,
}

/// A string, preceded by its first bytes, which are compared first.
type Key<'a> = (u64, &'a str);

fn key(string: &str) -> Key<'_> {
    let mut first = [0; 8];
    let n = string.len().min(8);
    first[..n].copy_from_slice(&string.as_bytes()[..n]);
    (u64::from_be_bytes(first), string)
}

/// Returns the distinct strings of `arrays` in order, and the codes, array by array, in the narrowest type and with the
/// NULLs of the arrays.
pub fn encode<'a>(arrays: &'a [ArrayRef]) -> Result<(Vec<&'a str>, Vec<ArrayRef>)> {
    let is_plain = |array: &&ArrayRef| array.as_any_dictionary_opt().is_none();
    let plain_rows: usize = arrays.iter().filter(is_plain).map(|a| a.len()).sum();
    let n_parts = if plain_rows < PARALLEL_ROWS { 1 } else { cores().min(arrays.len()) };
    let per_part = arrays.len().div_ceil(n_parts.max(1)).max(1);
    let all_differ = is_mostly_distinct(arrays);
    let parts = in_threads(arrays.chunks(per_part), |arrays| Part::of(arrays, all_differ))?;
    let of_part = |part: &Part<'a>| part.sorted.iter().map(|n| key(part.seen[*n as usize])).collect::<Vec<_>>();
    let mut all: Vec<Key> = parts.iter().flat_map(of_part).collect();
    if parts.len() > 1 {
        // The stable sort detects sorted runs and merges them.
        all.sort();
    }
    all.dedup();
    let codes = in_threads(parts.into_iter(), |part| match all.len() {
        n if n <= 1 << 7 => part.codes_in::<Int8Type>(&all),
        n if n <= 1 << 15 => part.codes_in::<Int16Type>(&all),
        _ => part.codes_in::<Int32Type>(&all),
    })?;
    Ok((all.into_iter().map(|(_, string)| string).collect(), codes.into_iter().flatten().collect()))
}

/// Estimates from a sample whether each string of a column occurs less than about four times. Of n strings drawn from
/// d, n^2 / 2d are expected to have occurred before.
pub fn is_mostly_distinct(arrays: &[ArrayRef]) -> bool {
    let rows: usize = arrays.iter().map(|a| a.len()).sum();
    if rows < SAMPLED_ROWS {
        return false;
    }
    // Sample runs of neighbours, which may be equal, at a large distance. The distance is odd, so that it does not keep
    // in step with data that repeats.
    let distance = (rows / SAMPLE * RUN) | 1;
    let mut seen = HashSet::with_capacity(SAMPLE);
    let (mut drawn, mut again, mut first) = (0, 0, 0);
    for array in arrays {
        let last = first + array.len();
        // The runs that overlap this array.
        let runs = (first / distance..).map(|run| run * distance).take_while(|start| *start < last);
        let rows = runs.flat_map(|start| start.max(first)..(start + RUN).min(last));
        for value in rows.filter_map(|row| string_at(array, row - first)) {
            drawn += 1;
            again += usize::from(!seen.insert(value));
        }
        first = last;
    }
    drawn * drawn > again * rows / 2
}

/// Returns `f` of each item, with one thread per item if there are several.
fn in_threads<T: Send, R: Send>(
    mut items: impl ExactSizeIterator<Item = T>,
    f: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    if items.len() <= 1 {
        return items.next().map(f).into_iter().collect();
    }
    let panicked = || DataFusionError::Internal("a thread that encodes strings has panicked".to_string());
    std::thread::scope(|scope| {
        let f = &f;
        let threads: Vec<_> = items.map(|item| scope.spawn(move || f(item))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())?).collect()
    })
}

impl<'a> Part<'a> {
    fn of(arrays: &'a [ArrayRef], all_differ: bool) -> Result<Self> {
        let mut part = Self { numbers: (!all_differ).then(HashMap::new), ..Self::default() };
        let mut at = 0;
        while let Some(array) = arrays.get(at) {
            let Some(dictionary) = array.as_any_dictionary_opt() else {
                part.add_rows(array)?;
                at += 1;
                continue;
            };
            let values = dictionary.values();
            let is_same =
                |other: &ArrayRef| other.as_any_dictionary_opt().is_some_and(|o| have_same_values(o.values(), values));
            let n = arrays[at..].iter().take_while(|other| is_same(other)).count();
            part.add_keys(&arrays[at..at + n], values)?;
            at += n;
        }
        let mut sorted: Vec<(Key, i32)> = part.seen.iter().map(|string| key(string)).zip(0..).collect();
        sorted.sort_unstable();
        part.sorted = sorted.into_iter().map(|(_, number)| number).collect();
        Ok(part)
    }

    fn number(&mut self, value: &'a str) -> i32 {
        let next = self.seen.len() as i32;
        let number = self.numbers.as_mut().map_or(next, |numbers| *numbers.entry(value).or_insert(next));
        if number == next {
            self.seen.push(value);
        }
        number
    }

    fn add_rows(&mut self, array: &'a ArrayRef) -> Result<()> {
        let codes = strings(array)?.map(|value| value.map_or(0, |value| self.number(value))).collect();
        self.codes.push(Codes::Rows(codes, array.nulls().cloned()));
        Ok(())
    }

    /// Adds arrays that share one dictionary. Only values that some row uses are strings of the column.
    fn add_keys(&mut self, arrays: &'a [ArrayRef], values: &'a ArrayRef) -> Result<()> {
        let mut is_used = vec![false; values.len()];
        for array in arrays {
            let keys = array.as_ref();
            downcast_dictionary_array!(
                keys => mark(keys.keys(), &mut is_used),
                other => return Err(not_strings(other))
            );
        }
        let numbers = strings(values)?.zip(is_used).map(|(value, is_used)| match value {
            Some(value) if is_used => self.number(value),
            _ => -1,
        });
        let numbers: Arc<[i32]> = numbers.collect();
        self.codes.extend(arrays.iter().map(|array| Codes::Keys(array, Arc::clone(&numbers))));
        Ok(())
    }

    /// Returns the codes in `all`, a sorted list that contains all strings seen.
    fn codes_in<D: ArrowPrimitiveType<Native: Cut>>(self, all: &[Key]) -> Result<Vec<ArrayRef>> {
        let mut code_of = vec![D::Native::default(); self.seen.len().max(1)];
        let mut at = 0;
        for number in self.sorted {
            let key = key(self.seen[number as usize]);
            while all[at] < key {
                at += 1;
            }
            code_of[number as usize] = D::Native::cut(at as i64);
        }
        // The numbers of the last dictionary, and the codes of its keys.
        let mut last: Option<Arc<[i32]>> = None;
        let mut of_keys: Vec<D::Native> = Vec::new();
        let mut out: Vec<ArrayRef> = Vec::with_capacity(self.codes.len());
        for codes in self.codes {
            match codes {
                Codes::Rows(numbers, nulls) => {
                    let codes = numbers.into_iter().map(|number| code_of[number as usize]).collect();
                    out.push(Arc::new(PrimitiveArray::<D>::new(codes, nulls)));
                }
                Codes::Keys(array, numbers) => {
                    if !last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &numbers)) {
                        of_keys = numbers.iter().map(|number| code_of[(*number).max(0) as usize]).collect();
                    }
                    let keys = array.as_ref();
                    out.push(downcast_dictionary_array!(
                        keys => translate::<_, D>(keys.keys(), &of_keys),
                        other => return Err(not_strings(other))
                    ));
                    last = Some(numbers);
                }
            }
        }
        Ok(out)
    }
}

fn mark<K: ArrowPrimitiveType>(keys: &PrimitiveArray<K>, is_used: &mut [bool]) {
    if keys.null_count() == 0 {
        keys.values().iter().for_each(|key| is_used[key.as_usize()] = true);
    } else {
        keys.iter().flatten().for_each(|key| is_used[key.as_usize()] = true);
    }
}

/// Keys under a NULL may have any value.
fn translate<K: ArrowPrimitiveType, D: ArrowPrimitiveType>(keys: &PrimitiveArray<K>, codes: &[D::Native]) -> ArrayRef {
    let code = |key: &K::Native| codes.get(key.as_usize()).copied().unwrap_or_default();
    Arc::new(PrimitiveArray::<D>::new(keys.values().iter().map(code).collect(), keys.nulls().cloned()))
}

/// Returns whether the values of two dictionaries are the same memory.
pub fn have_same_values(a: &ArrayRef, b: &ArrayRef) -> bool {
    Arc::ptr_eq(a, b) || a.to_data().ptr_eq(&b.to_data())
}

/// Returns the strings of an array of any string type except dictionaries.
fn strings(array: &ArrayRef) -> Result<Box<dyn Iterator<Item = Option<&str>> + '_>> {
    Ok(match array.data_type() {
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
        DataType::Utf8View => Box::new(array.as_string_view().iter()),
        other => return Err(not_strings(other)),
    })
}

/// Returns the string in a row, or `None` for NULL and for columns that are not strings.
pub fn string_at(array: &ArrayRef, row: usize) -> Option<&str> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        DataType::Dictionary(_, _) => {
            let keys = array.as_ref();
            let (key, values) = downcast_dictionary_array!(
                keys => (keys.key(row)?, keys.values()),
                _ => return None
            );
            string_at(values, key)
        }
        _ => None,
    }
}

fn not_strings(data_type: &DataType) -> DataFusionError {
    DataFusionError::Internal(format!("{data_type} is not a string type"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, StringArray};

    use crate::columnar::codes::is_mostly_distinct;

    #[test]
    fn a_sample_distinguishes_columns_of_few_and_of_many_strings() {
        let column = |value: &dyn Fn(usize) -> usize| -> Vec<ArrayRef> {
            let part =
                |part: usize| StringArray::from_iter_values((0..5000).map(|i| value(part * 5000 + i).to_string()));
            (0..40).map(|number| Arc::new(part(number)) as ArrayRef).collect()
        };
        let random = |i: usize| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let is_distinct = |value: &dyn Fn(usize) -> usize| is_mostly_distinct(&column(value));
        for (distinct, expected) in [(10, false), (1000, false), (20_000, false), (400_000, true), (1 << 30, true)] {
            assert_eq!(is_distinct(&|i| random(i) % distinct), expected, "{distinct} strings in 200,000 rows");
        }
        // Each string once, in order; then each string 20 times, in order.
        assert!(is_distinct(&|i| i));
        assert!(!is_distinct(&|i| i / 20));
    }
}
