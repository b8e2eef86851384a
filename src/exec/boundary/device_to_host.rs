//! `DeviceToHostExec`: the upper boundary of a pipeline. Loads the tables that its operators read, runs the operators on the engine, and
//! streams the live rows as RecordBatches.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use datafusion::arrow::array::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{StreamExt, TryStreamExt};

use crate::config::{Placement, XlaOptions};
use crate::exec::boundary::driver::{PipelineDriver, PipelineRun, pipeline_panicked, run_on_host};
use crate::exec::boundary::encoding_demand::leaf_demands;
use crate::exec::boundary::host_plan::{HostPlan, HostRules};
use crate::exec::boundary::program_names::program_names;
use crate::exec::device_exec::{only_child, visit_expressions};
use crate::exec::placement::profile::Profile;
use crate::exec::run::chunk_loop::Cancelled;
use crate::exec::state::active_pipelines::ActivePipeline;
use crate::exec::state::context::DeviceContext;
use crate::exec::state::history::{Choice, Target};
use crate::exec::state::memory_mode::MemoryMode;
use crate::program::Program;

#[derive(Debug)]
pub struct DeviceToHostExec {
    pub input: Arc<dyn ExecutionPlan>,
    /// The host plan that this pipeline replaces, for where it is faster, and for what only the data can tell (`reason_of`).
    host: Arc<HostPlan>,
    planned: Planned,
    /// Computed by the first run, for those of the same plan that follow.
    profile: Arc<OnceLock<Profile>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// Names of the programs of the last run, for EXPLAIN ANALYZE.
    ran: Arc<Mutex<Vec<String>>>,
}

/// What the planner tells a boundary.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Count the rows after every operator, for EXPLAIN ANALYZE.
    pub count_rows: bool,
    /// Devices of the mesh.
    pub devices: usize,
    /// For EXPLAIN, which shows what would be chosen now.
    pub device: Weak<DeviceContext>,
    pub options: XlaOptions,
    pub target_partitions: usize,
}

impl DeviceToHostExec {
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        host_plan: Arc<dyn ExecutionPlan>,
        rules: HostRules,
        planned: Planned,
    ) -> Self {
        Self::with_host(input, Arc::new(HostPlan::new(host_plan, rules)), planned, Arc::default())
    }

    fn with_host(
        input: Arc<dyn ExecutionPlan>,
        host: Arc<HostPlan>,
        planned: Planned,
        profile: Arc<OnceLock<Profile>>,
    ) -> Self {
        Self {
            properties: input.properties().clone(),
            input,
            host,
            planned,
            profile,
            metrics: ExecutionPlanMetricsSet::new(),
            ran: Arc::default(),
        }
    }

    /// The host plan that this pipeline replaces, as it was before placement.
    pub fn host_plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.host.planned
    }

    /// The same boundary over other device operators.
    pub fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::with_host(input, self.host.clone(), self.planned.clone(), self.profile.clone())
    }

    /// The same boundary, whose host plan goes through these rules.
    pub fn with_rules(&self, rules: HostRules) -> Self {
        let host = Arc::new(HostPlan::new(Arc::clone(self.host_plan()), rules));
        Self::with_host(self.input.clone(), host, self.planned.clone(), self.profile.clone())
    }

    /// What is known before a run.
    fn profile(&self, options: &XlaOptions) -> &Profile {
        self.profile.get_or_init(|| profile_of(&self.input, self.host_plan(), options))
    }

    /// Where the pipeline would run now, under `auto`.
    fn choice(&self) -> Option<Choice> {
        let Planned { options, target_partitions, device, .. } = &self.planned;
        let device = device.upgrade().filter(|_| options.placement == Placement::Auto)?;
        // What is shown need not be what runs: rules may follow.
        let profile = match self.profile.get() {
            Some(profile) => profile,
            None => &profile_of(&self.input, self.host_plan(), options),
        };
        Some(profile.choose(&device, options, *target_partitions))
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

    fn prepare(&self, task: &Arc<TaskContext>) -> Result<PipelineRun> {
        let device = DeviceContext::of(task)?;
        let mut options = XlaOptions::of(task.session_config().options());
        options.count_rows |= self.planned.count_rows;
        device.begin(&options);
        Ok(PipelineRun {
            input: self.input.clone(),
            schema: self.input.schema(),
            device,
            options,
            metrics: self.metrics.clone(),
            ran: self.ran.clone(),
            cancelled: Cancelled::default(),
            _active: Arc::new(ActivePipeline::begin()),
        })
    }
}

