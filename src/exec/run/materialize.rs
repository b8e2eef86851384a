//! Computes a relation: into one chunk of dense rows on device 0 (for what needs all rows: a sort, a build side), into dense rows on
//! the host, or into record batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};

use crate::columnar::decode::{decode_columns, download_pred};
use crate::columnar::layout::{Layout, capacity_bucket};
use crate::columnar::table::{DeviceChunk, DeviceTable};
use crate::exec::run::chunk_loop::run_chunks;
use crate::exec::run::compaction::compact;
use crate::exec::run::engine::Engine;
use crate::exec::strategy::count;
use crate::exec::trace::output::{LiveRows, Outputs};
use crate::exec::trace::program::{ResultColumn, ResultProgram};
use crate::exec::trace::relation::{Relation, Source};
use crate::program::{ElementType, Shape};
use crate::runtime::Buffer;

/// A chunk of more rows than this is made smaller when less than a quarter of it is live.
const SPARSE_CAPACITY: usize = 1 << 13;

/// Packed rows on the host.
pub struct HostChunk {
    pub rows: usize,
    /// Bytes of the live rows of each array.
    pub arrays: Vec<Vec<u8>>,
}

impl HostChunk {
    fn size_bytes(&self) -> usize {
        self.arrays.iter().map(Vec::len).sum()
    }
}

/// Record batches of one chunk and what they cost.
pub struct Downloaded {
    pub batch: RecordBatch,
    pub time: Duration,
    pub bytes: usize,
}

/// All rows of a relation in one dense chunk on device 0, in row order. With a `limit`, at least its first `limit` rows.
pub fn materialize(engine: &Engine, relation: &Relation, limit: Option<usize>) -> Result<Arc<DeviceTable>> {
    if let Some(table) = relation.as_table().filter(|table| table.is_single()) {
        return Ok(Arc::clone(table));
    }
    let moves = engine.devices_of(relation) > 1 && relation.table().is_some();
    let relation = &match relation.as_table() {
        Some(_) => relation.clone(),
        None => compact(engine, relation.clone(), 1)?,
    };
    if !relation.is_single() {
        let chunks = host_chunks(engine, relation, limit)?;
        if let Some(exchange) = relation.exchange().filter(|_| moves) {
            record_move(exchange, &chunks.1);
        }
        return upload_host_chunks(engine, &chunks.0, chunks.1, 0);
    }
    let live = if relation.keeps_all_rows() { LiveRows::OfSource } else { LiveRows::Prefix };
    let result = engine.trace_rows(relation, live)?;
    let bound = engine.bind(&result.traced, relation)?;
    let start = Instant::now();
    let (outputs, rows) = match &relation.source {
        Source::Accumulated(accumulated) => (bound.run_totals(&accumulated.totals)?, 0),
        Source::Table(table) | Source::Selected(table, _) => {
            let mut only = None;
            run_chunks(
                &bound,
                engine.chunks(table, relation),
                |outputs, _| Ok(outputs),
                |outputs| {
                    only = Some(outputs);
                    Ok(false)
                },
            )?;
            (only.unwrap_or_default(), table.layout.rows)
        }
    };
    let table = single_table(engine, &result, outputs, rows)?;
    engine.kernel_time(start.elapsed());
    Ok(table)
}

/// A relation whose rows all lie in one chunk.
pub fn single(engine: &Engine, relation: Relation, limit: Option<usize>) -> Result<Relation> {
    if relation.is_single() {
        return Ok(relation);
    }
    Ok(Relation::on(materialize(engine, &relation, limit)?))
}

/// Counts rows that moved from all devices to one by way of the host.
fn record_move(exchange: &ExecutionPlanMetricsSet, chunks: &[HostChunk]) {
    MetricBuilder::new(exchange).output_rows(0).add(chunks.iter().map(|chunk| chunk.rows).sum());
    count(exchange, "moved_bytes", chunks.iter().map(HostChunk::size_bytes).sum());
}

/// Live rows of a result, where `source_rows` is the answer if the program does not say.
fn live_rows(result: &ResultProgram, outputs: &Outputs, source_rows: usize) -> Result<usize> {
    if result.live == LiveRows::Prefix { outputs.live_count() } else { Ok(source_rows) }
}

