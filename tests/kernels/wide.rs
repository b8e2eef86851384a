//! Tests of `kernels::wide` against `i128`.

// Type aliases would make the tables of cases harder to read.
#![allow(clippy::type_complexity)]

use std::sync::LazyLock;

use parallax::hlo::{Builder, Comparison, HloError, Value};
use parallax::kernels::wide::{self, Wide};
use parallax::program::ElementType::{F32, F64, S64, U64};
use parallax::program::Shape;
use parallax::runtime::Buffer;
use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::random::Random;
use crate::{Kernel, N, array, cases, column, scalar};

const DIRECTIONS: [(Comparison, fn(&i128, &i128) -> bool); 6] = [
    (Comparison::Eq, i128::eq),
    (Comparison::Ne, i128::ne),
    (Comparison::Lt, i128::lt),
    (Comparison::Le, i128::le),
    (Comparison::Gt, i128::gt),
    (Comparison::Ge, i128::ge),
];

fn parameter(b: &mut Builder) -> Wide {
    Wide { hi: column(b, S64), lo: column(b, U64) }
}

fn scalar_parameter(b: &mut Builder) -> Wide {
    Wide { hi: b.parameter(Shape::scalar(S64)), lo: b.parameter(Shape::scalar(U64)) }
}

fn limbs(values: &[i128]) -> [Buffer; 2] {
    let hi: Vec<i64> = values.iter().map(|v| (v >> 64) as i64).collect();
    let lo: Vec<u64> = values.iter().map(|v| *v as u64).collect();
    [array(&hi), array(&lo)]
}

fn scalar_limbs(value: i128) -> [Buffer; 2] {
    [scalar((value >> 64) as i64), scalar(value as u64)]
}

/// Reads the next two outputs as numbers.
fn numbers(outputs: &mut impl Iterator<Item = Buffer>) -> Vec<i128> {
    let hi = outputs.next().unwrap().to_vec::<i64>().unwrap();
    let lo = outputs.next().unwrap().to_vec::<u64>().unwrap();
    hi.into_iter().zip(lo).map(|(hi, lo)| i128::from(hi) << 64 | i128::from(lo)).collect()
}

fn flags(outputs: &mut impl Iterator<Item = Buffer>) -> Vec<bool> {
    outputs.next().unwrap().to_vec().unwrap()
}

fn pairs(seed: u64) -> (Vec<i128>, Vec<i128>) {
    let mut random = Random(seed);
    (random.many(N, Random::i128), random.many(N, Random::i128))
}

type Fallible = fn(&mut Builder, Wide, Wide) -> Result<(Wide, Value), HloError>;

const ARITHMETIC: [(Fallible, fn(i128, i128) -> (i128, bool)); 3] = [
    (wide::add, i128::overflowing_add),
    (wide::subtract, i128::overflowing_sub),
    (wide::multiply, i128::overflowing_mul),
];

/// add, subtract and multiply of two arrays, of an array and a scalar, and of a scalar and an array.
static ARITHMETIC_KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("wide_arithmetic", |b| {
        let (x, y, z) = (parameter(b), parameter(b), scalar_parameter(b));
        let mut outputs = Vec::new();
        for (lhs, rhs) in [(x, y), (x, z), (z, y)] {
            for (operation, _) in ARITHMETIC {
                let (result, overflow) = operation(b, lhs, rhs)?;
                outputs.extend([result.hi, result.lo, overflow]);
            }
        }
        Ok(outputs)
    })
});

static DIVIDE_KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("wide_divide", |b| {
        let (x, y, z) = (parameter(b), parameter(b), scalar_parameter(b));
        let mut outputs = Vec::new();
        for (lhs, rhs) in [(x, y), (x, z), (z, y)] {
            let (quotient, remainder) = wide::divide(b, lhs, rhs)?;
            outputs.extend([quotient.hi, quotient.lo, remainder.hi, remainder.lo]);
        }
        Ok(outputs)
    })
});

/// The six comparisons, negate, to_narrow, exceeds_narrow, to_float of both types, and select by x < y.
static ORDER_KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("wide_order", |b| {
        let (x, y) = (parameter(b), parameter(b));
        let mut outputs = Vec::new();
        for (direction, _) in DIRECTIONS {
            outputs.push(wide::compare(b, x, y, direction)?);
        }
        let negated = wide::negate(b, x)?;
        outputs.extend([negated.hi, negated.lo]);
        outputs.push(wide::to_narrow(b, x)?);
        outputs.extend([wide::to_float(b, x, F64)?, wide::to_float(b, x, F32)?]);
        let least = wide::select(b, outputs[2], x, y)?;
        outputs.extend([least.hi, least.lo]);
        Ok(outputs)
    })
});

