//! Property tests of the public kernels on the CPU. Each program is compiled once and run on thousands of values at a
//! time. proptest draws only their seed, so that a failure reports a seed instead of thousands of values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by a panic, and `speed` prints times"
)]

mod bucket_rows;
mod compact;
mod dense_group;
mod expand;
mod group;
mod key_index;
mod lowerings;
mod order_key;
mod radix_sort;
mod random;
mod reduce;
mod scan;
mod slot_rows;
mod speed;
mod wide;
mod wide_average;

use std::sync::{Arc, LazyLock};

use parallax::hlo::{Builder, HloError, Value};
use parallax::program::{ElementType, Shape};
use parallax::runtime::{Buffer, Element, Executable, Runtime};
use proptest::test_runner::Config;

/// Number of rows in the arrays.
const N: usize = 4096;

static RUNTIME: LazyLock<Arc<Runtime>> = LazyLock::new(|| Runtime::cpu(1).unwrap());

/// A compiled program of one kernel.
struct Kernel(Arc<Executable>);

impl Kernel {
    fn new(name: &str, build: impl FnOnce(&mut Builder) -> Result<Vec<Value>, HloError>) -> Self {
        let mut b = Builder::new(name);
        let outputs = build(&mut b).unwrap();
        let program = b.finish(&outputs, &[]).unwrap();
        Self(RUNTIME.compile(&program, 1).unwrap().0)
    }

    fn run(&self, inputs: &[Buffer]) -> Vec<Buffer> {
        self.0.execute(&inputs.iter().collect::<Vec<_>>()).unwrap()
    }
}

/// Adds a parameter `[N]`.
fn column(b: &mut Builder, element_type: ElementType) -> Value {
    b.parameter(Shape::new(element_type, [N]))
}

fn array<T: Element>(values: &[T]) -> Buffer {
    RUNTIME.upload_values(0, &[values.len()], values).unwrap()
}

fn scalar<T: Element>(value: T) -> Buffer {
    RUNTIME.upload_values(0, &[], &[value]).unwrap()
}

/// Few cases suffice, because each has thousands of values.
fn cases(n: u32) -> Config {
    Config { cases: n, failure_persistence: None, ..Config::default() }
}