/// The outputs of a program that ran once, as a table; copied together where few of its rows are live.
pub fn single_table(
    engine: &Engine,
    result: &ResultProgram,
    outputs: Vec<Buffer>,
    source_rows: usize,
) -> Result<Arc<DeviceTable>> {
    table_of(engine, result, result.traced.layout.read(outputs)?, source_rows)
}

/// As [`single_table`], of outputs that have been read.
pub fn table_of(
    engine: &Engine,
    result: &ResultProgram,
    outputs: Outputs,
    source_rows: usize,
) -> Result<Arc<DeviceTable>> {
    let rows = live_rows(result, &outputs, source_rows)?;
    if result.capacity > SPARSE_CAPACITY && capacity_bucket(rows) * 4 <= result.capacity {
        let chunk = read_chunk(&outputs, rows)?;
        return upload_host_chunks(engine, &result.columns, vec![chunk], 0);
    }
    let mut arrays = outputs.arrays.into_iter();
    let mut columns = Vec::with_capacity(result.columns.len());
    for column in &result.columns {
        let values = arrays.by_ref().take(column.spec.representation.element_types().len()).collect();
        let valid = if column.spec.nullable { arrays.next() } else { None };
        columns.push(Arc::new(column.device_column(vec![vec![DeviceChunk::on_device(values, valid)]])));
    }
    Ok(Arc::new(DeviceTable { layout: Arc::new(Layout::single(rows, result.capacity)), columns }))
}

fn host_chunk(result: &ResultProgram, outputs: Vec<Buffer>, source_rows: usize) -> Result<HostChunk> {
    let outputs = result.traced.layout.read(outputs)?;
    let rows = live_rows(result, &outputs, source_rows)?;
    read_chunk(&outputs, rows)
}

fn read_chunk(outputs: &Outputs, rows: usize) -> Result<HostChunk> {
    Ok(HostChunk { rows, arrays: outputs.arrays.iter().map(|array| prefix(array, rows)).collect::<Result<_>>()? })
}

/// Computes a relation chunk by chunk, in row order, until `take` says that it wants no more.
pub fn for_each_host_chunk(
    engine: &Engine,
    relation: &Relation,
    mut take: impl FnMut(&[ResultColumn], HostChunk) -> Result<bool>,
) -> Result<()> {
    if let Some(table) = relation.as_table() {
        let columns = result_columns(table);
        for (shard, chunks) in table.layout.shards.iter().enumerate() {
            for (chunk, rows) in chunks.iter().enumerate() {
                if !take(&columns, chunk_of_table(table, shard, chunk, rows.len())?)? {
                    return Ok(());
                }
            }
        }
        return Ok(());
    }
    let live = if relation.keeps_all_rows() { LiveRows::OfSource } else { LiveRows::Prefix };
    let result = engine.trace_rows(relation, live)?;
    let bound = engine.bind(&result.traced, relation)?;
    let start = Instant::now();
    match &relation.source {
        Source::Accumulated(accumulated) => {
            let outputs = bound.run_totals(&accumulated.totals)?;
            take(&result.columns, host_chunk(&result, outputs, 0)?)?;
        }
        Source::Table(table) | Source::Selected(table, _) => run_chunks(
            &bound,
            engine.chunks(table, relation),
            |outputs, chunk_rows| host_chunk(&result, outputs, chunk_rows),
            |chunk| take(&result.columns, chunk),
        )?,
    }
    engine.kernel_time(start.elapsed());
    Ok(())
}

/// The rows of a relation, at least `limit` if there are as many, on the host.
fn host_chunks(
    engine: &Engine,
    relation: &Relation,
    limit: Option<usize>,
) -> Result<(Vec<ResultColumn>, Vec<HostChunk>)> {
    let (mut columns, mut chunks, mut rows) = (Vec::new(), Vec::new(), 0);
    for_each_host_chunk(engine, relation, |of_chunk, chunk| {
        columns = of_chunk.to_vec();
        rows += chunk.rows;
        chunks.push(chunk);
        Ok(limit.is_none_or(|limit| rows < limit))
    })?;
    Ok((columns, chunks))
}

/// All rows of a relation in one chunk of at least `capacity` rows on device 0.
pub fn materialize_padded(engine: &Engine, relation: &Relation, capacity: usize) -> Result<Arc<DeviceTable>> {
    let (columns, chunks) = host_chunks(engine, relation, None)?;
    upload_host_chunks(engine, &columns, chunks, capacity)
}