static FROM_KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("wide_from", |b| {
        let (float, narrow) = (column(b, F64), column(b, S64));
        let (from_float, from_narrow) = (wide::from_f64(b, float)?, wide::from_narrow(b, narrow)?);
        let constant = wide::constant(b, -(1 << 70) - 5);
        let (shifted, _) = wide::add(b, from_narrow, constant)?;
        Ok(vec![from_float.hi, from_float.lo, from_narrow.hi, from_narrow.lo, shifted.hi, shifted.lo])
    })
});

/// Lanes of x and of the 64-bit y, each multiplied by the row's k, as if k rows had been summed, and recombined.
static LANES_KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("wide_lanes", |b| {
        let (x, y, k) = (parameter(b), column(b, S64), column(b, S64));
        let mut outputs = Vec::new();
        for lanes in [wide::to_lanes(b, x)?.to_vec(), wide::narrow_to_lanes(b, y)?.to_vec()] {
            let sums = lanes.into_iter().map(|lane| b.multiply(lane, k)).collect::<Result<Vec<_>, _>>()?;
            let (total, overflow) = wide::from_lanes(b, &sums)?;
            outputs.extend([total.hi, total.lo, overflow]);
        }
        Ok(outputs)
    })
});

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn arithmetic_agrees_with_i128_and_flags_overflow(seed in any::<u64>()) {
        let (x, y) = pairs(seed);
        let z = Random(!seed).i128();
        let inputs: Vec<Buffer> = limbs(&x).into_iter().chain(limbs(&y)).chain(scalar_limbs(z)).collect();
        let mut outputs = ARITHMETIC_KERNEL.run(&inputs).into_iter();
        let zs = vec![z; N];
        for (form, (lhs, rhs)) in [(&x, &y), (&x, &zs), (&zs, &y)].into_iter().enumerate() {
            for (operation, (_, reference)) in ARITHMETIC.iter().enumerate() {
                let (results, overflows) = (numbers(&mut outputs), flags(&mut outputs));
                for i in 0..N {
                    let expected = reference(lhs[i], rhs[i]);
                    // Overflow must be flagged. Only then may the value differ.
                    prop_assert_eq!(overflows[i], expected.1, "form {}, operation {}: {}, {}", form, operation, lhs[i], rhs[i]);
                    if !expected.1 {
                        prop_assert_eq!(results[i], expected.0, "form {}, operation {}: {}, {}", form, operation, lhs[i], rhs[i]);
                    }
                }
            }
        }
    }

    #[test]
    fn division_truncates_and_the_remainder_has_the_sign_of_the_dividend(seed in any::<u64>()) {
        let (x, mut y) = pairs(seed);
        let z = Random(!seed).i128() | 1;
        y.iter_mut().filter(|y| **y == 0).for_each(|y| *y = -1);
        let inputs: Vec<Buffer> = limbs(&x).into_iter().chain(limbs(&y)).chain(scalar_limbs(z)).collect();
        let mut outputs = DIVIDE_KERNEL.run(&inputs).into_iter();
        let zs = vec![z; N];
        for (lhs, rhs) in [(&x, &y), (&x, &zs), (&zs, &y)] {
            let (quotients, remainders) = (numbers(&mut outputs), numbers(&mut outputs));
            for i in 0..N {
                prop_assert_eq!(quotients[i], lhs[i].wrapping_div(rhs[i]), "{} / {}", lhs[i], rhs[i]);
                prop_assert_eq!(remainders[i], lhs[i].wrapping_rem(rhs[i]), "{} % {}", lhs[i], rhs[i]);
            }
        }
    }

    #[test]
    fn order_and_narrowing_agree_with_i128(seed in any::<u64>()) {
        let (x, mut y) = pairs(seed);
        let mut random = Random(!seed);
        for i in 0..N {
            match random.below(4) {
                0 => y[i] = x[i],
                // The same high limb.
                1 => y[i] = x[i] ^ i128::from(random.bits()),
                _ => {}
            }
        }
        let inputs: Vec<Buffer> = limbs(&x).into_iter().chain(limbs(&y)).collect();
        let mut outputs = ORDER_KERNEL.run(&inputs).into_iter();
        for (direction, reference) in DIRECTIONS {
            let result = flags(&mut outputs);
            for i in 0..N {
                prop_assert_eq!(result[i], reference(&x[i], &y[i]), "{} {:?} {}", x[i], direction, y[i]);
            }
        }
        let negated = numbers(&mut outputs);
        let narrow = outputs.next().unwrap().to_vec::<i64>().unwrap();
        let doubles = outputs.next().unwrap().to_vec::<f64>().unwrap();
        let singles = outputs.next().unwrap().to_vec::<f32>().unwrap();
        let least = numbers(&mut outputs);
        for i in 0..N {
            prop_assert_eq!(negated[i], x[i].wrapping_neg());
            prop_assert_eq!(narrow[i], x[i] as i64);
            prop_assert_eq!(doubles[i], x[i] as f64, "{}", x[i]);
            prop_assert_eq!(singles[i], x[i] as f32, "{}", x[i]);
            prop_assert_eq!(least[i], x[i].min(y[i]));
        }
    }

    #[test]
    fn floats_are_truncated_and_narrow_integers_are_extended(seed in any::<u64>()) {
        let mut random = Random(seed);
        let in_range = |v: f64| if v.abs() < 2f64.powi(127) { v } else { -0.5 };
        let floats = random.many(N, |random| in_range(random.f64()));
        let narrow = random.many(N, Random::i64);
        let mut outputs = FROM_KERNEL.run(&[array(&floats), array(&narrow)]).into_iter();
        let (from_float, from_narrow, shifted) = (numbers(&mut outputs), numbers(&mut outputs), numbers(&mut outputs));
        for i in 0..N {
            prop_assert_eq!(from_float[i], floats[i] as i128, "{:e}", floats[i]);
            prop_assert_eq!(from_narrow[i], i128::from(narrow[i]));
            prop_assert_eq!(shifted[i], i128::from(narrow[i]) - (1 << 70) - 5);
        }
    }

    #[test]
    fn summed_lanes_combine_to_the_sum(seed in any::<u64>()) {
        let mut random = Random(seed);
        let x = random.many(N, Random::i128);
        let y = random.many(N, Random::i64);
        // One row, few rows, or the maximum that lanes allow.
        let k = random.many(N, |random| match random.below(3) {
            0 => 1,
            1 => random.below(1 << 31) as i64,
            _ => 1 << 31,
        });
        let inputs: Vec<Buffer> = limbs(&x).into_iter().chain([array(&y), array(&k)]).collect();
        let mut outputs = LANES_KERNEL.run(&inputs).into_iter();
        let (totals, overflows) = (numbers(&mut outputs), flags(&mut outputs));
        let (narrow_totals, narrow_overflows) = (numbers(&mut outputs), flags(&mut outputs));
        for i in 0..N {
            let (total, overflow) = x[i].overflowing_mul(i128::from(k[i]));
            prop_assert_eq!((totals[i], overflows[i]), (total, overflow), "{} times {}", x[i], k[i]);
            prop_assert_eq!((narrow_totals[i], narrow_overflows[i]), (i128::from(y[i]) * i128::from(k[i]), false));
        }
    }
}

