//! A session as a sqllogictest database that records what the last statement did and where it ran.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use futures::{FutureExt, TryStreamExt};
use parallax::exec::boundary::host_fallback::HostFallbackExec;
use parallax::exec::state::costs::Costs;
use parallax::expr::fallback::FallbackReason;
use parallax::session::Session;
use sqllogictest::{AsyncDB, DBOutput};

use crate::conformance::cells::{self, Column};
use crate::plan;

/// The runs of a file, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Plain,
    Never,
    Auto,
    Device,
}

impl Run {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Never, Self::Auto, Self::Device];

    /// Returns the run that this one is compared with: the one with one part of Parallax less.
    pub fn baseline(self) -> Self {
        match self {
            Self::Plain | Self::Never => Self::Plain,
            Self::Auto | Self::Device => Self::Never,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Never => "never",
            Self::Auto => "auto",
            Self::Device => "device",
        }
    }

    pub fn session(self) -> Result<Session, DataFusionError> {
        // Like DataFusion's own runner, so that plans do not depend on the machine.
        let builder = Session::builder()
            .costs(Costs::of_slow_host())
            .set("datafusion.execution.target_partitions", "4")
            .set("datafusion.catalog.information_schema", "false");
        match self {
            Self::Plain => builder.set("xla.placement", "never").set("xla.frontend_rules", "none").build(),
            Self::Never => builder.set("xla.placement", "never").build(),
            Self::Auto => builder.build(),
            Self::Device => builder.devices(2).set("xla.chunk_rows", "1024").build(),
        }
    }
}

/// The kind of statement in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// SELECT, VALUES, WITH.
    Select,
    Explain,
    #[default]
    Other,
}

/// Where the operators of a SELECT ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    pub device_node: bool,
    /// Why operators with work stayed on the host.
    pub reasons: Vec<String>,
    /// Whether an operator processes rows of a table beyond scanning them, so that the device could have run it.
    pub work: bool,
}

/// Outcome of the last statement.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub sql: String,
    pub kind: Kind,
    /// Rows, with cells joined by blanks, or the error.
    pub output: Option<Result<Vec<String>, String>>,
    pub placed: Option<Placed>,
}

/// State shared by the engine and the file runner, because sqllogictest passes only SQL between them.
pub type Shared = Arc<Mutex<Observed>>;

pub fn take(shared: &Shared) -> Observed {
    std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner))
}

pub struct Engine {
    pub run: Run,
    pub session: Session,
    pub workspace_root: String,
    pub observed: Shared,
}

impl Engine {
    async fn rows(&self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        let stream = self.session.execute(sql).await?;
        let schema = stream.schema();
        let batches: Vec<_> = stream.try_collect().await?;
        let types = cells::columns(&schema);
        let rows = cells::rows(&batches, &self.workspace_root)?;
        if rows.is_empty() && types.is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        Ok(DBOutput::Rows { types, rows })
    }

    fn kind(&self, sql: &str) -> Kind {
        let state = self.session.context().state();
        let dialect = state.config_options().sql_parser.dialect;
        match state.sql_to_statement(sql, &dialect) {
            Ok(Statement::Explain(_)) => Kind::Explain,
            Ok(Statement::Statement(statement)) => match *statement {
                ast::Statement::Query(_) => Kind::Select,
                ast::Statement::Explain { .. } => Kind::Explain,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }

    async fn placed(&self, sql: &str) -> Option<Placed> {
        // `SessionContext::sql` would already execute a SELECT INTO.
        let state = self.session.context().state();
        let logical = state.create_logical_plan(sql).await.ok()?;
        if matches!(logical, LogicalPlan::Ddl(_)) {
            return None;
        }
        let plan = state.create_physical_plan(&logical).await.ok()?;
        let mut placed = Placed { device_node: plan::holds_device_node(&plan), ..Placed::default() };
        collect_reasons(&plan, &mut placed.reasons);
        placed.work = placed.device_node || !placed.reasons.is_empty();
        Some(placed)
    }
}

fn collect_reasons(plan: &Arc<dyn ExecutionPlan>, out: &mut Vec<String>) {
    if let Some(fallback) = HostFallbackExec::of(plan)
        && fallback.reason().is_work()
    {
        out.push(class(fallback.reason()));
    }
    plan.children().into_iter().for_each(|child| collect_reasons(child, out));
}

/// Returns the reason without details of one query, so that reasons can be counted.
pub fn class(reason: &FallbackReason) -> String {
    let head = |text: &str| text.split(['(', ' ', '@']).next().unwrap_or_default().to_string();
    match reason {
        FallbackReason::Type { data_type, .. } => format!("type {}", head(&data_type.to_string())),
        FallbackReason::Expression { why, .. } => why.clone(),
        FallbackReason::Aggregate { function, why } => format!("aggregate {}: {why}", head(function)),
        FallbackReason::Operator { name } => format!("operator {name}"),
        FallbackReason::AddedLater { name } => format!("{name} that DataFusion adds after placement"),
        FallbackReason::RowLimitInOperator { .. }
        | FallbackReason::JoinInputs { .. }
        | FallbackReason::UnboundedStream
        | FallbackReason::StreamingRecursion
        | FallbackReason::PartialAggregateAlone
        | FallbackReason::FinalAggregateAlone
        | FallbackReason::NoRows
        | FallbackReason::LimitOfScan => reason.to_string(),
    }
}

#[async_trait::async_trait]
impl AsyncDB for Engine {
    type Error = DataFusionError;
    type ColumnType = Column;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, DataFusionError> {
        let kind = self.kind(sql);
        let placed = match (kind, self.run) {
            (Kind::Select, Run::Auto | Run::Device) => {
                AssertUnwindSafe(self.placed(sql)).catch_unwind().await.unwrap_or_default()
            }
            _ => None,
        };
        let result = AssertUnwindSafe(self.rows(sql)).catch_unwind().await.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
            Err(DataFusionError::Internal(format!("panicked: {text}")))
        });
        let output = match &result {
            Ok(DBOutput::Rows { rows, .. }) => {
                Ok(rows.iter().map(|row| row.join(" ").trim_end().to_string()).collect())
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) =
            Observed { sql: sql.to_string(), kind, output: Some(output), placed };
        result
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "DataFusion"
    }
}
