//! Compares Parallax with SQLite, and in `make fuzz-oracles` with DuckDB, too: random statements in their common dialect
//! over small random tables, on `never` and on `always`.
//!
//! ```text
//! cargo test --test differential oracle                              some cases, without DuckDB
//! make fuzz-oracles                                                  100,000 cases, release build
//! make fuzz-oracles PARALLAX_FUZZ_CASES=5000                         fewer
//! make fuzz-oracles PARALLAX_FUZZ_ON_DEVICE=20                       one case in 20 on the device, instead of every second
//! make fuzz-oracles PARALLAX_FUZZ_SEED=4711 PARALLAX_FUZZ_CASES=1    one case, with its tables and all answers
//! ```
//!
//! A case is a number, as in [`crate::fuzz`]: it says the tables, the structure of the statement and its literals. A
//! disagreement is reduced to a small statement over small tables, and printed with the answers of all engines.
//! [`dialect`] lists where the dialects differ.
//!
//! What `always` refuses is counted by reason. What SQLite refuses proves nothing and is counted, too.

mod answer;
mod data;
mod dialect;
mod engines;
mod expression;
mod query;
mod reduce;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::fuzz::random::Random;
use crate::oracle::answer::Answer;
use crate::oracle::data::Tables;
use crate::oracle::dialect::Dialect;
use crate::oracle::engines::{Engine, Engines};
use crate::oracle::query::Writer;
use crate::oracle::tree::Sql;
use crate::{blocks, number};

/// Statements over the same tables, and rounds of other tables and literals for the same structures.
const QUERIES: u64 = 20;
const ROUNDS: u64 = 5;

/// Number of cases per process.
const BLOCK: u64 = 20 * QUERIES * ROUNDS;

/// Number of cases of the ordinary tests, some minutes in a debug build, and which part of them runs on the device, where
/// programs take long to compile.
const FEW: u64 = 2000;
const FEW_ON_DEVICE: u64 = 67;

/// Number of failures after which a run stops.
const MOST_FAILURES: usize = 10;

/// One statement over tables.
#[derive(Clone)]
struct Case {
    sql: Sql,
    tables: Tables,
}

impl Case {
    fn of(number: u64) -> Self {
        let (shape, query, round) = (number / (QUERIES * ROUNDS), number % QUERIES, number / QUERIES);
        let tables = Tables::draw(&mut Random::of(&[round, 21]));
        let sql = Writer::new(Random::of(&[shape, query, 22]), Random::of(&[number, 23])).statement();
        Self { sql, tables }
    }

    /// Statements for the shell, with the tables and columns that matter.
    fn script(&self) -> String {
        let sql = self.sql.render(Dialect::Standard);
        let mut statements = self.tables.statements(Dialect::Standard, Some(&sql));
        statements.push(sql);
        statements.iter().map(|statement| format!("{statement};\n")).collect()
    }
}

/// A difference between two engines: both gave rows, or the second failed.
#[derive(Clone, Debug, PartialEq)]
struct Disagreement {
    engines: [Engine; 2],
    /// The beginning of the error, without what depends on names and numbers.
    error: Option<String>,
}

fn disagreement(engines: [(Engine, &Answer); 2], ordered: bool) -> Option<Disagreement> {
    let [(first, a), (second, b)] = engines;
    let of = |error| Some(Disagreement { engines: [first, second], error });
    match (a, b) {
        (Answer::Rows(a), Answer::Rows(b)) if !Answer::same_rows(a, b, ordered) => of(None),
        (Answer::Rows(_), Answer::Error(error)) if !dialect::refusal_of_front_end(error) => of(Some(class(error))),
        _ => None,
    }
}

fn class(error: &str) -> String {
    // The cause stands below the name of the rule that failed.
    let line = error.rsplit("caused by\n").next().unwrap_or(error).lines().next().unwrap_or_default();
    let words = line.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 2);
    words.take(10).collect::<Vec<_>>().join(" ")
}

#[test]
fn sqlite_agrees_on_even_blocks() {
    few_cases(0);
}

#[test]
fn sqlite_agrees_on_odd_blocks() {
    few_cases(1);
}

/// Half of the cases of the ordinary test: planning them takes one core long.
fn few_cases(half: u64) {
    let mut run = Run::new(FEW_ON_DEVICE);
    let blocks = FEW / (QUERIES * ROUNDS);
    for block in (half..blocks).step_by(2) {
        // Other cases than the first ones of `make fuzz-oracles`.
        run.cases(10_000_000 + block * QUERIES * ROUNDS, QUERIES * ROUNDS);
    }
    run.finish();
}

#[test]
#[ignore = "hours: `make fuzz-oracles`"]
fn fuzz() {
    blocks::run("oracle::fuzz", 100_000, BLOCK, |first, cases| {
        let mut run = Run::new(number("PARALLAX_FUZZ_ON_DEVICE").unwrap_or(2));
        run.verbose = cases == 1;
        run.cases(first, cases);
        run.finish();
    });
}

struct Run {
    engines: Engines,
    /// One in this many cases runs on the device.
    on_device: u64,
    verbose: bool,
    round: Option<u64>,
    cases: usize,
    rows: usize,
    /// Cases that SQLite refuses, and that the front end of Parallax refuses, by message.
    refused_by_sqlite: BTreeMap<String, usize>,
    refused_by_front_end: BTreeMap<String, usize>,
    /// Cases on the device, and of those refused, by message.
    placed: usize,
    refused_on_device: BTreeMap<String, usize>,
    failures: Vec<Disagreement>,
    /// The structures that have failed: other tables and literals show the same.
    failed: BTreeSet<(u64, u64)>,
}