/// Sums that leave the range and come back are exact, because lanes do not overflow.
#[test]
fn sums_near_the_limits_are_exact() {
    let kernel = Kernel::new("wide_sum", |b| {
        let x = parameter(b);
        let zero = b.constant_of(S64, 0)?;
        let lanes = wide::to_lanes(b, x)?;
        let sums = lanes
            .into_iter()
            .map(|lane| b.reduce(lane, zero, &[0], parallax::hlo::ReduceKind::Add))
            .collect::<Result<Vec<_>, _>>()?;
        let (total, overflow) = wide::from_lanes(b, &sums)?;
        Ok(vec![total.hi, total.lo, overflow])
    });
    let cases: [(&[i128], Option<i128>); 6] = [
        (&[i128::MIN, -1, 1], Some(i128::MIN)),
        (&[i128::MAX, i128::MAX, i128::MIN, i128::MIN], Some(-2)),
        (&[i128::MAX, 1], None),
        (&[i128::MIN, -1], None),
        (&[i128::MIN, i128::MIN], None),
        (&[], Some(0)),
    ];
    for (values, expected) in cases {
        let mut padded = values.to_vec();
        padded.resize(N, 0);
        let mut outputs = kernel.run(&limbs(&padded)).into_iter();
        let (total, overflow) = (numbers(&mut outputs)[0], flags(&mut outputs)[0]);
        assert_eq!((!overflow).then_some(total), expected, "sum of {values:?}");
    }
}
