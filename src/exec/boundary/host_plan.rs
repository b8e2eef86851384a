//! The host plan that a pipeline has replaced. It runs after all where it is faster, or where the device cannot run the pipeline over
//! these data.

use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::work_table::WorkTableExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;

use crate::exec::scan::table_source::TableSource;
use crate::exec::trace::output::DeviceFailure;

/// The optimizer rules that a host plan still has to go through: placement comes before DataFusion's distribution, order and all that
/// follows. They are those of the session, so that rules that an embedder has added or removed count here, too.
#[derive(Clone, Debug, Default)]
pub struct HostRules(Arc<[Arc<dyn PhysicalOptimizerRule + Send + Sync>]>);

impl HostRules {
    pub fn new(rules: impl IntoIterator<Item = Arc<dyn PhysicalOptimizerRule + Send + Sync>>) -> Self {
        Self(rules.into_iter().collect())
    }

    fn finish(&self, plan: Arc<dyn ExecutionPlan>, task: &TaskContext) -> Result<Arc<dyn ExecutionPlan>> {
        let options: &ConfigOptions = task.session_config().options();
        self.0.iter().try_fold(plan, |plan, rule| rule.optimize(plan, options))
    }
}

/// The host plan of a boundary: as it was before placement, and as it can run.
#[derive(Debug)]
pub struct HostPlan {
    pub planned: Arc<dyn ExecutionPlan>,
    /// The rules of the session that planned it, those that follow placement.
    rules: HostRules,
    /// Kept for other runs where all leaves are rows in memory: what DataFusion hands from a join or a sort to the scans below it
    /// (dynamic filters) outlives a run, and would be wrong for other rows.
    ready: OnceLock<Arc<dyn ExecutionPlan>>,
}

impl HostPlan {
    pub fn new(planned: Arc<dyn ExecutionPlan>, rules: HostRules) -> Self {
        Self { planned, rules, ready: OnceLock::new() }
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
                let plan = self.rules.finish(with_work_table(Arc::clone(&self.planned), input)?, task)?;
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
        failure: &DeviceFailure,
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
