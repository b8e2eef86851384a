//! Property tests: random queries on one and on two devices return the same rows as DataFusion's own operators.
//!
//! ```text
//! cargo test --test differential                              the default number of tables per kind of query
//! PARALLAX_CASES=500 cargo test --test differential filters   more tables of one kind
//! PARALLAX_SEED=17 PARALLAX_CASES=1 cargo test ...            the case named in a failure
//! ```
//!
//! Rows are compared as multisets, floats to 1e-9, with NaN equal to NaN. If DataFusion fails, the device must fail, too.
//! A query that the device refuses (`cannot run on the device`) or that has nothing to place proves nothing. If more than
//! a fifth of the queries are of that kind, the test fails and prints the reasons. See [`generator`] for the generator.
//!
//! [`fuzz`] generates queries over three tables (joins, sorts, aggregates, set operations, subqueries) for `make fuzz`,
//! [`oracle`] compares with SQLite and DuckDB for `make fuzz-oracles`, and [`tpch`] compares the 22 TPC-H queries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by a panic, and `make fuzz` and `make tpch` report as they go"
)]

mod blocks;
mod casts;
mod checked;
mod deep;
mod fuzz;
mod generator;
mod moments;
mod oracle;
mod tpch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use parallax::session::{Session, uses_device};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use crate::generator::Case;
use crate::generator::query::Kind;
use crate::generator::rows::Rows;

/// Number of tables per kind of query, with one to four queries each. Takes about a minute in a debug build, mostly to
/// compile programs.
const DEFAULT_CASES: u64 = 24;

/// Part of every refusal under `xla.placement = always`.
const REFUSAL: &str = "cannot run on the device";

/// Reasons why DataFusion may not plan well-typed SQL. A constant fails when it is folded. In 55.2, if `x IS TRUE`
/// becomes a common subexpression, it may wrongly be nullable in the physical plan only.
const UNPLANNED: [&str; 2] = ["simplify_expressions", "Physical input schema should be the same as the one converted"];

#[test]
fn filters() {
    compare(Kind::Filter);
}

#[test]
fn projections() {
    compare(Kind::Projection);
}

#[test]
fn aggregates() {
    compare(Kind::Aggregate);
}

/// Tests the generator itself, without a device: its SQL is well typed and rarely fails.
#[test]
fn generated_sql_is_planned_by_datafusion() {
    let engines = Engines::new(&[]).expect("a session");
    let mut seen = Seen::default();
    for kind in [Kind::Filter, Kind::Projection, Kind::Aggregate] {
        for seed in 0..number("PARALLAX_CASES").unwrap_or(DEFAULT_CASES) {
            let case = generate(kind, seed);
            engines.check(&case, &mut seen).expect("SQL that DataFusion plans");
        }
    }
    assert!(seen.queries > 100, "{seen:?}");
    assert!(seen.failures * 4 < seen.queries, "more than a quarter of the queries fail at run time: {seen:?}");
}

/// Tests that the generator avoids what it claims to avoid: DataFusion returns the same rows for the input in another
/// order.
#[test]
fn generated_queries_do_not_depend_on_row_order() {
    let host = || Session::builder().set("xla.placement", "never");
    let (forwards, backwards) = (host().build(), host().set("datafusion.execution.target_partitions", "1").build());
    let (forwards, backwards) = (forwards.expect("a session"), backwards.expect("a session"));
    for kind in [Kind::Filter, Kind::Projection, Kind::Aggregate] {
        for seed in 0..number("PARALLAX_CASES").unwrap_or(DEFAULT_CASES) {
            let case = generate(kind, seed);
            register(&forwards, case.table.reference()).expect("a table");
            register(&backwards, case.table.reversed()).expect("a table");
            for query in &case.queries {
                let (one, other) =
                    runtime().block_on(async { (rows(&forwards, query).await, rows(&backwards, query).await) });
                let difference = match (&one, &other) {
                    (Ok(one), Ok(other)) => one.difference(other, case.compares_signs()),
                    (Err(_), Err(_)) => None,
                    (Ok(_), Err(error)) => Some(format!("backwards fails: {error}")),
                    (Err(error), Ok(_)) => Some(format!("forwards fails: {error}")),
                };
                assert!(difference.is_none(), "{}\n{}\n{query}", difference.unwrap_or_default(), case.table);
            }
        }
    }
}

