//! Compaction: where few rows pass a filter or join, what follows works on few rows. A sample of the chunks says how many rows each
//! step lets through. Where it makes the pipeline cheaper, a program marks the rows of every chunk up to a cut point, and the rest of
//! the pipeline runs on a selection vector, perhaps with further cut points.
//!
//! ```text
//! select   chunk ──▶ filter, join keys ──▶ live row ids, their number        columns that only pass through are not touched
//! rest     chunk, row ids[..2048] ──▶ gather 2048 rows ──▶ the same steps and those that follow
//! ```

use std::sync::Arc;
use std::time::Instant;

use datafusion::error::Result;

use crate::columnar::table::DeviceTable;
use crate::exec::run::chunk_loop::run_chunks;
use crate::exec::run::engine::Engine;
use crate::exec::state::selectivity::Selectivity;
use crate::exec::strategy::{add_strategy, count};
use crate::exec::trace::output::OutputLayout;
use crate::exec::trace::program::{TracedProgram, selected_ids};
use crate::exec::trace::relation::{Relation, Source};
use crate::exec::trace::selection::Selection;
use crate::exec::trace::step::{RowEffect, Step};
use crate::exec::trace::trace_relation::{trace_relation, trace_step};
use crate::kernels::compact::live_rows;
use crate::runtime::Buffer;

/// What running a program over all chunks costs beside its work on rows, in gathers, and what it costs more for each row of the table.
const PASS: f64 = 400_000.0;
const PASS_A_ROW: f64 = 0.2;

/// What reading a row costs in a pass that selects, and taking a selected row out of its chunk.
const READ: f64 = 0.3;
const TAKE: f64 = 0.7;

/// Steps that narrow, beyond which only single cuts are tried.
const MOST_SUBSETS: usize = 6;

/// Chunks of each device that the sample runs over.
const SAMPLE_CHUNKS: usize = 2;

/// The steps up to the first one that moves rows within the chunk: behind it their numbers are others.
fn in_place(steps: &[Arc<dyn Step>]) -> &[Arc<dyn Step>] {
    let moves = |step: &Arc<dyn Step>| {
        matches!(step.row_effect(), RowEffect::Reorders | RowEffect::Picks | RowEffect::Replaces)
    };
    &steps[..steps.iter().position(moves).unwrap_or(steps.len())]
}

fn narrows(step: &Arc<dyn Step>) -> bool {
    step.row_effect() != RowEffect::Keeps
}

/// The cut points that make the whole pipeline cheapest, in gathers. `weight` is what a row costs that passes all steps.
fn cheapest_cuts(rows: usize, steps: &[Selectivity], weight: usize) -> Vec<usize> {
    let rows = rows as f64;
    // Programs work on a power of two of rows.
    let capacity = |left: f64| (left * 1.1).log2().ceil().exp2().clamp(1.0 / 256.0, 1.0);
    let cost = |cuts: &[Selectivity]| {
        let (mut cost, mut left, mut take) = (0.0, 1.0, 0.0);
        for cut in cuts {
            cost += PASS + rows * (PASS_A_ROW + left * (READ + take + cut.weight as f64));
            (left, take) = (capacity(cut.left), TAKE);
        }
        cost + rows * left * (take + weight as f64)
    };
    let subsets: Vec<Vec<Selectivity>> = match steps.len() {
        few @ ..=MOST_SUBSETS => {
            (0..1usize << few).map(|set| (0..few).filter(|i| set >> i & 1 == 1).map(|i| steps[i]).collect()).collect()
        }
        _ => std::iter::once(Vec::new()).chain(steps.iter().map(|one| vec![*one])).collect(),
    };
    let best = subsets.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.into_iter().flatten().map(|cut| cut.step).collect()
}

/// Compacts the rows of a relation where that pays; `weight` is what follows its steps, in gathers a row.
pub fn compact(engine: &Engine, relation: Relation, weight: usize) -> Result<Relation> {
    let Source::Table(table) = &relation.source else { return Ok(relation) };
    let steps = &relation.steps;
    let Some(first) = in_place(steps).iter().position(narrows) else { return Ok(relation) };
    let weight = weight + steps[first..].iter().map(|step| step.weight()).sum::<usize>();
    // The numbers of selected rows take 4 bytes a row, if only while they are found.
    let too_large = engine.options.memory_limit.is_some_and(|limit| table.layout.rows * 4 > limit / 8);
    let cheap = (table.layout.rows * weight) as f64 <= PASS + table.layout.rows as f64 * (PASS_A_ROW + READ);
    if too_large || cheap || relation.needs_all_rows() {
        return Ok(relation);
    }
    let table = Arc::clone(table);
    let (sample, selectivities) = sample(engine, &relation, &table)?;
    let mut source = relation.source.clone();
    for cut in cheapest_cuts(table.layout.rows, &selectivities, weight) {
        let prefix = relation.up_to(cut).over(source);
        let selection = select_rows(engine, &prefix, &table, cut)?;
        let selected: usize = selection.counts.iter().flatten().sum();
        if selection.capacity >= table.layout.capacity {
            // The sample, or an earlier run with other literals, was wrong.
            engine.device.selectivities.set(&sample.program, Vec::new());
            return Ok(relation.over(prefix.source));
        }
        if let Some(metrics) = relation.steps[cut].metrics() {
            add_strategy(metrics, "compacted");
            count(metrics, "rows_before_compaction", table.layout.rows);
            count(metrics, "rows_after_compaction", selected);
        }
        source = Source::Selected(Arc::clone(&table), Arc::new(selection));
    }
    Ok(relation.over(source))
}

