//! One execution of a pipeline: who answers is chosen, the device runs the operators in the memory mode that they need or the host
//! operators run in their place, and the times are remembered.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;

use crate::config::{Placement, XlaOptions};
use crate::exec::column_use::leaf_columns;
use crate::exec::context::DeviceContext;
use crate::exec::engine::Engine;
use crate::exec::host_answer::HostPlan;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::exec::memory_mode::MemoryMode;
use crate::exec::pipeline::Pipeline;
use crate::exec::run::{Cancelled, DeviceFailure};
use crate::exec::table_source::TableSource;
use crate::exec::tier::{Choice, Claim, WarmUp};
use crate::exec::under_way::UnderWay;
use crate::expr::fallback::FallbackReason;
use crate::expr::tracer::error::ExpressionError;
use crate::runtime::Turn;

// A reason that shows only in the data is the error that asks for the host plan: `auto` runs it, `always` is an error.
/// The message of an operator that must run on the device and cannot.
pub fn cannot_run_on_device(node: &str, reason: impl fmt::Display) -> DataFusionError {
    DataFusionError::Plan(format!(
        "{node} cannot run on the device: {reason} (xla.placement = always; set it to auto to run it on the host)"
    ))
}

/// One execution of the operators below the border.
#[derive(Clone)]
pub struct Run {
    pub input: Arc<dyn ExecutionPlan>,
    pub schema: SchemaRef,
    pub device: Arc<DeviceContext>,
    pub options: XlaOptions,
    /// Of the border.
    pub metrics: ExecutionPlanMetricsSet,
    /// Gets the names of the programs.
    pub ran: Arc<Mutex<Vec<String>>>,
    pub cancelled: Cancelled,
    pub _under_way: Arc<UnderWay>,
}

