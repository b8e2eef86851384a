//! Equality lookup of keys among the unique keys of other rows: the build and the probe side of a join. Build and probe
//! are parts of different programs, between which arrays are passed.
//!
//! The native lowering is a hash table in one array (`runtime/host_kernels/key_index.rs`). The portable one is a binary
//! search in the sorted unique keys.
//!
//! With 1M keys, the native lowering takes 10 ns/row for 6M probes on two busy cores, and 16 ns/row for 2^18 probes on
//! one core. The build takes 48 ns/key (`cargo test --release --test kernels speed -- --ignored --nocapture`).

use crate::hlo::{Builder, Comparison, HloError, Value};
use crate::host_functions::{BUILD_INDEX, PROBE_INDEX};
use crate::kernels::Lowering;
use crate::kernels::compact::scatter_where;
use crate::kernels::group::{check_live, sorted_groups};
use crate::kernels::native;
use crate::kernels::radix_sort::SortKey;
use crate::program::ElementType::{S32, U64};
use crate::program::Shape;

/// Result of [`build`].
#[derive(Clone, Debug)]
pub struct KeyIndex {
    /// The arrays that [`probe`] needs, of the shapes that [`array_shapes`] returns.
    pub arrays: Vec<Value>,
    /// Number of each row's key, by first appearance among live rows; s32 `[n]`, -1 for rows that are not live.
    pub ids: Value,
    /// Number of keys; s32.
    #[allow(dead_code, reason = "part of what the kernel gives, which its tests check")]
    pub count: Value,
}

/// Words of the native table before its first slot.
const TABLE_HEADER: usize = 8;

/// Returns the shapes of the arrays of an index over `n` rows with keys of `n_words` words.
pub fn array_shapes(lowering: Lowering, n_words: usize, n: usize) -> Vec<Shape> {
    match lowering {
        Lowering::Native => {
            let slots = (n + n / 2).next_power_of_two().max(8);
            vec![Shape::new(U64, [TABLE_HEADER + (n_words + 1) * slots])]
        }
        Lowering::Portable => {
            let mut shapes = vec![Shape::new(U64, [n]); n_words];
            shapes.extend([Shape::new(S32, [n]), Shape::scalar(S32)]);
            shapes
        }
    }
}

/// Indexes the `keys` (words u64 `[n]`) of the rows where `live`, pred `[n]`, holds. n must be a multiple of 8.
pub fn build(b: &mut Builder, lowering: Lowering, keys: &[Value], live: Option<Value>) -> Result<KeyIndex, HloError> {
    let n = rows_of(b, keys)?;
    check_live(b, live, n)?;
    match lowering {
        Lowering::Native => {
            let table = array_shapes(lowering, keys.len(), n).remove(0);
            let sizes = [n, keys.len(), usize::from(live.is_some()), table.element_count()];
            let operands: Vec<Value> = keys.iter().copied().chain(live).collect();
            let outputs = [table, Shape::new(S32, [n]), Shape::scalar(S32)];
            let [table, ids, count] = native::call(b, BUILD_INDEX, &sizes, &operands, outputs)?;
            Ok(KeyIndex { arrays: vec![table], ids, count })
        }
        Lowering::Portable => {
            let sort_keys: Vec<SortKey> = keys.iter().map(|value| SortKey { value: *value, bits: 64 }).collect();
            let sorted = sorted_groups(b, &sort_keys, live, n)?;
            let mut arrays = Vec::with_capacity(keys.len() + 2);
            for key in keys {
                let ordered = b.take(*key, sorted.order)?;
                arrays.push(scatter_where(b, n, sorted.starts, sorted.runs, ordered)?);
            }
            arrays.extend([sorted.ids_of_runs, sorted.groups.count]);
            Ok(KeyIndex { arrays, ids: sorted.groups.ids, count: sorted.groups.count })
        }
    }
}

