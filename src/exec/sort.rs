//! `XlaSortExec`: orders the rows of one chunk that holds them all. Keys of every type become unsigned words (`key_words`), the
//! words are radix sorted with their row ids, and the columns are gathered last. With a row limit every chunk first keeps
//! only its own first rows (top-k), so that no table is sorted for the sake of ten rows.

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
use crate::exec::key_words::{KeyUse, KeyWords};
use crate::exec::relation::Relation;
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::{TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, Value};
use crate::kernels::radix_sort::{self, SortKey};
use crate::program::ElementType::S32;
use crate::program::Shape;

/// Rows that are kept at least, so that limits of like size share programs.
const LEAST_TOP: usize = 128;

/// Most rows that a sort may keep for its chunks to choose their own first.
const MOST_TOP_ROWS: usize = 1 << 14;

#[derive(Debug)]
pub struct XlaSortExec {
    pub input: Arc<dyn ExecutionPlan>,
    ordering: LexOrdering,
    pub keys: Vec<(DeviceExpr, SortOptions)>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaSortExec {
    /// Converts a host sort, over `input` instead of its own.
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

impl XlaSortExec {
    /// Most rows that are kept.
    pub fn rows_kept(&self) -> Option<usize> {
        self.fetch
    }

    /// Whether all rows of `input` are known to be in this order.
    pub fn is_order_of(&self, input: &Relation) -> bool {
        let Some((DeviceExpr { node: Node::Column(column), .. }, options)) = self.keys.first() else { return false };
        let is = |known: Vec<bool>| known.get(*column).copied().unwrap_or(false);
        // Without NULLs; a second key decides nothing where no two rows have the same first.
        self.fetch.is_none()
            && !options.descending
            && is(input.ascending_columns())
            && (self.keys.len() == 1 || is(input.unique_columns()))
    }

    /// Whether so few rows are kept that each chunk can choose its own first.
    pub fn keeps_few(&self) -> bool {
        self.fetch.is_some_and(|fetch| fetch <= MOST_TOP_ROWS)
    }

    /// Row ids in order: all of them, or the first that can be among those kept.
    fn order(&self, t: &mut Tracer, input: &TracedRelation) -> Result<(Value, usize)> {
        let n = input.capacity;
        let kept = self.fetch.map_or(n, |fetch| fetch.next_power_of_two().max(LEAST_TOP).min(n));
        let ids = if kept < n {
            let keys = self.words(t, input, None)?;
            let live = input.mask.map(|mask| t.broadcast(mask, n)).transpose()?;
            radix_sort::argsort_top(&mut t.builder, t.lowering, &keys, live, n, kept)?
        } else {
            let keys = self.words(t, input, input.mask)?;
            radix_sort::argsort(&mut t.builder, t.lowering, &keys, n)?
        };
        Ok((ids, kept))
    }

    /// The keys of every row, the most significant word first; rows outside `live` come last.
    pub fn words(&self, t: &mut Tracer, input: &TracedRelation, live: Option<Value>) -> Result<Vec<SortKey>> {
        let mut words = KeyWords::new(input.capacity);
        if let Some(live) = live {
            words.add_dead(t, live)?;
        }
        for (expr, options) in &self.keys {
            let column = t.with_active(input.mask, |t| expr.trace(t, input))?;
            words.add(t, &column, *options, KeyUse::Sort)?;
        }
        words.pack(t)
    }

    /// The rows of one chunk that can be among the first of all.
    pub fn trace_top(&self, t: &mut Tracer, input: TracedRelation) -> Result<TracedRelation> {
        self.trace(t, input)
    }
}

impl TraceNode for XlaSortExec {
    fn trace(&self, t: &mut Tracer, input: TracedRelation) -> Result<TracedRelation> {
        let (row_ids, n) = self.order(t, &input)?;
        let mut sorted = t.take_rows(&input, row_ids, n)?;
        if let Some(mask) = input.mask {
            let mask = t.broadcast(mask, input.capacity)?;
            sorted.mask = Some(t.builder.take(mask, row_ids)?);
        }
        if let Some(fetch) = self.fetch {
            let position = t.builder.iota(Shape::new(S32, [n]), 0)?;
            let limit = t.scalar_parameter(S32, fetch.min(n) as i128);
            let within = t.builder.compare(position, limit, Comparison::Lt)?;
            sorted.mask = and_valid(&mut t.builder, sorted.mask, Some(within))?;
        }
        Ok(sorted)
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
