//! Runs one file on one engine: parses it, runs every record, and collects the failures.

use std::path::Path;

use datafusion::error::DataFusionError;
use parallax::session::Session;
use sqllogictest::{Location, QueryExpect, Record, Runner, StatementExpect};

use crate::engine::{Engine, EngineName, SharedStep, Step, lock};
use crate::fixtures;
use crate::marker::Markers;
use crate::plan::REFUSAL;
use crate::values::{self, Column};

/// Maximum number of failures printed per file; the rest are counted.
const SHOWN: usize = 10;

/// Runs a file to its end. The error lists the failed records, up to [`SHOWN`] of them in full.
pub async fn run(root: &Path, name: &str, engine: EngineName) -> Result<(), String> {
    let (records, markers) = parse(root, name)?;
    let step = SharedStep::default();
    let session = session(engine, name).await.map_err(|e| format!("no session on {}: {e}", engine.name()))?;
    let mut runner = runner(engine, session, step.clone());

    let mut failures = Vec::new();
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        let location = location(&record).cloned();
        *lock(&step) = next_step(&record, &markers);
        let outcome = runner.run_async(record).await;
        let violation = lock(&step).violation.take();
        match (violation, outcome) {
            (Some(message), _) => {
                let at = location.map(|l| l.to_string()).unwrap_or_default();
                failures.push(format!("{message}\nat {at}"));
            }
            (None, Err(error)) => failures.push(error.to_string()),
            (None, Ok(_)) => {}
        }
    }
    runner.shutdown_async().await;
    match failures.len() {
        0 => Ok(()),
        n => {
            let shown = failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
            Err(format!("{n} records of {name} failed on {}\n\n{shown}", engine.name()))
        }
    }
}

/// Parses the records of a file, with the file's own name in their locations, and its markers.
pub fn parse(root: &Path, name: &str) -> Result<(Vec<Record<Column>>, Markers), String> {
    let path = root.join(name);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let markers = Markers::parse(&text).map_err(|e| format!("sql-tests/{name}: {e}"))?;
    let records = sqllogictest::parse_with_name(&text, format!("sql-tests/{name}")).map_err(|e| e.to_string())?;
    Ok((records, markers))
}

/// Creates a session with the fixtures, and with the TPC-H tables for files that read them.
pub async fn session(engine: EngineName, name: &str) -> Result<Session, DataFusionError> {
    let session = engine.session()?;
    fixtures::register(session.context())?;
    if name.starts_with("tpch/") {
        fixtures::register_tpch(session.context())?;
    }
    Ok(session)
}

/// Creates a sqllogictest runner over one session. `onlyif xla` and `skipif xla` match every xla engine.
pub fn runner(
    engine: EngineName,
    session: Session,
    step: SharedStep,
) -> Runner<Engine, impl sqllogictest::MakeConnection<Conn = Engine>> {
    let mut database = Some(Engine { name: engine, session, step });
    let mut runner = Runner::new(move || {
        let database = database.take();
        async move { database.ok_or_else(|| DataFusionError::NotImplemented("a second connection in one file".to_string())) }
    });
    runner.with_normalizer(values::normalize);
    runner.with_validator(values::validate);
    runner.with_column_validator(sqllogictest::strict_column_validator);
    if engine.devices() > 0 {
        runner.add_label("xla");
    }
    runner
}

/// Returns what the engine must know about a record before running it.
pub fn next_step(record: &Record<Column>, markers: &Markers) -> Step {
    let (is_query, expected) = match record {
        Record::Query { expected: QueryExpect::Error(error), .. } => (true, Some(error)),
        Record::Query { .. } => (true, None),
        Record::Statement { expected: StatementExpect::Error(error), .. } => (false, Some(error)),
        _ => (false, None),
    };
    let marker = location(record).and_then(|l| markers.at(l.line()));
    let expects_refusal = expected.is_some_and(|error| error.to_string().contains(REFUSAL));
    Step { is_query, marker, expects_refusal, violation: None }
}

fn location(record: &Record<Column>) -> Option<&Location> {
    match record {
        Record::Query { loc, .. } | Record::Statement { loc, .. } => Some(loc),
        _ => None,
    }
}
