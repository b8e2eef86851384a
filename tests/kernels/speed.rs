//! Times the native lowerings, XLA included: `cargo test --release --test kernels speed -- --ignored --nocapture`.

use std::time::Instant;

use parallax::hlo::{Builder, HloError, Value};
use parallax::kernels::Lowering::Native;
use parallax::kernels::bucket_rows::bucket_rows;
use parallax::kernels::compact::live_rows;
use parallax::kernels::expand::expand;
use parallax::kernels::group::group_rows;
use parallax::kernels::key_index::{build, probe};
use parallax::kernels::radix_sort::{SortKey, argsort, argsort_top};
use parallax::kernels::scan::exclusive_sum;
use parallax::runtime::{Buffer, Element};

use crate::random::Random;
use crate::{Kernel, array};

/// Prints the best time of seven runs per row of the first input, and returns the outputs.
fn time(
    name: &str,
    inputs: &[&Buffer],
    build: impl Fn(&mut Builder, &[Value]) -> Result<Vec<Value>, HloError>,
) -> Vec<Buffer> {
    let kernel = Kernel::new("speed", |b| {
        let parameters: Vec<Value> = inputs.iter().map(|input| b.parameter(input.shape().clone())).collect();
        build(b, &parameters)
    });
    let mut best = f64::MAX;
    let mut outputs = Vec::new();
    for _ in 0..7 {
        outputs.clear();
        let start = Instant::now();
        outputs = kernel.0.execute(inputs).unwrap();
        // Downloading the last output, which is the count if there is one, waits for the run to finish.
        outputs.last().unwrap().download().unwrap();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:44} {:6.2} ns/row", best * 1e9 / inputs[0].shape().dims[0] as f64);
    outputs
}

fn random<T: Element>(n: usize, one: impl Fn(u64) -> T) -> Buffer {
    array(&Random(n as u64).many(n, |random| one(random.bits())))
}

#[test]
#[ignore = "prints times; for release builds"]
fn speed() {
    let n = 10_000_000;
    for (name, bits) in [("10M random u64", 64), ("10M random of 32 bits", 32), ("10M random of 12 bits", 12)] {
        let keys = random(n, |value| value >> (64 - bits));
        let key = |columns: &[Value]| [SortKey { value: columns[0], bits }];
        time(&format!("argsort, {name}"), &[&keys], |b, c| Ok(vec![argsort(b, Native, &key(c), n)?]));
        time(&format!("argsort_top 100, {name}"), &[&keys], |b, c| {
            Ok(vec![argsort_top(b, Native, &key(c), None, n, 100)?])
        });
    }
    let n = 6_000_000;
    for groups in [10, 1000, 100_000, 1_000_000, 6_000_000] {
        let keys = random(n, |value| value % groups);
        time(&format!("group_rows, 6M rows, {groups} groups"), &[&keys], |b, columns| {
            let groups = group_rows(b, Native, &[SortKey { value: columns[0], bits: 64 }], None, n)?;
            Ok(vec![groups.ids, groups.first_rows, groups.count])
        });
    }
    let n_keys = 1 << 20;
    let keys = array(&(0..n_keys as u64).map(|key| key.wrapping_mul(0x9e37_79b9)).collect::<Vec<_>>());
    let mut outputs = time("key_index::build, 1M unique keys", &[&keys], |b, columns| {
        let index = build(b, Native, columns, None)?;
        Ok([index.arrays, vec![index.ids, index.count]].concat())
    });
    let table = outputs.remove(0);
    for (name, n) in [("6M", 6_000_000), ("2^18", 1 << 18)] {
        let probes = random(n, |value| (value % n_keys as u64).wrapping_mul(0x9e37_79b9));
        time(&format!("key_index::probe, {name} into 1M"), &[&probes, &table], |b, columns| {
            Ok(vec![probe(b, Native, &columns[1..], &columns[..1], None)?])
        });
    }
    for percent in [10, 50, 90] {
        let mask = random(1 << 18, |value| value % 100 < percent);
        time(&format!("live_rows, 2^18 rows, {percent} percent"), &[&mask], |b, columns| {
            let rows = live_rows(b, Native, columns[0])?;
            Ok(vec![rows.row_ids, rows.count])
        });
    }
    let slots = random(n, |value| (value % 1_500_000) as i32);
    time("bucket_rows, 6M rows, 1.5M slots", &[&slots], |b, columns| {
        let (starts, order) = bucket_rows(b, Native, columns[0], 1_500_000)?;
        Ok(vec![order, starts])
    });
    let counts = random(n, |value| (value % 3) as i32);
    time("expand, 6M rows into 6M", &[&counts], |b, columns| {
        let rows = expand(b, Native, columns[0], 2 * n)?;
        Ok(vec![rows.source, rows.position, rows.total])
    });
    time("exclusive_sum, 6M rows", &[&counts], |b, columns| {
        let (sums, total) = exclusive_sum(b, Native, columns[0])?;
        Ok(vec![sums, total])
    });
}
