//! Kernels with two lowerings: both in one program, on many kinds of data.

use parallax::hlo::{Builder, HloError, Value};
use parallax::kernels::Lowering;
use parallax::program::Shape;
use parallax::runtime::{Buffer, Element};

use crate::Kernel;
use crate::random::Random;

/// Numbers of rows: the minimum, the smallest capacity, and one block more than one thread handles.
pub const SIZES: [usize; 3] = [8, 1024, (1 << 18) + 8];

/// Builds a program of `parameters` whose outputs are those of the native lowering, followed by those of the portable
/// one.
pub fn both(
    name: &str,
    parameters: &[Shape],
    build: impl Fn(&mut Builder, Lowering, &[Value]) -> Result<Vec<Value>, HloError>,
) -> Kernel {
    Kernel::new(name, |b| {
        let parameters: Vec<Value> = parameters.iter().map(|shape| b.parameter(shape.clone())).collect();
        let mut outputs = build(b, Lowering::Native, &parameters)?;
        outputs.extend(build(b, Lowering::Portable, &parameters)?);
        Ok(outputs)
    })
}

/// Asserts that output `index` of both lowerings is `expected`.
pub fn check<T: Element + PartialEq + std::fmt::Debug>(what: &str, outputs: &[Buffer], index: usize, expected: &[T]) {
    for (name, first) in [("native", 0), ("portable", outputs.len() / 2)] {
        let found = outputs[first + index].to_vec::<T>().unwrap();
        assert_eq!(found.len(), expected.len(), "{what}, {name}, output {index}");
        let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
        if let Some(i) = differs {
            panic!("{what}, {name}, output {index}: element {i} is {:?}, expected {:?}", found[i], expected[i]);
        }
    }
}

/// A kind of data: its name, and a function from random bits, row and number of rows to a value.
pub type Kind = (&'static str, fn(u64, usize, usize) -> u64);

/// Duplicates, extremes, sorted and skewed data, by name.
pub const KINDS: [Kind; 9] = [
    ("random", |bits, _, _| bits),
    ("extremes", |bits, _, _| [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1][bits as usize % 6]),
    ("all equal", |_, _, _| 77),
    ("few", |bits, _, _| bits % 3 * 1_000_003),
    ("many", |bits, _, n| bits % n as u64),
    ("ascending", |_, row, _| row as u64 / 3),
    ("descending", |_, row, n| (n - row) as u64),
    ("skewed", |bits, _, _| if bits % 10 < 8 { 9 } else { bits >> 44 }),
    ("with an outlier", |bits, row, n| if row == n / 2 { u64::MAX } else { bits >> 40 }),
];

/// Returns `n` values of a kind, shifted or truncated to `bits` bits.
pub fn values(random: &mut Random, kind: Kind, n: usize, bits: u32) -> Vec<u64> {
    let mask = u64::MAX >> (64 - bits);
    (0..n).map(|row| kind.1(random.bits(), row, n) & mask).collect()
}

/// Returns masks of `n` rows: all, none, one in three, and all but one in ten.
pub fn masks(random: &mut Random, n: usize) -> [Vec<bool>; 4] {
    [
        vec![true; n],
        vec![false; n],
        random.many(n, |random| random.one_in(3)),
        random.many(n, |random| !random.one_in(10)),
    ]
}

/// Returns `values`, padded with zeros to length `n`.
pub fn padded(mut values: Vec<i32>, n: usize) -> Vec<i32> {
    values.resize(n, 0);
    values
}
