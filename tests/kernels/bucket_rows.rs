//! Tests of `kernels::bucket_rows`: the rows of each slot.

use parallax::kernels::bucket_rows::bucket_rows;
use parallax::program::ElementType::S32;
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{SIZES, both, check, padded};
use crate::random::Random;

#[test]
fn each_slot_has_its_rows_in_order() {
    for (n, n_slots) in
        [(SIZES[0], 1), (SIZES[0], 100), (SIZES[1], 7), (SIZES[1], 5000), (SIZES[2], 9), (SIZES[2], 70_000)]
    {
        let kernel = both("bucket_rows", &[Shape::new(S32, [n])], |b, lowering, slots| {
            let (starts, order) = bucket_rows(b, lowering, slots[0], n_slots)?;
            Ok(vec![starts, order])
        });
        let mut random = Random(n as u64);
        let last = n_slots as i32 - 1;
        for (what, slots) in [
            ("random", random.many(n, |random| random.below(n_slots as u64 + 1) as i32 - 1)),
            ("none", vec![-1; n]),
            ("the last", vec![last; n]),
            ("ascending", (0..n).map(|row| (row * n_slots / n) as i32).collect()),
            ("skewed", random.many(n, |random| if random.one_in(9) { random.below(n_slots as u64) as i32 } else { 0 })),
        ] {
            let mut starts = vec![0; n_slots + 8];
            for slot in slots.iter().filter(|slot| **slot >= 0) {
                starts[*slot as usize + 1..].first_mut().into_iter().for_each(|count| *count += 1);
            }
            let mut total = 0;
            for count in &mut starts {
                total += *count;
                *count = total;
            }
            let mut rows: Vec<i32> = (0..n as i32).filter(|row| slots[*row as usize] >= 0).collect();
            rows.sort_by_key(|row| slots[*row as usize]);
            let what = format!("{what}: {n} rows, {n_slots} slots");
            let outputs = kernel.run(&[array(&slots)]);
            check(&what, &outputs, 0, &starts);
            check(&what, &outputs, 1, &padded(rows, n));
        }
    }
}
