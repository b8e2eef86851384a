//! The general join: a probe row may have any number of matches. The matches are counted, the number of pairs is read, and a
//! program for that many pairs writes them out:
//!
//! ```text
//! matches of each probe row   2 0 1          source   0 0 2        position  0 1 0
//! build row = order[starts[slot of source] + position]
//! ```
//!
//! Without keys every probe row matches every build row (cross and nested-loop joins); a filter then decides. Where there are far
//! more pairs than rows, they are not all written out at once (`pair_chunks`).

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::layout::capacity_bucket;
use crate::columnar::table::DeviceTable;
use crate::exec::operator::join::build::{BuildSide, bucket_build_rows, read_built, take_or};
use crate::exec::operator::join::pair_chunks::pair_chunks;
use crate::exec::operator::join::probe::{in_order, residual_passes};
use crate::exec::operator::join::skew::{are_many, skewed_existence};
use crate::exec::operator::join::spec::{JoinKind, JoinSpec};
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::{materialize, table_of};
use crate::exec::strategy::{add_strategy, count};
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::output::LiveRows;
use crate::exec::trace::program::Trace;
use crate::exec::trace::relation::Relation;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, ReduceKind, Value};
use crate::kernels::expand;
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// Row ids have 32 bits.
const MOST_PAIRS: usize = 1 << 30;

/// The matches of every probe row: where they begin in the build side's order, and how many there are.
pub struct Matches {
    pub begins: Arc<BroadcastArray>,
    pub counts: Arc<BroadcastArray>,
    pub total: usize,
    /// Build rows by slot; `None` where every build row matches.
    pub order: Option<Arc<BroadcastArray>>,
}

/// Joins by writing out all pairs.
pub fn expand(
    engine: &Engine,
    spec: &JoinSpec,
    metrics: &ExecutionPlanMetricsSet,
    built: BuildSide,
    probe: Relation,
) -> Result<Relation> {
    let probe = materialize(engine, &probe, None)?;
    let (kind, _) = spec.kind();
    let matches = count_matches(engine, spec, &built, &probe)?;
    count(metrics, "pairs", matches.total);
    let many = are_many(matches.total, built.rows() + probe.layout.rows);
    if many && spec.residual.is_some() && matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark) {
        return skewed_existence(engine, spec, metrics, built, &probe, &matches);
    }
    match spec.keys.is_empty() {
        true => add_strategy(metrics, "nested-loop join"),
        false => add_strategy(metrics, format!("expanding join, {}", built.keys.describe())),
    }
    if many && (kind == JoinKind::Inner || kind == JoinKind::Outer && spec.residual.is_none()) {
        return pair_chunks(engine, spec, metrics, built, &probe, &matches);
    }
    if matches.total > MOST_PAIRS {
        return Err(DataFusionError::ResourcesExhausted(format!(
            "the join would have {} rows, more than the {MOST_PAIRS} that row numbers of 32 bits allow: filter its inputs, or join on \
             more keys",
            matches.total
        )));
    }
    let capacity = capacity_bucket(matches.total);
    check_pairs(engine, spec, &built, &probe, matches.total, capacity)?;

    let mut trace = engine.trace("join_expand", 1);
    let (begins, counts) = (trace.side(&matches.begins), trace.side(&matches.counts));
    let rows = traced_pairs(&mut trace, spec, &built, &probe, &matches, (begins, counts), matches.total, capacity)?;
    let t = &mut trace.t;
    let rows = rows.result(t, spec, kind)?;
    trace.count(Some(metrics), &rows)?;
    // The pairs of an inner join without a filter are all there, one after another.
    let all_pairs = kind == JoinKind::Inner && spec.residual.is_none();
    let live = if all_pairs { LiveRows::OfSource } else { LiveRows::Prefix };
    let result = trace.finish_rows(rows, live)?;
    let outputs = engine.run_once(&result.traced)?;
    Ok(Relation::on(table_of(engine, &result, outputs, matches.total)?))
}

