//! Fuzzing: runs random queries over three random tables and compares the device with DataFusion's own operators.
//!
//! ```text
//! make fuzz                                          100,000 cases, release build
//! make fuzz PARALLAX_FUZZ_CASES=5000                 fewer
//! make fuzz PARALLAX_FUZZ_SEED=100000                the next 100,000
//! make fuzz PARALLAX_FUZZ_SEED=4711 PARALLAX_FUZZ_CASES=1    reruns one case, and prints its tables as SQL
//! ```
//!
//! A case is a number that determines everything:
//!
//! ```text
//! number / (QUERIES * ROUNDS)   shape: types and domains of the columns, structure of QUERIES queries, how the device
//!                               runs (`ENGINES`)
//! number / QUERIES              round: the rows of the tables, the literals
//! number % QUERIES              query
//! ```
//!
//! The rounds of a shape share most of their programs, so that compilation does not dominate. Each block of [`BLOCK`]
//! cases runs in its own process, which bounds the number of programs that one process compiles.

mod data;
mod query;
pub mod random;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::error::Result;
use futures::TryStreamExt;
use parallax::exec::state::costs::Costs;
use parallax::session::{Session, uses_device};

use crate::fuzz::data::{Dataset, Shape};
use crate::fuzz::query::{Query, Writer};
use crate::fuzz::random::Random;
use crate::generator::rows::Rows;
use crate::{UNPLANNED, blocks, plan, runtime};

const QUERIES: u64 = 20;
const ROUNDS: u64 = 50;

/// Number of cases per process.
const BLOCK: u64 = 8 * QUERIES * ROUNDS;

/// Number of cases of the ordinary test, in a debug build.
const FEW: u64 = 60;

/// How often a block reports its progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Number of failures after which a block stops.
const MOST_FAILURES: usize = 20;

/// Name, number of devices and options of a session.
type Engine = (&'static str, usize, &'static [(&'static str, &'static str)]);

const ENGINES: [Engine; 4] = [
    ("xla2, chunks of 1024", 2, &[("xla.chunk_rows", "1024")]),
    ("xla1", 1, &[]),
    ("xla1, chunks of 1024, portable kernels", 1, &[("xla.chunk_rows", "1024"), ("xla.portable_kernels", "true")]),
    ("xla1, chunks of 1024", 1, &[("xla.chunk_rows", "1024")]),
];

/// A few cases for every run of the tests. Their shapes differ from the first ones of `make fuzz`, with one round each.
#[test]
fn joins_sorts_aggregates_sets() {
    let mut fuzz = Fuzz { every_plan: true, ..Fuzz::new() };
    for shape in 0..FEW / QUERIES {
        let first = (1_000_000 + shape) * QUERIES * ROUNDS + shape * QUERIES;
        fuzz.run(first, QUERIES);
    }
    fuzz.finish();
}

#[test]
#[ignore = "an hour: `make fuzz`"]
fn fuzz() {
    blocks::run("fuzz::fuzz", 100_000, BLOCK, |first, cases| {
        let mut fuzz = Fuzz::new();
        fuzz.verbose = cases == 1;
        fuzz.run(first, cases);
        fuzz.finish();
    });
}

struct Fuzz {
    host: Session,
    devices: Vec<Session>,
    /// The round whose tables are registered.
    round: Option<u64>,
    /// Print a single case with its tables and its plan.
    verbose: bool,
    /// Check every plan, not only some of each round.
    every_plan: bool,
    cases: usize,
    /// Number of plans checked, and of those without a device node.
    plans: usize,
    vacuous: usize,
    /// Cases that fail on the host and therefore also on the device.
    errors: usize,
    rows: usize,
    times: [Duration; 2],
    failures: Vec<String>,
}

impl Fuzz {
    fn new() -> Self {
        let build = |(_, devices, options): &(&str, usize, &[(&str, &str)])| {
            let mut builder = Session::builder().devices(*devices).costs(Costs::of_slow_host());
            for (name, value) in *options {
                builder = builder.set(name, value);
            }
            builder.build().expect("a session on the device")
        };
        let devices = ENGINES.iter().map(build).collect();
        let host = Session::builder().set("xla.placement", "never").build().expect("a session on the host");
        Self {
            host,
            devices,
            round: None,
            verbose: false,
            cases: 0,
            plans: 0,
            vacuous: 0,
            errors: 0,
            rows: 0,
            times: [Duration::ZERO; 2],
            failures: Vec::new(),
            every_plan: false,
        }
    }