/// Returns the number of the key that equals `keys` (words u64 `[k]`); s32 `[k]`. It is -1 if there is no such key, or
/// where `live`, pred `[k]`, does not hold. `arrays` must come from [`build`] in the same lowering.
pub fn probe(
    b: &mut Builder,
    lowering: Lowering,
    arrays: &[Value],
    keys: &[Value],
    live: Option<Value>,
) -> Result<Value, HloError> {
    let k = rows_of(b, keys)?;
    check_live(b, live, k)?;
    match (lowering, arrays) {
        (Lowering::Native, [table]) => {
            let sizes = [k, keys.len(), usize::from(live.is_some()), b.shape(*table).element_count()];
            let mut operands = vec![*table];
            operands.extend(keys.iter().copied().chain(live));
            let [ids] = native::call(b, PROBE_INDEX, &sizes, &operands, [Shape::new(S32, [k])])?;
            Ok(ids)
        }
        (Lowering::Portable, [words @ .., ids, count]) if words.len() == keys.len() => {
            search(b, words, *ids, *count, keys, live, k)
        }
        _ => Err(HloError::operands("key_index", format!("{} arrays of an index", arrays.len()), &[])),
    }
}

/// Returns the number of rows of the key words, after checking their shapes.
fn rows_of(b: &Builder, keys: &[Value]) -> Result<usize, HloError> {
    let shapes: Vec<&Shape> = keys.iter().map(|key| b.shape(*key)).collect();
    match shapes.first() {
        Some(first) if first.rank() == 1 && shapes.iter().all(|shape| **shape == Shape::new(U64, [first.dims[0]])) => {
            Ok(first.dims[0])
        }
        _ => Err(HloError::operands("key_index", "keys are not words of u64", &shapes)),
    }
}

/// Searches all keys at once, by binary search in the first `count` of the sorted `words`.
fn search(
    b: &mut Builder,
    words: &[Value],
    ids: Value,
    count: Value,
    keys: &[Value],
    live: Option<Value>,
    k: usize,
) -> Result<Value, HloError> {
    let n = b.shape(ids).element_count();
    let n_words = words.len();
    let zero = b.constant_of(S32, 0)?;
    let mut init = vec![zero, b.broadcast(zero, &[k])?, b.broadcast(count, &[k])?];
    init.extend(words.iter().chain(keys));
    let steps = usize::BITS - n.leading_zeros();
    let found = b.while_loop(
        &init,
        |b, state| {
            let steps = b.constant_of(S32, steps.into())?;
            b.compare(state[0], steps, Comparison::Lt)
        },
        |b, state| {
            let (low, high) = (state[1], state[2]);
            let (words, keys) = state[3..].split_at(n_words);
            let one = b.constant_of(S32, 1)?;
            let sum = b.add(low, high)?;
            let middle = b.shift_right_logical(sum, one)?;
            let is_open = b.compare(low, high, Comparison::Lt)?;
            let is_below = is_below(b, words, middle, keys)?;
            let above = b.add(middle, one)?;
            let goes_up = b.and(is_open, is_below)?;
            let low_next = b.select(goes_up, above, low)?;
            let stays = b.not(is_open)?;
            let keeps_high = b.or(is_below, stays)?;
            let high_next = b.select(keeps_high, high, middle)?;
            let mut next = vec![b.add(state[0], one)?, low_next, high_next];
            next.extend_from_slice(&state[3..]);
            Ok(next)
        },
    )?;
    let place = found[1];
    let mut is_found = b.compare(place, count, Comparison::Lt)?;
    for (word, key) in words.iter().zip(keys) {
        let there = b.take(*word, place)?;
        let equal = b.compare(there, *key, Comparison::Eq)?;
        is_found = b.and(is_found, equal)?;
    }
    if let Some(live) = live {
        is_found = b.and(is_found, live)?;
    }
    let id = b.take(ids, place)?;
    let none = b.constant_of(S32, -1)?;
    b.select(is_found, id, none)
}

/// Returns whether the key at `places` of `words` is less than `keys`, lexicographically.
fn is_below(b: &mut Builder, words: &[Value], places: Value, keys: &[Value]) -> Result<Value, HloError> {
    let mut below: Option<Value> = None;
    for (word, key) in words.iter().zip(keys).rev() {
        let there = b.take(*word, places)?;
        let less = b.compare(there, *key, Comparison::Lt)?;
        below = Some(match below {
            Some(later) => {
                let equal = b.compare(there, *key, Comparison::Eq)?;
                let by_later = b.and(equal, later)?;
                b.or(less, by_later)?
            }
            None => less,
        });
    }
    below.ok_or_else(|| HloError::operands("key_index", "keys of no words", &[]))
}
