//! Groups rows by slot with a counting sort: `parallax_bucket_rows`. Large inputs are first partitioned into ranges of
//! slots whose counts fit the cache.

use crate::runtime::call::Call;
use crate::runtime::host_kernels::{partition, threads};

/// Extra elements of `starts` behind those of the slots. All of them hold the total.
const STARTS_PADDING: usize = 8;

/// `(sizes s64[2] = [n, n_slots], slots s32[n] with -1 for none) -> (starts s32[n_slots + 8], order s32[n])`
pub(super) unsafe fn bucket_rows_call(call: &Call) {
    // SAFETY: `kernels::bucket_rows` passes these shapes.
    let (slots, starts, order) = unsafe {
        let [n, n_slots] = call.sizes();
        (call.input(1, n), call.output(0, n_slots + STARTS_PADDING), call.output(1, n))
    };
    bucket_rows(slots, starts, order);
}

/// Fills `order[starts[s]..starts[s + 1]]` with the rows of slot s in row order, and the rest of `order` with zeros.
/// Rows whose slot is out of range are left out.
pub(super) fn bucket_rows(slots: &[i32], starts: &mut [i32], order: &mut [i32]) {
    let n_slots = starts.len() - STARTS_PADDING;
    let total = if slots.len() > threads::SERIAL_ROWS && n_slots > CACHED_SLOTS {
        many_slots(slots, &mut starts[..n_slots], order)
    } else {
        few_slots(slots.iter().copied().zip(0..), 0, &mut starts[..n_slots], 0, order)
    };
    starts[n_slots..].fill(total as i32);
    order[total..].fill(0);
}

/// Number of slots in one range.
const CACHED_SLOTS: usize = 1 << 13;

/// Maximum number of ranges.
const MAX_RANGES: usize = 1 << 11;

/// Sorts `rows`, pairs of slot and row, into `order`, and sets `starts`, whose first slot is `first_slot` and whose
/// values are offset by `base`. Rows with slots outside `starts` are left out. Returns the number of rows sorted.
fn few_slots(
    rows: impl Iterator<Item = (i32, i32)> + Clone,
    first_slot: i32,
    starts: &mut [i32],
    base: usize,
    order: &mut [i32],
) -> usize {
    starts.fill(0);
    for (slot, _) in rows.clone() {
        if let Some(count) = starts.get_mut(slot.wrapping_sub(first_slot) as u32 as usize) {
            *count += 1;
        }
    }
    let mut end = 0;
    for count in starts.iter_mut() {
        end += std::mem::replace(count, end);
    }
    // Placing the rows advances each start to the end of its slot, which is the start of the next. The loop below moves
    // them back by one slot.
    for (slot, row) in rows {
        if let Some(place) = starts.get_mut(slot.wrapping_sub(first_slot) as u32 as usize) {
            order[*place as usize] = row;
            *place += 1;
        }
    }
    let mut start = base as i32;
    for place in starts.iter_mut() {
        start = std::mem::replace(place, start) + base as i32;
    }
    end as usize
}

fn many_slots(slots: &[i32], starts: &mut [i32], order: &mut [i32]) -> usize {
    let n_threads = threads::for_rows(slots.len());
    let range = starts.len().div_ceil(MAX_RANGES).next_power_of_two().max(CACHED_SLOTS);
    let (n_ranges, shift) = (starts.len().div_ceil(range), range.trailing_zeros());
    // One more range holds the rows without a slot, since -1 is the largest unsigned number.
    let in_range = |(slot, _): &(i32, i32)| ((*slot as u32 >> shift) as usize).min(n_ranges);
    let parts = partition::partition(slots.len(), n_ranges + 1, n_threads, |row| (slots[row], row as i32), in_range);
    let (mut items, mut rest) = (Vec::with_capacity(n_ranges), order);
    for (number, (starts, bounds)) in starts.chunks_mut(range).zip(parts.starts.windows(2)).enumerate() {
        let (order, after) = rest.split_at_mut(bounds[1] - bounds[0]);
        items.push((number * range, starts, bounds[0], &parts.records[bounds[0]..bounds[1]], order));
        rest = after;
    }
    threads::for_each(
        n_threads,
        items,
        || (),
        |(), (first_slot, starts, base, rows, order)| {
            few_slots(rows.iter().copied(), first_slot as i32, starts, base, order);
        },
    );
    parts.starts[n_ranges]
}