    fn run(&mut self, first: u64, cases: u64) {
        let (start, mut shown) = (Instant::now(), Instant::now());
        for (done, number) in (first..first + cases).enumerate() {
            self.case(number);
            if self.failures.len() >= MOST_FAILURES {
                return;
            }
            if shown.elapsed() > PROGRESS {
                shown = Instant::now();
                let rate = (done + 1) as f64 / start.elapsed().as_secs_f64();
                eprintln!("  case {number}: {rate:.1} a second, {} failures", self.failures.len());
            }
        }
    }

    fn finish(self) {
        let [host, device] = self.times.map(|time| time.as_secs_f64());
        eprintln!(
            "{} cases ({} rows, {} errors on both sides; host {host:.1} s, device {device:.1} s); {} of {} plans had \
             nothing on the device",
            self.cases, self.rows, self.errors, self.vacuous, self.plans
        );
        assert!(self.failures.is_empty(), "{} failures (above)", self.failures.len());
        assert!(self.vacuous * 5 <= self.plans, "more than a fifth of the queries did not run on the device");
    }

    fn case(&mut self, number: u64) {
        let (shape_number, round, query) = (number / (QUERIES * ROUNDS), number / QUERIES, number % QUERIES);
        let shape = Shape::draw(&mut Random::of(&[shape_number]));
        let dataset = Dataset::draw(&shape, &mut Random::of(&[shape_number, round, 1]));
        let engine = (shape_number % ENGINES.len() as u64) as usize;
        if self.round != Some(round) {
            register(&self.host, &dataset).expect("tables");
            register(&self.devices[engine], &dataset).expect("tables");
            self.round = Some(round);
        }
        let mut writer = Writer {
            shape: &shape,
            structure: Random::of(&[shape_number, query, 2]),
            literals: Random::of(&[number, 3]),
        };
        let query = writer.query();
        if self.verbose {
            eprintln!("{}\n{};", dataset.sql(), query.sql);
        }
        // Checking a plan costs as much as making it.
        if self.verbose || self.every_plan || round % ROUNDS == query_phase(number) {
            self.look_at_plan(engine, &query);
        }
        self.cases += 1;
        if let Some(difference) = runtime().block_on(self.difference(engine, &query)) {
            let failure = format!(
                "case {number} on {}: {difference}\n{};\n\
                 reproduce with: make fuzz PARALLAX_FUZZ_SEED={number} PARALLAX_FUZZ_CASES=1\n",
                ENGINES[engine].0, query.sql
            );
            eprintln!("{failure}");
            self.failures.push(failure);
        }
    }

    fn look_at_plan(&mut self, engine: usize, query: &Query) {
        if let Ok(plan) = runtime().block_on(plan(&self.devices[engine], &query.sql)) {
            self.plans += 1;
            self.vacuous += usize::from(!uses_device(&plan));
            if self.verbose {
                eprintln!("{}", datafusion::physical_plan::displayable(plan.as_ref()).indent(false));
            }
        }
    }

    async fn difference(&mut self, engine: usize, query: &Query) -> Option<String> {
        let start = Instant::now();
        let expected = rows(&self.host, query).await;
        let middle = Instant::now();
        if let Err(error) = &expected {
            let text = error.to_string();
            if ["Error during planning", "Schema error", "SQL error"].iter().any(|known| text.contains(known))
                && !UNPLANNED.iter().any(|known| text.contains(known))
            {
                return Some(format!("the generator wrote SQL that DataFusion does not plan: {error}"));
            }
        }
        let actual = rows(&self.devices[engine], query).await;
        self.times[0] += middle - start;
        self.times[1] += middle.elapsed();
        match (&expected, &actual) {
            (Ok(expected), Ok(actual)) => {
                self.rows += expected.len();
                expected.difference(actual, false)
            }
            (Ok(_), Err(error)) => Some(format!("host succeeds, device fails: {error}")),
            (Err(error), Ok(_)) => Some(format!("device succeeds, host fails: {error}")),
            (Err(_), Err(_)) => {
                self.errors += 1;
                None
            }
        }
    }
}

/// Returns the round in which a query's plan is checked.
fn query_phase(number: u64) -> u64 {
    number % QUERIES
}

fn register(session: &Session, dataset: &Dataset) -> Result<()> {
    for (n, table) in dataset.tables()?.into_iter().enumerate() {
        let name = format!("t{n}");
        session.context().deregister_table(name.as_str())?;
        session.context().register_table(name.as_str(), Arc::new(table))?;
    }
    Ok(())
}

async fn rows(session: &Session, query: &Query) -> Result<Rows> {
    let stream = session.execute(&query.sql).await?;
    let schema = stream.schema();
    let batches: Vec<_> = stream.try_collect().await?;
    if query.ordered { Rows::in_order(schema, &batches) } else { Rows::new(schema, &batches) }
}
