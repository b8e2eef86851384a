//! Runs the golden programs of `hlo` on devices and compares their outputs with plain Rust. The only module that uses
//! both `hlo` and `runtime`; it exists in tests only.

mod by_hand;
mod conversions;
mod floats;
mod integers;
mod values;

use crate::golden_programs::values::Values;
use crate::hlo::goldens::{goldens, kernels};
use crate::program::Program;
use crate::runtime::golden_kernel::register_rank;
use crate::runtime::{Argument, Buffer, Runtime, TEST_DEVICES};

/// Declares a test for each golden, and the list of their names.
macro_rules! golden_tests {
    ($($name:ident: $check:expr;)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            $check(&golden(stringify!($name)))
        })*
    };
}

golden_tests! {
    masked_sum: by_hand::masked_sum;
    scatter_add_in_place: by_hand::scatter_add_in_place;
    lookup: by_hand::lookup;
    sort_lexicographic: by_hand::sort_lexicographic;
    binary_search: by_hand::binary_search;
    all_reduce_2_replicas: by_hand::all_reduce;
    prefix_sum: by_hand::prefix_sum;
    custom_call: by_hand::custom_call;
    elementwise_pred: integers::elementwise_pred;
    elementwise_s8: integers::elementwise;
    elementwise_s16: integers::elementwise;
    elementwise_s32: integers::elementwise;
    elementwise_s64: integers::elementwise;
    elementwise_u8: integers::elementwise;
    elementwise_u16: integers::elementwise;
    elementwise_u32: integers::elementwise;
    elementwise_u64: integers::elementwise;
    elementwise_f16: floats::elementwise;
    elementwise_f32: floats::elementwise;
    elementwise_f64: floats::elementwise;
    reductions_pred: integers::reductions_pred;
    reductions_s8: integers::reductions;
    reductions_s16: integers::reductions;
    reductions_s32: integers::reductions;
    reductions_s64: integers::reductions;
    reductions_u8: integers::reductions;
    reductions_u16: integers::reductions;
    reductions_u32: integers::reductions;
    reductions_u64: integers::reductions;
    reductions_f16: floats::reductions;
    reductions_f32: floats::reductions;
    reductions_f64: floats::reductions;
    extreme_constants: conversions::extreme_constants;
    all_conversions: conversions::all_conversions;
    bit_casts: conversions::bit_casts;
    logical_scalars: by_hand::logical_scalars;
    movement_of_elements: by_hand::movement_of_elements;
    dynamic_slices: by_hand::dynamic_slices;
    all_gathers: by_hand::all_gathers;
    all_scatters: by_hand::all_scatters;
    reduce_many: by_hand::reduce_many;
    sort_unsigned: by_hand::sort_unsigned;
    nested_loops: by_hand::nested_loops;
    barrier_of_two: by_hand::barrier_of_two;
    collectives_2_replicas: by_hand::collectives;
}

#[test]
fn every_golden_has_a_test() {
    let mut names: Vec<String> = goldens().into_iter().map(|program| program.name).collect();
    let mut tested = NAMES.to_vec();
    names.sort();
    tested.sort();
    assert_eq!(names, tested);
}

fn golden(name: &str) -> Program {
    register_rank(kernels::CUSTOM_CALL_TARGET).unwrap();
    goldens().into_iter().find(|program| program.name == name).unwrap()
}

/// Runs a program on `inputs.len()` devices, donating all inputs, and returns `[device][output]`.
fn run(program: &Program, inputs: &[Vec<Values>]) -> Vec<Vec<Values>> {
    let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
    let (executable, _) = runtime.compile(program, inputs.len()).unwrap();
    let upload = |device: usize| {
        assert_eq!(inputs[device].len(), program.parameters.len(), "parameters of {}", program.name);
        let shapes = inputs[device].iter().zip(&program.parameters);
        let buffer = |(values, shape): (&Values, &_)| runtime.upload(device, shape, &values.bytes(shape)).unwrap();
        shapes.map(|pair| Argument::Donate(buffer(pair))).collect()
    };
    let outputs = executable.execute_replicated((0..inputs.len()).map(upload).collect()).unwrap();
    outputs.iter().map(|of_device| of_device.iter().map(download).collect()).collect()
}

fn download(buffer: &Buffer) -> Values {
    Values::of_bytes(buffer.shape(), &buffer.download().unwrap())
}

/// Returns the outputs of a program on one device.
fn outputs(program: &Program, inputs: &[Values]) -> Vec<Values> {
    run(program, &[inputs.to_vec()]).remove(0)
}

/// Asserts that a program returns `expected` for `inputs`.
fn check(program: &Program, inputs: &[Values], expected: &[Values]) {
    assert_eq!(outputs(program, inputs), expected, "{}", program.name);
}
