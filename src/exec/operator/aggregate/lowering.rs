//! Traces an aggregation: the update that every row makes to accumulators, the finish that makes results of them, or both over a
//! relation that lies in one chunk.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::config::XlaOptions;
use crate::exec::operator::aggregate::accumulator::{Accumulator, Argument, Finish, Update, Updates};
use crate::exec::operator::aggregate::call::{AggregateCall, CallFunction};
use crate::exec::operator::aggregate::dense_keys::GroupKeys;
use crate::exec::operator::aggregate::grouping_sets::{self, Expanded};
use crate::exec::operator::aggregate::hashed::{RowGrouping, SINGLE_ROW_CAPACITY};
use crate::exec::operator::aggregate::holistic::RowCall;
use crate::exec::trace::accumulate::{AccumulatorSpec, keep_where_equal};
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::dense_group::scatter_all;
use crate::kernels::reduce::{Reduction, combine, identity, reduce_all};
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// GROUPING SETS: for each set the keys that it leaves out, and the type of the column that tells sets apart.
#[derive(Clone, Debug)]
pub struct GroupingSets {
    pub omitted: Vec<Vec<bool>>,
    pub id_type: DataType,
}

/// Keys and functions of an aggregation.
#[derive(Clone, Debug)]
pub struct AggregateLowering {
    pub keys: Vec<DeviceExpr>,
    pub sets: Option<GroupingSets>,
    pub calls: Vec<AggregateCall>,
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

/// The update of one chunk, before its accumulators are known to the program.
pub struct PendingUpdate {
    state: AggregateState,
    updates: Vec<Update>,
    key_columns: Vec<TracedColumn>,
    mask: Option<Value>,
    capacity: usize,
}

impl PendingUpdate {
    /// The accumulators that the update adds to.
    pub fn specs(&self) -> Vec<AccumulatorSpec> {
        let shape = |accumulator: &Accumulator| match &self.state.keys {
            Some(keys) => Shape::new(accumulator.element_type, [keys.slots]),
            None => Shape::scalar(accumulator.element_type),
        };
        let spec = |accumulator: &Accumulator| AccumulatorSpec {
            shape: shape(accumulator),
            kind: accumulator.kind,
            initial: identity_of(accumulator),
            refines: accumulator.refines,
        };
        self.state.accumulators.iter().map(spec).collect()
    }

    /// Adds the rows of the chunk to the running accumulators; gives the updated ones, and what the finish needs to know.
    pub fn trace(self, t: &mut Tracer, running: &[Value]) -> Result<(AggregateState, Vec<Value>)> {
        let ids = match &self.state.keys {
            Some(keys) => Some(keys.ids(t, &self.key_columns, self.mask, self.capacity)?),
            None => None,
        };
        let updated = accumulate(t, ids, &self.updates, running)?;
        Ok((self.state, updated))
    }
}

impl AggregateLowering {
    /// Whether a function asks for all rows at once.
    pub fn needs_all_rows(&self) -> bool {
        self.calls.iter().any(AggregateCall::needs_all_rows)
    }

    /// Every expression over the input.
    pub fn inputs_used(&self) -> Vec<&DeviceExpr> {
        let mut used: Vec<&DeviceExpr> = self.keys.iter().collect();
        for call in &self.calls {
            used.extend(call.arguments.iter().chain(&call.filter).chain(call.order.iter().map(|(key, _)| key)));
        }
        used
    }

