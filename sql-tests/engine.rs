//! A session as a sqllogictest database, and the rule that a result counts only if the device produced it.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::StreamExt;
use parallax::exec::state::costs::Costs;
use parallax::session::Session;
use sqllogictest::{AsyncDB, DBOutput};

use crate::marker::HostReason;
use crate::plan::{self, REFUSAL};
use crate::values::{self, Column};

/// The engines. Every file runs on the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineName {
    Host,
    Xla1,
    Xla2,
    Xla3,
    Xla4,
}

impl EngineName {
    pub const ALL: [Self; 5] = [Self::Host, Self::Xla1, Self::Xla2, Self::Xla3, Self::Xla4];

    pub fn parse(name: &str) -> Result<Self, String> {
        let known: Vec<_> = Self::ALL.iter().map(|e| e.name()).collect();
        Self::ALL
            .into_iter()
            .find(|engine| engine.name() == name)
            .ok_or_else(|| format!("'{name}' is not an engine; the engines are {}", known.join(", ")))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Xla1 => "xla1",
            Self::Xla2 => "xla2",
            Self::Xla3 => "xla3",
            Self::Xla4 => "xla4",
        }
    }

    /// Returns the number of devices in the engine's mesh; 0 for the host.
    pub fn devices(self) -> usize {
        match self {
            Self::Host => 0,
            Self::Xla1 => 1,
            Self::Xla2 => 2,
            Self::Xla3 => 3,
            Self::Xla4 => 4,
        }
    }

    /// Returns whether a file runs on the engine. Many devices are emulated on two cores, so only some files run there:
    /// on four, those that exercise sharding most, and on three, those about what SQL means.
    pub fn takes(self, file: &str) -> bool {
        let starts: &[&str] = match self {
            Self::Host | Self::Xla1 | Self::Xla2 => return true,
            Self::Xla3 => &["frontend/", "subquery/places"],
            Self::Xla4 => &["aggregate/group", "join/", "tpch/"],
        };
        starts.iter().any(|start| file.starts_with(start))
    }

    /// Returns whether each query is asked twice: the first time its columns are not on the device yet.
    fn asks_twice(self) -> bool {
        self == Self::Xla3
    }

    pub fn session(self) -> Result<Session, DataFusionError> {
        match self.devices() {
            0 => Session::builder().set("xla.placement", "never").build(),
            n => Session::builder().devices(n).set("xla.placement", "always").costs(Costs::of_slow_host()).build(),
        }
    }
}

/// The file's declarations about the next record, and any violation that the engine found while running it.
#[derive(Debug, Default)]
pub struct Step {
    /// The record is a `query`, whose plan must contain a device node.
    pub is_query: bool,
    pub marker: Option<HostReason>,
    /// The record expects the refusal itself.
    pub expects_refusal: bool,
    /// Why the record fails, whatever its rows or its error.
    pub violation: Option<String>,
}

/// The step shared by the file runner and the engine, because sqllogictest passes only SQL between them.
pub type SharedStep = Arc<Mutex<Step>>;

pub fn lock(step: &SharedStep) -> std::sync::MutexGuard<'_, Step> {
    step.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Engine {
    pub name: EngineName,
    pub session: Session,
    pub step: SharedStep,
}

/// The kinds of statement that the rule treats differently.
enum Kind {
    Rows,
    Explain,
    Other,
}

impl Engine {
    /// Runs plain DataFusion. A query with nothing to place is already vacuous here, without a device.
    async fn run_on_host(&self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        let marker = lock(&self.step).marker;
        if marker.is_none() && matches!(self.kind(sql)?, Kind::Rows) {
            let plan = self.session.sql(sql).await?.create_physical_plan().await?;
            if !plan::holds_placeable_node(&plan) {
                self.violate(format!(
                    "vacuous: nothing to place ({}); write `# xla: host constant` above the record",
                    plan::node_names(&plan)
                ));
            }
        }
        self.rows(sql).await
    }

