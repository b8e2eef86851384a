//! Key bitmaps: where a join asks only whether a key exists, dense keys are marked in an array of slots, chunk by chunk on every core, and
//! no row is materialized.

use std::time::Instant;

use datafusion::error::Result;

use crate::exec::operator::join::build::{BuildSide, any_null};
use crate::exec::operator::join::keys::{JoinKeys, KeyForm};
use crate::exec::run::chunk_loop::run_update;
use crate::exec::run::compaction::compact;
use crate::exec::run::engine::Engine;
use crate::exec::trace::accumulate::{Accumulating, AccumulatorSpec};
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::output::scalar_s32;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::trace_relation::trace_relation;
use crate::expr::ir::DeviceExpr;
use crate::hlo::ReduceKind;
use crate::kernels::reduce::{Reduction, combine, reduce_all};
use crate::program::ElementType::{S8, S32};
use crate::program::Shape;

/// What a row of the build side costs in a bitmap, in gathers.
pub const BITMAP_WEIGHT: usize = 2;

/// The bitmap of the keys of `build`, chunks of a table, which at most `probes` rows will ask (0: not known); `None` where they have no
/// dense slots.
pub fn key_bitmap(
    engine: &Engine,
    build: &Relation,
    exprs: &[&DeviceExpr],
    probes: usize,
    null_equals_null: bool,
) -> Result<Option<BuildSide>> {
    let build = &compact(engine, build.clone(), BITMAP_WEIGHT)?;
    let Some(table) = build.table() else { return Ok(None) };
    let devices = engine.devices_of(build);
    let name = format!("{}_key_bitmap", build.program_name());
    let mut trace = engine.trace(name.trim_start_matches("scan_"), devices);
    let rows = trace_relation(&mut trace, build)?;
    let (mask, capacity) = (rows.mask, rows.capacity);
    let columns =
        trace.t.with_active(mask, |t| exprs.iter().map(|key| key.trace(t, &rows)).collect::<Result<Vec<_>>>())?;
    let keys = JoinKeys::plan(&columns, (table.layout.rows, probes), engine.most_slots(), null_equals_null);
    let KeyForm::Dense { slots } = keys.form else { return Ok(None) };
    let numbers = keys.numbers(&mut trace.t, &columns, mask, capacity)?;
    let null_key = any_null(&mut trace.t, &columns, mask, capacity)?;
    let t = &mut trace.t;
    let live = t.mask_of(&rows)?;
    let operand = t.builder.convert(live, S32)?;
    let any_row = Reduction { operand, kind: ReduceKind::Maximum, total_type: S32 };
    let any_row = reduce_all(&mut t.builder, &[any_row])?[0];
    let nowhere = t.builder.constant_of(S32, -1)?;
    let slot = match numbers.live {
        Some(live) => t.builder.select(live, numbers.values[0], nowhere)?,
        None => numbers.values[0],
    };
    // The bitmap, whether a key is NULL, and whether there are rows.
    let flag = || AccumulatorSpec::from_zero(Shape::scalar(S32), ReduceKind::Maximum);
    let bits = AccumulatorSpec::from_zero(Shape::new(S8, [slots]), ReduceKind::Maximum);
    let accumulating = Accumulating::begin(t, vec![bits, flag(), flag()]);
    let running = accumulating.running.clone();
    let one = t.builder.constant_of(S8, 1)?;
    let held = t.builder.optimization_barrier(&[slot])?;
    let mut updated = vec![t.builder.scatter_1d(running[0], held[0], one, ReduceKind::Maximum)?];
    for (value, running) in [null_key, any_row].into_iter().zip(&running[1..]) {
        updated.push(combine(&mut t.builder, ReduceKind::Maximum, *running, value)?);
    }
    let program = accumulating.finish(trace, updated)?;
    let start = Instant::now();
    let totals = run_update(&engine.bind(&program.traced, build)?, &program.plan, engine.chunks(table, build))?;
    engine.kernel_time(start.elapsed());

    let mut trace = engine.trace("merge_key_bitmaps", devices);
    let merged = program.plan.merge(&mut trace, totals[0].len())?;
    let traced = trace.finish(&merged, None)?;
    let outputs = engine.bind_on(&traced, devices)?.run_totals(&totals)?;
    let mut arrays = traced.layout.read(outputs)?.arrays;
    let has_rows = scalar_s32(arrays.pop().as_ref())? > 0;
    let has_null_key = scalar_s32(arrays.pop().as_ref())? > 0;
    let Some(bits) = arrays.pop() else { return Ok(None) };
    let bits = BroadcastArray::replicate(bits, &engine.device.mesh)?;
    Ok(Some(BuildSide::of_bitmap(keys, bits, has_null_key, !has_rows)))
}
