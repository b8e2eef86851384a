//! Constants, conversions between all types, and bit casts.

use crate::golden_programs::values::{Values, floats, ints, round_to, wrap};
use crate::golden_programs::{check, outputs};
use crate::hlo::Scalar;
use crate::hlo::goldens::coverage;
use crate::program::ElementType::{self, F16, Pred, S8, S16, S32, S64, U8, U16, U32, U64};
use crate::program::{Program, Shape};

/// Constants that were written as text are read back bit for bit, except NaN payloads.
pub fn extreme_constants(golden: &Program) {
    let value = |scalar: Scalar| match scalar {
        Scalar::Pred(v) => ints([v]),
        Scalar::S8(v) => ints([v]),
        Scalar::S16(v) => ints([v]),
        Scalar::S32(v) => ints([v]),
        Scalar::S64(v) => ints([v]),
        Scalar::U8(v) => ints([v]),
        Scalar::U16(v) => ints([v]),
        Scalar::U32(v) => ints([v]),
        Scalar::U64(v) => ints([v]),
        Scalar::F16(v) => Values::of_bytes(&Shape::scalar(F16), &v.to_le_bytes()),
        Scalar::F32(v) => floats([v.into()]),
        Scalar::F64(v) => floats([v]),
    };
    let mut expected: Vec<Values> = coverage::extremes().into_iter().map(value).collect();
    expected.push(ints([1, -2, 3]));
    expected.push(floats([f64::NEG_INFINITY, -0.0, 0.1, f64::NAN]));
    expected.push(ints([true, false]));
    check(golden, &[], &expected);
}

pub fn bit_casts(golden: &Program) {
    let d = [1.5, -0.0];
    let u = [0x4000_0000_0000_0001u64, 0xfedc_ba98_7654_3210];
    let inputs = [floats(d), ints(u), ints(1..9)];
    let expected = [
        ints(d.map(f64::to_bits)),
        floats(u.map(f64::from_bits)),
        ints(u.iter().flat_map(|u| [*u as u32, (u >> 32) as u32])),
        ints(u.map(|u| u.rotate_left(32))),
        ints(u.iter().flat_map(|u| u.to_le_bytes())),
        ints([0x0004_0003_0002_0001u64, 0x0008_0007_0006_0005]),
    ];
    check(golden, &inputs, &expected);
}

/// Integers wrap. Floats are truncated and saturate, and NaN becomes 0. Conversions to floats round to nearest.
pub fn all_conversions(golden: &Program) {
    let types: Vec<ElementType> = golden.parameters.iter().map(|shape| shape.element_type).collect();
    let inputs: Vec<Values> = types
        .iter()
        .map(|from| match from {
            Pred => ints([0, 1, 1, 0]),
            S8 => ints([-128, 127, 0, -1]),
            S16 => ints([-32768, 32767, 300, -1]),
            S32 => ints([i32::MIN, 70_000, 300, -1]),
            S64 => ints([i64::MIN, 5_000_000_000, 300, -1]),
            U8 => ints([255, 128, 0, 1]),
            U16 => ints([65535, 32768, 300, 0]),
            U32 => ints([u32::MAX, 1 << 31, 300, 0]),
            U64 => ints([u64::MAX, 5_000_000_000, 300, 1 << 63]),
            F16 => floats([-2.75, 300.5, f64::NAN, f64::INFINITY]),
            _ => floats([-2.75, 2f64.powi(66), f64::NAN, f64::NEG_INFINITY]),
        })
        .collect();
    let outputs = outputs(golden, &inputs);
    let pairs = types.iter().zip(&inputs).flat_map(|(from, input)| types.iter().map(move |to| (from, input, to)));
    for ((from, input, to), output) in pairs.filter(|(from, _, to)| from != to).zip(&outputs) {
        assert_eq!(*output, converted(input, *to), "{input:?} from {from} to {to}");
    }
}

fn converted(input: &Values, to: ElementType) -> Values {
    match (input, to) {
        (Values::Ints(values), Pred) => ints(values.iter().map(|v| *v != 0)),
        (Values::Floats(values), Pred) => ints(values.iter().map(|v| *v != 0.0)),
        (Values::Ints(values), _) if to.is_float() => floats(values.iter().map(|v| round_to(to, *v as f64))),
        (Values::Floats(values), _) if to.is_float() => floats(values.iter().map(|v| round_to(to, *v))),
        (Values::Ints(values), _) => ints(values.iter().map(|v| wrap(to, *v))),
        (Values::Floats(values), _) => {
            let bits = 8 * to.size_bytes();
            let (min, max) = match to.is_signed_integer() {
                true => (-(1i128 << (bits - 1)), (1 << (bits - 1)) - 1),
                false => (0, (1 << bits) - 1),
            };
            ints(values.iter().map(|v| (*v as i128).clamp(min, max)))
        }
    }
}