    async fn run_on_device(&self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        let kind = self.kind(sql)?;
        let (is_query, marker, expects_refusal) = {
            let step = lock(&self.step);
            (step.is_query, step.marker, step.expects_refusal)
        };
        match (kind, marker) {
            (Kind::Rows, None) => {
                self.place("always").await?;
                let result = self.run_placed(sql).await;
                if let Err(error) = &result
                    && !expects_refusal
                    && error.to_string().contains(REFUSAL)
                {
                    self.violate(format!("{error}\nwrite `# xla: host <reason>` above the record if this is known"));
                }
                result
            }
            (Kind::Rows, Some(reason)) => {
                self.place("always").await?;
                if self.runs_wholly(sql).await {
                    self.violate(format!(
                        "the marker `# xla: host {}` is stale: the record runs with xla.placement = always; delete it",
                        reason.code()
                    ));
                }
                self.place("auto").await?;
                self.rows(sql).await
            }
            (Kind::Explain, marker) => {
                self.place(if marker.is_some() { "auto" } else { "always" }).await?;
                self.rows(sql).await
            }
            (Kind::Other, marker) => {
                if is_query && marker.is_none() {
                    self.violate(
                        "this is not a query: write `statement ok`, or `# xla: host ddl` above it".to_string(),
                    );
                }
                self.place("auto").await?;
                self.rows(sql).await
            }
        }
    }

    /// Plans the query, checks that the plan contains a device node, and runs it.
    async fn run_placed(&self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        let plan = self.session.sql(sql).await?.create_physical_plan().await?;
        if !plan::holds_device_node(&plan) {
            self.violate(format!(
                "vacuous: the plan has no device node ({}); write `# xla: host <reason>` above the record",
                plan::node_names(&plan)
            ));
        }
        let first = self.rows(sql).await;
        if !self.name.asks_twice() {
            return first;
        }
        let second = self.rows(sql).await;
        let (cold, resident) = (sorted(&first), sorted(&second));
        if cold != resident {
            self.violate(format!("the second answer is another: {cold:?}, then {resident:?}"));
        }
        second
    }

    /// Returns whether the statement runs completely on the device, to rows or to an error of its own.
    async fn runs_wholly(&self, sql: &str) -> bool {
        let plan = match self.session.sql(sql).await {
            Ok(frame) => frame.create_physical_plan().await,
            Err(_) => return false,
        };
        if !plan.is_ok_and(|plan| plan::holds_device_node(&plan)) {
            return false;
        }
        match self.rows(sql).await {
            Ok(_) => true,
            Err(error) => !error.to_string().contains(REFUSAL),
        }
    }

    async fn rows(&self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        let mut stream = self.session.execute(sql).await?;
        let types = values::columns(&stream.schema());
        let mut rows = Vec::new();
        while let Some(batch) = stream.next().await {
            values::push_rows(&batch?, &mut rows)?;
        }
        if types.is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        Ok(DBOutput::Rows { types, rows })
    }

    fn kind(&self, sql: &str) -> Result<Kind, DataFusionError> {
        let state = self.session.context().state();
        let dialect = state.config_options().sql_parser.dialect;
        Ok(match state.sql_to_statement(sql, &dialect)? {
            Statement::Explain(_) => Kind::Explain,
            Statement::Statement(statement) => match *statement {
                ast::Statement::Query(_) => Kind::Rows,
                ast::Statement::Explain { .. } => Kind::Explain,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        })
    }

    async fn place(&self, placement: &str) -> Result<(), DataFusionError> {
        self.session.sql(&format!("SET xla.placement = '{placement}'")).await.map(drop)
    }

    fn violate(&self, message: String) {
        lock(&self.step).violation.get_or_insert(message);
    }
}

/// The rows of an answer in an order of their own, or its error.
fn sorted(answer: &Result<DBOutput<Column>, DataFusionError>) -> Result<Vec<Vec<String>>, String> {
    match answer {
        Ok(DBOutput::Rows { rows, .. }) => {
            let mut rows = rows.clone();
            rows.sort();
            Ok(rows)
        }
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

#[async_trait::async_trait]
impl AsyncDB for Engine {
    type Error = DataFusionError;
    type ColumnType = Column;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        match self.name {
            EngineName::Host => self.run_on_host(sql).await,
            EngineName::Xla1 | EngineName::Xla2 | EngineName::Xla3 | EngineName::Xla4 => self.run_on_device(sql).await,
        }
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        self.name.name()
    }
}
