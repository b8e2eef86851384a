//! `Session`: DataFusion's `SessionContext` with the device runtime, the planner's rules and a cache of physical plans.
//!
//! A program that already has DataFusion adds Parallax to its `SessionStateBuilder` by [`SessionStateBuilderExt`].

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::calibration;
use crate::config::XlaOptions;
use crate::exec::boundary::device_to_host::DeviceToHostExec;
use crate::exec::state::context::DeviceContext;
use crate::exec::state::costs::Costs;
use crate::frontend::{self, Parsed, nesting};
use crate::large_stack;
use crate::plan::Plan;
use crate::plan_cache::PlanCache;
use crate::planner;
use crate::program::Program;
use crate::runtime::{Mesh, Runtime};
use crate::{statement, tables};

pub use crate::exec::state::load_progress::LoadProgress;
pub use crate::expr::fallback::FallbackReason;
pub use crate::planner::fallbacks::{Fallback, fallbacks, uses_device};

/// Levels of queries and expressions that any thread's stack is large enough for.
const SHALLOW: usize = 64;

/// A database session on a mesh of devices.
pub struct Session {
    ctx: SessionContext,
    plans: Arc<PlanCache>,
}

/// What a session is made of; every setting has a default.
#[derive(Default)]
pub struct SessionBuilder {
    device: Option<String>,
    devices: Option<usize>,
    settings: Vec<(String, String)>,
    costs: Option<Costs>,
}

impl SessionBuilder {
    /// Device kind: `cpu` (the default), `gpu` or `tpu`.
    pub fn device(mut self, kind: &str) -> Self {
        self.device = Some(kind.to_string());
        self
    }

    /// Number of devices in the mesh (virtual ones on a CPU).
    pub fn devices(mut self, n: usize) -> Self {
        self.devices = Some(n);
        self
    }

    /// An option as `SET key = value` would set it, e.g. `("xla.placement", "always")`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_string(), value.to_string()));
        self
    }

    /// Decides under `auto` by these constants instead of the machine's, so that a test can choose the side.
    #[cfg(any(test, feature = "internals"))]
    pub fn costs(mut self, costs: Costs) -> Self {
        self.costs = Some(costs);
        self
    }

    /// Starts the devices and makes the session.
    ///
    /// # Errors
    /// When there are no such devices, or a setting is unknown or has a value that makes no sense.
    pub fn build(self) -> Result<Session> {
        let n = self.devices.unwrap_or(1);
        let runtime = Runtime::for_device(self.device.as_deref().unwrap_or("cpu"), n)?;
        let mesh = Mesh::new(runtime, n)?;
        let config = SessionConfig::new().with_information_schema(true).set_str(nesting::OPTION, nesting::LIMIT);
        // A file that was rewritten must be seen: DataFusion would remember the first listing for ever.
        let environment = RuntimeEnvBuilder::new().with_object_list_cache_limit(0);
        let environment = Arc::new(tables::with_stores(environment).build()?);
        let builder =
            SessionStateBuilder::new().with_config(config).with_runtime_env(environment).with_default_features();
        let (builder, files) = tables::with_named_files(builder);
        let device = DeviceContext::new(mesh.clone()).with_costs(self.costs);
        let mut builder = planner::install(frontend::install(builder), device)?;
        if let Some(config) = builder.config() {
            for (key, value) in &self.settings {
                config.options_mut().set(key, value)?;
            }
        }
        let state = builder.build();
        if self.costs.is_none() {
            calibration::load_once();
            // Where programs may compile in the background, this may, too.
            if XlaOptions::of(state.config_options()).background_compile {
                calibration::in_the_background(&mesh);
            }
        }
        let ctx = SessionContext::new_with_state(state);
        files.serve(&ctx);
        Ok(Session { ctx, plans: Arc::default() })
    }
}

/// Adds Parallax to a program's own DataFusion:
///
/// ```no_run
/// use datafusion::execution::SessionStateBuilder;
/// use datafusion::prelude::SessionContext;
/// use parallax::session::SessionStateBuilderExt;
///
/// # fn main() -> datafusion::error::Result<()> {
/// let state = SessionStateBuilder::new().with_default_features().with_parallax()?.build();
/// let ctx = SessionContext::new_with_state(state);
/// # Ok(()) }
/// ```
///
/// Call it last: it adds its rules to the optimizer rules and its query planner around the one that the builder has by then.
///
/// The rules that correct or extend DataFusion's SQL (`xla.frontend_rules`) come along but for those over the text of a statement,
/// which only [`Session`] parses itself: is_distinct_from, balanced_chains, text_arguments, row_comparisons, distinct_order,
/// using_columns, duplicate_names and messages, and comparisons of rows with subqueries, as in `(a, b) IN (SELECT x, y ..)`. There, statements of
/// `SessionContext::sql` mean what they mean to DataFusion.
pub trait SessionStateBuilderExt: Sized {
    /// Adds the options `xla.*`, the planner's rules and the CPU as the device.
    ///
    /// # Errors
    /// When XLA cannot be started, or an optimizer rule is missing before which operators are placed.
    fn with_parallax(self) -> Result<Self>;

