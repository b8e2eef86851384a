//! Selective pipelines pack: where few rows pass a filter or join, what follows works on few rows. A sample of the chunks says how
//! many rows each step lets through; where it makes the pipeline cheaper, one program marks the rows of every chunk up to a step, and
//! the rest of the pipeline runs on the rows that it selected: perhaps another such program first.
//!
//! ```text
//! select   chunk ──▶ filter, join keys ──▶ live row ids, their number        columns that only pass through are not touched
//! rest     chunk, row ids[..2048] ──▶ gather 2048 rows ──▶ the same steps and those that follow
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::Result;

use crate::columnar::table::DeviceTable;
use crate::exec::run::chunk_loop::{Selection, failure, run_chunks};
use crate::exec::run::engine::Engine;
use crate::exec::trace::program::{Trace, selected_ids};
use crate::exec::trace::relation::{Relation, Source, Step};
use crate::kernels::compact;
use crate::program::Program;
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

/// How many rows the steps of pipelines that ran before let through, by the text of their sample program.
#[derive(Default)]
pub struct Samples(Mutex<HashMap<String, Vec<Narrowing>>>);

impl Samples {
    fn get(&self, program: &Program) -> Option<Vec<Narrowing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&program.text).cloned()
    }

    fn set(&self, program: &Program, narrowing: Vec<Narrowing>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(program.text.clone(), narrowing);
    }
}

/// A step after which rows can be packed.
#[derive(Clone, Copy, Debug)]
pub struct Narrowing {
    step: usize,
    /// Of all rows, those that are left after it.
    left: f64,
    /// Gathers a row that finding this out takes, all steps before it included.
    weight: usize,
}

/// The steps up to the first one that moves rows within the chunk: behind it their numbers are others.
fn in_place(steps: &[Step]) -> &[Step] {
    let moves = |step: &Step| matches!(step, Step::TopOfChunk(_));
    &steps[..steps.iter().position(moves).unwrap_or(steps.len())]
}

/// The steps after which to pack: those that make the whole pipeline cheapest, in gathers. `weight`: what a row costs that goes
/// all the way.
fn cheapest_cuts(rows: usize, narrowing: &[Narrowing], weight: usize) -> Vec<usize> {
    let rows = rows as f64;
    // Programs work on a power of two of rows.
    let capacity = |left: f64| (left * 1.1).log2().ceil().exp2().clamp(1.0 / 256.0, 1.0);
    let cost = |cuts: &[Narrowing]| {
        let (mut cost, mut left, mut take) = (0.0, 1.0, 0.0);
        for cut in cuts {
            cost += PASS + rows * (PASS_A_ROW + left * (READ + take + cut.weight as f64));
            (left, take) = (capacity(cut.left), TAKE);
        }
        cost + rows * left * (take + weight as f64)
    };
    let subsets: Vec<Vec<Narrowing>> = match narrowing.len() {
        few @ ..=MOST_SUBSETS => (0..1usize << few)
            .map(|set| (0..few).filter(|i| set >> i & 1 == 1).map(|i| narrowing[i]).collect())
            .collect(),
        _ => std::iter::once(Vec::new()).chain(narrowing.iter().map(|one| vec![*one])).collect(),
    };
    let best = subsets.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.into_iter().flatten().map(|cut| cut.step).collect()
}

impl Engine {
    /// Packs the rows of a relation where that pays; `weight` is what follows its steps.
    pub fn select(&self, relation: Relation, weight: usize) -> Result<Relation> {
        let Source::Table(table) = &relation.source else { return Ok(relation) };
        let steps = &relation.steps;
        let Some(first) = in_place(steps).iter().position(Step::narrows) else { return Ok(relation) };
        let weight = weight + steps[first..].iter().map(Step::weight).sum::<usize>();
        let needs_all_rows = steps.iter().any(Step::needs_all_rows);
        // The numbers of selected rows take 4 bytes a row, if only while they are found.
        let too_large = self.options.memory_limit.is_some_and(|limit| table.layout.rows * 4 > limit / 8);
        let cheap = (table.layout.rows * weight) as f64 <= PASS + table.layout.rows as f64 * (PASS_A_ROW + READ);
        if too_large || cheap || needs_all_rows {
            return Ok(relation);
        }
        let table = Arc::clone(table);
        let (program, narrowing) = self.sample(&relation, &table)?;
        let cuts = cheapest_cuts(table.layout.rows, &narrowing, weight);
        let mut source = relation.source.clone();
        for cut in &cuts {
            let prefix = Relation { source, steps: relation.steps[..=*cut].to_vec() };
            let selection = self.select_rows(&prefix, &table, *cut)?;
            let selected: usize = selection.counts.iter().flatten().sum();
            if selection.capacity >= table.layout.capacity {
                // The sample, or an earlier run with other literals, was wrong.
                self.device.samples.set(&program, Vec::new());
                return Ok(Relation { source: prefix.source, steps: relation.steps });
            }
            if let Some(metrics) = steps[*cut].metrics() {
                self.chose(metrics, format!("packed {selected} of {} rows", table.layout.rows));
            }
            source = Source::Selected(Arc::clone(&table), Arc::new(selection));
        }
        Ok(Relation { source, steps: relation.steps })
    }

