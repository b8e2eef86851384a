//! Lookup table from slot to row: `parallax_slot_rows`.

use crate::runtime::call::Call;

/// `(sizes s64[2] = [n, n_slots], slots s32[n] with -1 for none) -> (row_of s32[n_slots], duplicates s32[1])`
pub(super) unsafe fn slot_rows_call(call: &Call) {
    // SAFETY: `kernels::slot_rows` passes these shapes.
    let (slots, row_of, duplicates) = unsafe {
        let [n, n_slots] = call.sizes();
        (call.input(1, n), call.output(0, n_slots), call.output(1, 1))
    };
    duplicates[0] = i32::from(slot_rows(slots, row_of));
}

/// Sets `row_of[s]` to the last row of slot s, or to -1. Returns whether any slot has several rows.
fn slot_rows(slots: &[i32], row_of: &mut [i32]) -> bool {
    row_of.fill(-1);
    let mut duplicates = false;
    for (row, slot) in (0..).zip(slots) {
        if let Some(place) = row_of.get_mut(*slot as u32 as usize) {
            duplicates |= *place >= 0;
            *place = row;
        }
    }
    duplicates
}
