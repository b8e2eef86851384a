//! What the device operators find in the session: the mesh they run on and the tables that stay on it.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;

use crate::columnar::host_array::HostMemory;
use crate::columnar::layout::{CPU_CHUNK_ROWS, Layout, MIN_CAPACITY};
use crate::config::XlaOptions;
use crate::cores::cores;
use crate::exec::state::accumulator_cache::AccumulatorCache;
use crate::exec::state::column_cache::ColumnCache;
use crate::exec::state::costs::{self, Costs};
use crate::exec::state::history::PlacementHistory;
use crate::exec::state::load_progress::LoadTracker;
use crate::exec::state::selectivity::Selectivities;
use crate::runtime::{DeviceKind, Mesh};

/// Chunk capacity on devices with their own memory, where a launch costs more than a cache miss.
const ACCELERATOR_CHUNK_ROWS: usize = 1 << 22;

/// What a row of a chunk takes of the memory limit, its share of results and temporaries included.
const CHUNK_ROW_BYTES: usize = 512;

/// Lives in the session's config extensions; one for all queries of a session.
pub struct DeviceContext {
    pub mesh: Mesh,
    pub column_cache: ColumnCache,
    /// Host memory for columns that do not fit device memory.
    pub waiting: HostMemory,
    /// How many rows pipelines that ran before let through.
    pub selectivities: Selectivities,
    /// Accumulators of the queries that are running.
    pub accumulators: AccumulatorCache,
    /// Tables that are being loaded.
    pub load_tracker: LoadTracker,
    /// Measured times of pipelines.
    pub history: Arc<PlacementHistory>,
    /// What things cost, where that is not this machine's.
    costs: Option<Costs>,
}

impl DeviceContext {
    pub fn new(mesh: Mesh) -> Self {
        Self {
            mesh,
            column_cache: ColumnCache::default(),
            waiting: HostMemory::default(),
            selectivities: Selectivities::default(),
            accumulators: AccumulatorCache::default(),
            load_tracker: LoadTracker::default(),
            history: Arc::default(),
            costs: None,
        }
    }

    /// With the constants of another machine.
    pub fn with_costs(self, costs: Option<Costs>) -> Self {
        Self { costs, ..self }
    }

    /// What things cost.
    pub fn costs(&self) -> Costs {
        self.costs.unwrap_or_else(costs::machine)
    }

    /// The context of the session that runs a task.
    pub fn of(task: &TaskContext) -> Result<Arc<Self>> {
        task.session_config().get_extension::<Self>().ok_or_else(|| {
            DataFusionError::Configuration(
                "this session has no device: build it with parallax::session::Session, or add Parallax to its \
                 SessionStateBuilder with parallax::session::SessionStateBuilderExt"
                    .to_string(),
            )
        })
    }

    /// Rows of a chunk: a power of two, so few that the chunks that all workers have in hand fit `xla.memory_limit`.
    pub fn chunk_rows(&self, options: &XlaOptions) -> usize {
        let rows = match (options.chunk_rows, self.mesh.runtime().kind()) {
            (0, DeviceKind::Cpu) => CPU_CHUNK_ROWS,
            (0, _) => ACCELERATOR_CHUNK_ROWS,
            (rows, _) => return rows,
        };
        let Some(limit) = options.memory_limit else { return rows };
        let fitting = limit / (self.workers(options) * CHUNK_ROW_BYTES);
        rows.min((fitting + 1).next_power_of_two() / 2).max(MIN_CAPACITY)
    }

    /// How the rows of a table lie on the devices.
    pub fn layout(&self, rows: usize, options: &XlaOptions) -> Layout {
        Layout::new(rows, self.mesh.len(), self.chunk_rows(options))
    }

    /// What a query begins with: the limit of device memory is set, and what others have left goes, columns that no query holds
    /// among it where a lower limit was set.
    pub fn begin(&self, options: &XlaOptions) {
        self.accumulators.sweep();
        let memory = self.mesh.runtime().memory();
        memory.set_limit(options.memory_limit);
        while memory.limit().is_some_and(|limit| memory.used() > limit) && self.column_cache.evict_one() {}
    }

    /// Host threads that run chunks of one device at a time.
    pub fn workers(&self, options: &XlaOptions) -> usize {
        match (options.threads, self.mesh.runtime().kind()) {
            (0, DeviceKind::Cpu) => cores(),
            (0, _) => 1,
            (threads, _) => threads,
        }
    }
}
