//! Reads the rows of host plans.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::TryStreamExt;

/// All rows of a host plan, partition after partition, read in parallel.
pub async fn collect_in_order(plan: Arc<dyn ExecutionPlan>, task: &Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
    let n = plan.output_partitioning().partition_count();
    let mut readers = tokio::task::JoinSet::new();
    for partition in 0..n {
        let stream = plan.execute(partition, task.clone())?;
        readers.spawn(async move { (partition, stream.try_collect::<Vec<_>>().await) });
    }
    let mut partitions: Vec<Vec<RecordBatch>> = vec![Vec::new(); n];
    while let Some(read) = readers.join_next().await {
        let (partition, batches) = read.map_err(|e| DataFusionError::Execution(format!("reading a table: {e}")))?;
        partitions[partition] = batches?;
    }
    Ok(partitions.into_iter().flatten().collect())
}

/// Column `index` of every batch.
pub fn column_of(batches: &[RecordBatch], index: usize) -> Vec<ArrayRef> {
    batches.iter().map(|b| b.column(index).clone()).collect()
}
