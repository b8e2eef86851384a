//! The pairs of a join where there are far more of them than rows: a relation whose source is only the numbers of the pairs, chunk by
//! chunk. The pairs of a chunk are written out by the program that reads them, and gone when it ends.
//!
//! ```text
//! probe rows with matches   row      4  7  9         pairs   0 1 2 | 3 4 5 | 6       chunks of three
//!                           count    2  4  1         row     4 4 7 | 7 7 7 | 9
//!                           first    0  2  6         match   0 1 0 | 1 2 3 | 0       build row = order[begin of the row + match]
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::host_array::HostArray;
use crate::columnar::layout::{Layout, capacity_bucket};
use crate::columnar::range::Range;
use crate::columnar::representation::Representation;
use crate::columnar::table::{ChunkArray, DeviceChunk, DeviceColumn, DeviceTable};
use crate::exec::operator::join::build::BuildSide;
use crate::exec::operator::join::expansion::{Matches, check_pairs};
use crate::exec::operator::join::probe::{in_order, residual_passes};
use crate::exec::operator::join::spec::{JoinKind, JoinSpec};
use crate::exec::run::engine::Engine;
use crate::exec::strategy::add_strategy;
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::program::{Trace, column_of};
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::tracer::integer::Limbs;
use crate::expr::tracer::{TracedColumn, TracedRelation, and_valid};
use crate::hlo::{Comparison, Value};
use crate::kernels::expand;
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// The begin of a row without matches, which an outer join pairs with NULLs.
const NO_MATCH: i32 = -1;

/// Inner joins, and outer joins without a residual, as a relation over the numbers of the pairs.
pub fn pair_chunks(
    engine: &Engine,
    spec: &JoinSpec,
    metrics: &ExecutionPlanMetricsSet,
    built: BuildSide,
    probe: &Arc<DeviceTable>,
    matches: &Matches,
) -> Result<Relation> {
    add_strategy(metrics, "pairs in chunks");
    let mesh = &engine.device.mesh;
    let chunk_rows = engine.device.chunk_rows(&engine.options);
    let workers = engine.device.workers(&engine.options);
    check_pairs(engine, spec, &built, probe, matches.total, chunk_rows * workers)?;
    let rows = RowsWithPairs::of(spec, matches, probe.layout.rows)?;
    let chunks = rows.pairs.div_ceil(chunk_rows);
    let first_rows: Vec<i32> = (0..chunks).map(|chunk| rows.row_of(chunk * chunk_rows)).collect();
    let side = |mut padded: Vec<i32>| -> Result<Arc<BroadcastArray>> {
        padded.resize(capacity_bucket(padded.len()), 0);
        let bytes: Vec<u8> = padded.iter().flat_map(|value| value.to_le_bytes()).collect();
        BroadcastArray::upload(&Shape::new(S32, [padded.len()]), &bytes, mesh)
    };
    let mut firsts = rows.firsts;
    firsts.resize(capacity_bucket(firsts.len()), rows.pairs as i64);
    let bytes: Vec<u8> = firsts.iter().flat_map(|first| first.to_le_bytes()).collect();
    let columns = probe.columns.iter().map(|column| BroadcastArray::of_column(column, mesh)).collect::<Result<_>>()?;
    let step = PairChunks {
        spec: spec.clone(),
        metrics: metrics.clone(),
        chunk_rows,
        probe: Arc::clone(probe),
        probe_columns: columns,
        rows: side(rows.rows)?,
        begins: side(rows.begins)?,
        counts: side(rows.counts)?,
        firsts: BroadcastArray::upload(&Shape::new(S64, [firsts.len()]), &bytes, mesh)?,
        first_rows: side(first_rows)?,
        order: matches.order.clone(),
        built,
    };
    let numbers = Arc::new(pair_numbers(rows.pairs, mesh.len(), chunk_rows));
    Ok(Relation::on(numbers).with(Arc::new(step)))
}

