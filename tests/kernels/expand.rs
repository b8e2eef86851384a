//! Tests of `kernels::expand`: rows repeated by their counts.

use parallax::kernels::expand::expand;
use parallax::program::ElementType::S32;
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{SIZES, both, check, padded};
use crate::random::Random;

#[test]
fn rows_are_repeated_by_their_counts() {
    for n in SIZES {
        let capacity = 2 * n;
        let kernel = both("expand", &[Shape::new(S32, [n])], |b, lowering, counts| {
            let rows = expand(b, lowering, counts[0], capacity)?;
            Ok(vec![rows.source, rows.position, rows.total])
        });
        let mut random = Random(n as u64);
        let one_of = |at: usize, count: usize| (0..n).map(|row| if row == at { count as i32 } else { 0 }).collect();
        for (what, counts) in [
            ("some", random.many(n, |random| random.below(3) as i32)),
            ("none", vec![0; n]),
            ("each twice", vec![2; n]),
            ("few", random.many(n, |random| if random.one_in(20) { random.below(20) as i32 } else { 0 })),
            ("the first", one_of(0, capacity)),
            ("the last", one_of(n - 1, capacity - 3)),
            ("more than the capacity", vec![i32::MAX; n]),
        ] {
            let total: i64 = counts.iter().map(|count| i64::from(*count)).sum();
            let outputs = kernel.run(&[array(&counts)]);
            check(what, &outputs, 2, &[total]);
            if total > capacity as i64 {
                continue;
            }
            let rows = || counts.iter().zip(0i32..).flat_map(|(count, row)| (0..*count).map(move |i| (row, i)));
            check(what, &outputs, 0, &padded(rows().map(|(row, _)| row).collect(), capacity));
            check(what, &outputs, 1, &padded(rows().map(|(_, i)| i).collect(), capacity));
        }
    }
}
