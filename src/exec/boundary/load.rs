//! Loads the tables that a pipeline reads.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::try_join_all;
use tokio::sync::Semaphore;

use crate::columnar::table::DeviceTable;
use crate::config::XlaOptions;
use crate::cores::cores;
use crate::exec::boundary::encoding_demand::{Demand, leaf_demands};
use crate::exec::boundary::host_to_device::LoadContext;
use crate::exec::run::chunk_loop::Cancelled;
use crate::exec::run::engine::{Engine, address};
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::column_cache::{ColumnCache, FileSet};
use crate::exec::state::context::DeviceContext;
use crate::exec::state::memory_mode::MemoryMode;

/// An engine over the tables that the operators below `top` read.
pub async fn load(
    top: &Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    device: Arc<DeviceContext>,
    options: XlaOptions,
    cancelled: Cancelled,
    metrics: ExecutionPlanMetricsSet,
    mode: MemoryMode,
) -> Result<Engine> {
    // Leaves that read the same files share their columns, though with `xla.cache_columns = false` no later query may.
    let own = ColumnCache::default();
    let columns = if options.cache_columns { &device.column_cache } else { &own };
    let permits = Arc::new(Semaphore::new(cores()));
    let to = LoadContext { device: &device, columns, options: &options, strings: &[], mode, cores: &permits };
    let (to, cancelled_of) = (&to, &cancelled);
    let load = |leaves| load_leaves(leaves, task, to, cancelled_of);
    // Tables are loaded at the same time, so that no core waits for another's last column.
    let tables = match options.memory_limit {
        None => try_join_all(by_files(top).into_iter().map(load)).await?,
        Some(_) => vec![load(by_files(top).into_iter().flatten().collect()).await?],
    };
    let tables = tables.into_iter().flatten().collect();
    Ok(Engine::new(device, options, cancelled, metrics, mode, Arc::clone(task), tables))
}

/// Loads leaves one after another; gives their addresses and tables.
async fn load_leaves(
    leaves: Vec<Demand<'_>>,
    task: &Arc<TaskContext>,
    to: &LoadContext<'_>,
    cancelled: &Cancelled,
) -> Result<Vec<(usize, Arc<DeviceTable>)>> {
    let mut loaded = Vec::with_capacity(leaves.len());
    for (plan, leaf, strings) in leaves {
        cancelled.check()?;
        let table = leaf.load(task, &LoadContext { strings: &strings, ..*to }).await?;
        loaded.push((address(plan), Arc::new(table)));
    }
    Ok(loaded)
}

/// The leaves below `top`, those that read the same files together.
fn by_files(top: &Arc<dyn ExecutionPlan>) -> Vec<Vec<Demand<'_>>> {
    let mut groups: Vec<(Option<Arc<FileSet>>, Vec<Demand<'_>>)> = Vec::new();
    for demand in leaf_demands(top) {
        let files = TableSource::of(&demand.1.input).and_then(|table| table.files().cloned());
        match groups.iter_mut().find(|(of_group, _)| files.is_some() && *of_group == files) {
            Some((_, group)) => group.push(demand),
            None => groups.push((files, vec![demand])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
