//! `[NOT] EXISTS` with a residual where many rows share a key, so that there are far more pairs than rows.
//!
//! 1. The residual compares a value of the build side with one of the probe side: among the rows of a key, the one with the least or
//!    the greatest value decides (for `<>`, the two do). Each probe row is compared with at most two build rows.
//! 2. Other residuals are evaluated for all pairs, a bounded number at a time.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::layout::capacity_bucket;
use crate::columnar::table::DeviceTable;
use crate::exec::operator::join::build::{BuildSide, Extremes, read_built, take_or};
use crate::exec::operator::join::expansion::{Matches, check_pairs, keep_matched, matched_rows, traced_pairs};
use crate::exec::operator::join::probe::Probe;
use crate::exec::operator::join::spec::JoinSpec;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::table_of;
use crate::exec::strategy::{add_strategy, count};
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::output::LiveRows;
use crate::exec::trace::relation::Relation;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values, and_valid};
use crate::hlo::{Comparison, ReduceKind, Value};
use crate::kernels::order_key;
use crate::kernels::reduce::identity;
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// More pairs than this for each row of both sides are many.
const PAIRS_A_ROW: usize = 16;

/// Pairs that are evaluated at a time, unless one row has more.
const BATCH_PAIRS: usize = 1 << 22;

/// Whether pairs are far more than rows, too many to write them all out at once.
pub fn are_many(pairs: usize, rows: usize) -> bool {
    pairs > BATCH_PAIRS && pairs / PAIRS_A_ROW > rows
}

/// Joins by existence without all pairs at a time.
pub fn skewed_existence(
    engine: &Engine,
    spec: &JoinSpec,
    metrics: &ExecutionPlanMetricsSet,
    built: BuildSide,
    probe: &Arc<DeviceTable>,
    matches: &Matches,
) -> Result<Relation> {
    if let Some(extremes) = extremes(engine, spec, &built)? {
        add_strategy(metrics, format!("existence join by extremes, {}", built.keys.describe()));
        let built = built.with_extremes(extremes);
        return Ok(Relation::on(Arc::clone(probe)).with(Arc::new(Probe::new(spec, built, metrics))));
    }
    add_strategy(metrics, format!("existence join in batches, {}", built.keys.describe()));
    in_batches(engine, spec, metrics, &built, probe, matches)
}

/// The rows of each key that decide the residual; `None` if it is no comparison of a value of the build side with one of the other.
fn extremes(engine: &Engine, spec: &JoinSpec, built: &BuildSide) -> Result<Option<Extremes>> {
    let Some((value, comparison)) = compared_value(spec).filter(|_| built.slots().is_some()) else { return Ok(None) };
    let kinds: &[ReduceKind] = match comparison {
        Comparison::Lt | Comparison::Le => &[ReduceKind::Minimum],
        Comparison::Gt | Comparison::Ge => &[ReduceKind::Maximum],
        Comparison::Ne => &[ReduceKind::Minimum, ReduceKind::Maximum],
        Comparison::Eq => return Ok(None),
    };
    let mut trace = engine.trace("join_extremes", 1);
    let rows = read_built(&mut trace, built)?;
    let residual_rows = TracedRelation { columns: residual_columns(spec, &rows), ..rows.clone() };
    let column = trace.t.with_active(rows.mask, |t| value.trace(t, &residual_rows))?;
    let Some(key) = order_of(&mut trace.t, &column)? else { return Ok(None) };
    let Some(slots) = built.slots().map(|slots| trace.side(slots)) else { return Ok(None) };
    let (t, n_slots) = (&mut trace.t, built.n_slots());
    let zero = t.builder.constant_of(S32, 0)?;
    let counts = t.builder.compare(slots, zero, Comparison::Ge)?;
    let counts = and_valid(&mut t.builder, Some(counts), column.valid)?.unwrap_or(counts);
    let nowhere = t.builder.constant_of(S32, n_slots as i128)?;
    let slot = t.builder.select(counts, slots, nowhere)?;
    let row = t.builder.iota(Shape::new(S32, [rows.capacity]), 0)?;
    let mut outputs = Vec::new();
    for kind in kinds {
        let worst = identity(&mut t.builder, *kind, S64)?;
        let worst = t.broadcast(worst, n_slots)?;
        let best = t.builder.scatter_1d(worst, slot, key, *kind)?;
        let of_row = take_or(t, best, slots, 0)?;
        let is_best = t.builder.compare(key, of_row, Comparison::Eq)?;
        let slot = t.builder.select(is_best, slot, nowhere)?;
        let none = t.builder.constant_of(S32, -1)?;
        let none = t.broadcast(none, n_slots)?;
        outputs.push(t.builder.scatter_1d(none, slot, row, ReduceKind::Maximum)?);
    }
    let arrays = engine.run_once(&trace.finish(&outputs, None)?)?.arrays;
    let mesh = &engine.device.mesh;
    arrays.into_iter().map(|array| BroadcastArray::replicate(array, mesh)).collect::<Result<_>>().map(Some)
}