    /// Traces the update on dense group ids of `input`, a chunk of a table of `max_rows` rows; `None` where the keys have none.
    pub fn trace_update(
        &self,
        t: &mut Tracer,
        input: &TracedRelation,
        max_rows: usize,
        options: &XlaOptions,
    ) -> Result<Option<PendingUpdate>> {
        let Expanded { rows: input, keys: key_columns, real } = self.keyed(t, input)?;
        let sets = self.sets.as_ref().map_or(1, |sets| sets.omitted.len().max(1));
        let max_rows = max_rows.saturating_mul(sets);
        let keys = match key_columns.as_slice() {
            [] => None,
            columns => match GroupKeys::plan(columns, most_slots(options, max_rows))? {
                Some(keys) => Some(keys),
                None => return Ok(None),
            },
        };
        let (updates, results, presence) = self.updates(t, &input, real, max_rows, keys.is_some(), None)?;
        let accumulators = updates.list.iter().map(|update| update.accumulator).collect();
        let state = AggregateState { keys, accumulators, results, presence, max_rows };
        let (mask, capacity) = (input.mask, input.capacity);
        Ok(Some(PendingUpdate { state, updates: updates.list, key_columns, mask, capacity }))
    }

    /// The rows to aggregate and their keys: with GROUPING SETS each row once for each set.
    fn keyed(&self, t: &mut Tracer, input: &TracedRelation) -> Result<Expanded> {
        let keys =
            t.with_active(input.mask, |t| self.keys.iter().map(|k| k.trace(t, input)).collect::<Result<Vec<_>>>())?;
        match &self.sets {
            None => Ok(Expanded { rows: input.clone(), keys, real: None }),
            Some(sets) => grouping_sets::expand(t, input, &keys, &sets.omitted, &sets.id_type),
        }
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
        groups: Option<&RowGrouping>,
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

    /// The whole aggregation of a relation that lies in one chunk, within one program.
    pub fn trace_whole(&self, t: &mut Tracer, input: &TracedRelation, options: &XlaOptions) -> Result<TracedRelation> {
        let Expanded { rows: input, keys: key_columns, real } = self.keyed(t, input)?;
        let (input, max_rows) = (&input, input.capacity);
        // Slots are there however few rows a pass has.
        let fitting = options.memory_limit.map_or(usize::MAX, |limit| limit / (SLOT_BYTES * self.calls.len().max(1)));
        let groups = RowGrouping::new(t, &key_columns, input, most_slots(options, max_rows).min(fitting))?;
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

/// What a slot of one function takes of the memory limit, so that slots take a small part of it.
const SLOT_BYTES: usize = 128;

/// Most slots of dense groups of `rows` rows: a table of slots that is much larger than the rows costs more than hashing.
fn most_slots(options: &XlaOptions, rows: usize) -> usize {
    options.max_dense_slots.min((rows * 2).max(1 << 16))
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
    /// Rows of the result, padded.
    pub fn capacity(&self) -> usize {
        self.keys.as_ref().map_or(SINGLE_ROW_CAPACITY, |keys| keys.slots)
    }

    /// Slots of the groups; 1 without keys.
    pub fn slots(&self) -> usize {
        self.keys.as_ref().map_or(1, |keys| keys.slots)
    }

    /// The result relation from the totals.
    pub fn trace_finish(&self, t: &mut Tracer, totals: &[Value]) -> Result<TracedRelation> {
        let totals = widen_totals(t, self, totals)?;
        let (columns, mask) = self.dense_columns(t, &totals)?;
        self.trace_results(t, columns, mask, self.capacity(), &totals)
    }

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
            let Accumulator { kind, element_type, .. } = *accumulator;
            let (base, value) = match accumulator.refines {
                None if !refining => (running[index], update.value),
                Some(refined) if refining => {
                    // What was there counts if the refined value stays, a row if it reaches that value.
                    let now = updated[refined];
                    let base = keep_where_equal(t, kind, element_type, running[refined], now, running[index])?;
                    let of_row = match ids {
                        Some(ids) => t.builder.take(now, ids)?,
                        None => now,
                    };
                    (base, keep_where_equal(t, kind, element_type, updates[refined].value, of_row, update.value)?)
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

/// The identity of an accumulator's kind.
fn identity_of(accumulator: &Accumulator) -> i128 {
    let bits = accumulator.element_type.size_bytes() as u32 * 8;
    match accumulator.kind {
        ReduceKind::Minimum => (1i128 << (bits - 1)) - 1,
        ReduceKind::Maximum => -(1i128 << (bits - 1)),
        ReduceKind::And => -1,
        _ => 0,
    }
}
