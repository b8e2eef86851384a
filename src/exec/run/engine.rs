//! Runs a tree of device operators from the bottom up. Operators that only narrow or map rows wait as steps of a
//! [`Relation`]; a program is traced, compiled and run where rows are needed: for an aggregation, a build side, a sort, the border.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use crate::columnar::encode::Strings;
use crate::columnar::table::DeviceTable;
use crate::config::XlaOptions;
use crate::exec::boundary::encoding_demand::leaf_columns;
use crate::exec::boundary::host_to_device::{HostToDeviceExec, LoadTo};
use crate::exec::device_node::DeviceNode;
use crate::exec::operator::aggregate::dense::{Groups, UpdateProgram, trace_update};
use crate::exec::operator::join::runtime_filter::Reduction;
use crate::exec::run::chunk_loop::{Cancelled, Chunks, Initial, Ready, run_update};
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::column_cache::{FileSet, ResidentColumns};
use crate::exec::state::context::{DeviceContext, cores};
use crate::exec::state::memory_mode::MemoryMode;
use crate::exec::trace::program::{LiveRows, ResultProgram, Trace, TracedProgram};
use crate::exec::trace::relation::{Relation, Source, Step};
use crate::kernels::Lowering;
use crate::program::Program;
use crate::runtime::{CacheOutcome, DeviceKind};

/// One run of the device operators below a border.
pub struct Engine {
    pub device: Arc<DeviceContext>,
    pub options: XlaOptions,
    pub cancelled: Cancelled,
    /// Of the border.
    pub metrics: ExecutionPlanMetricsSet,
    pub mode: MemoryMode,
    /// The query that this is part of.
    query: Arc<TaskContext>,
    /// What the leaves read, by address of the leaf.
    tables: HashMap<usize, Arc<DeviceTable>>,
    /// Every program that was run, in order.
    programs: Mutex<Vec<Program>>,
}

impl Engine {
    /// Loads the tables that the operators below `top` read.
    pub async fn load(
        top: &Arc<dyn ExecutionPlan>,
        task: &Arc<TaskContext>,
        device: Arc<DeviceContext>,
        options: XlaOptions,
        cancelled: Cancelled,
        metrics: ExecutionPlanMetricsSet,
        mode: MemoryMode,
    ) -> Result<Self> {
        // Leaves that read the same files share their columns, though with `xla.resident = false` no later query may.
        let own = ResidentColumns::default();
        let columns = if options.resident { &device.resident } else { &own };
        let permits = Arc::new(Semaphore::new(cores()));
        let to = LoadTo { device: &device, columns, options: &options, strings: &[], mode, cores: &permits };
        let (to, cancelled_of) = (&to, &cancelled);
        let load = |leaves| load_leaves(leaves, task, to, cancelled_of);
        // Tables are loaded at the same time, so that no core waits for another's last column.
        let tables = match options.memory_limit {
            None => try_join_all(by_files(top).into_iter().map(load)).await?,
            Some(_) => vec![load(by_files(top).into_iter().flatten().collect()).await?],
        };
        let tables = tables.into_iter().flatten().collect();
        Ok(Self {
            device,
            options,
            cancelled,
            metrics,
            mode,
            query: Arc::clone(task),
            tables,
            programs: Mutex::default(),
        })
    }