/// The value of the build side that the residual compares, and how it has to compare with the other.
fn compared_value(spec: &JoinSpec) -> Option<(&DeviceExpr, Comparison)> {
    let residual = spec.residual.as_ref()?;
    let Node::Compare(comparison, left, right) = &residual.predicate.node else { return None };
    let (_, probe_is_left) = spec.kind();
    let reads_only = |expr: &DeviceExpr, of_probe: bool| {
        let (mut any, mut only) = (false, true);
        expr.visit_columns(&mut |column, _| {
            any = true;
            only &= residual.columns.get(column).is_some_and(|(of_left, _)| (*of_left == probe_is_left) == of_probe);
        });
        any && only
    };
    let swapped = match comparison {
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        same => *same,
    };
    if reads_only(left, false) && reads_only(right, true) {
        Some((left, *comparison))
    } else if reads_only(right, false) && reads_only(left, true) {
        Some((right, swapped))
    } else {
        None
    }
}

/// The columns that the residual reads. Those of the probe side are not there: any column stands in for them.
fn residual_columns(spec: &JoinSpec, build: &TracedRelation) -> Vec<TracedColumn> {
    let (_, probe_is_left) = spec.kind();
    let columns = spec.residual.iter().flat_map(|residual| &residual.columns);
    let column = |(of_left, index): &(bool, usize)| {
        let index = if *of_left == probe_is_left { 0 } else { *index };
        build.columns[index].clone()
    };
    columns.map(column).collect()
}

/// s64 numbers in the order of the values; `None` for values of more than 64 bits, and for strings, whose codes differ by column.
fn order_of(t: &mut Tracer, column: &TracedColumn) -> Result<Option<Value>> {
    if column.dictionary.is_some() {
        return Ok(None);
    }
    let key = match &column.values {
        Values::Pred(value) => *value,
        Values::Float(value) => order_key::from_float_one_zero(&mut t.builder, *value)?,
        Values::Int(Int { limbs: Limbs::Narrow(value), .. }) => *value,
        Values::Int(_) => return Ok(None),
    };
    Ok(Some(t.builder.convert(key, S64)?))
}

/// Evaluates the residual for ranges of probe rows that have a bounded number of pairs.
fn in_batches(
    engine: &Engine,
    spec: &JoinSpec,
    metrics: &ExecutionPlanMetricsSet,
    built: &BuildSide,
    probe: &Arc<DeviceTable>,
    matches: &Matches,
) -> Result<Relation> {
    let counts = matches.counts.on(0)?.to_vec::<i32>()?;
    let most = counts.iter().max().map_or(0, |most| *most as usize).max(BATCH_PAIRS);
    let capacity = capacity_bucket(most);
    check_pairs(engine, spec, built, probe, most, capacity)?;
    let mut found: Option<Arc<BroadcastArray>> = None;
    let (mut from, mut batches) = (0, 0);
    while from < counts.len() {
        let (mut to, mut pairs) = (from, 0);
        while to < counts.len() && pairs + counts[to] as usize <= most {
            pairs += counts[to] as usize;
            to += 1;
        }
        if pairs > 0 {
            let mut trace = engine.trace("join_exists_batch", 1);
            let begins = trace.side(&matches.begins);
            let counts = trace.side(&matches.counts);
            let row = trace.t.builder.iota(trace.t.builder.shape(counts).clone(), 0)?;
            let (first, last) =
                (trace.t.scalar_parameter(S32, from as i128), trace.t.scalar_parameter(S32, to as i128));
            let after = trace.t.builder.compare(row, first, Comparison::Ge)?;
            let before = trace.t.builder.compare(row, last, Comparison::Lt)?;
            let inside = trace.t.builder.and(after, before)?;
            let zero = trace.t.builder.constant_of(S32, 0)?;
            let counts = trace.t.builder.select(inside, counts, zero)?;
            let pairs = traced_pairs(&mut trace, spec, built, probe, matches, (begins, counts), pairs, capacity)?;
            let mut hits = matched_rows(&mut trace.t, &pairs)?;
            if let Some(found) = &found {
                let found = trace.side(found);
                hits = trace.t.builder.maximum(hits, found)?;
            }
            let arrays = engine.run_once(&trace.finish(&[hits], None)?)?.arrays;
            found = arrays.into_iter().next().map(BroadcastArray::alone);
        }
        (from, batches) = (to, batches + 1);
    }
    count(metrics, "batches", batches);
    let mut trace = engine.trace("join_exists_result", 1);
    let rows = trace.whole_table(probe)?;
    let zero = trace.t.builder.constant_of(S32, 0)?;
    let hits = match &found {
        Some(found) => trace.side(found),
        None => trace.t.broadcast(zero, rows.capacity)?,
    };
    let matched = trace.t.builder.compare(hits, zero, Comparison::Gt)?;
    let rows = keep_matched(&mut trace.t, spec, rows, matched)?;
    trace.count(Some(metrics), &rows)?;
    let result = trace.finish_rows(rows, LiveRows::Prefix)?;
    let outputs = engine.run_once(&result.traced)?;
    Ok(Relation::on(table_of(engine, &result, outputs, probe.layout.rows)?))
}
