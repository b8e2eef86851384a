//! `DeviceToHostExec`: the upper border of device operators. Loads what they read, has the engine run them, and streams the live
//! rows as RecordBatches.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt};

use crate::config::{Placement, XlaOptions};
use crate::exec::column_use::leaf_columns;
use crate::exec::context::DeviceContext;
use crate::exec::device_node::{only_child, visit_expressions};
use crate::exec::engine::Engine;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::exec::memory_mode::MemoryMode;
use crate::exec::program_names::{gathering_operators, program_names};
use crate::exec::run::{Cancelled, DeviceFailure, device_error};
use crate::exec::table_source::TableSource;
use crate::exec::tier::{Claim, Tier, fingerprint};
use crate::expr::fallback::FallbackReason;
use crate::program::Program;
use crate::runtime::Turn;

#[derive(Debug)]
pub struct DeviceToHostExec {
    pub input: Arc<dyn ExecutionPlan>,
    /// The host plan that this pipeline replaces, as it was before placement, for what only the data can tell
    /// (`reason_of`).
    host_plan: Arc<dyn ExecutionPlan>,
    /// Count the rows after every operator, for EXPLAIN ANALYZE.
    count_rows: bool,
    /// Devices of the mesh.
    devices: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// Names of the programs of the last run, for EXPLAIN ANALYZE.
    ran: Arc<Mutex<Vec<String>>>,
}

// A reason that shows only in the data is the error that asks for the host plan: `auto` runs it, `always` is an error.
impl std::error::Error for FallbackReason {}

/// The message of an operator that must run on the device and cannot.
pub fn cannot_run_on_device(node: &str, reason: impl fmt::Display) -> DataFusionError {
    DataFusionError::Plan(format!(
        "{node} cannot run on the device: {reason} (xla.placement = always; set it to auto to run it on the host)"
    ))
}

impl DeviceToHostExec {
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        host_plan: Arc<dyn ExecutionPlan>,
        count_rows: bool,
        devices: usize,
    ) -> Self {
        Self {
            properties: input.properties().clone(),
            input,
            host_plan,
            count_rows,
            devices,
            metrics: ExecutionPlanMetricsSet::new(),
            ran: Arc::default(),
        }
    }

    /// Runs the operators and returns the programs that they became, in order.
    pub async fn programs(&self, task: &Arc<TaskContext>) -> Result<Vec<Program>> {
        let run = self.prepare(task)?;
        let engine = run.load(task, MemoryMode::Resident).await?;
        let work = move || {
            run.download(&engine, |_| Ok(true))?;
            Ok(engine.into_programs())
        };
        tokio::task::spawn_blocking(work).await.map_err(pipeline_panicked)?
    }

    fn prepare(&self, task: &Arc<TaskContext>) -> Result<Run> {
        let device = DeviceContext::of(task)?;
        let mut options = XlaOptions::of(task.session_config().options());
        options.count_rows |= self.count_rows;
        device.begin(&options);
        Ok(Run {
            input: self.input.clone(),
            schema: self.input.schema(),
            device,
            options,
            metrics: self.metrics.clone(),
            ran: self.ran.clone(),
            cancelled: Cancelled::default(),
        })
    }
}

/// One execution of the operators below the border.
#[derive(Clone)]
struct Run {
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    device: Arc<DeviceContext>,
    options: XlaOptions,
    metrics: ExecutionPlanMetricsSet,
    ran: Arc<Mutex<Vec<String>>>,
    cancelled: Cancelled,
}

impl Run {
    async fn load(&self, task: &Arc<TaskContext>, mode: MemoryMode) -> Result<Engine> {
        let (device, options) = (self.device.clone(), self.options.clone());
        Engine::load(&self.input, task, device, options, self.cancelled.clone(), self.metrics.clone(), mode).await
    }

    /// Where memory is limited, waits for others: one that starts again is alone, so that it has all there is.
    fn wait_for_turn(&self, mode: MemoryMode) -> Result<Option<Turn<'_>>> {
        if self.options.memory_limit.is_none() {
            return Ok(None);
        }
        let start = Instant::now();
        let turns = self.device.mesh.runtime().turns();
        let turn = turns.wait(mode > MemoryMode::Resident, || self.cancelled.check().is_err());
        MetricBuilder::new(&self.metrics).subset_time("turn_time", 0).add_duration(start.elapsed());
        self.cancelled.check()?;
        Ok(turn)
    }

    /// Whether a run that has ended so may start again with less on the device.
    fn may_be_frugal(&self, outcome: &Result<()>, sent: &AtomicBool) -> bool {
        let ran_out = matches!(outcome, Err(DataFusionError::ResourcesExhausted(_)));
        ran_out && self.options.memory_limit.is_some() && !sent.load(Ordering::Relaxed)
    }

    /// Runs the operators; `emit` gets the rows and says whether it wants more.
    fn download(&self, engine: &Engine, mut emit: impl FnMut(RecordBatch) -> Result<bool>) -> Result<()> {
        let relation = engine.open(&self.input)?;
        engine.download(&relation, &self.schema, |rows| {
            MetricBuilder::new(&self.metrics).subset_time("download_time", 0).add_duration(rows.time);
            MetricBuilder::new(&self.metrics).counter("download_bytes", 0).add(rows.bytes);
            MetricBuilder::new(&self.metrics).output_rows(0).add(rows.batch.num_rows());
            emit(rows.batch)
        })
    }
}

