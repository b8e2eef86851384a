//! The first rows of a sort order without sorting the rest: `parallax_argsort_top`.
//!
//! Each thread keeps a threshold: the last key among its best `limit` rows so far. Rows below the threshold are
//! collected. When twice `limit` rows have been collected, the better half is selected, which lowers the threshold.

use crate::runtime::call::Call;
use crate::runtime::host_kernels::hash::{Key, key_at};
use crate::runtime::host_kernels::words::Words;
use crate::runtime::host_kernels::{radix_sort, threads};

/// `(sizes s64[4 + 2 * n_keys] = [n, n_keys, limit, has_live, then byte width and bit count of each key], n_keys keys
/// u8[n] to u64[n], most significant first, live pred[n] if has_live) -> row_ids s32[limit]`
pub(super) unsafe fn argsort_top_call(call: &Call) {
    // SAFETY: `kernels::radix_sort` passes these shapes, and a `pred` is a byte.
    let (words, live, n, out) = unsafe {
        let [n, n_keys, limit, has_live] = call.sizes();
        let live: Option<&[u8]> = (has_live > 0).then(|| call.input(1 + n_keys, n));
        (Words::of_call(call, n, n_keys, 4), live, n, call.output(0, limit))
    };
    argsort_top(&words.slices(), live, n, out);
}

/// Writes the first live rows of `0..n` in ascending order of `words` to `out`, ties in row order, followed by rows
/// that are not live. `out` has at most n elements.
pub(super) fn argsort_top(words: &[&[u64]], live: Option<&[u8]>, n: usize, out: &mut [i32]) {
    let found = match *words {
        _ if n / 4 < out.len() => all(words, live, n, out),
        [a] => top([a], live, out),
        [a, b] => top([a, b], live, out),
        [a, b, c] => top([a, b, c], live, out),
        [a, b, c, d] => top([a, b, c, d], live, out),
        _ => all(words, live, n, out),
    };
    if let Some(live) = live {
        let dead = live.iter().enumerate().filter(|(_, live)| **live == 0).map(|(row, _)| row as i32);
        out[found..].iter_mut().zip(dead).for_each(|(to, row)| *to = row);
    }
}

/// Sorts all rows. Used if the limit is a large part of them, or if there are many words. Returns the number of live
/// rows written.
fn all(words: &[&[u64]], live: Option<&[u8]>, n: usize, out: &mut [i32]) -> usize {
    let mut rows = vec![0; n];
    radix_sort::argsort(words, &mut rows);
    let is_live = |row: &&i32| live.is_none_or(|live| live[**row as usize] != 0);
    let mut found = 0;
    for (to, row) in out.iter_mut().zip(rows.iter().filter(is_live)) {
        *to = *row;
        found += 1;
    }
    found
}

/// Returns the number of live rows written.
fn top<const W: usize>(words: [&[u64]; W], live: Option<&[u8]>, out: &mut [i32]) -> usize {
    let (n, limit) = (words[0].len(), out.len());
    if limit == 0 {
        return 0;
    }
    let n_threads = threads::for_rows(n);
    let parts = threads::ranges(n, n_threads).collect();
    let found = threads::map(n_threads, parts, |rows| {
        let mut best: Vec<(Key<W>, i32)> = Vec::with_capacity(2 * limit.max(512));
        let mut threshold = [u64::MAX; W];
        let mut is_full = false;
        for row in rows {
            // Most rows fail on their first word, so compare that before checking whether they are live.
            if is_full && words[0][row] > threshold[0] {
                continue;
            }
            let key = key_at(&words, row);
            // A row whose key equals the threshold comes after the rows collected so far.
            if is_full && key >= threshold || live.is_some_and(|live| live[row] == 0) {
                continue;
            }
            best.push((key, row as i32));
            if best.len() == best.capacity() {
                best.select_nth_unstable(limit - 1);
                best.truncate(limit);
                threshold = best[limit - 1].0;
                is_full = true;
            }
        }
        best
    });
    let mut found = found.concat();
    if found.len() > limit {
        found.select_nth_unstable(limit - 1);
        found.truncate(limit);
    }
    found.sort_unstable();
    for (to, (_, row)) in out.iter_mut().zip(&found) {
        *to = *row;
    }
    found.len()
}
