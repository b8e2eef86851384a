//! The 22 queries of TPC-H on one device and on two, beside DataFusion's own operators: decimals exactly, floats to 1e-9.
//!
//! ```text
//! cargo test --test differential tpch      scale factors 0.01 and 0.1
//! make tpch                                scale factor 1, in a release build (PARALLAX_TPCH_SCALE changes it)
//! ```

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use parallax::session::Session;
use parallax::tpch;

use crate::{holds_device_node, plan, rows, runtime};

#[test]
fn tpch_at_scale_factor_0_01() {
    compare(0.01);
}

#[test]
fn tpch_at_scale_factor_0_1() {
    compare(0.1);
}

#[test]
#[ignore = "minutes: `make tpch`"]
fn tpch_at_scale_factor_1() {
    let scale = std::env::var("PARALLAX_TPCH_SCALE").unwrap_or_else(|_| "1".to_string());
    compare(scale.parse().expect("PARALLAX_TPCH_SCALE is a number"));
}

fn compare(scale: f64) {
    let tables = tpch::tables(scale).expect("the tables of TPC-H");
    // The number of virtual devices is fixed when the process makes its first client: two, then one.
    let engines: Vec<(&str, Session)> = [("xla2", 2, "always"), ("xla1", 1, "always"), ("host", 1, "never")]
        .into_iter()
        .map(|(name, devices, placement)| {
            let session = Session::builder().devices(devices).set("xla.placement", placement).build();
            let session = session.expect("a session");
            for (table, batches) in &tables {
                session.context().register_table(*table, in_memory(batches)).expect("a table");
            }
            (name, session)
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
                    assert!(*name == "host" || holds_device_node(&plan), "Q{number} has no device operator on {name}");
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