impl Run {
    pub async fn load(&self, task: &Arc<TaskContext>, mode: MemoryMode) -> Result<Engine> {
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

    /// Time spent so far on what a next run need not do again: compiling, and uploading columns that stay.
    fn once_so_far(&self, pipeline: &Pipeline) -> Duration {
        let time = |metrics: &ExecutionPlanMetricsSet, name: &str| {
            let total = metrics.clone_inner().sum_by_name(name).map_or(0, |value| value.as_usize());
            Duration::from_nanos(total as u64)
        };
        let leaves = leaf_columns(&self.input);
        let leaves = leaves.iter().filter_map(|(leaf, _)| leaf.downcast_ref::<HostToDeviceExec>());
        let stays = leaves.zip(pipeline.leaves_stay()).filter(|(_, stays)| *stays);
        stays.map(|(leaf, _)| time(&leaf.metrics, "upload_time")).sum::<Duration>()
            + time(&self.metrics, "compile_time")
    }

    /// Runs the operators; `emit` gets the rows and says whether it wants more.
    pub fn download(&self, engine: &Engine, mut emit: impl FnMut(RecordBatch) -> Result<bool>) -> Result<()> {
        let relation = engine.open(&self.input)?;
        engine.download(&relation, &self.schema, |rows| {
            MetricBuilder::new(&self.metrics).subset_time("download_time", 0).add_duration(rows.time);
            MetricBuilder::new(&self.metrics).counter("download_bytes", 0).add(rows.bytes);
            MetricBuilder::new(&self.metrics).output_rows(0).add(rows.batch.num_rows());
            emit(rows.batch)
        })
    }
}

pub fn pipeline_panicked(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::Execution(format!("a device pipeline: {error}"))
}

/// The rows of the host operators, where they were chosen. When all have been read the time is remembered, and the device may be
/// made ready.
pub fn by_host(
    run: Run,
    host: &HostPlan,
    pipeline: Arc<OnceLock<Pipeline>>,
    choice: Choice,
    task: Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    run.device.tiers.host_answers_one();
    let start = Instant::now();
    let rows = host.execute(&run.input, &task)?;
    let output_rows = MetricBuilder::new(&run.metrics).output_rows(0);
    let reading = futures::stream::unfold(Some((rows, run)), move |reading| {
        let (output_rows, task, pipeline) = (output_rows.clone(), task.clone(), pipeline.clone());
        async move {
            let (mut rows, run) = reading?;
            match rows.next().await {
                Some(Ok(batch)) => {
                    output_rows.add(batch.num_rows());
                    Some((Ok(batch), Some((rows, run))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None => {
                    let (tiers, tiered) = (&run.device.tiers, run.options.tiered);
                    let pipeline = pipeline.get()?.fingerprint;
                    if let Some(claim) = tiers.host_took(pipeline, start.elapsed(), choice.expected, tiered) {
                        tokio::spawn(warm_up(run, task, claim));
                    }
                    None
                }
            }
        }
    });
    Ok(reading.boxed())
}

/// A query that waits for the rows of a run on the device.
pub struct Answer {
    pub host: Arc<HostPlan>,
    pub task: Arc<TaskContext>,
    pub rows: tokio::sync::mpsc::Sender<Result<RecordBatch>>,
}

impl Answer {
    /// Runs the pipeline on the device; the reader gets the rows, or the error.
    pub async fn by_device(&self, run: &Run, pipeline: &Pipeline) {
        if let Err(error) = self.try_device(run, pipeline).await {
            let _reader_is_gone = self.rows.send(Err(error)).await;
        }
    }

    /// The device, in the memory mode that it needs; the host operators where only the data told that it cannot.
    async fn try_device(&self, run: &Run, pipeline: &Pipeline) -> Result<()> {
        let mut run = run.clone();
        let (tiers, limited) = (run.device.tiers.clone(), run.options.memory_limit.is_some());
        let sent = Arc::new(AtomicBool::new(false));
        let mut mode = if limited { tiers.mode(pipeline.fingerprint) } else { MemoryMode::Resident };
        if mode > MemoryMode::Resident {
            MetricBuilder::new(&run.metrics).counter(format!("started in memory mode {mode:?}"), 0).add(1);
        }
        let start = Instant::now();
        let before = run.once_so_far(pipeline);
        let mut outcome = self.drive(&run, sent.clone(), mode).await;
        let mut began_again = false;
        while run.may_be_frugal(&outcome, &sent) {
            // What was enough for an earlier run may not be now: all modes are tried.
            let next = if began_again { mode.next() } else { MemoryMode::Resident.next() };
            let Some(next) = next else { break };
            (mode, began_again) = (next, true);
            while run.device.resident.evict_one() {}
            run.input = again(&run.input)?;
            MetricBuilder::new(&run.metrics).counter(format!("started again, memory mode {mode:?}"), 0).add(1);
            outcome = self.drive(&run, sent.clone(), mode).await;
        }
        let Err(error) = outcome else {
            let once = run.once_so_far(pipeline).saturating_sub(before);
            let time = start.elapsed();
            MetricBuilder::new(&run.metrics).subset_time("device_time", 0).add_duration(time);
            match began_again {
                true => tiers.needs_mode(pipeline.fingerprint, mode),
                false => tiers.device_took(pipeline.fingerprint, once.is_zero().then_some(time)),
            }
            return Ok(());
        };
        let may_start_over = !sent.load(Ordering::Relaxed) && run.options.placement != Placement::Always;
        match (reason_of(&error), failure_of(&error)) {
            (Some(reason), _) => self.instead(&run, &reason.to_string()).await,
            // The host meets the error, too, and words it with the values; or it evaluates in another order, or
            // with wider sums, and has an answer.
            (None, Some(error)) if may_start_over => self.instead(&run, &error.to_string()).await,
            (None, Some(error)) => Err(self.host.explain_failure(&error, &run.input, &self.task).await),
            (None, None) => Err(error),
        }
    }

    /// The host operators in place of a device that cannot, under `auto`; the reason becomes a metric that EXPLAIN ANALYZE shows.
    async fn instead(&self, run: &Run, reason: &str) -> Result<()> {
        if run.options.placement == Placement::Always {
            return Err(cannot_run_on_device("AggregateExec", reason));
        }
        MetricBuilder::new(&run.metrics).counter(format!("ran on the host: {reason}"), 0).add(1);
        let mut stream = self.host.execute(&run.input, &self.task)?;
        let output_rows = MetricBuilder::new(&run.metrics).output_rows(0);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            output_rows.add(batch.num_rows());
            if self.rows.send(Ok(batch)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Loads the tables and runs the programs on a blocking thread; sets `sent` once the reader has rows.
    async fn drive(&self, run: &Run, sent: Arc<AtomicBool>, mode: MemoryMode) -> Result<()> {
        let (task, rows) = (self.task.clone(), self.rows.clone());
        // A query must hold no tables while it waits for a turn: whose turn it is may need the memory. But host operators below may
        // be those of another pipeline, which waits for a turn itself.
        let early = if run.options.memory_limit.is_some() && only_scans(&run.input) {
            None
        } else {
            Some(run.load(&task, mode).await?)
        };
        let run = run.clone();
        let target = task.session_config().batch_size();
        let here = Handle::current();
        let work = move || {
            let mut turn = run.wait_for_turn(mode)?;
            let engine = match early {
                Some(engine) => engine,
                None => here.block_on(run.load(&task, mode))?,
            };
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
}

/// The operators of a run that starts again. What only scans tables can be read again as it is, and keeps its metrics.
fn again(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if only_scans(input) { Ok(Arc::clone(input)) } else { reset_plan_states(Arc::clone(input)) }
}

/// Whether nothing below runs on the host but scans of tables.
fn only_scans(input: &Arc<dyn ExecutionPlan>) -> bool {
    let leaves = leaf_columns(input);
    let mut sources = leaves.iter().filter_map(|(leaf, _)| leaf.downcast_ref::<HostToDeviceExec>());
    sources.all(|source| TableSource::of(&source.input).is_some())
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

/// What an expression that failed on the device reported.
fn failure_of(error: &DataFusionError) -> Option<ExpressionError> {
    match error {
        DataFusionError::External(inner) => inner.downcast_ref::<DeviceFailure>().map(|f| f.0.clone()),
        _ => None,
    }
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
    claim.settle(match once().await {
        Ok(_) => once().await.map_or(WarmUp::Failed, WarmUp::Took),
        // A run that somebody waits for may start again with less.
        Err(DataFusionError::ResourcesExhausted(_)) if run.options.memory_limit.is_some() => WarmUp::ShortOfMemory,
        Err(_) => WarmUp::Failed,
    });
}
