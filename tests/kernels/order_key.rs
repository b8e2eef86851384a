//! Tests of `kernels::order_key`: keys compare like `total_cmp`, and convert back to the same bits.

use std::sync::LazyLock;

use parallax::kernels::order_key::{from_float, to_float};
use parallax::program::ElementType::{F32, F64};
use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::random::Random;
use crate::{Kernel, N, array, cases, column};

static KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("order_keys", |b| {
        let (x, y) = (column(b, F32), column(b, F64));
        let (key_x, key_y) = (from_float(b, x)?, from_float(b, y)?);
        Ok(vec![key_x, to_float(b, key_x)?, key_y, to_float(b, key_y)?])
    })
});

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn keys_compare_like_the_floats_and_convert_back(seed in any::<u64>()) {
        let mut random = Random(seed);
        let (mut x, mut y) = (random.many(N, Random::f32), random.many(N, Random::f64));
        // Sort, so that neighbours are close to each other and often equal or one unit apart.
        x.sort_by(f32::total_cmp);
        y.sort_by(f64::total_cmp);
        for i in (1..N).step_by(3) {
            x[i] = if random.one_in(2) { x[i - 1] } else { f32::from_bits(x[i - 1].to_bits() ^ 1) };
            y[i] = if random.one_in(2) { y[i - 1] } else { f64::from_bits(y[i - 1].to_bits() ^ 1) };
        }
        let outputs = KERNEL.run(&[array(&x), array(&y)]);
        let (key_x, key_y) = (outputs[0].to_vec::<i32>().unwrap(), outputs[2].to_vec::<i64>().unwrap());
        let (back_x, back_y) = (outputs[1].to_vec::<f32>().unwrap(), outputs[3].to_vec::<f64>().unwrap());
        for i in 0..N {
            prop_assert_eq!(back_x[i].to_bits(), x[i].to_bits());
            prop_assert_eq!(back_y[i].to_bits(), y[i].to_bits());
            for j in [(i + 1) % N, random.below(N as u64) as usize] {
                prop_assert_eq!(key_x[i].cmp(&key_x[j]), x[i].total_cmp(&x[j]), "{:e}, {:e}", x[i], x[j]);
                prop_assert_eq!(key_y[i].cmp(&key_y[j]), y[i].total_cmp(&y[j]), "{:e}, {:e}", y[i], y[j]);
            }
        }
    }
}