    /// As [`with_parallax`](Self::with_parallax), on the devices of `mesh`.
    ///
    /// # Errors
    /// When an optimizer rule is missing before which operators are placed.
    fn with_parallax_on(self, mesh: Mesh) -> Result<Self>;
}

impl SessionStateBuilderExt for SessionStateBuilder {
    fn with_parallax(self) -> Result<Self> {
        self.with_parallax_on(Mesh::new(Runtime::cpu(1)?, 1)?)
    }

    fn with_parallax_on(self, mesh: Mesh) -> Result<Self> {
        calibration::load_once();
        planner::install(frontend::install(self), DeviceContext::new(mesh))
    }
}

impl Session {
    /// A session on the CPU, with the default options.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A session with other devices or options.
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// DataFusion's context, for all that it offers.
    pub fn context(&self) -> &SessionContext {
        &self.ctx
    }

    /// Plans a statement; rows come when the frame is collected or executed.
    /// CACHE TABLE, SUMMARIZE and the like run at once, as DataFusion's own CREATE TABLE does.
    ///
    /// A statement that nests deeply is planned on threads with large stacks. [`Session::run`] runs it there, too; a frame runs where
    /// it is collected.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let frame = match statement::run(&self.ctx, sql).await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => self.plan(sql).await,
            Err(error) => Err(error),
        };
        frame.map_err(|error| self.explain(error))
    }

    /// An error in terms of the statement.
    fn explain(&self, error: DataFusionError) -> DataFusionError {
        let error = tables::missing_file(error, &self.ctx);
        frontend::explain(error, self.ctx.copied_config().options())
    }

    async fn plan(&self, sql: &str) -> Result<DataFrame> {
        let parsed = statement::parse(&self.ctx.state(), sql)?;
        if parsed.levels <= SHALLOW {
            return statement::plan(&self.ctx, parsed).await;
        }
        let ctx = self.ctx.clone();
        large_stack::spawn(async move { statement::plan(&ctx, parsed).await }).await
    }

    /// Runs a statement and streams its rows. The physical plan of a repeated query is cached.
    pub async fn execute(&self, sql: &str) -> Result<SendableRecordBatchStream> {
        self.run(sql).await.map(|execution| execution.rows)
    }

    /// Runs a statement as [`execute`](Self::execute) does; where it has run can be asked when all rows have been read.
    pub async fn run(&self, sql: &str) -> Result<Execution> {
        if let Some(plan) = self.plans.get(&self.ctx, sql).await {
            let task = self.ctx.task_ctx();
            return match plan.is_deep {
                true => large_stack::spawn(async move { Execution::start(plan, task).map(Execution::here) }).await,
                false => Execution::start(plan, task),
            };
        }
        let started = match statement::run(&self.ctx, sql).await {
            Ok(Some(frame)) => execute(frame).await,
            Ok(None) => self.run_parsed(sql).await,
            Err(error) => Err(error),
        };
        started.map_err(|error| self.explain(error))
    }

    async fn run_parsed(&self, sql: &str) -> Result<Execution> {
        let parsed = statement::parse(&self.ctx.state(), sql)?;
        let query = Query { ctx: self.ctx.clone(), plans: Arc::clone(&self.plans), sql: sql.to_string(), parsed };
        match query.parsed.levels > SHALLOW {
            true => large_stack::spawn(async move { query.run(true).await.map(Execution::here) }).await,
            false => query.run(false).await,
        }
    }

    /// Runs a statement to its end.
    pub async fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        datafusion::physical_plan::common::collect(self.execute(sql).await?).await
    }

    /// What statements had to say beside their rows since this was last asked: that a table is a folder without files, say.
    pub fn take_notices(&self) -> Vec<String> {
        frontend::take_notices(&self.ctx.copied_config())
    }

    /// A registered table as DataFusion's DataFrame, which runs on the device as SQL does.
    pub async fn table(&self, name: &str) -> Result<DataFrame> {
        self.ctx.table(name).await
    }

    /// How far the tables are that are being loaded from Parquet files; `None` if none is.
    pub fn loading(&self) -> Option<LoadProgress> {
        DeviceContext::of(&self.ctx.task_ctx()).ok()?.load_tracker.now()
    }

    /// Pipelines that the host operators have answered so far although the device could: they were faster, or its programs were not
    /// compiled.
    pub fn host_runs(&self) -> usize {
        self.device().map_or(0, |device| device.history.host_runs())
    }

    /// Whether nothing is being made ready for the device in the background (`xla.background_compile`).
    pub fn at_rest(&self) -> bool {
        self.device().is_none_or(|device| device.history.at_rest())
    }

    fn device(&self) -> Option<Arc<DeviceContext>> {
        self.ctx.copied_config().get_extension::<DeviceContext>()
    }

    /// The HLO programs that a query would run, in order. Tables that they read are loaded.
    pub async fn programs(&self, sql: &str) -> Result<Vec<Program>> {
        let plan = self.sql(sql).await?.create_physical_plan().await?;
        let task = self.ctx.task_ctx();
        let mut boundaries = Vec::new();
        collect_boundaries(&plan, &mut boundaries);
        let mut programs = Vec::new();
        for boundary in boundaries {
            if let Some(boundary) = boundary.downcast_ref::<DeviceToHostExec>() {
                programs.extend(boundary.programs(&task).await?);
            }
        }
        Ok(programs)
    }

    /// The operators of a query that stay on the host although they have work that a device could do, in EXPLAIN's order. The query
    /// is planned but not run.
    ///
    /// # Errors
    /// When the query cannot be planned.
    pub async fn fallbacks(&self, sql: &str) -> Result<Vec<Fallback>> {
        let plan = self.sql(sql).await?.create_physical_plan().await?;
        Ok(fallbacks(&plan).into_iter().filter(|fallback| fallback.reason.is_work()).collect())
    }

    /// Registers a Parquet, CSV, JSON or Arrow file, or a folder of them, as a table.
    pub async fn register_path(&self, name: &str, path: &Path) -> Result<()> {
        tables::register_path(&self.ctx, name, path).await
    }

    /// Registers each Parquet, CSV, JSON and Arrow file or folder in `dir`; returns the table names in order.
    pub async fn register_dir(&self, dir: &Path) -> Result<Vec<String>> {
        tables::register_dir(&self.ctx, dir).await
    }
}

