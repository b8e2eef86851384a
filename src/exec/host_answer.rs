//! The host operators that a pipeline replaces, where they answer after all: because they are faster, or because only the data told
//! that the device cannot.

use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::exec::table_source::TableSource;
use crate::expr::tracer::error::ExpressionError;

/// The host plan of a border: as it was before placement, and as it can run.
#[derive(Debug)]
pub struct HostPlan {
    pub planned: Arc<dyn ExecutionPlan>,
    /// Kept for other runs where all leaves are rows in memory: what DataFusion hands from a join or a sort to the scans below it
    /// (dynamic filters) outlives a run, and would be wrong for other rows.
    ready: OnceLock<Arc<dyn ExecutionPlan>>,
}

impl HostPlan {
    pub fn new(planned: Arc<dyn ExecutionPlan>) -> Self {
        Self { planned, ready: OnceLock::new() }
    }

    /// Runs it. `input` are the device operators in its place, whose leaves may know the rows of a recursion.
    pub fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        task: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let plan = match self.ready.get() {
            Some(plan) => Arc::clone(plan),
            None => {
                let plan = finish(with_work_table(Arc::clone(&self.planned), input)?, task)?;
                if reads_memory_only(&plan) { Arc::clone(self.ready.get_or_init(|| plan)) } else { plan }
            }
        };
        execute_stream(reset_plan_states(plan)?, Arc::clone(task))
    }

    /// The error of a failed query as DataFusion words it, values included. A program reports only which expression failed,
    /// so the host operators run until they meet the error; no row of theirs is used. Where they meet none (they may
    /// evaluate in another order), the device's own message stands.
    pub async fn explain_failure(
        &self,
        failure: &ExpressionError,
        input: &Arc<dyn ExecutionPlan>,
        task: &Arc<TaskContext>,
    ) -> DataFusionError {
        let replay = async {
            let mut stream = self.execute(input, task)?;
            while let Some(batch) = stream.next().await {
                batch?;
            }
            Ok::<(), DataFusionError>(())
        };
        match replay.await {
            Err(error) => error,
            Ok(()) => failure.to_datafusion(),
        }
    }
}

/// The rest of DataFusion's optimizer: placement came before its distribution, order and all that follows.
fn finish(plan: Arc<dyn ExecutionPlan>, task: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
    let options: &ConfigOptions = task.session_config().options();
    let first = EnsureRequirements::new();
    let rules = PhysicalOptimizer::new().rules;
    let rest = rules.iter().skip_while(|rule| rule.name() != first.name()).skip(1);
    let mut plan = first.optimize(plan, options)?;
    for rule in rest {
        plan = rule.optimize(plan, options)?;
    }
    Ok(plan)
}

fn reads_memory_only(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let children = plan.children();
    match children.is_empty() {
        true => matches!(TableSource::of(plan), Some(TableSource::Memory { .. })),
        false => children.into_iter().all(reads_memory_only),
    }
}

/// DataFusion hands the rows of a recursion to the leaves of the plan that it runs, which the host plan is no part of.
fn with_work_table(plan: Arc<dyn ExecutionPlan>, input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(table) = work_table(input) else { return Ok(plan) };
    let replace = |node: Arc<dyn ExecutionPlan>| {
        Ok(match node.downcast_ref::<WorkTableExec>() {
            Some(_) => Transformed::yes(Arc::clone(table)),
            None => Transformed::no(node),
        })
    };
    plan.transform_down(replace).data()
}

fn work_table(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    match plan.downcast_ref::<WorkTableExec>() {
        Some(_) => Some(plan),
        None => plan.children().into_iter().find_map(work_table),
    }
}
