//! What the device operators share: how they trace, and the `ExecutionPlan` boilerplate that DataFusion asks for.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{ExecutionPlan, Partitioning, PlanProperties};

use crate::exec::operator::aggregate::aggregation::XlaAggregateExec;
use crate::exec::operator::filter::XlaFilterExec;
use crate::exec::operator::join::join_operator::XlaJoinExec;
use crate::exec::operator::limit::XlaLimitExec;
use crate::exec::operator::projection::XlaProjectionExec;
use crate::exec::operator::sort::XlaSortExec;
use crate::exec::operator::union::XlaUnionExec;
use crate::expr::tracer::{TracedRelation, Tracer};

/// An operator that narrows or maps a relation within a program.
pub trait TraceNode {
    /// Adds this operator to the program being traced.
    fn trace(&self, t: &mut Tracer, input: TracedRelation) -> Result<TracedRelation>;
}

/// The device operators between the borders.
pub enum DeviceNode<'a> {
    Filter(&'a XlaFilterExec),
    Projection(&'a XlaProjectionExec),
    Aggregate(&'a XlaAggregateExec),
    Sort(&'a XlaSortExec),
    Limit(&'a XlaLimitExec),
    Join(&'a XlaJoinExec),
    Union(&'a XlaUnionExec),
}

impl<'a> DeviceNode<'a> {
    /// The device operator behind a plan node, if it is one.
    pub fn of(plan: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        macro_rules! first_of {
            ($($variant:ident($node:ty)),*) => {
                $(if let Some(node) = plan.downcast_ref::<$node>() {
                    return Some(Self::$variant(node));
                })*
            };
        }
        first_of!(
            Filter(XlaFilterExec),
            Projection(XlaProjectionExec),
            Aggregate(XlaAggregateExec),
            Sort(XlaSortExec),
            Limit(XlaLimitExec),
            Join(XlaJoinExec),
            Union(XlaUnionExec)
        );
        None
    }

    /// Part of the name of the programs that it is traced into.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::Projection(_) => "project",
            Self::Aggregate(_) => "aggregate",
            Self::Sort(_) => "sort",
            Self::Limit(_) => "limit",
            Self::Join(_) => "join",
            Self::Union(_) => "union",
        }
    }

    pub fn metrics(&self) -> &'a ExecutionPlanMetricsSet {
        match self {
            Self::Filter(node) => &node.metrics,
            Self::Projection(node) => &node.metrics,
            Self::Aggregate(node) => &node.metrics,
            Self::Sort(node) => &node.metrics,
            Self::Limit(node) => &node.metrics,
            Self::Join(node) => &node.metrics,
            Self::Union(node) => &node.metrics,
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

/// Implements `ExecutionPlan` for an operator between the borders: fields `properties` and `metrics`, method `expressions`, and
/// either a field `input` with a method `with_input`, or methods `inputs` and `with_inputs`.
macro_rules! device_execution_plan {
    ($node:ty, $name:literal) => {
        impl $node {
            fn inputs(&self) -> Vec<&std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
                vec![&self.input]
            }

            fn with_inputs(
                &self,
                inputs: Vec<std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>>,
            ) -> datafusion::error::Result<Self> {
                Ok(self.with_input(crate::exec::device_node::only_child(inputs, $name)?))
            }
        }

        crate::exec::device_node::device_execution_plan!($node, $name, several);
    };
    ($node:ty, $name:literal, several) => {
        impl datafusion::physical_plan::ExecutionPlan for $node {
            fn name(&self) -> &str {
                $name
            }

            fn properties(&self) -> &std::sync::Arc<datafusion::physical_plan::PlanProperties> {
                &self.properties
            }

            fn children(&self) -> Vec<&std::sync::Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
                self.inputs()
            }

            fn benefits_from_input_partitioning(&self) -> Vec<bool> {
                vec![false; self.inputs().len()]
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
                Ok(std::sync::Arc::new(self.with_inputs(children)?))
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