/// A table whose only column has the numbers of the pairs.
fn pair_numbers(pairs: usize, devices: usize, chunk_rows: usize) -> DeviceTable {
    let layout = Layout::aligned(pairs, devices, chunk_rows);
    let of_chunk = |number: usize| {
        let first = (number * chunk_rows) as i64;
        DeviceChunk { values: vec![ChunkArray::Host(HostArray::sequence(first, chunk_rows))], valid: None }
    };
    let per_shard = layout.chunks_per_shard();
    let of_shard = |shard: usize| (shard * per_shard..(shard + 1) * per_shard).map(of_chunk).collect();
    let column = DeviceColumn {
        data_type: DataType::Int64,
        representation: Representation::Int(S64),
        // Of every number of pairs, so that programs do not depend on it.
        range: Some(Range::new(0, i128::from(i64::MAX))),
        has_nulls: false,
        unique: true,
        ascending: true,
        dictionary: None,
        chunks: (0..layout.shards.len()).map(of_shard).collect(),
    };
    DeviceTable { layout: Arc::new(layout), columns: vec![Arc::new(column)] }
}

/// The probe rows that have pairs.
#[derive(Default)]
struct RowsWithPairs {
    rows: Vec<i32>,
    /// Where the matches of a row begin in the build side's order, or [`NO_MATCH`].
    begins: Vec<i32>,
    /// Pairs of each row.
    counts: Vec<i32>,
    /// Number of the first pair of each row.
    firsts: Vec<i64>,
    /// Pairs of all rows.
    pairs: usize,
}

impl RowsWithPairs {
    /// Of the first `rows` of the probe side, those that have matches, or for an outer join all.
    fn of(spec: &JoinSpec, matches: &Matches, rows: usize) -> Result<Self> {
        let (begins, counts) = (matches.begins.on(0)?.to_vec::<i32>()?, matches.counts.on(0)?.to_vec::<i32>()?);
        let keeps_unmatched = spec.kind().0 == JoinKind::Outer;
        let mut found = Self::default();
        for (row, (begin, count)) in (0..).zip(begins.into_iter().zip(counts)).take(rows) {
            let (begin, count) = match count {
                0 if keeps_unmatched => (NO_MATCH, 1),
                0 => continue,
                count => (begin, count),
            };
            found.rows.push(row);
            found.begins.push(begin);
            found.counts.push(count);
            found.firsts.push(found.pairs as i64);
            found.pairs += count as usize;
        }
        Ok(found)
    }

    /// Which of these rows has a pair.
    fn row_of(&self, pair: usize) -> i32 {
        (self.firsts.partition_point(|first| *first <= pair as i64) as i32 - 1).max(0)
    }
}

/// Writes out the pairs whose numbers are those of a chunk.
struct PairChunks {
    spec: JoinSpec,
    metrics: ExecutionPlanMetricsSet,
    chunk_rows: usize,
    probe: Arc<DeviceTable>,
    probe_columns: Vec<Vec<Arc<BroadcastArray>>>,
    /// Of each row with pairs: its number, begin, pairs, first pair.
    rows: Arc<BroadcastArray>,
    begins: Arc<BroadcastArray>,
    counts: Arc<BroadcastArray>,
    firsts: Arc<BroadcastArray>,
    /// s32[chunks]: which of these rows has the first pair of a chunk.
    first_rows: Arc<BroadcastArray>,
    order: Option<Arc<BroadcastArray>>,
    built: BuildSide,
}

