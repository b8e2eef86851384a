//! Drives one execution of a pipeline: on the device in the memory mode that it needs, or by the host plan in its place. Records the
//! times for the next choice.

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
use crate::exec::boundary::encoding_demand::leaf_demands;
use crate::exec::boundary::host_plan::HostPlan;
use crate::exec::boundary::load::load;
use crate::exec::fallback_error::RuntimeFallback;
use crate::exec::open::open;
use crate::exec::placement::profile::Profile;
use crate::exec::run::chunk_loop::Cancelled;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::download;
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::active_pipelines::ActivePipeline;
use crate::exec::state::context::DeviceContext;
use crate::exec::state::history::{Choice, WarmUpOutcome, WarmUpPermit};
use crate::exec::state::memory_mode::MemoryMode;
use crate::exec::strategy::{add_label, count};
use crate::exec::trace::output::DeviceFailure;
use crate::runtime::Permit;

/// The message of an operator that must run on the device and cannot.
pub fn cannot_run_on_device(node: &str, reason: impl fmt::Display) -> DataFusionError {
    DataFusionError::Plan(format!(
        "{node} cannot run on the device: {reason} (xla.placement = always; set it to auto to run it on the host)"
    ))
}

/// One execution of the operators below the boundary.
#[derive(Clone)]
pub struct PipelineRun {
    pub input: Arc<dyn ExecutionPlan>,
    pub schema: SchemaRef,
    pub device: Arc<DeviceContext>,
    pub options: XlaOptions,
    /// Of the boundary.
    pub metrics: ExecutionPlanMetricsSet,
    /// Gets the names of the programs.
    pub ran: Arc<Mutex<Vec<String>>>,
    pub cancelled: Cancelled,
    pub _active: Arc<ActivePipeline>,
}

impl PipelineRun {
    pub async fn load(&self, task: &Arc<TaskContext>, mode: MemoryMode) -> Result<Engine> {
        let (device, options) = (self.device.clone(), self.options.clone());
        load(&self.input, task, device, options, self.cancelled.clone(), self.metrics.clone(), mode).await
    }

