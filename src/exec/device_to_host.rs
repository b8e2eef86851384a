//! `DeviceToHostExec`: the upper border of a pipeline. Loads the source, traces and runs the programs, and streams the
//! live rows as RecordBatches.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt};

use crate::columnar::table::DeviceTable;
use crate::config::{Placement, XlaOptions};
use crate::exec::context::DeviceContext;
use crate::exec::device_node::{only_child, visit_expressions};
use crate::exec::pipeline::Pipeline;
use crate::exec::run::{
    Cancelled, Chunks, DeviceFailure, Ready, RunResult, device_error, run_finish, run_stream, run_update,
};
use crate::expr::fallback::FallbackReason;
use crate::program::Program;
use crate::runtime::CacheOutcome;

#[derive(Debug)]
pub struct DeviceToHostExec {
    pub input: Arc<dyn ExecutionPlan>,
    /// The host plan that this pipeline replaces, as it was before placement, for what only the data can tell
    /// (`run_time_fallback`).
    host_plan: Arc<dyn ExecutionPlan>,
    /// Count the rows after every operator, for EXPLAIN ANALYZE.
    count_rows: bool,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// A reason of an aggregate that shows only once the data has been read. `auto` runs the host plan; `always` makes it an
/// error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunTimeFallback(pub FallbackReason);

// `thiserror` asks for an Error impl of what it displays; the reason only needs Display.
impl std::error::Error for FallbackReason {}

/// The error that asks for the host plan.
pub fn run_time_fallback(reason: FallbackReason) -> DataFusionError {
    DataFusionError::External(Box::new(RunTimeFallback(reason)))
}

/// The message of an operator that must run on the device and cannot.
pub fn cannot_run_on_device(node: &str, reason: &FallbackReason) -> DataFusionError {
    DataFusionError::Plan(format!(
        "{node} cannot run on the device: {reason} (xla.placement = always; set it to auto to run it on the host)"
    ))
}

impl DeviceToHostExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, host_plan: Arc<dyn ExecutionPlan>, count_rows: bool) -> Self {
        Self {
            properties: input.properties().clone(),
            input,
            host_plan,
            count_rows,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Loads the source and traces the programs that running this node would compile.
    pub async fn programs(&self, task: &Arc<TaskContext>) -> Result<Vec<Program>> {
        let run = self.prepare(task)?;
        let pipeline = Pipeline::of(&self.input)?;
        let table = pipeline.source.load(task, &run.device, &run.options).await?;
        let max_groups = run.options.max_dense_groups;
        Ok(match pipeline.aggregate_at() {
            None => vec![pipeline.trace_stream(&table, max_groups, false)?.traced.program],
            Some(at) => {
                let update = pipeline.trace_update(at, &table, max_groups, false)?;
                let workers = run.workers(&table);
                let devices = run.device.mesh.len();
                let finish = pipeline.trace_finish(at, &update, workers, devices, max_groups, false)?;
                vec![update.traced.program, finish.traced.program]
            }
        })
    }

    fn prepare(&self, task: &Arc<TaskContext>) -> Result<Run> {
        let device = DeviceContext::of(task)?;
        let options = XlaOptions::of(task.session_config().options());
        device.mesh.runtime().memory().set_limit(options.memory_limit);
        Ok(Run {
            input: self.input.clone(),
            schema: self.input.schema(),
            device,
            options,
            count_rows: self.count_rows,
            metrics: self.metrics.clone(),
            cancelled: Cancelled::default(),
        })
    }
}

/// One execution of the pipeline.
#[derive(Clone)]
struct Run {
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    device: Arc<DeviceContext>,
    options: XlaOptions,
    count_rows: bool,
    metrics: ExecutionPlanMetricsSet,
    cancelled: Cancelled,
}

impl Run {
    /// Workers that take chunks: one a device where devices step together.
    fn workers(&self, table: &DeviceTable) -> usize {
        if self.device.mesh.len() > 1 {
            return 1;
        }
        self.device.workers(&self.options).min(table.layout.chunks_per_shard()).max(1)
    }