/// A statement that has been parsed, and the cache that its plan goes to.
struct Query {
    ctx: SessionContext,
    plans: Arc<PlanCache>,
    sql: String,
    parsed: Parsed,
}

impl Query {
    async fn run(self, is_deep: bool) -> Result<Execution> {
        let Self { ctx, plans, sql, parsed } = self;
        let tables = parsed.tables(&ctx.state())?;
        let frame = statement::plan(&ctx, parsed).await?;
        let task = frame.task_ctx().into();
        let logical = frame.logical_plan().clone();
        let plan = Plan::new(frame.create_physical_plan().await?, is_deep);
        plans.insert(&ctx, &sql, &logical, &plan, tables).await;
        Execution::start(plan, task)
    }
}

async fn execute(frame: DataFrame) -> Result<Execution> {
    let task = frame.task_ctx().into();
    Execution::start(Plan::new(frame.create_physical_plan().await?, false), task)
}

/// A statement that runs.
pub struct Execution {
    /// Its rows.
    pub rows: SendableRecordBatchStream,
    plan: Plan,
}

/// Where a query has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RanOn {
    /// DataFusion's operators have run all of it.
    Host,
    /// XLA programs have run all of it that Parallax planned for the device.
    Device,
    /// Some pipelines have run on one, some on the other.
    Both,
}

impl Execution {
    fn start(plan: Plan, task: Arc<TaskContext>) -> Result<Self> {
        let config = Arc::clone(task.session_config().options());
        let rows = execute_stream(Arc::clone(&plan.root), task)?;
        let schema = rows.schema();
        let running = plan.clone();
        let explain = move |error| frontend::explain(tables::locate_csv_value(error, &running.root), &config);
        let rows = rows.map(move |batch| batch.map_err(&explain));
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        Ok(Self { rows, plan })
    }