/// The pairs of the rows of a probe table with `counts` matches each, which begin at `begins`: `total` of them in all.
#[expect(clippy::too_many_arguments, reason = "the two sides and what is known of their matches")]
pub fn traced_pairs(
    trace: &mut Trace,
    spec: &JoinSpec,
    built: &BuildSide,
    probe: &Arc<DeviceTable>,
    matches: &Matches,
    (begins, counts): (Value, Value),
    total: usize,
    capacity: usize,
) -> Result<Pairs> {
    let probe_rows = trace.whole_table(probe)?;
    let build_rows = read_built(trace, built)?;
    let order = matches.order.as_ref().map(|order| trace.side(order));
    let lowering = trace.t.lowering;
    let t = &mut trace.t;
    let pairs = expand::expand(&mut t.builder, lowering, counts, capacity)?;
    let begin = t.builder.take(begins, pairs.source)?;
    let at = t.builder.add(begin, pairs.position)?;
    let build_row = match order {
        Some(order) => t.builder.take(order, at)?,
        None => at,
    };
    let output = t.builder.iota(Shape::new(S32, [capacity]), 0)?;
    let total = t.scalar_parameter(S32, total as i128);
    let mut live = t.builder.compare(output, total, Comparison::Lt)?;
    let probe_columns = t.take_rows(&probe_rows, pairs.source, capacity)?.columns;
    let build_columns = t.take_rows(&build_rows, build_row, capacity)?.columns;
    if spec.residual.is_some() {
        let pass = residual_passes(t, spec, &probe_columns, &build_columns, Some(live), capacity)?;
        live = t.builder.and(live, pass)?;
    }
    Ok(Pairs { probe_rows, build_rows, probe_columns, build_columns, live, pairs, build_row, capacity })
}

fn count_matches(engine: &Engine, spec: &JoinSpec, built: &BuildSide, probe: &Arc<DeviceTable>) -> Result<Matches> {
    let buckets = if spec.keys.is_empty() { None } else { Some(bucket_build_rows(engine, built)?) };
    let mut trace = engine.trace("join_count", 1);
    let rows = trace.whole_table(probe)?;
    let zero = trace.t.builder.constant_of(S32, 0)?;
    let (begins, counts) = match &buckets {
        Some((starts, _)) => {
            let (_, probe_is_left) = spec.kind();
            let exprs = spec.side_keys(probe_is_left);
            let keys = trace
                .t
                .with_active(rows.mask, |t| exprs.iter().map(|key| key.trace(t, &rows)).collect::<Result<Vec<_>>>())?;
            let numbers = built.keys.numbers(&mut trace.t, &keys, rows.mask, rows.capacity)?;
            let slots = built.slots_of(&mut trace, &numbers)?;
            let starts = trace.side(starts);
            let t = &mut trace.t;
            let begins = take_or(t, starts, slots, 0)?;
            let one = t.builder.constant_of(S32, 1)?;
            let next = t.builder.add(slots, one)?;
            let ends = t.builder.take(starts, next)?;
            let there = t.builder.compare(slots, zero, Comparison::Ge)?;
            let counts = t.builder.subtract(ends, begins)?;
            (begins, t.builder.select(there, counts, zero)?)
        }
        None => {
            let t = &mut trace.t;
            let all = t.scalar_parameter(S32, built.rows() as i128);
            let mask = t.mask_of(&rows)?;
            let zeros = t.broadcast(zero, rows.capacity)?;
            (zeros, t.builder.select(mask, all, zero)?)
        }
    };
    let t = &mut trace.t;
    let wide = t.builder.convert(counts, S64)?;
    let total = t.sum_rows(wide)?;
    let mut arrays = engine.run_once(&trace.finish(&[begins, counts, total], None)?)?.arrays;
    let missing = || DataFusionError::Internal("a program without its outputs".to_string());
    let total = arrays.pop().ok_or_else(missing)?.to_vec::<i64>()?[0];
    let counts = BroadcastArray::alone(arrays.pop().ok_or_else(missing)?);
    let begins = BroadcastArray::alone(arrays.pop().ok_or_else(missing)?);
    Ok(Matches { begins, counts, total: total as usize, order: buckets.map(|(_, order)| order) })
}

/// A join output that cannot fit is an error before anything is allocated.
pub fn check_pairs(
    engine: &Engine,
    spec: &JoinSpec,
    built: &BuildSide,
    probe: &DeviceTable,
    pairs: usize,
    capacity: usize,
) -> Result<()> {
    let Some(limit) = engine.options.memory_limit else { return Ok(()) };
    let row_bytes = |table: &DeviceTable| -> usize {
        table.columns.iter().map(|c| c.representation.row_bytes() + usize::from(c.has_nulls)).sum()
    };
    let bytes = capacity * (row_bytes(&built.table) + row_bytes(probe));
    let used = engine.device.mesh.runtime().memory().used() as usize;
    if used + bytes > limit {
        return Err(DataFusionError::ResourcesExhausted(format!(
            "the {:?} join would have {pairs} rows of {} bytes, {bytes} bytes in all; {used} of the {limit} bytes that \
             xla.memory_limit allows are in use (raise it, or filter the inputs of the join)",
            spec.join_type,
            row_bytes(&built.table) + row_bytes(probe),
        )));
    }
    Ok(())
}