/// Concatenates dense rows in one chunk of at least `capacity` rows on device 0.
pub fn upload_host_chunks(
    engine: &Engine,
    columns: &[ResultColumn],
    chunks: Vec<HostChunk>,
    capacity: usize,
) -> Result<Arc<DeviceTable>> {
    let rows = chunks.iter().map(|chunk| chunk.rows).sum();
    let capacity = capacity_bucket(rows).max(capacity);
    let mut at = 0;
    let mut out = Vec::with_capacity(columns.len());
    for column in columns {
        let mut array = |element_type: ElementType| -> Result<Buffer> {
            let mut bytes = Vec::with_capacity(capacity * element_type.size_bytes());
            for chunk in &chunks {
                bytes.extend_from_slice(&chunk.arrays[at]);
            }
            bytes.resize(capacity * element_type.size_bytes(), 0);
            at += 1;
            Ok(engine.device.mesh.runtime().upload(0, &Shape::new(element_type, [capacity]), &bytes)?)
        };
        let values = column.spec.representation.element_types().iter().map(|e| array(*e)).collect::<Result<_>>()?;
        let valid = if column.spec.nullable { Some(array(ElementType::Pred)?) } else { None };
        out.push(Arc::new(column.device_column(vec![vec![DeviceChunk::on_device(values, valid)]])));
    }
    Ok(Arc::new(DeviceTable { layout: Arc::new(Layout::single(rows, capacity)), columns: out }))
}

/// Computes a relation and hands its rows to `emit`, chunk by chunk in row order, until it says stop.
pub fn download(
    engine: &Engine,
    relation: &Relation,
    schema: &SchemaRef,
    mut emit: impl FnMut(Downloaded) -> Result<bool>,
) -> Result<()> {
    let result = engine.trace_rows(relation, LiveRows::Mask)?;
    let bound = engine.bind(&result.traced, relation)?;
    // The first read of an output waits for the kernels.
    let wait = |outputs: &[Buffer], start: Instant| -> Result<()> {
        result.traced.layout.check(outputs)?;
        engine.kernel_time(start.elapsed());
        Ok(())
    };
    match &relation.source {
        Source::Accumulated(accumulated) => {
            let start = Instant::now();
            let outputs = bound.run_totals(&accumulated.totals)?;
            wait(&outputs, start)?;
            emit(batch(&result, outputs, schema)?).map(|_| ())
        }
        Source::Table(table) | Source::Selected(table, _) => run_chunks(
            &bound,
            engine.chunks(table, relation),
            |outputs, _| {
                wait(&outputs, Instant::now())?;
                batch(&result, outputs, schema)
            },
            emit,
        ),
    }
}

/// The live rows of one call.
fn batch(result: &ResultProgram, outputs: Vec<Buffer>, schema: &SchemaRef) -> Result<Downloaded> {
    let start = Instant::now();
    let bytes = outputs.iter().map(Buffer::size_bytes).sum();
    let outputs = result.traced.layout.read(outputs)?;
    let live = match &outputs.live {
        Some(mask) => BooleanArray::new(download_pred(mask)?, None),
        None => return datafusion::common::internal_err!("rows without a mask"),
    };
    let mut parts = Vec::with_capacity(result.columns.len());
    let mut rest = outputs.arrays.as_slice();
    for column in &result.columns {
        let (arrays, others) = rest.split_at(column.array_count());
        parts.push((&column.spec, arrays));
        rest = others;
    }
    let columns = decode_columns(&parts, &live)?;
    let options = RecordBatchOptions::new().with_row_count(Some(live.true_count()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    Ok(Downloaded { batch, time: start.elapsed(), bytes })
}

fn result_columns(table: &DeviceTable) -> Vec<ResultColumn> {
    table.columns.iter().map(|column| ResultColumn { spec: column.spec(), range: column.range }).collect()
}

/// The rows of one chunk of a table.
fn chunk_of_table(table: &DeviceTable, shard: usize, chunk: usize, rows: usize) -> Result<HostChunk> {
    let arrays = table.columns.iter().flat_map(|column| column.chunks[shard][chunk].arrays());
    Ok(HostChunk { rows, arrays: arrays.map(|array| array.prefix(rows)).collect::<Result<_>>()? })
}

/// The bytes of the first `rows` elements.
fn prefix(buffer: &Buffer, rows: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; rows * buffer.shape().element_type.size_bytes()];
    buffer.download_into(&mut bytes)?;
    Ok(bytes)
}
