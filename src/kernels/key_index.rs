//! Equality lookup of keys among the unique keys of other rows: the build and the probe side of a join. The two are parts of
//! different programs; arrays pass between them.
//!
//! Native: a hash table in one array (`runtime/host_kernels/key_index.rs`). Portable: the unique keys in ascending order,
//! and a binary search.
//!
//! Native, 1M keys: 10 ns/row for 6M probes on two busy cores, 16 for 2^18 on one; the build takes 48 ns a key
//! (`cargo test --release --test kernels speed -- --ignored --nocapture`).

use crate::hlo::{Builder, Comparison, HloError, Value};
use crate::host_functions::{BUILD_INDEX, PROBE_INDEX};
use crate::kernels::Lowering;
use crate::kernels::compact::scatter_where;
use crate::kernels::group::{check_live, sorted_groups};
use crate::kernels::native;
use crate::kernels::radix_sort::SortKey;
use crate::program::ElementType::{S32, U64};
use crate::program::Shape;

/// What [`build`] gives.
#[derive(Clone, Debug)]
pub struct KeyIndex {
    /// What [`probe`] needs, of the shapes that [`array_shapes`] tells.
    pub arrays: Vec<Value>,
    /// `[n]` s32: the number of the row's key, by first appearance among live rows; -1 for rows that are not live.
    pub ids: Value,
    /// s32: number of keys.
    #[allow(dead_code, reason = "part of what the kernel gives, which its tests check")]
    pub count: Value,
}

/// Words of the native table before its slots.
const TABLE_HEADER: usize = 8;

/// Shapes of the arrays of an index of `n` rows with keys of `n_words` words.
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

/// Indexes the `keys` (words u64 `[n]`) of the rows where `live`, pred `[n]`, holds; n is a multiple of 8.
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

/// `[k]` s32: the number of the key that equals `keys` (words u64 `[k]`), or -1 where there is none or `live`, pred `[k]`,
/// does not hold. `arrays` are those of [`build`] in the same lowering.
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

/// The rows of the words of a key.
fn rows_of(b: &Builder, keys: &[Value]) -> Result<usize, HloError> {
    let shapes: Vec<&Shape> = keys.iter().map(|key| b.shape(*key)).collect();
    match shapes.first() {
        Some(first) if first.rank() == 1 && shapes.iter().all(|shape| **shape == Shape::new(U64, [first.dims[0]])) => {
            Ok(first.dims[0])
        }
        _ => Err(HloError::operands("key_index", "keys are not words of u64", &shapes)),
    }
}

/// Binary search of all keys at once, in the first `count` of the sorted `words`.
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

/// Whether the key at `places` of `words` is less than `keys`, lexicographically.
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
