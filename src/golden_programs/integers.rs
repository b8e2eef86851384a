//! Checks every elementwise operation and reduction of `pred` and the integer types against `i128` arithmetic truncated
//! to the type's width.

use crate::golden_programs::check;
use crate::golden_programs::values::{Values, ints, wrap};
use crate::program::{ElementType, Program};

/// Reference implementation of an operation on two elements, before its result is truncated to the type.
type Binary<'a> = &'a dyn Fn(i128, i128) -> i128;

/// The group of each element in the scatter of `reductions`.
const GROUPS: [usize; 8] = [0, 1, 2, 0, 1, 1, 0, 0];

pub fn elementwise(golden: &Program) {
    let t = golden.parameters[0].element_type;
    let bits = 8 * t.size_bytes() as i128;
    let signed = t.is_signed_integer();
    let (min, max) = if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
    let all_ones = wrap(t, -1);
    let x = [7, min, max, 100, 5, 3];
    let y = [2, all_ones, 3, 0, 1, bits];
    // The bits without their sign, as shifts and counts see them.
    let unsigned = |a: i128| a & ((1 << bits) - 1);
    let in_width = |amount: i128| unsigned(amount) < bits;
    let operations: [Binary; 28] = [
        &|a, _| a.abs(),
        &|a, _| -a,
        &|a, _| !a,
        &|a, _| a.signum(),
        &|a, _| unsigned(a).count_ones().into(),
        &|a, _| i128::from(unsigned(a).leading_zeros()) - (128 - bits),
        &|a, b| a + b,
        &|a, b| a - b,
        &|a, b| a.wrapping_mul(b),
        &|a, b| if b == 0 { -1 } else { a / b },
        &|a, b| if b == 0 { a } else { a % b },
        &|a, b| a.max(b),
        &|a, b| a.min(b),
        &|a, b| power(t, a, b),
        &|a, b| a & b,
        &|a, b| a | b,
        &|a, b| a ^ b,
        &|a, b| if in_width(b) { a << b } else { 0 },
        &|a, b| sign_extended(a, bits) >> if in_width(b) { b } else { bits },
        &|a, b| if in_width(b) { unsigned(a) >> b } else { 0 },
        &|a, b| (a == b).into(),
        &|a, b| (a != b).into(),
        &|a, b| (a < b).into(),
        &|a, b| (a <= b).into(),
        &|a, b| (a > b).into(),
        &|a, b| (a >= b).into(),
        &|a, b| if a < b { a } else { b },
        &|a, _| a.clamp(1, 3),
    ];
    let signed_only = [0, 3];
    let applicable = operations.iter().enumerate().filter(|(i, _)| signed || !signed_only.contains(i));
    let operations: Vec<Binary> = applicable.map(|(_, operation)| *operation).collect();
    check(golden, &[ints(x), ints(y)], &expected(t, &operations, &x, &y));
}

/// Returns the low `bits` bits of `a`, sign-extended.
fn sign_extended(a: i128, bits: i128) -> i128 {
    a << (128 - bits) >> (128 - bits)
}

/// Computes `base ^ exponent`, truncated to the type after every step. XLA uses only six bits of the exponent.
fn power(t: ElementType, base: i128, exponent: i128) -> i128 {
    let (mut result, mut square, mut rest) = (1, base, exponent & 63);
    while rest > 0 {
        if rest & 1 == 1 {
            result = wrap(t, wrap(t, result).wrapping_mul(square));
        }
        square = wrap(t, square.wrapping_mul(square));
        rest >>= 1;
    }
    result
}

fn expected(t: ElementType, operations: &[Binary], x: &[i128], y: &[i128]) -> Vec<Values> {
    let apply = |f: &Binary| ints(x.iter().zip(y).map(|(a, b)| wrap(t, f(*a, *b))));
    operations.iter().map(apply).collect()
}

pub fn elementwise_pred(golden: &Program) {
    let (x, y) = ([1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 1]);
    let operations: [Binary; 13] = [
        &|a, _| 1 - a,
        &|a, b| a.max(b),
        &|a, b| a.min(b),
        &|a, b| a & b,
        &|a, b| a | b,
        &|a, b| a ^ b,
        &|a, b| (a == b).into(),
        &|a, b| (a != b).into(),
        &|a, b| (a < b).into(),
        &|a, b| (a <= b).into(),
        &|a, b| (a > b).into(),
        &|a, b| (a >= b).into(),
        &|a, b| if a < b { a } else { b },
    ];
    check(golden, &[ints(x), ints(y)], &expected(ElementType::Pred, &operations, &x, &y));
}

pub fn reductions(golden: &Program) {
    let t = golden.parameters[0].element_type;
    let max = wrap(t, if t.is_signed_integer() { (1 << (8 * t.size_bytes() - 1)) - 1 } else { -1 });
    let (minimum, maximum): (Binary, Binary) = (&|a, b| a.min(b), &|a, b| a.max(b));
    let kinds: [Binary; 7] =
        [&|a, b| a + b, &|a, b| wrap(t, a).wrapping_mul(b), minimum, maximum, &|a, b| a & b, &|a, b| a | b, &|a, b| {
            a ^ b
        }];
    let x = [1, 2, 3, 4, max, 6, 7, 8];
    check(golden, &[ints(x), ints([3])], &reduced(t, &kinds, x, 3));
}

pub fn reductions_pred(golden: &Program) {
    let kinds: [Binary; 5] = [&|a, b| a.min(b), &|a, b| a.max(b), &|a, b| a & b, &|a, b| a | b, &|a, b| a ^ b];
    let x = [1, 0, 1, 1, 0, 0, 1, 0];
    check(golden, &[ints(x), ints([0])], &reduced(ElementType::Pred, &kinds, x, 0));
}

/// Returns, for each kind, the reductions of x `[2,4]` by rows, as a whole, by group into two slots, and by 2 x 2
/// windows that begin one row above.
fn reduced(t: ElementType, kinds: &[Binary], x: [i128; 8], init: i128) -> Vec<Values> {
    let mut outputs = Vec::new();
    for kind in kinds {
        let fold = |elements: &[usize]| elements.iter().fold(init, |total, i| wrap(t, kind(total, x[*i])));
        let group = |g: usize| (0..8).filter(|i| GROUPS[*i] == g).collect::<Vec<_>>();
        outputs.push(ints([fold(&[0, 1, 2, 3]), fold(&[4, 5, 6, 7])]));
        outputs.push(ints([fold(&[0, 1, 2, 3, 4, 5, 6, 7])]));
        outputs.push(ints([fold(&group(0)), fold(&group(1))]));
        outputs.push(ints([fold(&[0, 1]), fold(&[2, 3]), fold(&[0, 1, 4, 5]), fold(&[2, 3, 6, 7])]));
    }
    outputs
}