impl Run {
    fn new(on_device: u64) -> Self {
        Self {
            engines: Engines::new(),
            on_device,
            verbose: false,
            round: None,
            cases: 0,
            rows: 0,
            refused_by_sqlite: BTreeMap::new(),
            refused_by_front_end: BTreeMap::new(),
            placed: 0,
            refused_on_device: BTreeMap::new(),
            failures: Vec::new(),
            failed: BTreeSet::new(),
        }
    }

    fn cases(&mut self, first: u64, cases: u64) {
        let (start, mut shown) = (Instant::now(), Instant::now());
        for (done, number) in (first..first + cases).enumerate() {
            self.case(number);
            if self.failures.len() >= MOST_FAILURES {
                return;
            }
            if shown.elapsed().as_secs() >= 10 {
                shown = Instant::now();
                let rate = done as f64 / start.elapsed().as_secs_f64();
                eprintln!("  case {number}: {rate:.1} a second, {} failures", self.failures.len());
            }
        }
    }

    fn case(&mut self, number: u64) {
        let structure = (number / (QUERIES * ROUNDS), number % QUERIES);
        if self.failed.contains(&structure) {
            return;
        }
        let case = Case::of(number);
        if self.round != Some(number / QUERIES) {
            self.engines.register(&case.tables);
            self.round = Some(number / QUERIES);
        }
        if self.verbose {
            eprintln!("{}", case.script());
        }
        self.cases += 1;
        let mut others = vec![Engine::Never];
        if self.engines.has_duckdb() {
            others.push(Engine::Duckdb);
        }
        if self.verbose {
            others.extend([Engine::Always(1), Engine::Always(2)]);
        } else if number.is_multiple_of(self.on_device) {
            others.push(Engine::Always(if number.is_multiple_of(2 * self.on_device) { 1 } else { 2 }));
        }
        let expected = self.engines.ask(Engine::Sqlite, &case.sql);
        let ordered = case.sql.is_ordered();
        match &expected {
            Answer::Rows(rows) => self.rows += rows.len(),
            Answer::Error(error) | Answer::Refused(error) => {
                *self.refused_by_sqlite.entry(class(error)).or_default() += 1;
                return;
            }
        }
        for engine in others {
            let answer = self.engines.ask(engine, &case.sql);
            if self.verbose {
                eprintln!("{}: {}", engine.name(), answer.shown());
            }
            let is_device = matches!(engine, Engine::Always(_));
            self.placed += usize::from(is_device);
            match &answer {
                Answer::Refused(why) if is_device => *self.refused_on_device.entry(class(why)).or_default() += 1,
                Answer::Error(error) if engine == Engine::Duckdb => {
                    *self.refused_by_sqlite.entry(format!("DuckDB: {}", class(error))).or_default() += 1;
                    continue;
                }
                Answer::Error(error) if engine == Engine::Never && dialect::refusal_of_front_end(error) => {
                    *self.refused_by_front_end.entry(class(error)).or_default() += 1;
                    return;
                }
                _ => {}
            }
            if let Some(found) = disagreement([(Engine::Sqlite, &expected), (engine, &answer)], ordered) {
                self.report(number, case, found);
                return;
            }
        }
    }

    fn report(&mut self, number: u64, case: Case, found: Disagreement) {
        let whole = case.sql.render(Dialect::Standard);
        let small = reduce::reduce(&mut self.engines, case, &found);
        self.round = None;
        self.engines.register(&small.tables);
        eprintln!("\ncase {number}: {whole};\n\nreduced:\n{}", small.script());
        let all = [Engine::Sqlite, Engine::Duckdb, Engine::Never, Engine::Always(1), Engine::Always(2)];
        let has_duckdb = self.engines.has_duckdb();
        for engine in all.into_iter().filter(|e| *e != Engine::Duckdb || has_duckdb) {
            eprintln!("{}: {}", engine.name(), self.engines.ask(engine, &small.sql).shown());
        }
        eprintln!("reproduce with: make fuzz-oracles PARALLAX_FUZZ_SEED={number} PARALLAX_FUZZ_CASES=1");
        self.failures.push(found);
        self.failed.insert((number / (QUERIES * ROUNDS), number % QUERIES));
    }

    fn finish(self) {
        let print = |what: &str, counts: &BTreeMap<String, usize>| {
            let mut counts: Vec<_> = counts.iter().collect();
            counts.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
            counts.iter().for_each(|(why, n)| eprintln!("  {n} {what}: {why}"));
        };
        let refused: usize = self.refused_on_device.values().sum();
        eprintln!(
            "{} cases with {} rows; {} on the device, of which it refused {refused}",
            self.cases, self.rows, self.placed
        );
        print("refused by an oracle", &self.refused_by_sqlite);
        print("refused by the front end", &self.refused_by_front_end);
        print("refused on the device", &self.refused_on_device);
        assert!(self.failures.is_empty(), "{} disagreements (above)", self.failures.len());
        let by_oracle: usize = self.refused_by_sqlite.values().sum();
        assert!(by_oracle * 10 <= self.cases.max(10), "the oracles refuse more than a tenth of the statements");
    }
}
