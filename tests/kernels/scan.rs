//! Tests of `kernels::scan`: prefix sums.

use parallax::kernels::scan::exclusive_sum;
use parallax::program::ElementType::S32;
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{SIZES, both, check};
use crate::random::Random;

#[test]
fn exclusive_sums_add_the_preceding_elements() {
    for n in SIZES {
        let kernel = both("exclusive_sum", &[Shape::new(S32, [n])], |b, lowering, values| {
            let (sums, total) = exclusive_sum(b, lowering, values[0])?;
            Ok(vec![sums, total])
        });
        let mut random = Random(n as u64);
        for (what, values) in [
            ("bits", random.many(n, |random| random.bits() as u8 as i32)),
            ("any, which wrap", random.many(n, |random| random.i64() as i32)),
            ("zeros", vec![0; n]),
        ] {
            let mut total = 0i64;
            let sums: Vec<i32> = values
                .iter()
                .map(|value| {
                    let before = total as i32;
                    total += i64::from(*value);
                    before
                })
                .collect();
            let outputs = kernel.run(&[array(&values)]);
            check(what, &outputs, 0, &sums);
            check(what, &outputs, 1, &[total]);
        }
    }
}