impl PairChunks {
    /// For each pair of the chunk its probe row, and its place in the build side's order or below zero; s32[chunk].
    fn places(&self, trace: &mut Trace, numbers: Value) -> Result<(Value, Value)> {
        let (counts, firsts, first_rows) =
            (trace.side(&self.counts), trace.side(&self.firsts), trace.side(&self.first_rows));
        let (rows, begins) = (trace.side(&self.rows), trace.side(&self.begins));
        let lowering = trace.t.lowering;
        let b = &mut trace.t.builder;
        let all_rows = b.shape(counts).element_count();
        let window = all_rows.min(self.chunk_rows);
        let first = b.slice(numbers, &[0], &[1], &[1])?;
        let first = b.reshape(first, &[])?;
        let (zero, size) = (b.constant_of(S64, 0)?, b.constant_of(S64, self.chunk_rows as i128)?);
        let chunk = b.divide(first, size)?;
        let chunk = b.convert(chunk, S32)?;
        let from = b.dynamic_slice(first_rows, &[chunk], &[1])?;
        let from = b.reshape(from, &[])?;
        let last = b.constant_of(S32, (all_rows - window) as i128)?;
        let from = b.minimum(from, last)?;
        let counts = b.dynamic_slice(counts, &[from], &[window])?;
        let counts = b.convert(counts, S64)?;
        let firsts = b.dynamic_slice(firsts, &[from], &[window])?;
        // Pairs of the row in earlier chunks, and places of this chunk before its first pair.
        let first = b.broadcast(first, &[window])?;
        let before = b.subtract(first, firsts)?;
        let after = b.subtract(firsts, first)?;
        let skipped = b.clamp(zero, before, counts)?;
        let lead = b.clamp(zero, after, size)?;
        let left = b.subtract(counts, skipped)?;
        let size = b.broadcast(size, &[window])?;
        let room = b.subtract(size, lead)?;
        let here = b.minimum(left, room)?;
        let here = b.convert(here, S32)?;
        let pairs = expand::expand(b, lowering, here, self.chunk_rows)?;
        let skipped = b.convert(skipped, S32)?;
        let skipped = b.take(skipped, pairs.source)?;
        let position = b.add(pairs.position, skipped)?;
        let from = b.broadcast(from, &[self.chunk_rows])?;
        let row = b.add(pairs.source, from)?;
        let begin = b.take(begins, row)?;
        let place = b.add(begin, position)?;
        Ok((b.take(rows, row)?, place))
    }

    fn columns(&self, trace: &mut Trace, row: Value) -> Result<Vec<TracedColumn>> {
        let capacity = self.probe.layout.capacity;
        let of_probe = self.probe.columns.iter().zip(&self.probe_columns);
        let columns = of_probe.map(|(column, sides)| {
            let arrays: Vec<Value> = sides.iter().map(|side| trace.side(side)).collect();
            let column = column_of(column, |_, part| arrays[part]);
            trace.t.take_column(&column, row, capacity)
        });
        columns.collect()
    }
}

impl Step for PairChunks {
    fn operator(&self) -> &'static str {
        "XlaJoinExec"
    }

    fn label(&self) -> &'static str {
        "join_pairs"
    }

    fn metrics(&self) -> Option<&ExecutionPlanMetricsSet> {
        Some(&self.metrics)
    }

    fn needs_all_rows(&self) -> bool {
        false
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Replaces
    }

    fn weight(&self) -> usize {
        4 + self.probe_columns.len() + self.built.columns.len()
    }

    fn source_of(&self, _column: usize) -> Option<usize> {
        None
    }

    fn trace(&self, trace: &mut Trace, mut rows: TracedRelation) -> Result<TracedRelation> {
        if rows.capacity != self.chunk_rows {
            return datafusion::common::internal_err!("the pairs of a join need a chunk of {} rows", self.chunk_rows);
        }
        let Limbs::Narrow(numbers) = rows.columns[0].int()?.limbs else {
            return datafusion::common::internal_err!("numbers of pairs of more than 64 bits");
        };
        let (probe_row, place) = self.places(trace, numbers)?;
        let (kind, probe_is_left) = self.spec.kind();
        let zero = trace.t.builder.constant_of(S32, 0)?;
        let found = trace.t.builder.compare(place, zero, Comparison::Ge)?;
        let place = trace.t.builder.maximum(place, zero)?;
        let build_row = match &self.order {
            Some(order) => {
                let order = trace.side(order);
                trace.t.builder.take(order, place)?
            }
            None => place,
        };
        let probe = self.columns(trace, probe_row)?;
        let build = 0..self.built.columns.len();
        let mut build =
            build.map(|index| self.built.gather(trace, index, build_row)).collect::<Result<Vec<TracedColumn>>>()?;
        let t = &mut trace.t;
        if kind == JoinKind::Outer {
            for column in &mut build {
                column.valid = and_valid(&mut t.builder, column.valid, Some(found))?;
            }
        }
        if self.spec.residual.is_some() {
            let pass = residual_passes(t, &self.spec, &probe, &build, rows.mask, rows.capacity)?;
            rows.mask = and_valid(&mut t.builder, rows.mask, Some(pass))?;
        }
        rows.columns = self.spec.project(in_order(probe_is_left, probe, build));
        Ok(rows)
    }
}