    /// The relation of a device operator and all below it.
    pub fn open(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Relation> {
        self.open_reduced(plan, &[])
    }

    /// The table that a leaf has loaded.
    pub fn table_of(&self, leaf: &Arc<dyn ExecutionPlan>) -> Option<&Arc<DeviceTable>> {
        self.tables.get(&address(leaf))
    }

    /// The relation of a device operator whose inputs are without the rows that `reductions[input]` exclude.
    pub fn open_with(&self, plan: &Arc<dyn ExecutionPlan>, reductions: &[Vec<Reduction>]) -> Result<Relation> {
        self.cancelled.check()?;
        if plan.downcast_ref::<HostToDeviceExec>().is_some() {
            let table = self.table_of(plan);
            let table = table.ok_or_else(|| DataFusionError::Internal("a table that was not loaded".to_string()))?;
            return Ok(Relation { source: Source::Table(Arc::clone(table)), steps: Vec::new() });
        }
        let input = || self.open_reduced(only_input(plan)?, reductions.first().map_or(&[], Vec::as_slice));
        let node = Step::node(plan)?;
        match node {
            DeviceNode::Join(join) => self.join(join, &reductions[0], &reductions[1]),
            DeviceNode::Union(union) => self.union(union),
            DeviceNode::Filter(_) | DeviceNode::Projection(_) => Ok(input()?.with(Step::Node(Arc::clone(plan)))),
            DeviceNode::Limit(limit) => {
                let input = input()?;
                let input = self.single(input, limit.rows_needed())?;
                Ok(input.with(Step::Node(Arc::clone(plan))))
            }
            DeviceNode::Sort(sort) => {
                let mut input = input()?;
                if sort.is_order_of(&input) {
                    self.chose(&sort.metrics, "rows are in this order");
                    return Ok(input);
                }
                if !input.is_single() && sort.keeps_few() {
                    input = input.with(Step::TopOfChunk(Arc::clone(plan)));
                } else if self.mode > MemoryMode::Resident && !input.is_single() {
                    return self.sort_in_parts(plan, input);
                } else if !sort.keeps_few() && input.is_sparse() {
                    input = Relation::on(self.collect(&input, None)?);
                }
                let input = self.single(input, None)?;
                Ok(input.with(Step::Node(Arc::clone(plan))))
            }
            DeviceNode::Aggregate(_) => {
                let input = input()?;
                self.aggregate(plan, input)
            }
        }
    }

    /// All rows of a relation in one chunk.
    pub fn single(&self, relation: Relation, limit: Option<usize>) -> Result<Relation> {
        if relation.is_single() {
            return Ok(relation);
        }
        let table = self.collect(&relation, limit)?;
        Ok(Relation { source: Source::Table(table), steps: Vec::new() })
    }

    /// Dense aggregation chunk by chunk where the keys allow it, else over all rows at once.
    fn aggregate(&self, plan: &Arc<dyn ExecutionPlan>, input: Relation) -> Result<Relation> {
        let DeviceNode::Aggregate(aggregate) = Step::node(plan)? else {
            return Err(DataFusionError::Internal("an aggregation was expected".to_string()));
        };
        let input = if self.mode == MemoryMode::Spooled { self.spool(&input)? } else { input };
        let whole = |input: Relation| match self.mode {
            MemoryMode::Resident => Ok(self.single(input, None)?.with(Step::Node(Arc::clone(plan)))),
            _ => self.aggregate_in_parts(plan, input),
        };
        let Some(table) = input.table().cloned() else { return Ok(input.with(Step::Node(Arc::clone(plan)))) };
        if aggregate.needs_all_rows() || input.steps.iter().any(Step::needs_all_rows) {
            return whole(input);
        }
        let trace = |input: &Relation| {
            let name = format!("{}_aggregate_update", input.program_name());
            let name = name.trim_start_matches("scan_");
            let trace = Trace::new(name, &self.options, self.devices_of(input), self.lowering());
            trace_update(trace, input, aggregate, table.layout.rows)
        };
        // Where memory is limited nothing is kept for a second reader; row counts are each reader's own, and what joins read, too.
        let joins = input.steps.iter().any(|step| matches!(step, Step::Probe(_)));
        let is_shared = self.options.memory_limit.is_none() && !self.options.count_rows && !joins;
        // What may be found is known by all rows, and packed only when it is not found.
        let input = if is_shared { input } else { self.select(input, aggregate.weight())? };
        let Some(update) = trace(&input)? else { return whole(input) };
        if self.mode > MemoryMode::Resident && !self.has_room_for(&update.initial) {
            return whole(input);
        }
        let mut packed = None;
        let mut run = || {
            let before = input.selection().is_some();
            let input = if is_shared { self.select(input.clone(), aggregate.weight())? } else { input.clone() };
            if input.selection().is_some() && !before {
                packed = trace(&input)?;
            }
            let update = packed.as_ref().unwrap_or(&update);
            let ready = self.ready(&update.traced, &input)?;
            let start = std::time::Instant::now();
            let totals = run_update(&ready, &update.initial, self.chunks(&table, &input))?;
            MetricBuilder::new(&aggregate.metrics).subset_time("kernel_time", 0).add_duration(start.elapsed());
            Ok(totals)
        };
        let accumulators = match &input.source {
            Source::Table(table) if is_shared => self.device.memo.totals(&self.query, &update.traced, table, run)?,
            _ => Arc::new(run()?),
        };
        let UpdateProgram { plan, traced, .. } = packed.unwrap_or(update);
        let groups = Groups { plan, accumulators, metrics: aggregate.metrics.clone(), errors: traced.errors };
        let relation = Relation { source: Source::Groups(Arc::new(groups)), steps: Vec::new() };
        if self.mode == MemoryMode::Spooled { self.spool(&relation) } else { Ok(relation) }
    }

    /// Most slots of a join; where memory is short they take no more than a sixteenth of it.
    pub fn most_slots(&self) -> usize {
        let limit = self.options.memory_limit.filter(|_| self.mode > MemoryMode::Resident).unwrap_or(usize::MAX);
        self.options.max_dense_groups.min(limit / (16 * size_of::<i32>()))
    }

    /// Whether the accumulators of all workers, and then their sum, take no more than half of what is left.
    fn has_room_for(&self, initial: &[Initial]) -> bool {
        let of_worker: usize = initial.iter().map(|initial| initial.shape.size_bytes()).sum();
        let needed = of_worker * (self.device.workers(&self.options) + 1);
        self.memory_left().is_none_or(|left| needed <= left / 2)
    }

    /// Bytes of device memory that are still allowed; `None` without a limit.
    pub fn memory_left(&self) -> Option<usize> {
        let used = self.device.mesh.runtime().memory().used() as usize;
        self.options.memory_limit.map(|limit| limit.saturating_sub(used))
    }

    /// Traces the program that computes a relation.
    pub fn trace_rows(&self, relation: &Relation, live: LiveRows) -> Result<ResultProgram> {
        let mut trace = Trace::new(&relation.program_name(), &self.options, self.devices_of(relation), self.lowering());
        let rows = trace.relation(relation)?;
        trace.finish_rows(rows, live)
    }

    /// Compiles a program that runs over `relation`'s source.
    pub fn ready(&self, traced: &TracedProgram, relation: &Relation) -> Result<Ready> {
        self.ready_on(traced, self.devices_of(relation))
    }

    pub fn ready_on(&self, traced: &TracedProgram, devices: usize) -> Result<Ready> {
        self.cancelled.check()?;
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).push(traced.program.clone());
        let ready = Ready::new(traced, &self.device.mesh, devices)?;
        record_compile(&self.metrics, &ready.outcome);
        Ok(ready)
    }

