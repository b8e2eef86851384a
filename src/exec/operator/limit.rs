//! `XlaLimitExec`: skips rows and keeps the next, in row order, by the rank of each live row. Chunks are run only until enough rows
//! have been seen.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_exec::device_properties;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::{Conversion, Inputs, only_relation};
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::single;
use crate::exec::shape_hash::hash_value;
use crate::exec::step_operator::{StepOperator, step_of};
use crate::exec::trace::program::Trace;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;
use crate::expr::fallback::FallbackReason;
use crate::expr::tracer::TracedRelation;
use crate::hlo::{Comparison, Scalar};
use crate::kernels::scan;
use crate::program::ElementType::S32;

#[derive(Debug)]
pub struct Limit {
    skip: usize,
    fetch: Option<usize>,
}

/// Converts OFFSET and LIMIT, and the limit of each partition: the device has one.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let (limit, host) = if let Some(global) = plan.downcast_ref::<GlobalLimitExec>() {
        (Limit { skip: global.skip(), fetch: global.fetch() }, global.input())
    } else {
        let local = plan.downcast_ref::<LocalLimitExec>()?;
        (Limit { skip: 0, fetch: Some(local.fetch()) }, local.input())
    };
    if host.children().is_empty() {
        return Some(Err(FallbackReason::LimitOfScan));
    }
    Some(inputs.only(host).map(|input| (Arc::new(limit) as Arc<dyn DeviceOperator>, vec![input])))
}

impl Limit {
    /// Rows of the input after which no more are needed.
    fn rows_needed(&self) -> Option<usize> {
        self.fetch.map(|fetch| fetch.saturating_add(self.skip))
    }
}

impl DeviceOperator for Limit {
    fn name(&self) -> &'static str {
        "XlaLimitExec"
    }

    fn label(&self) -> &'static str {
        "limit"
    }

    fn row_scope(&self) -> RowScope {
        RowScope::All
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Narrows
    }

    fn required_encodings(&self, output: &[StringEncoding], _widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        vec![output.to_vec()]
    }

    // With fewer rows of the input, others would be the first.
    fn sources_of(&self, _column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        Vec::new()
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
        hash_value((self.skip > 0, self.fetch.is_some()), state);
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn properties(&self, inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        // The order of the input is kept.
        let mut properties = device_properties(inputs[0].schema(), EmissionType::Incremental).as_ref().clone();
        properties.eq_properties = inputs[0].properties().eq_properties.clone();
        Arc::new(properties)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fetch = self.fetch.map_or("None".to_string(), |fetch| fetch.to_string());
        if format == DisplayFormatType::TreeRender {
            return write!(f, "skip={}\nlimit={fetch}", self.skip);
        }
        write!(f, "XlaLimitExec: skip={}, fetch={fetch}", self.skip)
    }

    fn open(
        self: Arc<Self>,
        engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        let input = single(engine, only_relation(inputs)?, self.rows_needed())?;
        Ok(Opened::Relation(input.with(step_of(self, metrics))))
    }
}

impl StepOperator for Limit {
    fn source_of(&self, column: usize) -> Option<usize> {
        Some(column)
    }

    fn trace(&self, trace: &mut Trace, mut rows: TracedRelation) -> Result<TracedRelation> {
        let t = &mut trace.t;
        let always = t.builder.constant(Scalar::Pred(true));
        let mask = t.broadcast(rows.mask.unwrap_or(always), rows.capacity)?;
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
        rows.mask = Some(mask);
        Ok(rows)
    }
}