    /// Where memory is limited, waits for others: one that starts again is alone, so that it has all there is.
    fn wait_for_admission(&self, mode: MemoryMode) -> Result<Option<Permit<'_>>> {
        if self.options.memory_limit.is_none() {
            return Ok(None);
        }
        let start = Instant::now();
        let admission = self.device.mesh.runtime().admission();
        let permit = admission.acquire(mode > MemoryMode::Resident, || self.cancelled.check().is_err());
        MetricBuilder::new(&self.metrics).subset_time("admission_time", 0).add_duration(start.elapsed());
        self.cancelled.check()?;
        Ok(permit)
    }

    /// Whether a run that has ended so may start again with less on the device.
    fn may_be_frugal(&self, outcome: &Result<()>, sent: &AtomicBool) -> bool {
        let ran_out = matches!(outcome, Err(DataFusionError::ResourcesExhausted(_)));
        ran_out && self.options.memory_limit.is_some() && !sent.load(Ordering::Relaxed)
    }

    /// Time spent so far on what a next run need not do again: compiling, and uploading columns that stay.
    fn once_so_far(&self, profile: &Profile) -> Duration {
        let time = |metrics: &ExecutionPlanMetricsSet, name: &str| {
            let total = metrics.clone_inner().sum_by_name(name).map_or(0, |value| value.as_usize());
            Duration::from_nanos(total as u64)
        };
        let leaves = leaf_demands(&self.input).into_iter().zip(profile.leaves_stay());
        let stays = leaves.filter(|(_, stays)| *stays);
        stays.map(|((_, leaf, _), _)| time(&leaf.metrics, "upload_time")).sum::<Duration>()
            + time(&self.metrics, "compile_time")
    }

    /// Runs the operators; `emit` gets the rows and says whether it wants more.
    pub fn download(&self, engine: &Engine, mut emit: impl FnMut(RecordBatch) -> Result<bool>) -> Result<()> {
        let relation = open(engine, &self.input)?;
        download(engine, &relation, &self.schema, |rows| {
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
pub fn run_on_host(
    run: PipelineRun,
    host: &HostPlan,
    profile: Arc<OnceLock<Profile>>,
    choice: Choice,
    task: Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    run.device.history.count_host_run();
    let start = Instant::now();
    let rows = host.execute(&run.input, &task)?;
    let output_rows = MetricBuilder::new(&run.metrics).output_rows(0);
    let reading = futures::stream::unfold(Some((rows, run)), move |reading| {
        let (output_rows, task, profile) = (output_rows.clone(), task.clone(), profile.clone());
        async move {
            let (mut rows, run) = reading?;
            match rows.next().await {
                Some(Ok(batch)) => {
                    output_rows.add(batch.num_rows());
                    Some((Ok(batch), Some((rows, run))))
                }
                Some(Err(error)) => Some((Err(error), None)),
                None => {
                    let (history, in_background) = (&run.device.history, run.options.background_compile);
                    let pipeline = profile.get()?.fingerprint;
                    if let Some(permit) = history.host_took(pipeline, start.elapsed(), choice.expected, in_background) {
                        tokio::spawn(warm_up(run, task, permit));
                    }
                    None
                }
            }
        }
    });
    Ok(reading.boxed())
}

/// A query that waits for the rows of a run on the device.
pub struct PipelineDriver {
    pub host: Arc<HostPlan>,
    pub task: Arc<TaskContext>,
    pub rows: tokio::sync::mpsc::Sender<Result<RecordBatch>>,
}

impl PipelineDriver {
    /// Runs the pipeline on the device; the reader gets the rows, or the error.
    pub async fn run(&self, run: &PipelineRun, profile: &Profile) {
        if let Err(error) = self.try_device(run, profile).await {
            let _reader_is_gone = self.rows.send(Err(error)).await;
        }
    }

    /// The device, in the memory mode that it needs; the host operators where only the data told that it cannot.
    async fn try_device(&self, run: &PipelineRun, profile: &Profile) -> Result<()> {
        let mut run = run.clone();
        let (history, limited) = (run.device.history.clone(), run.options.memory_limit.is_some());
        let sent = Arc::new(AtomicBool::new(false));
        let mut mode = if limited { history.mode(profile.fingerprint) } else { MemoryMode::Resident };
        if mode > MemoryMode::Resident {
            add_label(&run.metrics, "memory_mode", mode.name());
        }
        let start = Instant::now();
        let before = run.once_so_far(profile);
        let mut outcome = self.run_once(&run, sent.clone(), mode).await;
        let mut began_again = false;
        while run.may_be_frugal(&outcome, &sent) {
            // What was enough for an earlier run may not be now: all modes are tried.
            let next = if began_again { mode.next() } else { MemoryMode::Resident.next() };
            let Some(next) = next else { break };
            (mode, began_again) = (next, true);
            while run.device.column_cache.evict_one() {}
            run.input = retry(&run.input)?;
            count(&run.metrics, "restarts", 1);
            add_label(&run.metrics, "memory_mode", mode.name());
            outcome = self.run_once(&run, sent.clone(), mode).await;
        }
        let Err(error) = outcome else {
            let once = run.once_so_far(profile).saturating_sub(before);
            let time = start.elapsed();
            MetricBuilder::new(&run.metrics).subset_time("device_time", 0).add_duration(time);
            match began_again {
                true => history.needs_mode(profile.fingerprint, mode),
                false => history.device_took(profile.fingerprint, once.is_zero().then_some(time)),
            }
            return Ok(());
        };
        let may_start_over = !sent.load(Ordering::Relaxed) && run.options.placement != Placement::Always;
        match (RuntimeFallback::of(&error), DeviceFailure::of(&error)) {
            (Some(fallback), _) if run.options.placement == Placement::Always => {
                Err(cannot_run_on_device(fallback.operator, &fallback.reason))
            }
            (Some(fallback), _) => self.fall_back(&run, &fallback.to_string()).await,
            // The host meets the error, too, and words it with the values; or it evaluates in another order, or with wider sums, and has
            // an answer.
            (None, Some(failure)) if may_start_over => self.fall_back(&run, &failure.to_string()).await,
            (None, Some(failure)) => Err(self.host.explain_failure(failure, &run.input, &self.task).await),
            (None, None) => Err(error),
        }
    }

    /// The host operators in place of a device that cannot, under `auto`; the reason becomes a metric that EXPLAIN ANALYZE shows.
    async fn fall_back(&self, run: &PipelineRun, reason: &str) -> Result<()> {
        add_label(&run.metrics, "fallback", reason);
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

    /// Loads the tables and runs the programs on a blocking thread. Sets `sent` once the reader has rows.
    async fn run_once(&self, run: &PipelineRun, sent: Arc<AtomicBool>, mode: MemoryMode) -> Result<()> {
        let (task, rows) = (self.task.clone(), self.rows.clone());
        // A query must hold no tables while it waits for admission: the query that is admitted may need the memory. But host operators below may
        // be those of another pipeline, which waits for admission itself.
        let early = if run.options.memory_limit.is_some() && only_scans(&run.input) {
            None
        } else {
            Some(run.load(&task, mode).await?)
        };
        let run = run.clone();
        let target = task.session_config().batch_size();
        let here = Handle::current();
        let work = move || {
            let mut permit = run.wait_for_admission(mode)?;
            let engine = match early {
                Some(engine) => engine,
                None => here.block_on(run.load(&task, mode))?,
            };
            let mut send = |batch: Option<RecordBatch>| match batch {
                Some(batch) => {
                    sent.store(true, Ordering::Relaxed);
                    let gone = |_| DataFusionError::Execution("the query was cancelled".to_string());
                    // The reader may be an operator of a query that waits for admission.
                    match &mut permit {
                        Some(permit) => permit.release_while(|| rows.blocking_send(Ok(batch))),
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
fn retry(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if only_scans(input) { Ok(Arc::clone(input)) } else { reset_plan_states(Arc::clone(input)) }
}

/// Whether nothing below runs on the host but scans of tables.
fn only_scans(input: &Arc<dyn ExecutionPlan>) -> bool {
    leaf_demands(input).iter().all(|(_, leaf, _)| TableSource::of(&leaf.input).is_some())
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

/// Warms up a pipeline: the first run compiles and uploads, the second is timed; the rows are dropped.
async fn warm_up(run: PipelineRun, task: Arc<TaskContext>, permit: WarmUpPermit) {
    let history = Arc::clone(&run.device.history);
    let Ok(_one_at_a_time) = history.background.acquire().await else { return };
    let run = PipelineRun {
        metrics: ExecutionPlanMetricsSet::new(),
        ran: Arc::default(),
        cancelled: Cancelled::default(),
        ..run
    };
    let once = || async {
        run.device.accumulators.forget(&task);
        let start = Instant::now();
        let run = PipelineRun { input: retry(&run.input)?, ..run.clone() };
        let engine = run.load(&task, MemoryMode::Resident).await?;
        let work = move || {
            let _permit = run.wait_for_admission(MemoryMode::Resident)?;
            run.download(&engine, |_| Ok(true))
        };
        tokio::task::spawn_blocking(work).await.map_err(pipeline_panicked)??;
        Ok::<_, DataFusionError>(start.elapsed())
    };
    permit.settle(match once().await {
        Ok(_) => once().await.map_or(WarmUpOutcome::Failed, WarmUpOutcome::Took),
        // A run that somebody waits for may start again with less.
        Err(DataFusionError::ResourcesExhausted(_)) if run.options.memory_limit.is_some() => {
            WarmUpOutcome::ShortOfMemory
        }
        Err(_) => WarmUpOutcome::Failed,
    });
}
