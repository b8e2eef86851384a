//! `kernels::small_sort`: a stable sort by several keys.

use std::sync::LazyLock;

use parallax::kernels::small_sort::sorted_row_ids;
use parallax::program::ElementType::{S8, S32, S64};
use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::random::Random;
use crate::{Kernel, N, array, cases, column};

/// Sorted by three keys, by the last alone, by none.
static KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("small_sort", |b| {
        let keys = [column(b, S8), column(b, S32), column(b, S64)];
        Ok(vec![sorted_row_ids(b, &keys, N)?, sorted_row_ids(b, &keys[2..], N)?, sorted_row_ids(b, &[], N)?])
    })
});

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn rows_are_in_the_order_of_their_keys_and_ties_in_their_own(seed in any::<u64>()) {
        let mut random = Random(seed);
        let s8 = random.many(N, |random| [i8::MIN, -1, 0, 1, i8::MAX][random.below(5) as usize]);
        let s32 = random.many(N, |random| [i32::MIN, -7, 0, 3, i32::MAX][random.below(5) as usize]);
        let few = random.one_in(2);
        let s64 = random.many(N, |random| if few { random.below(3) as i64 } else { random.i64() });
        let outputs = KERNEL.run(&[array(&s8), array(&s32), array(&s64)]);
        let mut rows: Vec<i32> = (0..N as i32).collect();
        prop_assert_eq!(&outputs[2].to_vec::<i32>().unwrap(), &rows);
        rows.sort_by_key(|row| s64[*row as usize]);
        prop_assert_eq!(&outputs[1].to_vec::<i32>().unwrap(), &rows);
        rows.sort();
        rows.sort_by_key(|row| (s8[*row as usize], s32[*row as usize], s64[*row as usize]));
        prop_assert_eq!(&outputs[0].to_vec::<i32>().unwrap(), &rows);
    }
}