fn compare(kind: Kind) {
    let seed = number("PARALLAX_SEED").unwrap_or(0);
    let cases = number("PARALLAX_CASES").unwrap_or(DEFAULT_CASES);
    // The number of virtual devices is fixed when the process creates its first client, so start with two devices.
    let engines = Engines::new(&[2, 1]).expect("sessions on one and on two devices");
    let seen = Mutex::new(Seen::default());
    for seed in seed..seed + cases {
        let mut runner = runner(seed);
        let outcome = runner.run(&Case::strategy(kind), |case| {
            let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            engines.check(&case, &mut seen).map_err(TestCaseError::fail)
        });
        if let Err(failure) = outcome {
            panic!(
                "{failure}\nreproduce with: PARALLAX_SEED={seed} PARALLAX_CASES=1 cargo test --test differential {kind:?}"
            );
        }
    }
    let seen = seen.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{kind:?}: {seen:#?}");
    assert!(
        seen.unproven() * 5 <= seen.queries,
        "more than a fifth of the queries did not run on the device:\n{seen:#?}"
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: '{text}' is not a number")))
}

/// Runs one case per seed. Shrinking runs every candidate on every engine, so it is limited.
fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 1, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn generate(kind: Kind, seed: u64) -> Case {
    use proptest::strategy::{Strategy, ValueTree};
    Case::strategy(kind).new_tree(&mut runner(seed)).expect("a case").current()
}

/// Outcomes of the queries of one test.
#[derive(Debug, Default)]
struct Seen {
    queries: usize,
    /// Queries that failed in DataFusion and therefore also on the device.
    failures: usize,
    /// Queries whose plan has nothing for the device, such as constants or empty tables.
    vacuous: usize,
    /// Number of queries that the device refused, by message.
    refused: BTreeMap<String, usize>,
}

impl Seen {
    fn unproven(&self) -> usize {
        self.vacuous + self.refused.values().sum::<usize>()
    }
}

/// A session with DataFusion's own operators, and the device sessions to compare with it.
struct Engines {
    host: Session,
    devices: Vec<(usize, Session)>,
}

impl Engines {
    fn new(devices: &[usize]) -> Result<Self> {
        start_devices();
        let device = |n: &usize| -> Result<(usize, Session)> {
            let builder = Session::builder().devices(*n).set("xla.placement", "always");
            // Small chunks, so that a tiled table fills several.
            Ok((*n, builder.set("xla.chunk_rows", "1024").build()?))
        };
        let devices = devices.iter().map(device).collect::<Result<_>>()?;
        Ok(Self { host: Session::builder().set("xla.placement", "never").build()?, devices })
    }

    /// Runs every query of a case on every engine. The error names the query, the engine and the difference.
    fn check(&self, case: &Case, seen: &mut Seen) -> Result<(), String> {
        register(&self.host, case.table.reference()).map_err(|e| e.to_string())?;
        for (_, session) in &self.devices {
            register(session, case.table.provider()).map_err(|e| e.to_string())?;
        }
        for query in &case.queries {
            seen.queries += 1;
            runtime()
                .block_on(self.check_query(query, case.compares_signs(), seen))
                .map_err(|e| format!("{e}\n{query}"))?;
        }
        Ok(())
    }

    async fn check_query(&self, query: &str, signs: bool, seen: &mut Seen) -> Result<(), String> {
        if let Err(error) = plan(&self.host, query).await {
            return match UNPLANNED.iter().any(|known| error.to_string().contains(known)) {
                true => Ok(()),
                false => Err(format!("the generator wrote SQL that DataFusion does not plan: {error}")),
            };
        }
        let expected = rows(&self.host, query).await;
        seen.failures += usize::from(expected.is_err());
        for (n, session) in &self.devices {
            let name = format!("xla{n}");
            let proven = match plan(session, query).await {
                Ok(plan) => uses_device(&plan),
                Err(error) => {
                    if !error.to_string().contains(REFUSAL) {
                        return Err(format!("{name} fails to plan: {error}"));
                    }
                    *seen.refused.entry(first_line(&error)).or_default() += 1;
                    return Ok(());
                }
            };
            if !proven {
                seen.vacuous += 1;
                return Ok(());
            }
            match (&expected, rows(session, query).await) {
                (Ok(expected), Ok(actual)) => {
                    if let Some(difference) = expected.difference(&actual, signs) {
                        return Err(format!("host and {name} differ: {difference}"));
                    }
                }
                (_, Err(error)) if error.to_string().contains(REFUSAL) => {
                    *seen.refused.entry(first_line(&error)).or_default() += 1;
                    return Ok(());
                }
                (Ok(_), Err(error)) => return Err(format!("host succeeds, {name} fails: {error}")),
                (Err(error), Ok(_)) => return Err(format!("{name} succeeds, host fails: {error}")),
                (Err(_), Err(_)) => {}
            }
        }
        Ok(())
    }
}

/// XLA fixes the number of devices at its first use in a process: as many as any test asks for.
fn start_devices() {
    parallax::runtime::Runtime::cpu(4).unwrap();
}

fn register(session: &Session, table: Result<MemTable>) -> Result<()> {
    session.context().deregister_table("t")?;
    session.context().register_table("t", Arc::new(table?)).map(drop)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a tokio runtime"))
}

async fn plan(session: &Session, query: &str) -> Result<Arc<dyn ExecutionPlan>> {
    session.context().sql(query).await?.create_physical_plan().await
}

async fn rows(session: &Session, query: &str) -> Result<Rows> {
    let stream = session.execute(query).await?;
    let schema = stream.schema();
    let batches: Vec<_> = stream.try_collect().await?;
    Rows::new(schema, &batches)
}

fn first_line(error: &DataFusionError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}