    /// Computes the rows on the threads of this runtime, whatever thread reads them.
    fn here(self) -> Self {
        let Self { mut rows, plan } = self;
        let schema = rows.schema();
        let (sender, receiver) = mpsc::channel(1);
        let task = SpawnedTask::spawn(async move {
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        let rows = stream::unfold((receiver, Some(task)), |(mut receiver, task)| async move {
            if let Some(batch) = receiver.recv().await {
                return Some((batch, (receiver, task)));
            }
            match task?.join().await {
                Ok(()) => None,
                Err(error) => {
                    let error = DataFusionError::Execution(format!("the statement failed: {error}"));
                    Some((Err(error), (receiver, None)))
                }
            }
        });
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        Self { rows, plan }
    }

    /// A handle that tells where the statement has run once all of its rows have been read.
    pub fn trace(&self) -> Trace {
        Trace(self.plan.clone())
    }
}

/// Tells where a statement has run.
pub struct Trace(Plan);

impl Trace {
    /// Where the statement has run so far.
    pub fn ran_on(&self) -> RanOn {
        let mut boundaries = Vec::new();
        collect_boundaries(&self.0.root, &mut boundaries);
        // Only a run on the device downloads rows; one that fell back afterwards has run on the host.
        let on_device = |boundary: &Arc<dyn ExecutionPlan>| {
            boundary.metrics().is_some_and(|metrics| {
                let has = |name: &str| metrics.iter().any(|metric| metric.value().name().starts_with(name));
                (has("device_time") || has("download_time")) && !has("fallback")
            })
        };
        match boundaries.iter().filter(|boundary| on_device(boundary)).count() {
            0 => RanOn::Host,
            n if n == boundaries.len() => RanOn::Device,
            _ => RanOn::Both,
        }
    }
}

/// The device boundaries of a plan, the deepest first.
fn collect_boundaries(plan: &Arc<dyn ExecutionPlan>, out: &mut Vec<Arc<dyn ExecutionPlan>>) {
    for child in plan.children() {
        collect_boundaries(child, out);
    }
    if plan.downcast_ref::<DeviceToHostExec>().is_some() {
        out.push(plan.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::datasource::MemTable;

    use crate::session::{Fallback, FallbackReason, Session};

    async fn is_planned_once(session: &Session, sql: &str) -> bool {
        session.collect(sql).await.unwrap();
        session.plans.get(&session.ctx, sql).await.is_some()
    }

    #[cfg(feature = "tpch")]
    #[tokio::test]
    async fn queries_of_tpch_are_planned_once() {
        let session = Session::builder().set("xla.placement", "never").build().unwrap();
        for (name, batches) in crate::tpch::tables(0.001).unwrap() {
            let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
            session.context().register_table(name, Arc::new(table)).unwrap();
        }
        for n in 1..=22 {
            assert!(is_planned_once(&session, crate::tpch::query(n)).await, "Q{n}");
        }
    }

    #[tokio::test]
    async fn deep_queries_are_planned_once() {
        let session = Session::builder().set("xla.placement", "never").build().unwrap();
        session.collect("CREATE TABLE t AS VALUES (1), (2), (3)").await.unwrap();
        let deep = format!("SELECT sum({}column1{}) FROM t", "abs(".repeat(100), ")".repeat(100));
        for _ in 0..2 {
            assert!(is_planned_once(&session, &deep).await);
        }
        assert!(is_planned_once(&session, "SELECT 1 FROM t WHERE column1 BETWEEN 1 AND coalesce(column1, 2)").await);
        assert!(!is_planned_once(&session, "SELECT random() FROM t").await);
    }

    #[tokio::test]
    async fn fallbacks_name_the_operator_and_the_reason() {
        let session = Session::builder().set("xla.placement", "auto").build().unwrap();
        session.collect("CREATE TABLE t AS VALUES (1), (2), (3)").await.unwrap();
        let sql = "SELECT row_number() OVER (ORDER BY column1) FROM t WHERE column1 > 1";
        // A sort that DataFusion adds for the window stays on the host, too.
        let found = session.fallbacks(sql).await.unwrap();
        let fallback = found.iter().find(|fallback| fallback.node == "BoundedWindowAggExec").unwrap();
        let Fallback { display, reason, .. } = fallback;
        assert!(display.starts_with("BoundedWindowAggExec: ") && !display.contains("[host"), "{display}");
        assert!(matches!(reason, FallbackReason::Operator { .. }), "{reason}");
        assert_eq!(fallback.expression(), None);
        let found = session.fallbacks("SELECT array_agg(column1) FROM t").await.unwrap();
        assert_eq!(found.first().and_then(Fallback::expression), Some("array_agg(t.column1)"));
        assert_eq!(session.fallbacks("SELECT sum(column1) FROM t").await.unwrap(), []);
    }
}