/// The profile of the device operators `input` beside the host plan that they replace.
fn profile_of(input: &Arc<dyn ExecutionPlan>, host_plan: &Arc<dyn ExecutionPlan>, options: &XlaOptions) -> Profile {
    let leaves = leaf_demands(input).into_iter().map(|(_, leaf, encodings)| (&leaf.input, encodings)).collect();
    let replaced = |plan: &Arc<dyn ExecutionPlan>| {
        plan.downcast_ref::<DeviceToHostExec>().map(|boundary| Arc::clone(boundary.host_plan()))
    };
    Profile::new(input, leaves, program_names(input).len(), host_plan, &replaced, options)
}

impl DisplayAs for DeviceToHostExec {
    // Plain EXPLAIN shows what the plan says, whatever has run before. What depends on the machine and on earlier runs comes with
    // EXPLAIN ANALYZE, which counts rows, and with EXPLAIN VERBOSE.
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shows_history = format == DisplayFormatType::Verbose || self.planned.count_rows;
        let ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = if ran.is_empty() || !shows_history { program_names(&self.input) } else { ran.clone() };
        let programs = programs.join(", ");
        match format {
            DisplayFormatType::TreeRender => write!(f, "programs={programs}")?,
            _ => write!(f, "DeviceToHostExec: programs=[{programs}]")?,
        }
        if self.planned.devices > 1 && format != DisplayFormatType::TreeRender {
            write!(f, ", devices={}", self.planned.devices)?;
        }
        match self.choice().filter(|_| shows_history) {
            Some(choice) => write!(f, ", estimates: {choice}"),
            None => Ok(()),
        }
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
    // below the boundary, into the pipeline.
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
        visit_expressions(&[], f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_child(children, "DeviceToHostExec")?;
        Ok(Arc::new(self.over(input)))
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("DeviceToHostExec has no partition {partition}")));
        }
        let run = self.prepare(&task)?;
        let schema = self.schema();
        // EXPLAIN ANALYZE always shows the device.
        if run.options.placement == Placement::Auto && !run.options.count_rows {
            let partitions = task.session_config().target_partitions();
            let choice = self.profile(&run.options).choose(&run.device, &run.options, partitions);
            if choice.target == Target::Host {
                let rows = run_on_host(run, &self.host, self.profile.clone(), choice, task)?;
                return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
            }
        }
        let batch_size = task.session_config().batch_size();
        let (rows, receiver) = tokio::sync::mpsc::channel::<Result<RecordBatch>>(2);
        // Dropping the stream drops this guard, and the workers stop before their next chunk.
        let guard = CancelOnDrop(run.cancelled.clone());
        let (host, profile) = (self.host.clone(), self.profile.clone());
        let driver = async move {
            let profile = profile.get_or_init(|| profile_of(&run.input, &host.planned, &run.options));
            PipelineDriver { host, task, rows }.run(&run, profile).await;
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

/// A batch in slices of at most `batch_size` rows.
fn slices(batch: RecordBatch, batch_size: usize) -> Vec<RecordBatch> {
    let step = batch_size.max(1);
    (0..batch.num_rows()).step_by(step).map(|at| batch.slice(at, step.min(batch.num_rows() - at))).collect()
}
