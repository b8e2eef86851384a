//! Compares the 22 TPC-H queries on one and two devices with DataFusion's own operators: decimals exactly, floats to 1e-9.
//!
//! ```text
//! cargo test --test differential tpch      scale factors 0.01 and 0.1
//! make tpch                                scale factor 1 (or PARALLAX_TPCH_SCALE), release build, and again in 128 MiB
//! ```

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use parallax::session::{Session, uses_device};
use parallax::tpch;

use crate::{plan, rows, runtime};

#[test]
fn tpch_at_scale_factor_0_01() {
    compare(0.01, &ALL_DEVICES);
}

#[test]
fn tpch_at_scale_factor_0_1() {
    compare(0.1, &ALL_DEVICES);
}

#[test]
#[ignore = "minutes: `make tpch`"]
fn tpch_at_scale_factor_1() {
    let scale = std::env::var("PARALLAX_TPCH_SCALE").unwrap_or_else(|_| "1".to_string());
    let scale: f64 = scale.parse().expect("PARALLAX_TPCH_SCALE is a number");
    compare(scale, &ALL_DEVICES);
    // Device memory for a tenth of the data or less (issue 4).
    let limit = format!("{}", (LIMIT_AT_1 * scale) as usize);
    compare(scale, &[("limited", 1, &[("xla.placement", "always"), ("xla.memory_limit", &limit)]), HOST]);
}

/// Device memory in bytes at scale factor 1: 128 MiB.
const LIMIT_AT_1: f64 = 134_217_728.0;

/// Name, number of devices and options of a session.
type Engine<'a> = (&'a str, usize, &'a [(&'a str, &'a str)]);

const HOST: Engine<'static> = ("host", 1, &[("xla.placement", "never")]);

/// The number of virtual devices is fixed when the process creates its first client, so two devices come first. The
/// host comes last.
const ALL_DEVICES: [Engine<'static>; 3] =
    [("xla2", 2, &[("xla.placement", "always")]), ("xla1", 1, &[("xla.placement", "always")]), HOST];

fn compare(scale: f64, engines: &[Engine<'_>]) {
    let tables = tpch::tables(scale).expect("the tables of TPC-H");
    let engines: Vec<(&str, Session)> = engines
        .iter()
        .map(|(name, devices, options)| {
            let builder = Session::builder().devices(*devices);
            let session = options.iter().fold(builder, |builder, (key, value)| builder.set(key, value)).build();
            let session = session.expect("a session");
            for (table, batches) in &tables {
                session.context().register_table(*table, in_memory(batches)).expect("a table");
            }
            (*name, session)
        })
        .collect();
    let mut failures = Vec::new();
    for number in 1..=22 {
        let sql = tpch::query(number);
        let mut results = Vec::new();
        let mut times = String::new();
        for (name, session) in engines.iter().rev() {
            let start = Instant::now();
            results.push((
                name,
                runtime().block_on(async {
                    let plan = plan(session, sql).await?;
                    assert!(*name == "host" || uses_device(&plan), "Q{number} has no device operator on {name}");
                    rows(session, sql).await
                }),
            ));
            times += &format!("  {name} {:.2} s", start.elapsed().as_secs_f64());
        }
        println!("Q{number} at {scale}:{times}");
        let Some((_, Ok(expected))) = results.first() else {
            panic!("Q{number} fails on the host");
        };
        for (name, actual) in &results[1..] {
            let difference = match actual {
                Ok(actual) => expected.difference(actual, true),
                Err(error) => Some(error.to_string()),
            };
            failures.extend(difference.map(|difference| format!("Q{number} on {name}: {difference}")));
        }
    }
    assert!(failures.is_empty(), "at scale factor {scale}:\n{}", failures.join("\n"));
}

fn in_memory(batches: &[RecordBatch]) -> Arc<MemTable> {
    let half = batches.len() / 2;
    let partitions = vec![batches[..half].to_vec(), batches[half..].to_vec()];
    Arc::new(MemTable::try_new(batches[0].schema(), partitions).expect("batches of one schema"))
}
