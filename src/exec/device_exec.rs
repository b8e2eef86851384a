//! `DeviceExec`: the one `ExecutionPlan` node of all device operators.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};

use crate::exec::device_operator::DeviceOperator;

/// A device operator in a plan, over its inputs.
#[derive(Debug)]
pub struct DeviceExec {
    operator: Arc<dyn DeviceOperator>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl DeviceExec {
    pub fn new(operator: Arc<dyn DeviceOperator>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        let properties = operator.properties(&inputs);
        Self { operator, inputs, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The device operator behind a plan node, if it is one.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<&Self> {
        plan.downcast_ref()
    }

    pub fn operator(&self) -> &Arc<dyn DeviceOperator> {
        &self.operator
    }

    pub fn inputs(&self) -> &[Arc<dyn ExecutionPlan>] {
        &self.inputs
    }

    /// Numbers of columns of the inputs.
    pub fn widths(&self) -> Vec<usize> {
        self.inputs.iter().map(|input| input.schema().fields().len()).collect()
    }
}

/// Properties of a device operator of this schema: one partition (the mesh is inside), no order promised.
pub fn device_properties(schema: SchemaRef, emission: EmissionType) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        emission,
        Boundedness::Bounded,
    ))
}

/// Visits expressions until the visitor stops.
pub fn visit_expressions(
    expressions: &[Arc<dyn PhysicalExpr>],
    f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
) -> Result<TreeNodeRecursion> {
    for expression in expressions {
        if f(expression)? == TreeNodeRecursion::Stop {
            return Ok(TreeNodeRecursion::Stop);
        }
    }
    Ok(TreeNodeRecursion::Continue)
}

/// The single child of a node that is rebuilt.
pub fn only_child(mut children: Vec<Arc<dyn ExecutionPlan>>, name: &str) -> Result<Arc<dyn ExecutionPlan>> {
    match (children.pop(), children.is_empty()) {
        (Some(child), true) => Ok(child),
        _ => Err(DataFusionError::Internal(format!("{name} has exactly one input"))),
    }
}

/// The error of executing a node that only exists inside a pipeline.
pub fn not_executable(name: &str) -> DataFusionError {
    DataFusionError::Internal(format!("{name} hands no rows to the host; a DeviceToHostExec above it runs it"))
}

impl DisplayAs for DeviceExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operator.fmt_as(format, f)
    }
}

impl ExecutionPlan for DeviceExec {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        visit_expressions(&self.operator.expressions(), f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.inputs.len() {
            let (name, n) = (self.operator.name(), self.inputs.len());
            return datafusion::common::internal_err!("{name} has {n} inputs, not {}", children.len());
        }
        Ok(Arc::new(Self::new(Arc::clone(&self.operator), children)))
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Err(not_executable(self.operator.name()))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
