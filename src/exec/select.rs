//! Selective pipelines pack: where few rows pass a filter or join, what follows works on few rows. A sample of the chunks says how
//! many rows each step lets through; if it is less than a quarter, one program marks the rows of every chunk up to that step, and the
//! rest of the pipeline runs on the rows that it selected.
//!
//! ```text
//! select   chunk ──▶ filter, join keys ──▶ live row ids, their number        columns that only pass through are not touched
//! rest     chunk, row ids[..2048] ──▶ gather 2048 rows ──▶ the same steps and those that follow
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::Result;

use crate::columnar::table::DeviceTable;
use crate::exec::engine::Engine;
use crate::exec::relation::{Relation, Source, Step};
use crate::exec::run::{Selection, failure, run_chunks};
use crate::exec::trace::Trace;
use crate::kernels::compact;
use crate::program::Program;
use crate::runtime::Buffer;

/// Rows of a table below which nothing is gained.
const FEW_ROWS: usize = 1 << 18;

/// What must follow the selecting step for it to pay: gathers and scatters.
const LEAST_WEIGHT: usize = 4;

/// One row in this many, or fewer, must be left.
const LEAST_REDUCTION: usize = 4;

/// Chunks of each device that the sample runs over.
const SAMPLE_CHUNKS: usize = 2;

/// Where pipelines that ran before packed their rows, by the text of their sample program: the step, if there was one.
#[derive(Default)]
pub struct Cuts(Mutex<HashMap<String, Option<usize>>>);

impl Cuts {
    fn get(&self, program: &Program) -> Option<Option<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&program.text).copied()
    }

    fn set(&self, program: &Program, cut: Option<usize>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(program.text.clone(), cut);
    }
}

impl Engine {
    /// Packs the rows of a relation where that pays; `weight` is what follows its steps.
    pub fn select(&self, relation: Relation, weight: usize) -> Result<Relation> {
        let Source::Table(table) = &relation.source else { return Ok(relation) };
        let steps = &relation.steps;
        let Some(first) = steps.iter().position(Step::narrows) else { return Ok(relation) };
        let weight = weight + steps[first..].iter().map(Step::weight).sum::<usize>();
        let needs_all_rows = steps.iter().any(Step::needs_all_rows);
        // The numbers of selected rows take 4 bytes a row, if only while they are found.
        let too_large = self.options.memory_limit.is_some_and(|limit| table.layout.rows * 4 > limit / 8);
        if too_large || table.layout.rows <= FEW_ROWS || weight < LEAST_WEIGHT || needs_all_rows {
            return Ok(relation);
        }
        let table = Arc::clone(table);
        let Some((program, cut)) = self.choose_cut(&relation, &table)? else { return Ok(relation) };
        let Some(cut) = cut else { return Ok(relation) };
        let selection = self.select_rows(&relation, &table, cut)?;
        let selected: usize = selection.counts.iter().flatten().sum();
        if selection.capacity * LEAST_REDUCTION > table.layout.capacity {
            // The sample, or an earlier run with other literals, was wrong.
            self.device.cuts.set(&program, None);
            return Ok(relation);
        }
        if let Some(metrics) = steps[cut].metrics() {
            self.chose(metrics, format!("packed {selected} of {} rows", table.layout.rows));
        }
        Ok(Relation { source: Source::Selected(table, Arc::new(selection)), steps: relation.steps })
    }

    /// The first step that lets few rows through.
    fn choose_cut(&self, relation: &Relation, table: &DeviceTable) -> Result<Option<(Program, Option<usize>)>> {
        let name = format!("{}_sample", relation.program_name());
        let devices = self.devices_of(relation);
        let mut options = self.options.clone();
        options.count_rows = false;
        let mut trace = Trace::new(&name, &options, devices, self.lowering());
        let mut rows = trace.relation(&Relation { source: relation.source.clone(), steps: Vec::new() })?;
        let mut narrowing = Vec::new();
        let mut counts = Vec::new();
        for (number, step) in relation.steps.iter().enumerate() {
            rows = trace.step(step, rows)?;
            if step.narrows() {
                narrowing.push(number);
                counts.push(trace.count_live(&rows)?);
            }
        }
        let traced = trace.finish(&counts, &[])?;
        if let Some(cut) = self.device.cuts.get(&traced.program) {
            return Ok(Some((traced.program, cut)));
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
        let few = |count: &i64| *count as usize * LEAST_REDUCTION <= seen;
        let cut = live.iter().position(few).map(|i| narrowing[i]);
        self.device.cuts.set(&traced.program, cut);
        Ok(Some((traced.program, cut)))
    }

    /// The rows of each chunk that pass the steps up to `cut`.
    fn select_rows(&self, relation: &Relation, table: &Arc<DeviceTable>, cut: usize) -> Result<Selection> {
        let prefix = Relation { source: relation.source.clone(), steps: relation.steps[..=cut].to_vec() };
        let name = format!("{}_select", prefix.program_name());
        let mut trace = Trace::new(&name, &self.options, self.devices_of(relation), self.lowering());
        let rows = trace.relation(&prefix)?;
        let mask = trace.t.mask_of(&rows)?;
        let lowering = trace.t.lowering;
        let live = compact::live_rows(&mut trace.t.builder, lowering, mask)?;
        let mut outputs = vec![live.row_ids, live.count];
        let error = trace.t.error_code()?;
        outputs.extend(error);
        let (counted, counts): (Vec<_>, Vec<_>) = trace.counts.drain(..).unzip();
        outputs.extend(counts);
        let traced = trace.finish(&outputs, &[])?;
        let ready = self.ready(&traced, relation)?;
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
        run_chunks(&ready, self.chunks(table, relation), read, |made| {
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
        Ok(Selection { row_ids, counts, capacity, counted_steps: cut + 1 })
    }
}
