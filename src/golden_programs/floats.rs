//! Checks every elementwise operation and reduction of the float types against Rust's `f64`, within a tolerance for the
//! type's precision and XLA's approximations.

// Type aliases would make the tables of cases harder to read.
#![allow(clippy::type_complexity)]

use crate::golden_programs::values::{Values, floats, ints, round_to};
use crate::golden_programs::{check, outputs};
use crate::program::ElementType::{F16, F32};
use crate::program::Program;

pub fn elementwise(golden: &Program) {
    let t = golden.parameters[0].element_type;
    let tolerance = match t {
        F16 => 4e-3,
        F32 => 1e-5,
        _ => 1e-13,
    };
    let x = [2.5, -2.5, 0.75, f64::INFINITY, f64::NAN, -0.0];
    let y = [0.5, 2.0, -1.5, 1.0, 1.0, 0.0];
    let outputs = outputs(golden, &[floats(x), floats(y)]);
    let mut outputs = outputs.iter();
    let mut next = || outputs.next().unwrap();
    let close = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * b.abs().max(0.1);

    let unary: [(&str, fn(f64) -> f64); 18] = [
        ("abs", f64::abs),
        ("negate", |a| -a),
        ("sign", |a| if a == 0.0 || a.is_nan() { a } else { a.signum() }),
        ("floor", f64::floor),
        ("ceil", f64::ceil),
        ("round_nearest_afz", f64::round),
        ("round_nearest_even", f64::round_ties_even),
        ("sqrt", f64::sqrt),
        ("rsqrt", |a| 1.0 / a.sqrt()),
        ("cbrt", f64::cbrt),
        ("exponential", f64::exp),
        ("exponential_minus_one", f64::exp_m1),
        ("log", f64::ln),
        ("log_plus_one", f64::ln_1p),
        ("sine", f64::sin),
        ("cosine", f64::cos),
        ("tan", f64::tan),
        ("tanh", f64::tanh),
    ];
    for (name, f) in unary {
        for (a, result) in x.iter().zip(next().floats()) {
            assert!(close(*result, f(*a)), "{t} {name}({a}) is {result}, not {}", f(*a));
        }
    }
    assert_eq!(*next(), ints(x.map(f64::is_finite)), "{t} is_finite");

    let either_nan = |a: f64, b: f64, f: fn(f64, f64) -> f64| if a.is_nan() || b.is_nan() { f64::NAN } else { f(a, b) };
    let maximum = |a: f64, b: f64| either_nan(a, b, f64::max);
    let minimum = |a: f64, b: f64| either_nan(a, b, f64::min);
    let binary: [(&str, &dyn Fn(f64, f64) -> f64); 9] = [
        ("add", &|a, b| a + b),
        ("subtract", &|a, b| a - b),
        ("multiply", &|a, b| a * b),
        ("divide", &|a, b| a / b),
        ("remainder", &|a, b| a % b),
        ("maximum", &maximum),
        ("minimum", &minimum),
        ("power", &f64::powf),
        ("atan2", &f64::atan2),
    ];
    let check_binary = |name: &str, f: &dyn Fn(f64, f64) -> f64, results: &Values| {
        for ((a, b), result) in x.iter().zip(y).zip(results.floats()) {
            assert!(close(*result, f(*a, b)), "{t} {name}({a}, {b}) is {result}, not {}", f(*a, b));
        }
    };
    for (name, f) in binary {
        check_binary(name, f, next());
    }
    let comparisons: [(&str, fn(f64, f64) -> bool); 12] = [
        ("=", |a, b| a == b),
        ("!=", |a, b| a != b),
        ("<", |a, b| a < b),
        ("<=", |a, b| a <= b),
        (">", |a, b| a > b),
        (">=", |a, b| a >= b),
        ("total =", |a, b| a.total_cmp(&b).is_eq()),
        ("total !=", |a, b| a.total_cmp(&b).is_ne()),
        ("total <", |a, b| a.total_cmp(&b).is_lt()),
        ("total <=", |a, b| a.total_cmp(&b).is_le()),
        ("total >", |a, b| a.total_cmp(&b).is_gt()),
        ("total >=", |a, b| a.total_cmp(&b).is_ge()),
    ];
    for (name, f) in comparisons {
        assert_eq!(*next(), ints(x.iter().zip(y).map(|(a, b)| f(*a, b))), "{t} {name}");
    }
    check_binary("select", &|a, b| if a < b { a } else { b }, next());
    check_binary("clamp", &|a, _| if a.is_nan() { a } else { a.clamp(1.0, 3.0) }, next());
    assert!(outputs.next().is_none());
}

/// Sums and products of the inputs are exact in every type. The windows are those of the integer test.
pub fn reductions(golden: &Program) {
    let t = golden.parameters[0].element_type;
    let x = [1.0, 2.0, 0.5, 4.0, -3.0, 6.0, 0.25, 8.0];
    let init = 2.0;
    let kinds: [fn(f64, f64) -> f64; 4] = [|a, b| a + b, |a, b| a * b, f64::min, f64::max];
    let mut expected = Vec::new();
    for kind in kinds {
        let fold = |elements: &[usize]| elements.iter().fold(init, |total, i| round_to(t, kind(total, x[*i])));
        expected.push(floats([fold(&[0, 1, 2, 3]), fold(&[4, 5, 6, 7])]));
        expected.push(floats([fold(&[0, 1, 2, 3, 4, 5, 6, 7])]));
        expected.push(floats([fold(&[0, 3, 6, 7]), fold(&[1, 4, 5])]));
        expected.push(floats([fold(&[0, 1]), fold(&[2, 3]), fold(&[0, 1, 4, 5]), fold(&[2, 3, 6, 7])]));
    }
    check(golden, &[floats(x), floats([init])], &expected);
}
