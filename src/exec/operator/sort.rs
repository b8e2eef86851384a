//! `XlaSortExec`: orders the rows of one chunk that holds them all. Keys of every type become unsigned words (`sort_keys`), the
//! words are radix sorted with their row ids, and the columns are gathered last. With a row limit every chunk first keeps only its
//! own first rows (top-k), so that ten rows do not cost the sort of a table.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::{Conversion, Inputs, only_relation};
use crate::exec::required_encodings::RequiredEncodings;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::{materialize, single};
use crate::exec::shape_hash::{hash_exprs, hash_value};
use crate::exec::step_operator::{StepOperator, step_of};
use crate::exec::strategy::add_strategy;
use crate::exec::trace::program::Trace;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::sort_keys::sort_words;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::{TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, Value};
use crate::kernels::radix_sort;
use crate::program::ElementType::S32;
use crate::program::Shape;

/// Rows that are kept at least, so that limits of like size share programs.
const LEAST_TOP: usize = 128;

/// Most rows that a sort may keep for its chunks to choose their own first.
const MOST_TOP_ROWS: usize = 1 << 14;

#[derive(Debug)]
pub struct Sort {
    ordering: LexOrdering,
    keys: Vec<(DeviceExpr, SortOptions)>,
    fetch: Option<usize>,
    schema: SchemaRef,
}

/// Converts a `SortExec`.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let host = plan.downcast_ref::<SortExec>()?;
    let sort = || {
        let input = inputs.only(host.input())?;
        let schema = host.input().schema();
        let key = |e: &PhysicalSortExpr| Ok((try_convert(&e.expr, &schema)?, e.options));
        let keys = host.expr().iter().map(key).collect::<Result<Vec<_>, FallbackReason>>()?;
        let sort = Sort { ordering: host.expr().clone(), keys, fetch: host.fetch(), schema: host.schema() };
        Ok((Arc::new(sort) as Arc<dyn DeviceOperator>, vec![input]))
    };
    Some(sort())
}

impl Sort {
    /// Whether all rows of `input` are known to be in this order.
    fn is_order_of(&self, input: &Relation) -> bool {
        let Some((DeviceExpr { node: Node::Column(column), .. }, options)) = self.keys.first() else { return false };
        // Without NULLs; a second key decides nothing where no two rows have the same first.
        self.fetch.is_none()
            && !options.descending
            && input.is_ascending(*column)
            && (self.keys.len() == 1 || input.is_unique(*column))
    }

    /// Whether so few rows are kept that each chunk can choose its own first.
    fn keeps_few(&self) -> bool {
        self.fetch.is_some_and(|fetch| fetch <= MOST_TOP_ROWS)
    }

    /// Row ids in order: all of them, or the first that can be among those kept.
    fn order(&self, t: &mut Tracer, input: &TracedRelation) -> Result<(Value, usize)> {
        let n = input.capacity;
        let kept = self.fetch.map_or(n, |fetch| fetch.next_power_of_two().max(LEAST_TOP).min(n));
        let ids = if kept < n {
            let keys = sort_words(t, &self.keys, input, None)?;
            let live = input.mask.map(|mask| t.broadcast(mask, n)).transpose()?;
            radix_sort::argsort_top(&mut t.builder, t.lowering, &keys, live, n, kept)?
        } else {
            let keys = sort_words(t, &self.keys, input, input.mask)?;
            radix_sort::argsort(&mut t.builder, t.lowering, &keys, n)?
        };
        Ok((ids, kept))
    }
}

impl DeviceOperator for Sort {
    fn name(&self) -> &'static str {
        "XlaSortExec"
    }

    fn label(&self) -> &'static str {
        "sort"
    }

    fn row_scope(&self) -> RowScope {
        RowScope::Order { keys: self.keys.clone(), limit: self.fetch }
    }

    fn row_effect(&self) -> RowEffect {
        if self.fetch.is_some() { RowEffect::Picks } else { RowEffect::Reorders }
    }

    fn required_encodings(&self, output: &[StringEncoding], _widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        let mut input = RequiredEncodings::passed_through(output);
        self.keys.iter().for_each(|(key, _)| input.require_for(key));
        vec![input.into_columns()]
    }

    fn sources_of(&self, column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        // With fewer rows of the input, others would be the first.
        if self.fetch.is_some() { Vec::new() } else { vec![InputColumn::of_only(column)] }
    }

    fn weight(&self) -> usize {
        1
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
        hash_exprs(self.keys.iter().map(|(key, _)| key), state);
        let options: Vec<_> = self.keys.iter().map(|(_, options)| (options.descending, options.nulls_first)).collect();
        hash_value((options, self.fetch.is_some()), state);
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        self.ordering.iter().map(|e| e.expr.clone()).collect()
    }

    fn properties(&self, _inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        let mut equivalences = EquivalenceProperties::new(self.schema.clone());
        equivalences.add_ordering(self.ordering.clone());
        let partitioning = Partitioning::UnknownPartitioning(1);
        Arc::new(PlanProperties::new(equivalences, partitioning, EmissionType::Final, Boundedness::Bounded))
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return write!(f, "{}", self.ordering);
        }
        match self.fetch {
            Some(fetch) => write!(f, "XlaSortExec: TopK(fetch={fetch}), expr=[{}]", self.ordering),
            None => write!(f, "XlaSortExec: expr=[{}]", self.ordering),
        }
    }

    fn open(
        self: Arc<Self>,
        engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        let input = only_relation(inputs)?;
        if self.is_order_of(&input) {
            add_strategy(metrics, "already in order");
            return Ok(Opened::Relation(input));
        }
        if self.keeps_few() {
            let input = match input.is_single() {
                true => input,
                false => single(engine, input.with(Arc::new(TopOfChunk(Arc::clone(&self)))), None)?,
            };
            return Ok(Opened::Relation(input.with(step_of(self, metrics))));
        }
        let (is_single, metrics) = (input.is_single(), metrics.clone());
        let sort_all = move |engine: &Engine, inputs| {
            let input = only_relation(inputs)?;
            let input = match input.is_sparse() {
                true => Relation::on(materialize(engine, &input, None)?),
                false => single(engine, input, None)?,
            };
            Ok(input.with(step_of(Arc::clone(&self), &metrics)))
        };
        if is_single {
            return Ok(Opened::Relation(sort_all(engine, vec![input])?));
        }
        Ok(Opened::Together { inputs: vec![input], held: 0, compute: Box::new(sort_all) })
    }
}

impl StepOperator for Sort {
    fn source_of(&self, column: usize) -> Option<usize> {
        Some(column)
    }

    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation> {
        let t = &mut trace.t;
        let (row_ids, n) = self.order(t, &rows)?;
        let mut sorted = t.take_rows(&rows, row_ids, n)?;
        if let Some(mask) = rows.mask {
            let mask = t.broadcast(mask, rows.capacity)?;
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

/// The rows of each chunk that can be among the first of all. Its rows are those of the sort above, which counts them.
struct TopOfChunk(Arc<Sort>);

impl Step for TopOfChunk {
    fn operator(&self) -> &'static str {
        self.0.name()
    }

    fn label(&self) -> &'static str {
        "top"
    }

    fn metrics(&self) -> Option<&ExecutionPlanMetricsSet> {
        None
    }

    fn needs_all_rows(&self) -> bool {
        false
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Picks
    }

    fn weight(&self) -> usize {
        0
    }

    fn source_of(&self, column: usize) -> Option<usize> {
        Some(column)
    }

    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation> {
        StepOperator::trace(self.0.as_ref(), trace, rows)
    }
}
