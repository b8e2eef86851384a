//! `XlaProjectionExec`: computes columns, fused with whatever follows.

use std::fmt;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::exec::device_node::{TraceNode, device_execution_plan, device_properties};
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedRelation, Tracer};

#[derive(Debug)]
pub struct XlaProjectionExec {
    pub input: Arc<dyn ExecutionPlan>,
    host_exprs: Vec<ProjectionExpr>,
    pub exprs: Vec<DeviceExpr>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaProjectionExec {
    /// Converts a host projection, over `input` instead of its own.
    pub fn try_convert(host: &ProjectionExec, input: Arc<dyn ExecutionPlan>) -> Result<Self, FallbackReason> {
        let schema = host.input().schema();
        let exprs = host.expr().iter().map(|e| try_convert(&e.expr, &schema)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            input,
            host_exprs: host.expr().to_vec(),
            exprs,
            properties: device_properties(host.schema(), EmissionType::Incremental),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            host_exprs: self.host_exprs.clone(),
            exprs: self.exprs.clone(),
            properties: self.properties.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.host_exprs.iter().map(|e| e.expr.clone()).collect()
    }
}

impl TraceNode for XlaProjectionExec {
    fn trace(&self, t: &mut Tracer, input: TracedRelation) -> Result<TracedRelation> {
        let columns =
            t.with_active(input.mask, |t| self.exprs.iter().map(|e| e.trace(t, &input)).collect::<Result<Vec<_>>>())?;
        Ok(TracedRelation { columns, ..input })
    }
}

impl DisplayAs for XlaProjectionExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exprs: Vec<String> = self
            .host_exprs
            .iter()
            .map(|e| {
                let text = e.expr.to_string();
                if text == e.alias { text } else { format!("{text} as {}", e.alias) }
            })
            .collect();
        if format == DisplayFormatType::TreeRender {
            return f.write_str(&exprs.join("\n"));
        }
        write!(f, "XlaProjectionExec: expr=[{}]", exprs.join(", "))
    }
}

device_execution_plan!(XlaProjectionExec, "XlaProjectionExec");
