//! One run of the device operators below a boundary: what they share while relations are opened, traced and computed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};

use crate::columnar::table::DeviceTable;
use crate::config::XlaOptions;
use crate::exec::run::chunk_loop::{BoundProgram, Cancelled, Chunks};
use crate::exec::state::context::DeviceContext;
use crate::exec::state::memory_mode::MemoryMode;
use crate::exec::trace::accumulate::AccumulatorPlan;
use crate::exec::trace::output::{LiveRows, Outputs};
use crate::exec::trace::program::{ResultProgram, Trace, TracedProgram};
use crate::exec::trace::relation::{Relation, Source};
use crate::exec::trace::trace_relation::trace_relation;
use crate::kernels::Lowering;
use crate::program::Program;
use crate::runtime::{CacheOutcome, DeviceKind};

/// Tables that leaves of the plan have loaded, by address of the leaf.
pub type Tables = HashMap<usize, Arc<DeviceTable>>;

/// One run of the device operators below a boundary.
pub struct Engine {
    pub device: Arc<DeviceContext>,
    pub options: XlaOptions,
    pub cancelled: Cancelled,
    /// Metrics of the boundary.
    pub metrics: ExecutionPlanMetricsSet,
    pub mode: MemoryMode,
    /// The query that this is part of.
    pub query: Arc<TaskContext>,
    tables: Tables,
    /// Every program that was run, in order.
    programs: Mutex<Vec<Program>>,
}

impl Engine {
    /// An engine over the tables that the leaves have loaded.
    pub fn new(
        device: Arc<DeviceContext>,
        options: XlaOptions,
        cancelled: Cancelled,
        metrics: ExecutionPlanMetricsSet,
        mode: MemoryMode,
        query: Arc<TaskContext>,
        tables: Tables,
    ) -> Self {
        Self { device, options, cancelled, metrics, mode, query, tables, programs: Mutex::default() }
    }

    /// The table that a leaf has loaded.
    pub fn table_of(&self, leaf: &Arc<dyn ExecutionPlan>) -> Option<&Arc<DeviceTable>> {
        self.tables.get(&address(leaf))
    }

    /// Most slots of a join; where memory is short they take no more than a sixteenth of it.
    pub fn most_slots(&self) -> usize {
        let limit = self.options.memory_limit.filter(|_| self.mode > MemoryMode::Resident).unwrap_or(usize::MAX);
        self.options.max_dense_slots.min(limit / (16 * size_of::<i32>()))
    }

    /// Whether the accumulators of all workers, and then their sum, take no more than half of the memory that is left.
    pub fn has_room_for(&self, accumulators: &AccumulatorPlan) -> bool {
        let needed = accumulators.size_bytes() * (self.device.workers(&self.options) + 1);
        self.mode == MemoryMode::Resident || self.memory_left().is_none_or(|left| needed <= left / 2)
    }

    /// Whether tables stay on the device while operators run, so that an extra pass over them costs little.
    pub fn holds_tables(&self) -> bool {
        self.mode == MemoryMode::Resident
    }

    /// Whether what one operator computes may be kept for another operator of the query: not where memory is limited, nor where
    /// each operator counts its own rows.
    pub fn shares_accumulators(&self) -> bool {
        self.options.memory_limit.is_none() && !self.options.count_rows
    }

    /// Bytes of device memory that are still allowed; `None` without a limit.
    pub fn memory_left(&self) -> Option<usize> {
        let used = self.device.mesh.runtime().memory().used() as usize;
        self.options.memory_limit.map(|limit| limit.saturating_sub(used))
    }

    /// Begins a program that runs on `devices`.
    pub fn trace(&self, name: &str, devices: usize) -> Trace {
        Trace::new(name, &self.options, devices, self.lowering())
    }

    /// Traces the program that computes a relation.
    pub fn trace_rows(&self, relation: &Relation, live: LiveRows) -> Result<ResultProgram> {
        let mut trace = self.trace(&relation.program_name(), self.devices_of(relation));
        let rows = trace_relation(&mut trace, relation)?;
        trace.finish_rows(rows, live)
    }

    /// Compiles a program that runs over the source of `relation`, and uploads its constants.
    pub fn bind(&self, traced: &TracedProgram, relation: &Relation) -> Result<BoundProgram> {
        self.bind_on(traced, self.devices_of(relation))
    }

    /// Compiles a program for the first `devices` of the mesh, and uploads its constants.
    pub fn bind_on(&self, traced: &TracedProgram, devices: usize) -> Result<BoundProgram> {
        self.cancelled.check()?;
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).push(traced.program.clone());
        let bound = BoundProgram::new(traced, &self.device.mesh, devices)?;
        record_compile(&self.metrics, &bound.outcome);
        Ok(bound)
    }

    /// Runs a program that reads only whole arrays and constants, once, on device 0.
    pub fn run_once(&self, traced: &TracedProgram) -> Result<Outputs> {
        let start = Instant::now();
        let outputs = self.bind_on(traced, 1)?.run_sides()?;
        self.kernel_time(start.elapsed());
        traced.layout.read(outputs)
    }

    /// Devices that run a program over this source.
    pub fn devices_of(&self, relation: &Relation) -> usize {
        match &relation.source {
            Source::Table(table) | Source::Selected(table, _) => table.layout.shards.len(),
            Source::Accumulated(accumulated) => accumulated.totals.len(),
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

    /// Native kernels where the device is the host.
    pub fn lowering(&self) -> Lowering {
        match (self.options.portable_kernels, self.device.mesh.runtime().kind()) {
            (false, DeviceKind::Cpu) => Lowering::Native,
            _ => Lowering::Portable,
        }
    }

    pub fn kernel_time(&self, time: Duration) {
        MetricBuilder::new(&self.metrics).subset_time("kernel_time", 0).add_duration(time);
    }

    /// The programs that were run so far.
    pub fn into_programs(self) -> Vec<Program> {
        self.programs.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_compile(metrics: &ExecutionPlanMetricsSet, outcome: &CacheOutcome) {
    let name = if outcome.hit { "program_cache_hits" } else { "program_cache_misses" };
    MetricBuilder::new(metrics).counter(name, 0).add(1);
    MetricBuilder::new(metrics).subset_time("compile_time", 0).add_duration(outcome.compile_time);
}

/// Identity of a plan node during one run.
pub fn address(plan: &Arc<dyn ExecutionPlan>) -> usize {
    Arc::as_ptr(plan) as *const () as usize
}