/// Rows of a relation of several chunks, as far as a sample can tell.
pub fn estimated_rows(engine: &Engine, relation: &Relation) -> Result<usize> {
    let Source::Table(table) = &relation.source else { return Ok(relation.source_rows()) };
    if !in_place(&relation.steps).iter().any(narrows) {
        return Ok(table.layout.rows);
    }
    let (_, selectivities) = sample(engine, relation, table)?;
    let left = selectivities.last().map_or(1.0, |last| last.left);
    Ok((left * table.layout.rows as f64) as usize)
}

/// Forgets what a sample told: it, or an earlier run with other literals, was wrong.
pub fn mistrust_sample(engine: &Engine, relation: &Relation) -> Result<()> {
    let Source::Table(table) = &relation.source else { return Ok(()) };
    if in_place(&relation.steps).iter().any(narrows) {
        let (sample, _) = sample(engine, relation, table)?;
        engine.device.selectivities.set(&sample.program, Vec::new());
    }
    Ok(())
}

/// What each step that narrows lets through, and the program that counts it.
fn sample(engine: &Engine, relation: &Relation, table: &DeviceTable) -> Result<(TracedProgram, Vec<Selectivity>)> {
    let name = format!("{}_sample", relation.program_name());
    let mut trace = engine.trace(&name, engine.devices_of(relation));
    trace.options.count_rows = false;
    let mut rows = trace_relation(&mut trace, &Relation::of(relation.source.clone()))?;
    let mut narrowing = Vec::new();
    let mut counts = Vec::new();
    for (number, step) in in_place(&relation.steps).iter().enumerate() {
        rows = trace_step(&mut trace, step, rows)?;
        if narrows(step) {
            narrowing.push(number);
            counts.push(trace.count_live(&rows)?);
        }
    }
    let layout = OutputLayout::of_arrays(counts.len());
    let traced = trace.finish_as(&counts, &[], layout)?;
    if let Some(known) = engine.device.selectivities.get(&traced.program) {
        return Ok((traced, known));
    }
    let bound = engine.bind(&traced, relation)?;
    let n_chunks = table.layout.chunks_per_shard();
    let numbers: Vec<usize> = (0..SAMPLE_CHUNKS.min(n_chunks)).map(|i| i * n_chunks / SAMPLE_CHUNKS).collect();
    let mut chunks = engine.chunks(table, relation);
    chunks.only = Some(&numbers);
    let (mut seen, mut live) = (0, vec![0i64; counts.len()]);
    run_chunks(
        &bound,
        chunks,
        |outputs: Vec<Buffer>, rows| {
            let counts = outputs.iter().map(|b| Ok(b.to_vec::<i64>()?[0])).collect::<Result<Vec<_>>>()?;
            Ok((rows, counts))
        },
        |(rows, counts)| {
            seen += rows;
            live.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            Ok(true)
        },
    )?;
    let of_step = |(live, step): (i64, usize)| {
        let probes = relation.steps[..=step].iter().filter(|step| step.weight() > 0).count();
        Selectivity { step, left: live as f64 / seen.max(1) as f64, weight: probes }
    };
    let selectivities: Vec<Selectivity> = live.into_iter().zip(narrowing).map(of_step).collect();
    engine.device.selectivities.set(&traced.program, selectivities.clone());
    Ok((traced, selectivities))
}

/// The rows of each chunk that pass the steps of `prefix`, up to `cut`.
fn select_rows(engine: &Engine, prefix: &Relation, table: &Arc<DeviceTable>, cut: usize) -> Result<Selection> {
    let name = format!("{}_select", prefix.program_name());
    let mut trace = engine.trace(&name, engine.devices_of(prefix));
    let rows = trace_relation(&mut trace, prefix)?;
    if rows.capacity != prefix.selection().map_or(table.layout.capacity, |before| before.capacity) {
        return datafusion::common::internal_err!("{name} selects rows that have moved");
    }
    let mask = trace.t.mask_of(&rows)?;
    let lowering = trace.t.lowering;
    let live = live_rows(&mut trace.t.builder, lowering, mask)?;
    let row_ids = match prefix.selection() {
        Some(selection) => {
            let before = selected_ids(&mut trace.t, selection)?;
            trace.t.builder.take(before, live.row_ids)?
        }
        None => live.row_ids,
    };
    let traced = trace.finish(&[row_ids], Some(live.count))?;
    let bound = engine.bind(&traced, prefix)?;
    let start = Instant::now();
    let mut all = Vec::new();
    run_chunks(
        &bound,
        engine.chunks(table, prefix),
        |outputs, _| {
            let outputs = traced.layout.read(outputs)?;
            let count = outputs.live_count()?;
            Ok((outputs.arrays.into_iter().next(), count))
        },
        |made| {
            all.push(made);
            Ok(true)
        },
    )?;
    engine.kernel_time(start.elapsed());
    let per_shard = table.layout.chunks_per_shard();
    let most = all.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let capacity = most.next_power_of_two().max(1024).min(table.layout.capacity);
    let mut all = all.into_iter();
    let (mut row_ids, mut counts) = (Vec::new(), Vec::new());
    for _ in 0..table.layout.shards.len() {
        let (ids, of_shard): (Vec<_>, Vec<_>) = all.by_ref().take(per_shard).unzip();
        row_ids.push(ids.into_iter().flatten().collect());
        counts.push(of_shard);
    }
    Ok(Selection { row_ids, ids: rows.capacity, counts, capacity, counted_steps: cut + 1 })
}
