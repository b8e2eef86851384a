//! What the device operators share: how they trace, and the `ExecutionPlan` boilerplate that DataFusion asks for.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PlanProperties};

use crate::exec::aggregate::XlaAggregateExec;
use crate::exec::filter::XlaFilterExec;
use crate::exec::projection::XlaProjectionExec;
use crate::exec::sort::XlaSortExec;
use crate::expr::tracer::{TracedRelation, Tracer};

/// An operator that narrows or maps a relation within a program.
pub trait TraceNode {
    /// Adds this operator to the program being traced.
    fn trace(&self, t: &mut Tracer, input: TracedRelation) -> Result<TracedRelation>;
}

/// The device operators that a pipeline can hold between its source and its end.
pub enum DeviceNode<'a> {
    Filter(&'a XlaFilterExec),
    Projection(&'a XlaProjectionExec),
    Aggregate(&'a XlaAggregateExec),
    Sort(&'a XlaSortExec),
}

impl<'a> DeviceNode<'a> {
    /// The device operator behind a plan node, if it is one.
    pub fn of(plan: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(node) = plan.downcast_ref::<XlaFilterExec>() {
            Some(Self::Filter(node))
        } else if let Some(node) = plan.downcast_ref::<XlaProjectionExec>() {
            Some(Self::Projection(node))
        } else if let Some(node) = plan.downcast_ref::<XlaAggregateExec>() {
            Some(Self::Aggregate(node))
        } else {
            plan.downcast_ref::<XlaSortExec>().map(Self::Sort)
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::Projection(_) => "project",
            Self::Aggregate(_) => "aggregate",
            Self::Sort(_) => "sort",
        }
    }

    pub fn metrics(&self) -> &ExecutionPlanMetricsSet {
        match self {
            Self::Filter(node) => &node.metrics,
            Self::Projection(node) => &node.metrics,
            Self::Aggregate(node) => &node.metrics,
            Self::Sort(node) => &node.metrics,
        }
    }
}

/// Properties of a device operator: one partition (the mesh is inside), no order promised.
pub fn device_properties(schema: SchemaRef, emission: EmissionType) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        emission,
        Boundedness::Bounded,
    ))
}

/// The error of executing a node that only exists inside a pipeline.
pub fn not_executable(name: &str) -> DataFusionError {
    DataFusionError::Internal(format!("{name} hands no rows to the host; a DeviceToHostExec above it runs it"))
}

/// Implements `ExecutionPlan` for an operator inside a pipeline: fields `input`, `properties`, `metrics`, and methods
/// `with_input` and `expressions`.
macro_rules! device_execution_plan {
    ($node:ty, $name:literal) => {
        impl datafusion::physical_plan::ExecutionPlan for $node {
            fn name(&self) -> &str {
                $name
            }

            fn properties(&self) -> &std::sync::Arc<datafusion::physical_plan::PlanProperties> {
                &self.properties
            }

            fn children(&self) -> Vec<&std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
                vec![&self.input]
            }

            fn benefits_from_input_partitioning(&self) -> Vec<bool> {
                vec![false]
            }

            fn apply_expressions(
                &self,
                f: &mut dyn FnMut(
                    &std::sync::Arc<dyn datafusion::physical_plan::PhysicalExpr>,
                )
                    -> datafusion::error::Result<datafusion::common::tree_node::TreeNodeRecursion>,
            ) -> datafusion::error::Result<datafusion::common::tree_node::TreeNodeRecursion> {
                crate::exec::device_node::visit_expressions(self.expressions(), f)
            }

            fn with_new_children(
                self: std::sync::Arc<Self>,
                children: Vec<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
            ) -> datafusion::error::Result<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
                let input = crate::exec::device_node::only_child(children, $name)?;
                Ok(std::sync::Arc::new(self.with_input(input)))
            }

            fn execute(
                &self,
                _partition: usize,
                _context: std::sync::Arc<datafusion::execution::TaskContext>,
            ) -> datafusion::error::Result<datafusion::execution::SendableRecordBatchStream> {
                Err(crate::exec::device_node::not_executable($name))
            }

            fn metrics(&self) -> Option<datafusion::physical_plan::metrics::MetricsSet> {
                Some(self.metrics.clone_inner())
            }
        }
    };
}
pub(crate) use device_execution_plan;

/// Visits expressions until the visitor stops.
pub fn visit_expressions(
    expressions: Vec<Arc<dyn datafusion::physical_plan::PhysicalExpr>>,
    f: &mut dyn FnMut(
        &Arc<dyn datafusion::physical_plan::PhysicalExpr>,
    ) -> Result<datafusion::common::tree_node::TreeNodeRecursion>,
) -> Result<datafusion::common::tree_node::TreeNodeRecursion> {
    use datafusion::common::tree_node::TreeNodeRecursion;
    for expression in &expressions {
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
