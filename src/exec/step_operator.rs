//! Operators that are a step of a relation: they are traced over the rows of one chunk.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::device_operator::{DeviceOperator, RowScope};
use crate::exec::trace::program::Trace;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::tracer::TracedRelation;

/// What a device operator adds to be a [`Step`].
pub trait StepOperator: DeviceOperator {
    /// The input column whose values output column `column` has, row for row.
    fn source_of(&self, column: usize) -> Option<usize>;

    /// Adds the operator to the program being traced.
    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation>;
}

/// An operator and where its rows are counted.
pub struct OperatorStep<O> {
    operator: Arc<O>,
    metrics: ExecutionPlanMetricsSet,
    needs_all_rows: bool,
}

/// The step of an operator; one whose row scope is more than a chunk needs all rows in one.
pub fn step_of<O: StepOperator>(operator: Arc<O>, metrics: &ExecutionPlanMetricsSet) -> Arc<dyn Step> {
    let needs_all_rows = !matches!(operator.row_scope(), RowScope::Chunk);
    Arc::new(OperatorStep { operator, metrics: metrics.clone(), needs_all_rows })
}

impl<O: StepOperator> Step for OperatorStep<O> {
    fn operator(&self) -> &'static str {
        self.operator.name()
    }

    fn label(&self) -> &'static str {
        self.operator.label()
    }

    fn metrics(&self) -> Option<&ExecutionPlanMetricsSet> {
        Some(&self.metrics)
    }

    fn needs_all_rows(&self) -> bool {
        self.needs_all_rows
    }

    fn row_effect(&self) -> RowEffect {
        self.operator.row_effect()
    }

    // What a step is to be weighed by is gathered columns, which these have none of.
    fn weight(&self) -> usize {
        0
    }

    fn source_of(&self, column: usize) -> Option<usize> {
        self.operator.source_of(column)
    }

    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation> {
        self.operator.trace(trace, rows)
    }
}
