//! The first rows of an order, without the rest: `parallax_argsort_top`.
//!
//! Each thread goes through its rows with a threshold: the last key of the best `limit` so far. What is below it is put
//! aside, and when twice as many are there the better half is selected, which lowers the threshold.

use std::ffi::c_void;

use crate::runtime::host_kernels::call::Call;
use crate::runtime::host_kernels::hash::{Key, key_at};
use crate::runtime::host_kernels::words::Words;
use crate::runtime::host_kernels::{radix_sort, threads};

/// (sizes s64[3 + 2 keys] = n, keys, limit, then bytes and bits of each; keys x u8 to u64[n], first most significant)
/// -> row ids s32[limit].
pub(super) unsafe extern "C" fn argsort_top_call(output: *mut c_void, inputs: *const *const c_void) {
    // SAFETY: `kernels::radix_sort` passes these shapes.
    let (words, n, out) = unsafe {
        let call = Call::new(output, inputs);
        let [n, n_keys, limit] = call.sizes();
        (Words::of_call(&call, n, n_keys, 3), n, call.only_output(limit))
    };
    argsort_top(&words.slices(), n, out);
}

/// The first rows of `0..n` in ascending order of `words`, ties in row order; `out` has at most n places.
pub(super) fn argsort_top(words: &[&[u64]], n: usize, out: &mut [i32]) {
    match *words {
        _ if n / 4 < out.len() => all(words, n, out),
        [a] => top([a], out),
        [a, b] => top([a, b], out),
        [a, b, c] => top([a, b, c], out),
        [a, b, c, d] => top([a, b, c, d], out),
        _ => all(words, n, out),
    }
}

/// For a limit that is much of the rows, or for many words.
fn all(words: &[&[u64]], n: usize, out: &mut [i32]) {
    let mut rows = vec![0; n];
    radix_sort::argsort(words, &mut rows);
    out.copy_from_slice(&rows[..out.len()]);
}

fn top<const W: usize>(words: [&[u64]; W], out: &mut [i32]) {
    let (n, limit) = (words[0].len(), out.len());
    if limit == 0 {
        return;
    }
    let n_threads = threads::for_rows(n);
    let parts = threads::ranges(n, n_threads).collect();
    let found = threads::map(n_threads, parts, |rows| {
        let mut best: Vec<(Key<W>, i32)> = Vec::with_capacity(2 * limit.max(512));
        let mut threshold = [u64::MAX; W];
        let mut is_full = false;
        for row in rows {
            // Most rows fail by their first word.
            if is_full && words[0][row] > threshold[0] {
                continue;
            }
            let key = key_at(&words, row);
            // A key that equals the threshold comes after the rows that are there.
            if is_full && key >= threshold {
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
    for (to, (_, row)) in out.iter_mut().zip(found) {
        *to = row;
    }
}
