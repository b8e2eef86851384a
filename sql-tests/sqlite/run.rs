//! Runs one file of the corpus on `never` and on `always`, query by query.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use futures::{FutureExt, TryStreamExt};
use parallax::session::Session;

use crate::plan::REFUSAL;
use crate::sqlite::Sample;
use crate::sqlite::corpus::{self, Kind, Query, Record};
use crate::sqlite::values;

/// Time limit of one query on one placement.
const LIMIT: Duration = Duration::from_secs(60);

/// What became of a query on one placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Right,
    Wrong(String),
    /// The query has no device form.
    RefusedOnDevice(String),
    /// The query, or a statement that it depends on, does not run on any placement.
    RefusedByFrontEnd(String),
}

/// What became of a query on each placement: `never`, then `always`.
pub struct Outcomes {
    pub line: usize,
    pub sql: String,
    pub outcomes: [Outcome; 2],
}

pub const PLACEMENTS: [&str; 2] = ["never", "always"];

/// A session, and what it has seen of the file.
struct Engine {
    session: Session,
    placement: &'static str,
    /// What `xla.placement` is now.
    placed: &'static str,
    /// The hash of the first result of each label.
    labels: HashMap<String, String>,
    /// A statement that did not do what the file says, so that the tables are not what they should be.
    broken: Option<String>,
}

/// Runs the queries of the sample below line `after`. `begin` learns the line of each query before it runs, `done` its
/// outcomes.
pub async fn run(
    path: &Path,
    sample: Sample,
    after: usize,
    mut begin: impl FnMut(usize),
    mut done: impl FnMut(Outcomes),
) -> std::result::Result<(), String> {
    let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let records = corpus::parse(&String::from_utf8_lossy(&text)).map_err(|e| format!("{}: {e}", path.display()))?;
    let engine = |placement: &'static str| -> Result<Engine> {
        let session = Session::builder().set("xla.placement", placement).build()?;
        Ok(Engine { session, placement, placed: placement, labels: HashMap::new(), broken: None })
    };
    let engines = PLACEMENTS.map(engine).into_iter().collect::<Result<Vec<_>>>();
    let mut engines = engines.map_err(|e| e.to_string())?;
    let is_query = |record: &&Record| matches!(record.kind, Kind::Query(_));
    // What comes behind the last query of the sample does not matter.
    let mut left = (0..records.iter().filter(is_query).count()).filter(|query| sample.has(*query)).count();
    let mut queries = 0;
    for Record { line, sql, kind } in records {
        if left == 0 {
            break;
        }
        match kind {
            Kind::Statement { fails } => {
                for engine in &mut engines {
                    engine.execute(&sql, fails, line).await;
                }
            }
            Kind::Query(query) => {
                queries += 1;
                if !sample.has(queries - 1) {
                    continue;
                }
                left -= 1;
                if line <= after {
                    continue;
                }
                begin(line);
                let mut outcomes = PLACEMENTS.map(|_| Outcome::Right);
                for (engine, outcome) in engines.iter_mut().zip(&mut outcomes) {
                    *outcome = engine.ask(&sql, &query).await;
                }
                done(Outcomes { line, sql, outcomes });
            }
        }
    }
    Ok(())
}

impl Engine {
    /// Executes a statement under `auto`, as `always` refuses what has nothing to do with queries.
    async fn execute(&mut self, sql: &str, fails: bool, line: usize) {
        self.place(if self.placement == "always" { "auto" } else { self.placement }).await;
        let result = AssertUnwindSafe(self.session.collect(sql)).catch_unwind().await;
        let verb = sql.split_whitespace().take(2).collect::<Vec<_>>().join(" ").to_uppercase();
        // No row depends on these.
        let of_no_matter =
            ["INDEX", "TRIGGER", "REINDEX"].iter().any(|word| verb.contains(word)) || verb.starts_with("CREATE UNIQUE");
        let broken = match (result, fails) {
            (Ok(Ok(_)), false) | (Ok(Err(_)), true) => return,
            (Ok(Ok(_)), true) => format!("after {verb} that should fail"),
            (Ok(Err(error)), false) => format!("after {verb}: {}", class(&error.to_string())),
            (Err(_), _) => format!("after {verb}: panicked at line {line}"),
        };
        if !of_no_matter {
            self.broken.get_or_insert(broken);
        }
    }

    async fn place(&mut self, placement: &'static str) {
        if self.placed != placement {
            let _rows = self.session.collect(&format!("SET xla.placement = '{placement}'")).await;
            self.placed = placement;
        }
    }

    async fn ask(&mut self, sql: &str, query: &Query) -> Outcome {
        if let Some(broken) = &self.broken {
            return Outcome::RefusedByFrontEnd(broken.clone());
        }
        self.place(self.placement).await;
        let result = tokio::time::timeout(LIMIT, AssertUnwindSafe(self.values(sql, query)).catch_unwind()).await;
        let values = match result {
            Ok(Ok(Ok(values))) => values,
            Ok(Ok(Err(error))) => {
                let error = error.to_string();
                return match error.contains(REFUSAL) {
                    true => Outcome::RefusedOnDevice(class(&error)),
                    false => Outcome::RefusedByFrontEnd(class(&error)),
                };
            }
            Ok(Err(_)) => return Outcome::Wrong("panicked".to_string()),
            Err(_) => return Outcome::Wrong(format!("took more than {} s", LIMIT.as_secs())),
        };
        if let Some(difference) = values::difference(&values, &query.expected) {
            return Outcome::Wrong(difference);
        }
        let Some(label) = &query.label else { return Outcome::Right };
        let hash = values::hash(&values);
        match self.labels.get(label) {
            Some(known) if *known != hash => Outcome::Wrong(format!("other rows than before under the label {label}")),
            Some(_) => Outcome::Right,
            None => {
                self.labels.insert(label.clone(), hash);
                Outcome::Right
            }
        }
    }

    async fn values(&self, sql: &str, query: &Query) -> Result<Vec<String>> {
        let batches: Vec<_> = self.session.execute(sql).await?.try_collect().await?;
        let wide = batches.first().is_some_and(|batch| batch.num_columns() != query.types.len());
        if wide {
            return Err(DataFusionError::Execution(format!("not {} columns", query.types.len())));
        }
        Ok(values::values(&batches, query)?)
    }
}

/// Returns the cause of an error without names and numbers, so that errors can be counted.
fn class(error: &str) -> String {
    let cause = error.rsplit("caused by\n").next().unwrap_or(error).lines().next().unwrap_or_default();
    let specific = |c: char| c.is_ascii_digit() || ['\'', '"', '`', '[', '('].contains(&c);
    let mut words = Vec::new();
    for word in cause.split_whitespace().map(|word| if word.contains(specific) { ".." } else { word }) {
        if word != ".." || words.last() != Some(&"..") {
            words.push(word);
        }
    }
    words.truncate(16);
    words.join(" ")
}