fn pipeline_panicked(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::Execution(format!("a device pipeline: {error}"))
}

impl DisplayAs for DeviceToHostExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = if ran.is_empty() { program_names(&self.input) } else { ran.clone() };
        if format == DisplayFormatType::TreeRender {
            return write!(f, "programs={}", programs.join(", "));
        }
        write!(f, "DeviceToHostExec: programs=[{}]", programs.join(", "))?;
        if self.devices > 1 {
            write!(f, ", devices={}", self.devices)?;
            let gathering = gathering_operators(&self.input);
            if !gathering.is_empty() {
                write!(f, ", gathered to one device for [{}]", gathering.join(", "))?;
            }
        }
        Ok(())
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
        Ok(Arc::new(Self::new(input, self.host_plan.clone(), self.count_rows, self.devices)))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("DeviceToHostExec has no partition {partition}")));
        }
        let mut run = self.prepare(&task)?;
        let schema = self.schema();
        let host_plan = self.host_plan.clone();
        let batch_size = task.session_config().batch_size();
        let (rows, receiver) = tokio::sync::mpsc::channel::<Result<RecordBatch>>(2);
        // Dropping the stream drops this guard, and the workers stop before their next chunk.
        let guard = CancelOnDrop(run.cancelled.clone());
        let driver = async move {
            if run.options.tiered && run.options.placement == Placement::Auto && !run.options.count_rows {
                let pipeline = fingerprint(&run.input, &run.options);
                if let (Tier::Host(why), claim) = run.device.tiers.choose(pipeline) {
                    let start = Instant::now();
                    match on_host(&run, &why, host_plan, &task, &rows).await {
                        Ok(true) => run.device.tiers.host_took(pipeline, start.elapsed()),
                        Ok(false) => {}
                        Err(error) => {
                            let _reader_is_gone = rows.send(Err(error)).await;
                        }
                    }
                    if let Some(claim) = claim {
                        tokio::spawn(warm_up(run.clone(), task.clone(), claim));
                    }
                    return;
                }
            }
            let sent = Arc::new(AtomicBool::new(false));
            let mut mode = MemoryMode::Resident;
            let mut outcome = drive(&run, &task, rows.clone(), sent.clone(), mode).await;
            while let (true, Some(next)) = (run.may_be_frugal(&outcome, &sent), mode.next()) {
                mode = next;
                while run.device.resident.evict_one() {}
                match again(&run.input) {
                    Ok(input) => run.input = input,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
                MetricBuilder::new(&run.metrics).counter(format!("started again, memory mode {mode:?}"), 0).add(1);
                outcome = drive(&run, &task, rows.clone(), sent.clone(), mode).await;
            }
            if let Err(error) = outcome {
                let may_start_over = !sent.load(Ordering::Relaxed) && run.options.placement != Placement::Always;
                let outcome = match (reason_of(&error), failure_of(&error)) {
                    (Some(reason), _) => on_host(&run, &reason.to_string(), host_plan, &task, &rows).await.map(|_| ()),
                    // The host meets the error, too, and words it with the values; or it evaluates in another order, or
                    // with wider sums, and has an answer.
                    (None, Some(message)) if may_start_over => {
                        on_host(&run, &message, host_plan, &task, &rows).await.map(|_| ())
                    }
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

/// The operators of a run that starts again. What only scans tables can be read again as it is, and keeps its metrics.
fn again(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let leaves = leaf_columns(input);
    let mut sources = leaves.iter().filter_map(|(leaf, _)| leaf.downcast_ref::<HostToDeviceExec>());
    if sources.all(|source| TableSource::of(&source.input).is_some()) {
        return Ok(Arc::clone(input));
    }
    reset_plan_states(Arc::clone(input))
}

/// Loads the tables and runs the programs on a blocking thread; sets `sent` once the reader has rows.
async fn drive(
    run: &Run,
    task: &Arc<TaskContext>,
    rows: tokio::sync::mpsc::Sender<Result<RecordBatch>>,
    sent: Arc<AtomicBool>,
    mode: MemoryMode,
) -> Result<()> {
    let engine = run.load(task, mode).await?;
    let run = run.clone();
    let target = task.session_config().batch_size();
    let work = move || {
        let mut turn = run.wait_for_turn(mode)?;
        let mut send = |batch: Option<RecordBatch>| match batch {
            Some(batch) => {
                sent.store(true, Ordering::Relaxed);
                let gone = |_| DataFusionError::Execution("the query was cancelled".to_string());
                // The reader may be an operator of a query that waits for its turn.
                match &mut turn {
                    Some(turn) => turn.pause(|| rows.blocking_send(Ok(batch))),
                    None => rows.blocking_send(Ok(batch)),
                }
                .map_err(gone)
            }
            None => Ok(()),
        };
        let mut small = SmallBatches { schema: run.schema.clone(), target, rows: 0, kept: Vec::new() };
        let outcome = run.download(&engine, |batch| {
            if small.rows + batch.num_rows() > small.target {
                send(small.take()?)?;
            }
            if batch.num_rows() >= small.target {
                send(Some(batch))?;
            } else {
                small.keep(batch);
            }
            Ok(true)
        });
        let names = engine.into_programs().into_iter().map(|program| program.name).collect();
        *run.ran.lock().unwrap_or_else(PoisonError::into_inner) = names;
        outcome?;
        send(small.take()?)
    };
    tokio::task::spawn_blocking(work).await.map_err(pipeline_panicked)?
}

/// Batches of few rows, until there are enough for one. A chunk of which a filter left little, or a shard of a small
/// table, would be a batch of its own, and host operators above would spread those over partitions.
struct SmallBatches {
    schema: SchemaRef,
    target: usize,
    rows: usize,
    kept: Vec<RecordBatch>,
}

impl SmallBatches {
    fn keep(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.kept.push(batch);
        }
    }

    fn take(&mut self) -> Result<Option<RecordBatch>> {
        self.rows = 0;
        let kept = std::mem::take(&mut self.kept);
        match kept.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            _ => Ok(Some(concat_batches(&self.schema, &kept)?)),
        }
    }
}

/// The reason in a run-time fallback error.
fn reason_of(error: &DataFusionError) -> Option<FallbackReason> {
    match error {
        DataFusionError::External(inner) => inner.downcast_ref::<FallbackReason>().cloned(),
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

/// The replaced host plan as it can run: placement came before DataFusion's distribution, order and all that follows, and nodes
/// that the pipeline's source shares have been executed and hold what they made.
fn ready_on_host(host_plan: Arc<dyn ExecutionPlan>, task: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    let options: &ConfigOptions = task.session_config().options();
    let first = EnsureRequirements::new();
    let rules = PhysicalOptimizer::new().rules;
    let rest = rules.iter().skip_while(|rule| rule.name() != first.name()).skip(1);
    let mut plan = first.optimize(host_plan, options)?;
    // What is required of the output is the business of the whole plan, which this is a part of.
    for rule in rest.filter(|rule| rule.name() != "OutputRequirements") {
        plan = rule.optimize(plan, options)?;
    }
    reset_plan_states(plan)
}

/// Runs the replaced host plan, under `auto`; the reason becomes a metric that EXPLAIN ANALYZE shows. False if the reader went
/// away before the end.
async fn on_host(
    run: &Run,
    reason: &str,
    host_plan: Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    rows: &tokio::sync::mpsc::Sender<Result<RecordBatch>>,
) -> Result<bool> {
    if run.options.placement == Placement::Always {
        return Err(cannot_run_on_device("AggregateExec", reason));
    }
    MetricBuilder::new(&run.metrics).counter(format!("ran on the host: {reason}"), 0).add(1);
    let mut stream = execute_stream(ready_on_host(host_plan, task)?, task.clone())?;
    let output_rows = MetricBuilder::new(&run.metrics).output_rows(0);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        output_rows.add(batch.num_rows());
        if rows.send(Ok(batch)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs a pipeline twice, for nobody: the first compiles and uploads, the second is timed.
async fn warm_up(run: Run, task: Arc<TaskContext>, claim: Claim) {
    let tiers = Arc::clone(&run.device.tiers);
    let Ok(_one_at_a_time) = tiers.background.acquire().await else { return };
    let run =
        Run { metrics: ExecutionPlanMetricsSet::new(), ran: Arc::default(), cancelled: Cancelled::default(), ..run };
    let once = || async {
        run.device.memo.forget(&task);
        let start = Instant::now();
        let run = Run { input: again(&run.input)?, ..run.clone() };
        let engine = run.load(&task, MemoryMode::Resident).await?;
        let work = move || {
            let _turn = run.wait_for_turn(MemoryMode::Resident)?;
            run.download(&engine, |_| Ok(true))
        };
        tokio::task::spawn_blocking(work).await.map_err(pipeline_panicked)??;
        Ok::<_, DataFusionError>(start.elapsed())
    };
    let time = match once().await {
        Ok(_) => once().await.ok(),
        Err(_) => None,
    };
    claim.settle(time);
}

/// A batch in slices of at most `batch_size` rows.
fn slices(batch: RecordBatch, batch_size: usize) -> Vec<RecordBatch> {
    let step = batch_size.max(1);
    (0..batch.num_rows()).step_by(step).map(|at| batch.slice(at, step.min(batch.num_rows() - at))).collect()
}
