//! `XlaSortExec`: orders the groups of an aggregate inside the finish program. A sort of a whole table waits for the
//! radix sort and stays on the host with a reason.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::error::Result;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::Boundedness;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties,
};

use crate::exec::device_node::{TraceNode, device_execution_plan};
use crate::expr::convert::try_convert;
use crate::expr::device_expr::DeviceExpr;
use crate::expr::fallback::FallbackReason;
use crate::expr::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Comparison, Value};
use crate::kernels::wide::Wide;
use crate::kernels::{order_key, small_sort};
use crate::program::ElementType::{S8, S32, S64, U64};
use crate::program::Shape;

#[derive(Debug)]
pub struct XlaSortExec {
    pub input: Arc<dyn ExecutionPlan>,
    ordering: LexOrdering,
    keys: Vec<(DeviceExpr, SortOptions)>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaSortExec {
    /// Converts a host sort, over `input` instead of its own. The caller has checked that the input is small.
    pub fn try_convert(host: &SortExec, input: Arc<dyn ExecutionPlan>) -> Result<Self, FallbackReason> {
        let schema = host.input().schema();
        let keys = host
            .expr()
            .iter()
            .map(|e: &PhysicalSortExpr| Ok((try_convert(&e.expr, &schema)?, e.options)))
            .collect::<Result<Vec<_>, FallbackReason>>()?;
        let mut equivalences = EquivalenceProperties::new(schema);
        equivalences.add_ordering(host.expr().clone());
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Self {
            input,
            ordering: host.expr().clone(),
            keys,
            fetch: host.fetch(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            ordering: self.ordering.clone(),
            keys: self.keys.clone(),
            fetch: self.fetch,
            properties: self.properties.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.ordering.iter().map(|e| e.expr.clone()).collect()
    }
}

impl TraceNode for XlaSortExec {
    fn trace(&self, t: &mut Tracer, input: TracedRelation) -> Result<TracedRelation> {
        let n = input.capacity;
        // Live rows first; then, for each key, NULLs by their place and values ascending.
        let mut keys: Vec<Value> = Vec::new();
        if let Some(mask) = input.mask {
            let dead = t.builder.not(mask)?;
            keys.push(t.builder.convert(dead, S8)?);
        }
        for (expr, options) in &self.keys {
            let column = t.with_active(input.mask, |t| expr.trace(t, &input))?;
            t.sort_keys(&column, *options, n, &mut keys)?;
        }
        let row_ids = small_sort::sorted_row_ids(&mut t.builder, &keys, n)?;
        let mut columns = Vec::with_capacity(input.columns.len());
        for column in &input.columns {
            columns.push(t.take_column(column, row_ids, n)?);
        }
        let mut mask = match input.mask {
            Some(mask) => Some(t.builder.take(mask, row_ids)?),
            None => None,
        };
        if let Some(fetch) = self.fetch {
            let position = t.builder.iota(Shape::new(S32, [n]), 0)?;
            let limit = t.scalar_parameter(S32, fetch.min(n) as i128);
            let within = t.builder.compare(position, limit, Comparison::Lt)?;
            mask = crate::expr::tracer::and_valid(&mut t.builder, mask, Some(within))?;
        }
        Ok(TracedRelation { columns, mask, capacity: n })
    }
}

impl Tracer {
    /// Appends integer keys `[n]` that order `column` as `options` say.
    fn sort_keys(
        &mut self,
        column: &TracedColumn,
        options: SortOptions,
        n: usize,
        keys: &mut Vec<Value>,
    ) -> Result<()> {
        if let Some(valid) = column.valid {
            let first = if options.nulls_first { valid } else { self.builder.not(valid)? };
            let first = self.broadcast(first, n)?;
            keys.push(self.builder.convert(first, S8)?);
        }
        let values = match &column.values {
            Values::Pred(v) => vec![self.builder.convert(*v, S8)?],
            Values::Float(v) => vec![order_key::from_float(&mut self.builder, *v)?],
            Values::Int(Int { limbs: Limbs::Narrow(v), .. }) => vec![*v],
            Values::Int(Int { limbs: Limbs::Wide(w), .. }) => {
                // The unsigned low limb orders as a signed one with its top bit turned.
                let top = self.builder.constant_of(U64, 1i128 << 63)?;
                let lo = self.builder.xor(w.lo, top)?;
                vec![w.hi, self.builder.bitcast_convert(lo, S64)?]
            }
        };
        for mut key in values {
            if options.descending {
                key = self.builder.not(key)?;
            }
            // Under a NULL the value is unspecified; equal keys leave ties to the row order.
            if let Some(valid) = column.valid {
                let element_type = self.builder.element_type(key);
                let zero = self.builder.constant_of(element_type, 0)?;
                key = self.builder.select(valid, key, zero)?;
            }
            keys.push(self.broadcast(key, n)?);
        }
        Ok(())
    }

    /// The rows of `column` in the order of `row_ids`.
    fn take_column(&mut self, column: &TracedColumn, row_ids: Value, n: usize) -> Result<TracedColumn> {
        let take = |t: &mut Self, v: Value| -> Result<Value> {
            let v = t.broadcast(v, n)?;
            Ok(t.builder.take(v, row_ids)?)
        };
        let values = match &column.values {
            Values::Pred(v) => Values::Pred(take(self, *v)?),
            Values::Float(v) => Values::Float(take(self, *v)?),
            Values::Int(int) => {
                let limbs = match int.limbs {
                    Limbs::Narrow(v) => Limbs::Narrow(take(self, v)?),
                    Limbs::Wide(w) => Limbs::Wide(Wide { hi: take(self, w.hi)?, lo: take(self, w.lo)? }),
                };
                Values::Int(Int { limbs, range: int.range })
            }
        };
        let valid = match column.valid {
            Some(valid) => Some(take(self, valid)?),
            None => None,
        };
        Ok(TracedColumn { values, valid, ..column.clone() })
    }
}

impl DisplayAs for XlaSortExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return write!(f, "{}", self.ordering);
        }
        match self.fetch {
            Some(fetch) => write!(f, "XlaSortExec: TopK(fetch={fetch}), expr=[{}]", self.ordering),
            None => write!(f, "XlaSortExec: expr=[{}]", self.ordering),
        }
    }
}

device_execution_plan!(XlaSortExec, "XlaSortExec");