    /// Traces, compiles and runs; `emit` gets the rows.
    fn run(&self, table: &DeviceTable, mut emit: impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let pipeline = Pipeline::of(&self.input)?;
        let mesh = &self.device.mesh;
        let max_groups = self.options.max_dense_groups;
        let workers = self.workers(table);
        let chunks = Chunks { table, mesh, workers, cancelled: &self.cancelled };
        match pipeline.aggregate_at() {
            None => {
                let result = pipeline.trace_stream(table, max_groups, self.count_rows)?;
                let ready = Ready::new(&result.traced, mesh)?;
                record_compile(&self.metrics, &ready.outcome);
                let mut record = |run: RunResult| {
                    self.record(&pipeline, &run, 0);
                    emit(run.batch)
                };
                run_stream(&ready, &result, chunks, &self.schema, &mut record)
            }
            Some(at) => {
                let update = pipeline.trace_update(at, table, max_groups, self.count_rows)?;
                let result = pipeline.trace_finish(at, &update, workers, mesh.len(), max_groups, self.count_rows)?;
                let ready = Ready::new(&update.traced, mesh)?;
                let aggregate_metrics = pipeline.nodes[at].metrics();
                record_compile(aggregate_metrics, &ready.outcome);
                let finish = Ready::new(&result.traced, mesh)?;
                record_compile(&self.metrics, &finish.outcome);
                let totals = run_update(&ready, &update, chunks)?;
                let update_time = totals.kernel_time;
                let run = run_finish(&finish, &result, &update.traced.errors, totals, mesh, &self.schema)?;
                // Updates are enqueued and waited for by the finish, which takes microseconds itself.
                MetricBuilder::new(aggregate_metrics)
                    .subset_time("kernel_time", 0)
                    .add_duration(update_time + run.kernel_time);
                self.record(&pipeline, &run, 0);
                emit(run.batch)
            }
        }
    }

    fn record(&self, pipeline: &Pipeline<'_>, run: &RunResult, partition: usize) {
        let of = |name: &'static str| MetricBuilder::new(&self.metrics).counter(name, partition);
        if pipeline.aggregate_at().is_none() {
            MetricBuilder::new(&self.metrics).subset_time("kernel_time", partition).add_duration(run.kernel_time);
        }
        MetricBuilder::new(&self.metrics).subset_time("download_time", partition).add_duration(run.download_time);
        of("download_bytes").add(run.download_bytes);
        MetricBuilder::new(&self.metrics).output_rows(partition).add(run.batch.num_rows());
        for (node, rows) in pipeline.nodes.iter().zip(&run.row_counts) {
            MetricBuilder::new(node.metrics()).output_rows(partition).add(*rows as usize);
        }
    }
}

fn record_compile(metrics: &ExecutionPlanMetricsSet, outcome: &CacheOutcome) {
    let name = if outcome.hit { "program_cache_hits" } else { "program_cache_misses" };
    MetricBuilder::new(metrics).counter(name, 0).add(1);
    MetricBuilder::new(metrics).subset_time("compile_time", 0).add_duration(outcome.compile_time);
}

impl DisplayAs for DeviceToHostExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let programs = Pipeline::of(&self.input).map(|p| p.program_names()).unwrap_or_default();
        if format == DisplayFormatType::TreeRender {
            return write!(f, "programs={}", programs.join(", "));
        }
        write!(f, "DeviceToHostExec: programs=[{}]", programs.join(", "))
    }
}

