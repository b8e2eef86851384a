//! `XlaAggregateExec`: a whole aggregation (both DataFusion's Partial/Final pair and Single), on dense group ids.
//!
//! The update program runs over every chunk and adds to accumulators in place; the finish program merges the
//! accumulators of all workers and devices and computes the results.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::config::XlaOptions;
use crate::exec::aggregate_call::{AggregateCall, CallFunction};
use crate::exec::aggregate_lowering::{Accumulator, Argument, Finish, Update, Updates};
use crate::exec::device_node::{device_execution_plan, device_properties};
use crate::exec::group_keys::GroupKeys;
use crate::exec::grouping_sets::{self, Expanded};
use crate::exec::row_functions::RowCall;
use crate::exec::row_groups::RowGroups;
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::dense_group::scatter_all;
use crate::kernels::reduce::{Reduction, combine, identity, reduce_all};
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// Capacity of the relation that an aggregate without GROUP BY gives: one row, padded.
pub const SINGLE_ROW_CAPACITY: usize = 8;

#[derive(Debug)]
pub struct XlaAggregateExec {
    pub input: Arc<dyn ExecutionPlan>,
    group_by: PhysicalGroupBy,
    host_calls: Vec<Arc<AggregateFunctionExpr>>,
    host_filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
    keys: Vec<DeviceExpr>,
    /// Type of the column behind the keys that tells grouping sets apart.
    grouping_id_type: DataType,
    calls: Vec<AggregateCall>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

/// What the update program leaves for the finish: how many slots, which accumulators, how each result is made.
#[derive(Clone, Debug)]
pub struct AggregateState {
    /// `None` without GROUP BY.
    pub keys: Option<GroupKeys>,
    pub accumulators: Vec<Accumulator>,
    results: Vec<CallResult>,
    /// Accumulator that is above zero where a group has rows.
    presence: Option<usize>,
    max_rows: usize,
}

/// How one call's result is made.
#[derive(Clone, Debug)]
enum CallResult {
    Totals(Finish),
    /// It is there already.
    Column(TracedColumn),
}

impl AggregateState {
    /// Shape of one accumulator.
    pub fn shape(&self, accumulator: &Accumulator) -> Shape {
        match &self.keys {
            Some(keys) => Shape::new(accumulator.element_type, [keys.slots]),
            None => Shape::scalar(accumulator.element_type),
        }
    }
}

impl XlaAggregateExec {
    /// Converts an aggregation over `input`. `last` is the Final or Single node, whose schema is the output; `first`
    /// the Partial one, or the same Single node.
    pub fn try_convert(
        last: &AggregateExec,
        first: &AggregateExec,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Self, FallbackReason> {
        let schema = first.input().schema();
        let group_by = first.group_expr().clone();
        let mut keys = Vec::with_capacity(group_by.expr().len());
        for (expr, _) in group_by.expr() {
            let key = try_convert(expr, &schema)?;
            keys.push(key);
        }
        let calls = first.aggr_expr().iter().zip(first.filter_expr());
        let calls = calls.map(|(call, filter)| AggregateCall::try_convert(call, filter.as_ref(), &schema));
        let calls = calls.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            input,
            host_calls: first.aggr_expr().to_vec(),
            host_filters: first.filter_expr().to_vec(),
            grouping_id_type: if group_by.has_grouping_set() {
                last.schema().field(keys.len()).data_type().clone()
            } else {
                DataType::Null
            },
            group_by,
            keys,
            calls,
            properties: device_properties(last.schema(), EmissionType::Final),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// Keys that decide a row's group; none where a row is in several groups, or there is but one.
    pub fn plain_keys(&self) -> Vec<DeviceExpr> {
        if self.group_by.has_grouping_set() { Vec::new() } else { self.keys.clone() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            group_by: self.group_by.clone(),
            host_calls: self.host_calls.clone(),
            host_filters: self.host_filters.clone(),
            keys: self.keys.clone(),
            grouping_id_type: self.grouping_id_type.clone(),
            calls: self.calls.clone(),
            properties: self.properties.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let keys = self.group_by.expr().iter().map(|(e, _)| e.clone());
        let arguments = self.host_calls.iter().flat_map(|c| c.expressions());
        keys.chain(arguments).chain(self.host_filters.iter().flatten().cloned()).collect()
    }

    /// Traces the update on dense group ids; `None` where the keys have none. `accumulators` makes the running accumulators
    /// once their number and shapes are known. Returns the updated accumulators.
    pub fn trace_update(
        &self,
        t: &mut Tracer,
        input: &TracedRelation,
        max_rows: usize,
        options: &XlaOptions,
        accumulators: impl FnOnce(&mut Tracer, &AggregateState) -> Result<Vec<Value>>,
    ) -> Result<Option<(AggregateState, Vec<Value>)>> {
        let Expanded { rows: input, keys: key_columns, real } = self.keyed(t, input)?;
        let (input, mask) = (&input, input.mask);
        let max_rows = max_rows.saturating_mul(self.group_by.groups().len().max(1));
        let keys = match key_columns.as_slice() {
            [] => None,
            columns => match GroupKeys::plan(columns, most_slots(options, max_rows))? {
                Some(keys) => Some(keys),
                None => return Ok(None),
            },
        };
        let grouped = keys.is_some();
        let (updates, results, presence) = self.updates(t, input, real, max_rows, grouped, None)?;
        let accumulator_list = updates.list.iter().map(|u| u.accumulator).collect();
        let state = AggregateState { keys, accumulators: accumulator_list, results, presence, max_rows };
        let running = accumulators(t, &state)?;
        let ids = match &state.keys {
            Some(keys) => Some(keys.ids(t, &key_columns, mask, input.capacity)?),
            None => None,
        };
        let updated = accumulate(t, ids, &updates.list, &running)?;
        Ok(Some((state, updated)))
    }

    /// The rows to aggregate and their keys: with GROUPING SETS each row once for each set.
    fn keyed(&self, t: &mut Tracer, input: &TracedRelation) -> Result<Expanded> {
        let keys =
            t.with_active(input.mask, |t| self.keys.iter().map(|k| k.trace(t, input)).collect::<Result<Vec<_>>>())?;
        if !self.group_by.has_grouping_set() {
            return Ok(Expanded { rows: input.clone(), keys, real: None });
        }
        grouping_sets::expand(t, input, &keys, self.group_by.groups(), &self.grouping_id_type)
    }

    /// What every row adds, and how the results are made of it; last the accumulator that tells groups with rows from
    /// empty slots.
    /// `real`: rows that functions see. `groups`: where all rows are at hand, their groups, for DISTINCT.
    fn updates(
        &self,
        t: &mut Tracer,
        input: &TracedRelation,
        real: Option<Value>,
        max_rows: usize,
        grouped: bool,
        groups: Option<&RowGroups>,
    ) -> Result<(Updates, Vec<CallResult>, Option<usize>)> {
        let mask = input.mask;
        let mut updates = Updates::default();
        let mut results = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let mut passing = real;
            if let Some(filter) = &call.filter {
                let active = and_valid(&mut t.builder, mask, real)?;
                let filter = t.with_active(active, |t| filter.trace(t, input))?;
                let value = filter.pred()?;
                let value = and_valid(&mut t.builder, filter.valid, Some(value))?;
                passing = and_valid(&mut t.builder, passing, value)?;
            }
            let active = and_valid(&mut t.builder, mask, passing)?;
            let columns = t.with_active(active, |t| {
                call.arguments.iter().map(|a| a.trace(t, input)).collect::<Result<Vec<_>>>()
            })?;
            let not_null = columns.first().and_then(|c| c.valid);
            if let (true, Some(groups), Some(column)) = (call.distinct, groups, columns.first()) {
                let live = and_valid(&mut t.builder, active, not_null)?;
                let first = groups.first_of_each(t, column, live)?;
                passing = and_valid(&mut t.builder, passing, Some(first))?;
            }
            let function = match (&call.function, groups) {
                (CallFunction::Slots(function), _) => *function,
                (CallFunction::Rows(function), Some(groups)) => {
                    let live = and_valid(&mut t.builder, mask, passing)?;
                    let order = call.order.iter().map(|(key, options)| Ok((key.trace(t, input)?, *options)));
                    let order = order.collect::<Result<Vec<_>>>()?;
                    let (function, columns, order) = (*function, columns.as_slice(), order.as_slice());
                    let call = RowCall { function, columns, order, live, data_type: &call.data_type, groups };
                    results.push(CallResult::Column(call.trace(t)?));
                    continue;
                }
                (CallFunction::Rows(_), None) => {
                    return datafusion::common::internal_err!("a function of all rows over chunks");
                }
            };
            let counts = and_valid(&mut t.builder, passing, not_null)?;
            let may_be_empty = !grouped || counts.is_some();
            // With GROUP BY, rows outside the mask go to the trash slot; without, they add nothing.
            let live = if grouped { counts } else { and_valid(&mut t.builder, mask, counts)? };
            let live = match live {
                Some(live) => Some(t.broadcast(live, input.capacity)?),
                None => None,
            };
            let column = columns.into_iter().next();
            let argument = Argument { column, live, capacity: input.capacity, max_rows, may_be_empty };
            results.push(CallResult::Totals(function.trace_update(t, &mut updates, &argument, &call.data_type)?));
        }
        let presence = match (grouped, updates.positive) {
            (true, None) => Some(updates.count(t, None, input.capacity, max_rows)?),
            (true, positive) => positive,
            (false, _) => None,
        };
        Ok((updates, results, presence))
    }

    /// The result relation from the totals.
    pub fn trace_finish(t: &mut Tracer, state: &AggregateState, totals: &[Value]) -> Result<TracedRelation> {
        let totals = widen_totals(t, state, totals)?;
        let capacity = state.keys.as_ref().map_or(SINGLE_ROW_CAPACITY, |k| k.slots);
        let (columns, mask) = state.dense_columns(t, &totals)?;
        state.trace_results(t, columns, mask, capacity, &totals)
    }

    /// Every expression over the input.
    pub fn inputs_used(&self) -> Vec<&DeviceExpr> {
        let mut used: Vec<&DeviceExpr> = self.keys.iter().collect();
        for call in &self.calls {
            used.extend(call.arguments.iter().chain(&call.filter).chain(call.order.iter().map(|(key, _)| key)));
        }
        used
    }

    /// What a row costs, in gathers or scatters; a sum without groups costs next to nothing.
    pub fn weight(&self) -> usize {
        if self.keys.is_empty() { 0 } else { self.calls.len() + 1 }
    }

    /// Whether an argument or function asks for all rows at once.
    pub fn needs_all_rows(&self) -> bool {
        self.calls.iter().any(AggregateCall::needs_all_rows)
    }

    /// The whole aggregation of a relation that lies in one chunk, within one program.
    pub fn trace_whole(&self, t: &mut Tracer, input: &TracedRelation, options: &XlaOptions) -> Result<TracedRelation> {
        let Expanded { rows: input, keys: key_columns, real } = self.keyed(t, input)?;
        let (input, max_rows) = (&input, input.capacity);
        let groups = RowGroups::new(t, &key_columns, input, most_slots(options, max_rows))?;
        let grouped = groups.grouped();
        let (updates, results, presence) = self.updates(t, input, real, max_rows, grouped, Some(&groups))?;
        let mut start = Vec::with_capacity(updates.list.len());
        for update in &updates.list {
            let Accumulator { kind, element_type, .. } = update.accumulator;
            let identity = identity(&mut t.builder, kind, element_type)?;
            start.push(if grouped { t.broadcast(identity, groups.slots)? } else { identity });
        }
        let ids = if grouped { Some(groups.ids) } else { None };
        let totals = accumulate(t, ids, &updates.list, &start)?;
        let accumulators = updates.list.iter().map(|u| u.accumulator).collect();
        let keys = groups.dense.clone();
        let state = AggregateState { keys, accumulators, results, presence, max_rows };
        let totals = widen_totals(t, &state, &totals)?;
        let (columns, mask) = match &groups.hashed {
            Some(hashed) => (groups.hashed_columns(t, &key_columns, hashed)?, groups.hashed_mask(t, hashed)?),
            None => state.dense_columns(t, &totals)?,
        };
        state.trace_results(t, columns, mask, groups.capacity(), &totals)
    }
}

/// Most slots of dense groups of `rows` rows: a table of slots that is much larger than the rows costs more than hashing.
fn most_slots(options: &XlaOptions, rows: usize) -> usize {
    options.max_dense_groups.min((rows * 2).max(1 << 16))
}

/// Sums and counts leave their narrow accumulators here.
fn widen_totals(t: &mut Tracer, state: &AggregateState, totals: &[Value]) -> Result<Vec<Value>> {
    let mut wide = Vec::with_capacity(totals.len());
    for (total, accumulator) in totals.iter().zip(&state.accumulators) {
        let is_sum = accumulator.kind == ReduceKind::Add && accumulator.element_type == S32;
        wide.push(if is_sum { t.builder.convert(*total, S64)? } else { *total });
    }
    Ok(wide)
}

impl AggregateState {
    /// The key columns of dense groups, and which slots are groups.
    fn dense_columns(&self, t: &mut Tracer, totals: &[Value]) -> Result<(Vec<TracedColumn>, Value)> {
        let Some(keys) = &self.keys else {
            let slot = t.builder.iota(Shape::new(S32, [SINGLE_ROW_CAPACITY]), 0)?;
            let one = t.builder.constant(Scalar::S32(1));
            return Ok((Vec::new(), t.builder.compare(slot, one, Comparison::Lt)?));
        };
        let slot = t.builder.iota(Shape::new(S32, [keys.slots]), 0)?;
        let groups = t.scalar_parameter(S32, keys.groups as i128);
        let is_group = t.builder.compare(slot, groups, Comparison::Lt)?;
        let mask = match self.presence {
            Some(presence) => {
                let zero = t.builder.constant(Scalar::S64(0));
                let present = t.builder.compare(totals[presence], zero, Comparison::Gt)?;
                t.builder.and(is_group, present)?
            }
            None => is_group,
        };
        Ok((keys.columns(t)?, mask))
    }

    fn trace_results(
        &self,
        t: &mut Tracer,
        mut columns: Vec<TracedColumn>,
        mask: Value,
        capacity: usize,
        totals: &[Value],
    ) -> Result<TracedRelation> {
        t.with_active(Some(mask), |t| {
            for result in &self.results {
                columns.push(match result {
                    CallResult::Totals(finish) => finish.trace(t, totals, self.max_rows)?,
                    CallResult::Column(column) => column.clone(),
                });
            }
            Ok(())
        })?;
        Ok(TracedRelation { columns, mask: Some(mask), capacity })
    }
}

/// Adds what every row contributes to the running accumulators: those that refine another after those that do not.
fn accumulate(t: &mut Tracer, ids: Option<Value>, updates: &[Update], running: &[Value]) -> Result<Vec<Value>> {
    let mut updated = running.to_vec();
    for refining in [false, true] {
        let mut pending = Vec::new();
        for (index, update) in updates.iter().enumerate() {
            let accumulator = &update.accumulator;
            let (base, value) = match accumulator.refines {
                None if !refining => (running[index], update.value),
                Some(refined) if refining => {
                    // What was there counts if the refined value stays, a row if it reaches that value.
                    let now = updated[refined];
                    let base = keep_where_equal(t, accumulator, running[refined], now, running[index])?;
                    let of_row = match ids {
                        Some(ids) => t.builder.take(now, ids)?,
                        None => now,
                    };
                    (base, keep_where_equal(t, accumulator, updates[refined].value, of_row, update.value)?)
                }
                _ => continue,
            };
            pending.push((index, base, value));
        }
        if pending.is_empty() {
            continue;
        }
        let totals = match ids {
            Some(ids) => {
                let mut targets = Vec::with_capacity(pending.len());
                let mut values = Vec::with_capacity(pending.len());
                for (index, base, value) in &pending {
                    let accumulator = &updates[*index].accumulator;
                    targets.push((*base, accumulator.kind));
                    values.push(t.builder.convert(*value, accumulator.element_type)?);
                }
                scatter_all(&mut t.builder, ids, &targets, &values)?
            }
            None => {
                let reductions: Vec<_> = pending
                    .iter()
                    .map(|(index, _, value)| Reduction {
                        operand: *value,
                        kind: updates[*index].accumulator.kind,
                        total_type: updates[*index].accumulator.element_type,
                    })
                    .collect();
                let totals = reduce_all(&mut t.builder, &reductions)?;
                let mut combined = Vec::with_capacity(totals.len());
                for ((index, base, _), total) in pending.iter().zip(totals) {
                    combined.push(combine(&mut t.builder, updates[*index].accumulator.kind, *base, total)?);
                }
                combined
            }
        };
        for ((index, ..), total) in pending.into_iter().zip(totals) {
            updated[index] = total;
        }
    }
    Ok(updated)
}

/// `value` where `refined == wanted`, the identity elsewhere.
pub fn keep_where_equal(
    t: &mut Tracer,
    accumulator: &Accumulator,
    refined: Value,
    wanted: Value,
    value: Value,
) -> Result<Value> {
    let reaches = t.builder.compare(refined, wanted, Comparison::Eq)?;
    let identity = identity(&mut t.builder, accumulator.kind, accumulator.element_type)?;
    Ok(t.builder.select(reaches, value, identity)?)
}

/// Whether a node is the first of an aggregation: it reads rows, not partial states.
pub fn reads_rows(mode: &AggregateMode) -> bool {
    matches!(mode, AggregateMode::Partial | AggregateMode::Single | AggregateMode::SinglePartitioned)
}

impl DisplayAs for XlaAggregateExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self
            .group_by
            .expr()
            .iter()
            .map(|(e, name)| {
                let text = e.to_string();
                if text == *name { text } else { format!("{text} as {name}") }
            })
            .collect();
        let calls: Vec<&str> = self.host_calls.iter().map(|c| c.name()).collect();
        if format == DisplayFormatType::TreeRender {
            return write!(f, "gby={}\naggr={}", keys.join(", "), calls.join(", "));
        }
        write!(f, "XlaAggregateExec: gby=[{}], aggr=[{}]", keys.join(", "), calls.join(", "))
    }
}

device_execution_plan!(XlaAggregateExec, "XlaAggregateExec");
