//! Prefix sums: `parallax_exclusive_sum`.

use crate::runtime::call::Call;
use crate::runtime::host_kernels::threads;

/// `(sizes s64[1] = [n], values s32[n]) -> (sums s32[n], total s64[])`
pub(super) unsafe fn exclusive_sum_call(call: &Call) {
    // SAFETY: `kernels::scan` passes these shapes.
    let (values, sums, total) = unsafe {
        let [n] = call.sizes();
        (call.input(1, n), call.output(0, n), call.output(1, 1))
    };
    total[0] = exclusive_sum(values, sums);
}

/// Writes the wrapping sum of all preceding elements to `sums`, and returns the 64-bit sum of all.
pub(super) fn exclusive_sum(values: &[i32], sums: &mut [i32]) -> i64 {
    let n_threads = threads::for_rows(values.len());
    let mut before = if n_threads == 1 { vec![0] } else { totals(values, n_threads) };
    let mut total = 0i64;
    for part in &mut before {
        total += std::mem::replace(part, total);
    }
    let parts: Vec<_> = threads::split(sums, n_threads).into_iter().zip(before).collect();
    let ends = threads::map(n_threads, parts, |((rows, sums), mut sum)| {
        for (to, value) in sums.iter_mut().zip(&values[rows]) {
            *to = sum as i32;
            sum += i64::from(*value);
        }
        sum
    });
    ends.last().copied().unwrap_or(0)
}

/// Returns the sum of each thread's share.
pub(super) fn totals(values: &[i32], n_threads: usize) -> Vec<i64> {
    let parts = threads::ranges(values.len(), n_threads).collect();
    threads::map(n_threads, parts, |rows| values[rows].iter().map(|value| i64::from(*value)).sum())
}