/// All pairs and the rows they come from.
pub struct Pairs {
    probe_rows: TracedRelation,
    build_rows: TracedRelation,
    /// Columns of the pairs.
    probe_columns: Vec<TracedColumn>,
    build_columns: Vec<TracedColumn>,
    /// Pairs that are there and pass the filter.
    live: Value,
    pairs: expand::Expanded,
    build_row: Value,
    capacity: usize,
}

impl Pairs {
    fn result(self, t: &mut Tracer, spec: &JoinSpec, kind: JoinKind) -> Result<TracedRelation> {
        let (_, probe_is_left) = spec.kind();
        let matched_probe = match kind {
            JoinKind::Inner => None,
            _ => Some(self.matched(t, self.pairs.source, self.probe_rows.capacity)?),
        };
        if let (JoinKind::Semi | JoinKind::Anti | JoinKind::Mark, Some(matched)) = (kind, matched_probe) {
            return keep_matched(t, spec, self.probe_rows, matched);
        }
        let mut parts = vec![TracedRelation {
            columns: in_order(probe_is_left, self.probe_columns.clone(), self.build_columns.clone()),
            mask: Some(self.live),
            capacity: self.capacity,
        }];
        if let Some(matched) = matched_probe {
            parts.push(unmatched_rows(t, &self.probe_rows, matched, &self.build_rows, probe_is_left)?);
        }
        if kind == JoinKind::Full {
            let matched = self.matched(t, self.build_row, self.build_rows.capacity)?;
            parts.push(unmatched_rows(t, &self.build_rows, matched, &self.probe_rows, !probe_is_left)?);
        }
        let mut rows = if parts.len() == 1 { parts.swap_remove(0) } else { t.concatenate(&parts)? };
        rows.columns = spec.project(rows.columns);
        Ok(rows)
    }

    /// Rows of one side that are in a live pair, `pred[n]`; `row` is that side's row of each pair.
    fn matched(&self, t: &mut Tracer, row: Value, n: usize) -> Result<Value> {
        let hits = self.hits(t, row, n)?;
        let zero = t.builder.constant_of(S32, 0)?;
        Ok(t.builder.compare(hits, zero, Comparison::Gt)?)
    }

    /// The same as s32[n], above zero where there is a pair.
    fn hits(&self, t: &mut Tracer, row: Value, n: usize) -> Result<Value> {
        let nowhere = t.builder.constant_of(S32, n as i128)?;
        let row = t.builder.select(self.live, row, nowhere)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let one = t.builder.constant_of(S32, 1)?;
        let none = t.broadcast(zero, n)?;
        let held = t.builder.optimization_barrier(&[row])?;
        Ok(t.builder.scatter_1d(none, held[0], one, ReduceKind::Maximum)?)
    }
}

/// s32[capacity of the probe side]: above zero for the probe rows that are in a live pair.
pub fn matched_rows(t: &mut Tracer, pairs: &Pairs) -> Result<Value> {
    pairs.hits(t, pairs.pairs.source, pairs.probe_rows.capacity)
}

/// The result of a join by existence, given which probe rows have a match.
pub fn keep_matched(
    t: &mut Tracer,
    spec: &JoinSpec,
    mut rows: TracedRelation,
    matched: Value,
) -> Result<TracedRelation> {
    match spec.kind().0 {
        JoinKind::Anti => {
            let unmatched = t.builder.not(matched)?;
            rows.mask = and_valid(&mut t.builder, rows.mask, Some(unmatched))?;
        }
        JoinKind::Mark => rows.columns.push(TracedColumn::boolean(matched, None)),
        _ => rows.mask = and_valid(&mut t.builder, rows.mask, Some(matched))?,
    }
    rows.columns = spec.project(rows.columns);
    Ok(rows)
}

/// The live rows of one side that are in no pair, with NULLs for the other.
fn unmatched_rows(
    t: &mut Tracer,
    side: &TracedRelation,
    matched: Value,
    other: &TracedRelation,
    side_is_left: bool,
) -> Result<TracedRelation> {
    let unmatched = t.builder.not(matched)?;
    let mask = and_valid(&mut t.builder, side.mask, Some(unmatched))?;
    let nulls = other.columns.iter().map(|column| t.nulls_like(column, side.capacity)).collect::<Result<Vec<_>>>()?;
    let columns = in_order(side_is_left, side.columns.clone(), nulls);
    Ok(TracedRelation { columns, mask, capacity: side.capacity })
}