    /// Devices that run a program over this source.
    pub fn devices_of(&self, relation: &Relation) -> usize {
        match &relation.source {
            Source::Table(table) | Source::Selected(table, _) => table.layout.shards.len(),
            Source::Groups(groups) => groups.accumulators.len(),
        }
    }

    /// How programs run over the chunks of `table`, which is that of `relation`.
    pub fn chunks<'a>(&'a self, table: &'a DeviceTable, relation: &'a Relation) -> Chunks<'a> {
        Chunks {
            table,
            mesh: &self.device.mesh,
            workers: self.device.workers(&self.options),
            cancelled: &self.cancelled,
            selection: relation.selection().map(Arc::as_ref),
            only: None,
        }
    }

    /// Kernels of the host where the device is the host.
    pub fn lowering(&self) -> Lowering {
        match (self.options.portable_kernels, self.device.mesh.runtime().kind()) {
            (false, DeviceKind::Cpu) => Lowering::Native,
            _ => Lowering::Portable,
        }
    }

    /// Adds to the rows that an operator has given.
    pub fn add_rows(&self, metrics: &ExecutionPlanMetricsSet, rows: i64) {
        MetricBuilder::new(metrics).output_rows(0).add(rows as usize);
    }

    pub fn kernel_time(&self, time: Duration) {
        MetricBuilder::new(&self.metrics).subset_time("kernel_time", 0).add_duration(time);
    }

    /// Says in EXPLAIN ANALYZE which way an operator went.
    pub fn chose(&self, metrics: &ExecutionPlanMetricsSet, way: impl Into<String>) {
        MetricBuilder::new(metrics).counter(way.into(), 0).add(1);
    }

    /// The programs that were run so far.
    pub fn into_programs(self) -> Vec<Program> {
        self.programs.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A leaf, what it loads, and in which forms.
type Leaf<'a> = (&'a Arc<dyn ExecutionPlan>, &'a HostToDeviceExec, Vec<Strings>);

/// Loads leaves one after another; gives their addresses and tables.
async fn load_leaves(
    leaves: Vec<Leaf<'_>>,
    task: &Arc<TaskContext>,
    to: &LoadTo<'_>,
    cancelled: &Cancelled,
) -> Result<Vec<(usize, Arc<DeviceTable>)>> {
    let mut loaded = Vec::with_capacity(leaves.len());
    for (leaf, source, strings) in leaves {
        cancelled.check()?;
        let table = source.load(task, &LoadTo { strings: &strings, ..*to }).await?;
        loaded.push((address(leaf), Arc::new(table)));
    }
    Ok(loaded)
}

/// The leaves below `top`, those that read the same files together.
fn by_files(top: &Arc<dyn ExecutionPlan>) -> Vec<Vec<Leaf<'_>>> {
    let mut groups: Vec<(Option<Arc<FileSet>>, Vec<Leaf<'_>>)> = Vec::new();
    for (leaf, strings) in leaf_columns(top) {
        let Some(source) = leaf.downcast_ref::<HostToDeviceExec>() else { continue };
        let files = TableSource::of(&source.input).and_then(|table| table.files().cloned());
        match groups.iter_mut().find(|(of_group, _)| files.is_some() && *of_group == files) {
            Some((_, group)) => group.push((leaf, source, strings)),
            None => groups.push((files, vec![(leaf, source, strings)])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn record_compile(metrics: &ExecutionPlanMetricsSet, outcome: &CacheOutcome) {
    let name = if outcome.hit { "program_cache_hits" } else { "program_cache_misses" };
    MetricBuilder::new(metrics).counter(name, 0).add(1);
    MetricBuilder::new(metrics).subset_time("compile_time", 0).add_duration(outcome.compile_time);
}

/// Identity of a plan node during one run.
fn address(plan: &Arc<dyn ExecutionPlan>) -> usize {
    Arc::as_ptr(plan) as *const () as usize
}

pub fn only_input(plan: &Arc<dyn ExecutionPlan>) -> Result<&Arc<dyn ExecutionPlan>> {
    let missing = || DataFusionError::Internal(format!("{} without an input", plan.name()));
    plan.children().into_iter().next().ok_or_else(missing)
}
