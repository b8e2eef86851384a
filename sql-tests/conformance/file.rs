//! Runs one file several times in fresh sessions, record by record.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use datafusion::error::DataFusionError;
use sqllogictest::{Control, Location, Record, RecordOutput, Runner, SortMode};

use crate::conformance::cells::{self, Column};
use crate::conformance::engine::{self, Engine, Kind, Observed, Run, Shared};
use crate::conformance::suite::Suite;
use crate::conformance::tables;

/// Time limit of one record, and the time after which no further record of the file is started.
const RECORD_LIMIT: Duration = Duration::from_secs(30);
const FILE_LIMIT: Duration = Duration::from_secs(300);

/// One record in one run.
#[derive(Clone, Debug)]
pub struct RecordRun {
    pub passed: bool,
    pub observed: Observed,
}

/// One record of a file in every run; `None` if the run did not reach it.
#[derive(Clone, Debug, Default)]
pub struct RecordOutcome {
    /// `file:line`, as in the published crate.
    pub at: String,
    /// The rows are compared in any order.
    pub sorted: bool,
    /// In the order of [`Run::ALL`].
    pub runs: [Option<RecordRun>; 4],
}

impl RecordOutcome {
    pub fn of(&self, run: Run) -> Option<&RecordRun> {
        self.runs[run as usize].as_ref()
    }

    pub fn passed(&self, run: Run) -> bool {
        self.of(run).is_some_and(|r| r.passed)
    }

    /// Returns whether this is a SELECT that returns rows with `never`.
    pub fn is_select(&self) -> bool {
        self.of(Run::Never).is_some_and(|r| r.observed.kind == Kind::Select && matches!(r.observed.output, Some(Ok(_))))
    }

    pub fn is_explain(&self) -> bool {
        self.of(Run::Plain).is_some_and(|r| r.observed.kind == Kind::Explain)
    }
}

pub struct FileOutcome {
    pub name: String,
    pub records: Vec<RecordOutcome>,
}

impl FileOutcome {
    /// Creates the outcome of a file whose process ended prematurely: one failed record.
    pub fn crashed(name: &str, how: String) -> Self {
        let run = |passed, output| {
            let observed = Observed { output: Some(output), ..Observed::default() };
            Some(RecordRun { passed, observed })
        };
        let failed = run(false, Err(format!("the process ended: {how}")));
        let record = RecordOutcome {
            at: format!("{name}:1"),
            sorted: false,
            runs: [run(true, Ok(Vec::new())), run(true, Ok(Vec::new())), failed.clone(), failed],
        };
        Self { name: name.to_string(), records: vec![record] }
    }
}

pub async fn run(suite: &Suite, name: &str) -> Result<FileOutcome, String> {
    let mut records: BTreeMap<usize, RecordOutcome> = BTreeMap::new();
    for mode in Run::ALL {
        suite.clear_scratch(name)?;
        run_once(suite, name, mode, &mut records).await?;
    }
    Ok(FileOutcome { name: name.to_string(), records: records.into_values().collect() })
}

async fn run_once(
    suite: &Suite,
    name: &str,
    mode: Run,
    outcomes: &mut BTreeMap<usize, RecordOutcome>,
) -> Result<(), String> {
    let records = sqllogictest::parse_file::<Column>(suite.path(name)).map_err(|e| e.to_string())?;
    let session = mode.session().map_err(|e| format!("no session for {}: {e}", mode.name()))?;
    // Kept until the end, because it contains the files of some tables.
    let _folder = tables::register(session.context(), name).await.map_err(|e| format!("{name}: {e}"))?;
    let observed = Shared::default();
    let mut engine =
        Some(Engine { run: mode, session, workspace_root: suite.workspace_root(), observed: observed.clone() });
    let mut runner = Runner::new(move || {
        let engine = engine.take();
        async move { engine.ok_or_else(|| DataFusionError::NotImplemented("a second connection".to_string())) }
    });
    runner.with_normalizer(cells::normalize);
    runner.with_validator(cells::validate);
    runner.with_column_validator(sqllogictest::strict_column_validator);
    runner.add_label("Datafusion");

    let started = Instant::now();
    let mut every_query_sorted = false;
    for (index, record) in records.into_iter().enumerate() {
        let (location, sort_mode) = match &record {
            Record::Halt { .. } => break,
            Record::Control(Control::SortMode(mode)) => {
                every_query_sorted = !matches!(mode, SortMode::NoSort);
                let _ = runner.run_async(record).await;
                continue;
            }
            Record::Query { loc, expected, .. } => (loc.clone(), sort_mode(expected)),
            Record::Statement { loc, .. } => (loc.clone(), None),
            _ => {
                let _ = runner.run_async(record).await;
                continue;
            }
        };
        if started.elapsed() > FILE_LIMIT {
            break;
        }
        engine::take(&observed);
        let result = tokio::time::timeout(RECORD_LIMIT, runner.run_async(record)).await;
        let passed = match result {
            Ok(Ok(RecordOutput::Nothing)) => continue,
            Ok(result) => result.is_ok(),
            Err(_) => {
                let mut late = engine::take(&observed);
                late.output = Some(Err(format!("took more than {} s", RECORD_LIMIT.as_secs())));
                *observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = late;
                false
            }
        };
        let sorted = sort_mode.map_or(every_query_sorted, |mode| !matches!(mode, SortMode::NoSort));
        let outcome = outcomes.entry(index).or_insert_with(|| RecordOutcome {
            at: short(&location, name),
            sorted,
            ..RecordOutcome::default()
        });
        outcome.runs[mode as usize] = Some(RecordRun { passed, observed: engine::take(&observed) });
    }
    Ok(())
}

fn sort_mode(expected: &sqllogictest::QueryExpect<Column>) -> Option<SortMode> {
    match expected {
        sqllogictest::QueryExpect::Results { sort_mode, .. } => *sort_mode,
        sqllogictest::QueryExpect::Error(_) => None,
    }
}

/// Returns `file:line` relative to the folder of the suite.
fn short(location: &Location, name: &str) -> String {
    let file = location.file();
    let file = file.rsplit_once("test_files/").map_or(file, |(_, file)| file);
    if file == name { format!("{name}:{}", location.line()) } else { format!("{name} ({file}:{})", location.line()) }
}
