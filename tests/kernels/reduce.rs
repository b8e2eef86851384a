//! Tests of `kernels::reduce`: every kind and type against a fold.

use std::fmt::Debug;
use std::sync::LazyLock;

use parallax::hlo::ReduceKind::{self, Add, And, Maximum, Minimum, Multiply, Or, Xor};
use parallax::hlo::Value;
use parallax::kernels::reduce::{Reduction, identity, reduce_all};
use parallax::program::ElementType::{self, F32, F64, Pred, S8, S32, S64, U32, U64};
use parallax::runtime::{Buffer, Element};
use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::test_runner::TestCaseError;

use crate::random::Random;
use crate::{Kernel, N, array, cases, column};

const ALL: [ReduceKind; 7] = [Add, Multiply, Minimum, Maximum, And, Or, Xor];
const NUMBERS: [ReduceKind; 4] = [Add, Multiply, Minimum, Maximum];
const BITS: [ReduceKind; 5] = [Minimum, Maximum, And, Or, Xor];

/// Each operand type with its kinds and the type of the totals.
const OPERANDS: [(ElementType, &[ReduceKind], ElementType); 9] = [
    (S32, &ALL, S32),
    (S64, &ALL, S64),
    (U32, &ALL, U32),
    (U64, &ALL, U64),
    (Pred, &BITS, Pred),
    (F32, &NUMBERS, F32),
    (F64, &NUMBERS, F64),
    (S32, &[Add], S64),
    (S8, &[Minimum, Maximum], S64),
];

/// All reductions of live rows behind one barrier, followed by those over no rows.
static KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("reductions", |b| {
        let live = column(b, Pred);
        let nothing = b.constant_of(Pred, 0)?;
        let operands: Vec<Value> = OPERANDS.iter().map(|(element_type, _, _)| column(b, *element_type)).collect();
        let mut reductions = Vec::new();
        for mask in [live, nothing] {
            for (operand, (element_type, kinds, total_type)) in operands.iter().zip(OPERANDS) {
                for kind in kinds {
                    let identity = identity(b, *kind, element_type)?;
                    let operand = b.select(mask, *operand, identity)?;
                    reductions.push(Reduction { operand, kind: *kind, total_type });
                }
            }
        }
        reduce_all(b, &reductions)
    })
});

trait Number: Element + PartialEq + Debug {
    /// Returns the result over no rows.
    fn empty(kind: ReduceKind) -> Self;
    fn combine(kind: ReduceKind, lhs: Self, rhs: Self) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn empty(kind: ReduceKind) -> Self {
                match kind {
                    Multiply => 1,
                    Minimum => Self::MAX,
                    Maximum => Self::MIN,
                    And => !0,
                    Add | Or | Xor => 0,
                }
            }

            fn combine(kind: ReduceKind, lhs: Self, rhs: Self) -> Self {
                match kind {
                    Add => lhs.wrapping_add(rhs),
                    Multiply => lhs.wrapping_mul(rhs),
                    Minimum => lhs.min(rhs),
                    Maximum => lhs.max(rhs),
                    And => lhs & rhs,
                    Or => lhs | rhs,
                    Xor => lhs ^ rhs,
                }
            }
        }
    )*};
}

macro_rules! floats {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn empty(kind: ReduceKind) -> Self {
                match kind {
                    Multiply => 1.0,
                    Minimum => Self::INFINITY,
                    Maximum => Self::NEG_INFINITY,
                    _ => 0.0,
                }
            }

            fn combine(kind: ReduceKind, lhs: Self, rhs: Self) -> Self {
                match kind {
                    Multiply => lhs * rhs,
                    Minimum => lhs.min(rhs),
                    Maximum => lhs.max(rhs),
                    _ => lhs + rhs,
                }
            }
        }
    )*};
}

integers!(i32, i64, u32, u64);
floats!(f32, f64);

impl Number for bool {
    fn empty(kind: ReduceKind) -> Self {
        matches!(kind, Minimum | And)
    }

    fn combine(kind: ReduceKind, lhs: Self, rhs: Self) -> Self {
        match kind {
            Minimum | And => lhs & rhs,
            Xor => lhs ^ rhs,
            _ => lhs | rhs,
        }
    }
}

/// Checks that the next outputs are the folds of `values` by each kind.
fn check<T: Number>(
    outputs: &mut impl Iterator<Item = Buffer>,
    kinds: &[ReduceKind],
    values: impl Iterator<Item = T> + Clone,
) -> Result<(), TestCaseError> {
    for kind in kinds {
        let expected = values.clone().fold(T::empty(*kind), |total, value| T::combine(*kind, total, value));
        prop_assert_eq!(outputs.next().unwrap().to_vec::<T>().unwrap(), [expected], "{:?} of {}", kind, T::TYPE);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn reductions_agree_with_folds_of_the_live_rows(seed in any::<u64>()) {
        let mut random = Random(seed);
        let sparse = [1, 2, 1000, 1 << 20][random.below(4) as usize];
        let live = random.many(N, |random| random.one_in(sparse));
        let s32 = random.many(N, |random| random.i128() as i32);
        let s64 = random.many(N, Random::i64);
        let u32 = random.many(N, |random| random.i128() as u32);
        let u64 = random.many(N, |random| random.i128() as u64);
        let pred = random.many(N, |random| random.one_in(100) == random.one_in(2));
        // Sums and products of these are exact in any order.
        let f32: Vec<f32> = random.many(N, |random| if random.one_in(400) { 2.0 } else { [-1.0, 1.0][random.below(2) as usize] });
        let f64: Vec<f64> = random.many(N, |random| if random.one_in(100) { 0.5 } else { [-1.0, 1.0][random.below(2) as usize] });
        // The sum of eight of these fits s32.
        let narrow = random.many(N, |random| (random.i128() as i32) >> 3);
        let s8 = random.many(N, |random| random.i128() as i8);
        let inputs = [
            array(&live), array(&s32), array(&s64), array(&u32), array(&u64), array(&pred), array(&f32), array(&f64),
            array(&narrow), array(&s8),
        ];
        let mut outputs = KERNEL.run(&inputs).into_iter();
        let none = vec![false; N];
        for live in [&live, &none] {
            fn rows<'a, T: Copy>(values: &'a [T], live: &'a [bool]) -> impl Iterator<Item = T> + Clone + 'a {
                values.iter().zip(live).filter(|(_, live)| **live).map(|(value, _)| *value)
            }
            check(&mut outputs, &ALL, rows(&s32, live))?;
            check(&mut outputs, &ALL, rows(&s64, live))?;
            check(&mut outputs, &ALL, rows(&u32, live))?;
            check(&mut outputs, &ALL, rows(&u64, live))?;
            check(&mut outputs, &BITS, rows(&pred, live))?;
            check(&mut outputs, &NUMBERS, rows(&f32, live))?;
            check(&mut outputs, &NUMBERS, rows(&f64, live))?;
            check(&mut outputs, &[Add], rows(&narrow, live).map(i64::from))?;
            let s8: Vec<i64> = rows(&s8, live).map(i64::from).collect();
            let [least, most] = [outputs.next(), outputs.next()].map(|output| output.unwrap().to_vec::<i64>().unwrap()[0]);
            prop_assert_eq!((least, most), (s8.iter().copied().min().unwrap_or(127), s8.iter().copied().max().unwrap_or(-128)));
        }
        prop_assert_eq!(outputs.count(), 0);
    }
}
