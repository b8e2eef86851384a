//! `HostFallbackExec`: an operator that stays on the host, with the reason. It only passes the operator through; it is
//! there so that EXPLAIN shows the reason on the operator's own line.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::expr::fallback::FallbackReason;

/// Displays as the operator itself, followed by `[host: reason]`.
#[derive(Debug)]
pub struct HostFallbackExec {
    host: Arc<dyn ExecutionPlan>,
    reason: FallbackReason,
}

impl HostFallbackExec {
    pub fn new(host: Arc<dyn ExecutionPlan>, reason: FallbackReason) -> Self {
        Self { host, reason }
    }

    /// The node itself. `plan.downcast_ref()` finds the operator that it passes through, never this.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Self> {
        (plan.as_ref() as &dyn Any).downcast_ref()
    }

    /// The operator itself.
    pub fn host(&self) -> &Arc<dyn ExecutionPlan> {
        &self.host
    }

    pub fn reason(&self) -> &FallbackReason {
        &self.reason
    }
}

impl DisplayAs for HostFallbackExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt_as(format, f)?;
        if format == DisplayFormatType::TreeRender {
            return write!(f, "\nhost={}", self.reason);
        }
        write!(f, " [host: {}]", self.reason)
    }
}

impl ExecutionPlan for HostFallbackExec {
    fn name(&self) -> &str {
        self.host.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.host.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.host.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.host.children()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.host.maintains_input_order()
    }

    fn dynamic_expressions_produced(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.host.dynamic_expressions_produced()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.host.apply_expressions(f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let host = datafusion::physical_plan::replace_children_if_necessary(self.host.clone(), children)?;
        Ok(Arc::new(Self { host, reason: self.reason.clone() }))
    }

    // What the operator keeps of a run (a join its build side) must not reach the next run of a cached plan.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { host: self.host.clone().reset_state()?, reason: self.reason.clone() }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.host.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.host.metrics()
    }

    fn fetch(&self) -> Option<usize> {
        self.host.fetch()
    }
}
