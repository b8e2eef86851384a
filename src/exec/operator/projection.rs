//! `XlaProjectionExec`: computes columns, fused with whatever follows.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_exec::device_properties;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::{Conversion, Inputs, only_relation};
use crate::exec::required_encodings::RequiredEncodings;
use crate::exec::run::engine::Engine;
use crate::exec::shape_hash::hash_exprs;
use crate::exec::step_operator::{StepOperator, step_of};
use crate::exec::trace::program::Trace;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;
use crate::expr::convert::try_convert;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::TracedRelation;

#[derive(Debug)]
pub struct Projection {
    host_exprs: Vec<ProjectionExpr>,
    exprs: Vec<DeviceExpr>,
    schema: SchemaRef,
}

/// Converts a `ProjectionExec`.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let host = plan.downcast_ref::<ProjectionExec>()?;
    let projection = || {
        let input = inputs.only(host.input())?;
        let schema = host.input().schema();
        let exprs = host.expr().iter().map(|e| try_convert(&e.expr, &schema)).collect::<Result<Vec<_>, _>>()?;
        let projection = Projection { host_exprs: host.expr().to_vec(), exprs, schema: host.schema() };
        Ok((Arc::new(projection) as Arc<dyn DeviceOperator>, vec![input]))
    };
    Some(projection())
}

impl DeviceOperator for Projection {
    fn name(&self) -> &'static str {
        "XlaProjectionExec"
    }

    fn label(&self) -> &'static str {
        "project"
    }

    fn row_scope(&self) -> RowScope {
        RowScope::Chunk
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Keeps
    }

    fn required_encodings(&self, output: &[StringEncoding], widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        let mut input = RequiredEncodings::none(widths[0]);
        for (expr, encoding) in self.exprs.iter().zip(output) {
            match &expr.node {
                Node::Column(column) => input.require(*column, *encoding),
                _ => input.require_for(expr),
            }
        }
        vec![input.into_columns()]
    }

    fn sources_of(&self, column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        self.source_of(column).map(InputColumn::of_only).into_iter().collect()
    }

    fn weight(&self) -> usize {
        0
    }

    fn held_input(&self) -> Option<usize> {
        None
    }

    fn runtime_filters(&self) -> Option<&dyn RuntimeFilterSource> {
        None
    }

    fn accumulates(&self) -> bool {
        false
    }

    fn hash_shape(&self, state: &mut dyn Hasher) {
        hash_exprs(&self.exprs, state);
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.host_exprs.iter().map(|e| e.expr.clone()).collect()
    }

    fn properties(&self, _inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        device_properties(self.schema.clone(), EmissionType::Incremental)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |e: &ProjectionExpr| {
            let text = e.expr.to_string();
            if text == e.alias { text } else { format!("{text} as {}", e.alias) }
        };
        let exprs: Vec<String> = self.host_exprs.iter().map(named).collect();
        if format == DisplayFormatType::TreeRender {
            return f.write_str(&exprs.join("\n"));
        }
        write!(f, "XlaProjectionExec: expr=[{}]", exprs.join(", "))
    }

    fn open(
        self: Arc<Self>,
        _engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        Ok(Opened::Relation(only_relation(inputs)?.with(step_of(self, metrics))))
    }
}

impl StepOperator for Projection {
    fn source_of(&self, column: usize) -> Option<usize> {
        match self.exprs[column].node {
            Node::Column(column) => Some(column),
            _ => None,
        }
    }

    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation> {
        let columns = trace
            .t
            .with_active(rows.mask, |t| self.exprs.iter().map(|e| e.trace(t, &rows)).collect::<Result<Vec<_>>>())?;
        Ok(TracedRelation { columns, ..rows })
    }
}