impl ExecutionPlan for DeviceToHostExec {
    fn name(&self) -> &str {
        "DeviceToHostExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    // The order of the rows is in the properties; were it said to be the input's, DataFusion would push a host sort
    // below the border, into the pipeline.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<datafusion::common::tree_node::TreeNodeRecursion>,
    ) -> Result<datafusion::common::tree_node::TreeNodeRecursion> {
        visit_expressions(Vec::new(), f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_child(children, "DeviceToHostExec")?;
        Ok(Arc::new(Self::new(input, self.host_plan.clone(), self.count_rows)))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("DeviceToHostExec has no partition {partition}")));
        }
        let run = self.prepare(&task)?;
        let schema = self.schema();
        let host_plan = self.host_plan.clone();
        let batch_size = task.session_config().batch_size();
        let (rows, receiver) = tokio::sync::mpsc::channel::<Result<RecordBatch>>(2);
        // Dropping the stream drops this guard, and the workers stop before their next chunk.
        let guard = CancelOnDrop(run.cancelled.clone());
        let driver = async move {
            let outcome = drive(&run, &task, rows.clone()).await;
            if let Err(error) = outcome {
                let outcome = match (reason_of(&error), failure_of(&error)) {
                    (Some(reason), _) => on_host(&run, reason, host_plan, &task, &rows).await,
                    (None, Some(message)) => Err(explain_failure(&message, host_plan, &task).await),
                    (None, None) => Err(error),
                };
                if let Err(error) = outcome {
                    let _reader_is_gone = rows.send(Err(error)).await;
                }
            }
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(driver);
        let stream = futures::stream::unfold((receiver, guard, tasks), |(mut receiver, guard, tasks)| async move {
            receiver.recv().await.map(|item| (item, (receiver, guard, tasks)))
        });
        let stream = stream
            .map_ok(move |batch| futures::stream::iter(slices(batch, batch_size).into_iter().map(Ok)))
            .try_flatten()
            .boxed();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct CancelOnDrop(Cancelled);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Loads the source and runs the programs on a blocking thread.
async fn drive(run: &Run, task: &Arc<TaskContext>, rows: tokio::sync::mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
    let table = {
        let pipeline = Pipeline::of(&run.input)?;
        pipeline.source.load(task, &run.device, &run.options).await?
    };
    let run = run.clone();
    let work = move || {
        run.run(&table, |batch| {
            if batch.num_rows() == 0 {
                return Ok(());
            }
            let gone = |_| DataFusionError::Execution("the query was cancelled".to_string());
            rows.blocking_send(Ok(batch)).map_err(gone)
        })
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| DataFusionError::Execution(format!("a device pipeline: {e}")))?
}

/// The reason in a run-time fallback error.
fn reason_of(error: &DataFusionError) -> Option<FallbackReason> {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<RunTimeFallback>() {
            Some(fallback) => Some(fallback.0.clone()),
            None => inner.downcast_ref::<FallbackReason>().cloned(),
        },
        _ => None,
    }
}

/// The message of an expression that failed on the device.
fn failure_of(error: &DataFusionError) -> Option<String> {
    match error {
        DataFusionError::External(inner) => inner.downcast_ref::<DeviceFailure>().map(|f| f.0.clone()),
        _ => None,
    }
}

/// The error of a failed query as DataFusion words it, values included. A program reports only which expression failed,
/// so the host operators run until they meet the error; no row of theirs is used. Where they meet none (they may
/// evaluate in another order), the device's own message stands.
async fn explain_failure(message: &str, host_plan: Arc<dyn ExecutionPlan>, task: &Arc<TaskContext>) -> DataFusionError {
    let replay = async {
        let mut stream = execute_stream(ready_on_host(host_plan, task)?, task.clone())?;
        while let Some(batch) = stream.next().await {
            batch?;
        }
        Ok::<(), DataFusionError>(())
    };
    match replay.await {
        Err(error) => error,
        Ok(()) => device_error(message),
    }
}

/// The replaced host plan as it can run: placement came before its distribution and order, and nodes that the pipeline's
/// source shares have been executed and hold what they made.
fn ready_on_host(host_plan: Arc<dyn ExecutionPlan>, task: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    let options: &ConfigOptions = task.session_config().options();
    reset_plan_states(EnsureRequirements::new().optimize(host_plan, options)?)
}

/// Runs the replaced host plan, under `auto`; the reason becomes a metric that EXPLAIN ANALYZE shows.
async fn on_host(
    run: &Run,
    reason: FallbackReason,
    host_plan: Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    rows: &tokio::sync::mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    if run.options.placement == Placement::Always {
        return Err(cannot_run_on_device("AggregateExec", &reason));
    }
    MetricBuilder::new(&run.metrics).counter(format!("ran on the host: {reason}"), 0).add(1);
    let mut stream = execute_stream(ready_on_host(host_plan, task)?, task.clone())?;
    let output_rows = MetricBuilder::new(&run.metrics).output_rows(0);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        output_rows.add(batch.num_rows());
        if rows.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A batch in slices of at most `batch_size` rows.
fn slices(batch: RecordBatch, batch_size: usize) -> Vec<RecordBatch> {
    let step = batch_size.max(1);
    (0..batch.num_rows()).step_by(step).map(|at| batch.slice(at, step.min(batch.num_rows() - at))).collect()
}
