//! Tests of `kernels::slot_rows`: one row per slot, and whether two rows share a slot.

use parallax::kernels::slot_rows::slot_rows;
use parallax::program::ElementType::S32;
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{SIZES, both, check};
use crate::random::Random;

#[test]
fn each_slot_has_its_last_row() {
    for (n, n_slots) in
        [(SIZES[0], 1), (SIZES[0], 100), (SIZES[1], 7), (SIZES[1], 5000), (SIZES[2], 9), (SIZES[2], 70_000)]
    {
        let kernel = both("slot_rows", &[Shape::new(S32, [n])], |b, lowering, slots| {
            let (row_of, duplicates) = slot_rows(b, lowering, slots[0], n_slots)?;
            Ok(vec![row_of, b.reshape(duplicates, &[1])?])
        });
        let mut random = Random(n as u64);
        let last = n_slots as i32 - 1;
        let once: Vec<i32> = (0..n).map(|row| if row < n_slots { last - row as i32 } else { -1 }).collect();
        let mut twice = once.clone();
        twice[n - 1] = last;
        for (what, slots) in [
            ("random", random.many(n, |random| random.below(n_slots as u64 + 1) as i32 - 1)),
            ("none", vec![-1; n]),
            ("once", once),
            ("the first again", twice),
            ("all in the last", vec![last; n]),
        ] {
            let mut row_of = vec![-1; n_slots];
            let mut duplicates = 0;
            for (row, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot >= 0) {
                let before = std::mem::replace(&mut row_of[*slot as usize], row as i32);
                duplicates = duplicates.max(i32::from(before >= 0));
            }
            let what = format!("{what}: {n} rows, {n_slots} slots");
            let outputs = kernel.run(&[array(&slots)]);
            check(&what, &outputs, 0, &row_of);
            check(&what, &outputs, 1, &[duplicates]);
        }
    }
}
