//! Tests of `kernels::wide_average` against integers of any size.

use std::sync::LazyLock;

use bigdecimal::ToPrimitive;
use bigdecimal::num_bigint::BigInt;
use parallax::kernels::wide::{self, Wide};
use parallax::kernels::wide_average;
use parallax::program::ElementType::{S64, U64};
use parallax::runtime::Buffer;
use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::random::Random;
use crate::{Kernel, N, array, cases, column};

const FACTOR: i64 = 10_000;

/// The lanes of x, multiplied by k as if k rows had been summed, and their average over a count.
static KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("wide_average", |b| {
        let x = Wide { hi: column(b, S64), lo: column(b, U64) };
        let (k, count) = (column(b, S64), column(b, S64));
        let mut lanes = wide::to_lanes(b, x)?;
        for lane in &mut lanes {
            *lane = b.multiply(*lane, k)?;
        }
        let (average, overflow) = wide_average::average(b, lanes, FACTOR, count)?;
        Ok(vec![average.hi, average.lo, overflow])
    })
});

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn averages_are_those_of_exact_sums(seed in any::<u64>()) {
        let mut random = Random(seed);
        let x = random.many(N, Random::i128);
        let most = (1u64 << 31) - 1;
        let k = random.many(N, |random| 1 + random.below(most) as i64);
        // Counts near k give averages that fit, others do not.
        let count: Vec<i64> = k
            .iter()
            .map(|k| match random.below(3) {
                0 => *k,
                1 => (*k * FACTOR).min(most as i64),
                _ => 1 + random.below(most) as i64,
            })
            .collect();
        let hi: Vec<i64> = x.iter().map(|v| (v >> 64) as i64).collect();
        let lo: Vec<u64> = x.iter().map(|v| *v as u64).collect();
        let inputs: [Buffer; 4] = [array(&hi), array(&lo), array(&k), array(&count)];
        let mut outputs = KERNEL.run(&inputs).into_iter();
        let hi = outputs.next().unwrap().to_vec::<i64>().unwrap();
        let lo = outputs.next().unwrap().to_vec::<u64>().unwrap();
        let overflows: Vec<bool> = outputs.next().unwrap().to_vec().unwrap();
        for row in 0..N {
            let exact = BigInt::from(x[row]) * k[row] * FACTOR / count[row];
            let expected = exact.to_i128().filter(|average| *average != i128::MIN);
            let average = i128::from(hi[row]) << 64 | i128::from(lo[row]);
            prop_assert_eq!(overflows[row], expected.is_none(), "{} * {} / {}", x[row], k[row], count[row]);
            if let Some(expected) = expected {
                prop_assert_eq!(average, expected, "{} * {} / {}", x[row], k[row], count[row]);
            }
        }
    }
}
