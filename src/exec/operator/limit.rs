//! `XlaLimitExec`: skips rows and keeps the next, in row order, by the rank of each live row. Chunks are run only until enough rows
//! have been seen.

use std::fmt;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::exec::device_node::{TraceNode, device_execution_plan, device_properties};
use crate::expr::tracer::{TracedRelation, Tracer};
use crate::hlo::{Comparison, Scalar};
use crate::kernels::scan;
use crate::program::ElementType::S32;

#[derive(Debug)]
pub struct XlaLimitExec {
    pub input: Arc<dyn ExecutionPlan>,
    skip: usize,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaLimitExec {
    fn new(input: Arc<dyn ExecutionPlan>, skip: usize, fetch: Option<usize>) -> Self {
        // The order of the input is kept.
        let mut properties = device_properties(input.schema(), EmissionType::Incremental).as_ref().clone();
        properties.eq_properties = input.properties().eq_properties.clone();
        Self { input, skip, fetch, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Converts OFFSET and LIMIT.
    pub fn of_global(host: &GlobalLimitExec, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(input, host.skip(), host.fetch())
    }

    /// Converts the limit of each partition; the device has one.
    pub fn of_local(host: &LocalLimitExec, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(input, 0, Some(host.fetch()))
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(input, self.skip, self.fetch)
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    /// Rows of the input after which no more are needed.
    pub fn rows_needed(&self) -> Option<usize> {
        self.fetch.map(|fetch| fetch.saturating_add(self.skip))
    }
}

impl TraceNode for XlaLimitExec {
    fn trace(&self, t: &mut Tracer, mut input: TracedRelation) -> Result<TracedRelation> {
        let always = t.builder.constant(Scalar::Pred(true));
        let mask = t.broadcast(input.mask.unwrap_or(always), input.capacity)?;
        let ones = t.builder.convert(mask, S32)?;
        let (rank, _) = scan::exclusive_sum(&mut t.builder, t.lowering, ones)?;
        let bound = |rows: usize| rows.min(i32::MAX as usize) as i128;
        let first = t.scalar_parameter(S32, bound(self.skip));
        let kept = t.builder.compare(rank, first, Comparison::Ge)?;
        let mut mask = t.builder.and(mask, kept)?;
        if let Some(needed) = self.rows_needed() {
            let end = t.scalar_parameter(S32, bound(needed));
            let kept = t.builder.compare(rank, end, Comparison::Lt)?;
            mask = t.builder.and(mask, kept)?;
        }
        input.mask = Some(mask);
        Ok(input)
    }
}

impl DisplayAs for XlaLimitExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fetch = self.fetch.map_or("None".to_string(), |fetch| fetch.to_string());
        if format == DisplayFormatType::TreeRender {
            return write!(f, "skip={}\nlimit={fetch}", self.skip);
        }
        write!(f, "XlaLimitExec: skip={}, fetch={fetch}", self.skip)
    }
}

device_execution_plan!(XlaLimitExec, "XlaLimitExec");
