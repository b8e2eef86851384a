//! Repetition of rows by their counts: `parallax_expand`.

use crate::runtime::call::Call;
use crate::runtime::host_kernels::{scan, threads};

/// `(sizes s64[2] = [n, capacity], counts s32[n]) -> (source s32[capacity], position s32[capacity], total s64[])`
pub(super) unsafe fn expand_call(call: &Call) {
    // SAFETY: `kernels::expand` passes these shapes.
    let (counts, source, position, total) = unsafe {
        let [n, capacity] = call.sizes();
        (call.input(1, n), call.output(0, capacity), call.output(1, capacity), call.output(2, 1))
    };
    total[0] = expand(counts, source, position);
}

/// Writes each row `counts[row]` times to `source`, with its copies numbered from 0 in `position`, followed by zeros.
/// Returns the sum of the counts. If it exceeds the capacity, the last rows are missing.
pub(super) fn expand(counts: &[i32], source: &mut [i32], position: &mut [i32]) -> i64 {
    let n_threads = threads::for_rows(counts.len().max(source.len()));
    let totals = scan::totals(counts, n_threads);
    let (mut rest, mut items) = ((source, position), Vec::with_capacity(n_threads));
    for (rows, total) in threads::ranges(counts.len(), n_threads).zip(&totals) {
        let length = rest.0.len().min(usize::try_from(*total).unwrap_or(0));
        let (source, source_rest) = rest.0.split_at_mut(length);
        let (position, position_rest) = rest.1.split_at_mut(length);
        items.push((rows, source, position));
        rest = (source_rest, position_rest);
    }
    rest.0.fill(0);
    rest.1.fill(0);
    threads::for_each(
        n_threads,
        items,
        || (),
        |(), (rows, source, position)| {
            let mut at = 0;
            for row in rows {
                let count = usize::try_from(counts[row]).unwrap_or(0).min(source.len() - at);
                source[at..at + count].fill(row as i32);
                position[at..at + count].iter_mut().zip(0..).for_each(|(to, position)| *to = position);
                at += count;
            }
        },
    );
    totals.iter().sum()
}