    /// Rows of a relation of several chunks, as far as a sample can tell.
    pub fn estimated_rows(&self, relation: &Relation) -> Result<usize> {
        let Source::Table(table) = &relation.source else { return Ok(relation.source_rows()) };
        if !in_place(&relation.steps).iter().any(Step::narrows) {
            return Ok(table.layout.rows);
        }
        let (_, narrowing) = self.sample(relation, table)?;
        let left = narrowing.last().map_or(1.0, |last| last.left);
        Ok((left * table.layout.rows as f64) as usize)
    }

    /// Forgets what a sample told: it, or an earlier run with other literals, was wrong.
    pub fn mistrust_sample(&self, relation: &Relation) -> Result<()> {
        let Source::Table(table) = &relation.source else { return Ok(()) };
        if in_place(&relation.steps).iter().any(Step::narrows) {
            let (program, _) = self.sample(relation, table)?;
            self.device.samples.set(&program, Vec::new());
        }
        Ok(())
    }

    /// What each step that narrows lets through, and the program of the sample that told.
    fn sample(&self, relation: &Relation, table: &DeviceTable) -> Result<(Program, Vec<Narrowing>)> {
        let name = format!("{}_sample", relation.program_name());
        let devices = self.devices_of(relation);
        let mut options = self.options.clone();
        options.count_rows = false;
        let mut trace = Trace::new(&name, &options, devices, self.lowering());
        let mut rows = trace.relation(&Relation { source: relation.source.clone(), steps: Vec::new() })?;
        let mut narrowing = Vec::new();
        let mut counts = Vec::new();
        for (number, step) in in_place(&relation.steps).iter().enumerate() {
            rows = trace.step(step, rows)?;
            if step.narrows() {
                narrowing.push(number);
                counts.push(trace.count_live(&rows)?);
            }
        }
        let traced = trace.finish(&counts, &[])?;
        if let Some(known) = self.device.samples.get(&traced.program) {
            return Ok((traced.program, known));
        }
        let ready = self.ready(&traced, relation)?;
        let n_chunks = table.layout.chunks_per_shard();
        let sample: Vec<usize> = (0..SAMPLE_CHUNKS.min(n_chunks)).map(|i| i * n_chunks / SAMPLE_CHUNKS).collect();
        let mut chunks = self.chunks(table, relation);
        chunks.only = Some(&sample);
        let (mut seen, mut live) = (0, vec![0i64; counts.len()]);
        run_chunks(
            &ready,
            chunks,
            |buffers: Vec<Buffer>, rows| {
                let counts = buffers.iter().map(|b| Ok(b.to_vec::<i64>()?[0])).collect::<Result<Vec<_>>>()?;
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
            Narrowing { step, left: live as f64 / seen.max(1) as f64, weight: probes }
        };
        let narrowing: Vec<Narrowing> = live.into_iter().zip(narrowing).map(of_step).collect();
        self.device.samples.set(&traced.program, narrowing.clone());
        Ok((traced.program, narrowing))
    }

    /// The rows of each chunk that pass the steps of `prefix`, up to `cut`.
    fn select_rows(&self, prefix: &Relation, table: &Arc<DeviceTable>, cut: usize) -> Result<Selection> {
        let name = format!("{}_select", prefix.program_name());
        let mut trace = Trace::new(&name, &self.options, self.devices_of(prefix), self.lowering());
        let rows = trace.relation(prefix)?;
        if rows.capacity != prefix.selection().map_or(table.layout.capacity, |before| before.capacity) {
            return datafusion::common::internal_err!("{name} selects rows that have moved");
        }
        let mask = trace.t.mask_of(&rows)?;
        let lowering = trace.t.lowering;
        let live = compact::live_rows(&mut trace.t.builder, lowering, mask)?;
        let row_ids = match prefix.selection() {
            Some(selection) => {
                let before = selected_ids(&mut trace.t, selection)?;
                trace.t.builder.take(before, live.row_ids)?
            }
            None => live.row_ids,
        };
        let mut outputs = vec![row_ids, live.count];
        let error = trace.t.error_code()?;
        outputs.extend(error);
        let (counted, counts): (Vec<_>, Vec<_>) = trace.counts.drain(..).unzip();
        outputs.extend(counts);
        let traced = trace.finish(&outputs, &[])?;
        let ready = self.ready(&traced, prefix)?;
        let start = std::time::Instant::now();
        let read = |buffers: Vec<Buffer>, _| {
            let mut buffers = buffers.into_iter();
            let row_ids = buffers.next();
            let mut scalars = buffers;
            let count = scalars.next().map(|b| b.to_vec::<i32>()).transpose()?.map_or(0, |v| v[0]);
            if error.is_some() {
                let code = scalars.next().map(|b| b.to_vec::<i32>()).transpose()?.map_or(0, |v| v[0]);
                if code > 0 {
                    return Err(failure(code, &traced.errors));
                }
            }
            for (metrics, rows) in counted.iter().zip(scalars) {
                self.add_rows(metrics, rows.to_vec::<i64>()?[0]);
            }
            Ok((row_ids, count as usize))
        };
        let mut all = Vec::new();
        run_chunks(&ready, self.chunks(table, prefix), read, |made| {
            all.push(made);
            Ok(true)
        })?;
        self.kernel_time(start.elapsed());
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
        let ids = rows.capacity;
        Ok(Selection { row_ids, ids, counts, capacity, counted_steps: cut + 1 })
    }
}
