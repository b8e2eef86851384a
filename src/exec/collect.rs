//! Computes a relation: into one chunk of packed rows on device 0 (for what needs all rows: a sort, a build side), or into record
//! batches for the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::MetricBuilder;

use crate::columnar::decode::{decode_columns, download_pred};
use crate::columnar::layout::{Layout, capacity_bucket};
use crate::columnar::table::{DeviceChunk, DeviceColumn, DeviceTable};
use crate::exec::engine::Engine;
use crate::exec::relation::{Relation, Source};
use crate::exec::run::{failure, run_chunks};
use crate::exec::trace::{LiveRows, ResultColumn, ResultProgram};
use crate::expr::tracer::error::ExpressionError;
use crate::program::{ElementType, Shape};
use crate::runtime::Buffer;

/// A chunk of more than this many rows is made smaller when less than a quarter of it is live.
const SPARSE_CAPACITY: usize = 1 << 13;

/// Packed rows on the host.
pub struct Piece {
    pub rows: usize,
    /// Bytes of the live rows of each array.
    pub arrays: Vec<Vec<u8>>,
}

/// Record batches of one chunk and what they cost.
pub struct Downloaded {
    pub batch: RecordBatch,
    pub time: Duration,
    pub bytes: usize,
}

impl Engine {
    /// All rows of a relation in one chunk on device 0, packed, in row order. `limit`: no more rows than these are needed.
    pub fn collect(&self, relation: &Relation, limit: Option<usize>) -> Result<Arc<DeviceTable>> {
        if let Some(table) = relation.as_table() {
            if table.is_single() {
                return Ok(Arc::clone(table));
            }
            return self.collect_padded(relation, limit, 0);
        }
        if self.devices_of(relation) > 1 && matches!(relation.source, Source::Table(_)) {
            MetricBuilder::new(&self.metrics).counter("relations_gathered", 0).add(1);
        }
        let relation = &self.select(relation.clone(), 1)?;
        if !relation.is_single() {
            return self.collect_padded(relation, limit, 0);
        }
        let live = if relation.keeps_all_rows() { LiveRows::OfSource } else { LiveRows::Prefix };
        let result = self.trace_rows(relation, live)?;
        let ready = self.ready(&result.traced, relation)?;
        let start = Instant::now();
        let source_errors = relation.source_errors();
        let table = match &relation.source {
            Source::Groups(groups) => {
                let buffers = ready.run_totals(&groups.accumulators)?;
                self.single_table(&result, source_errors, buffers, 0)?
            }
            Source::Table(table) | Source::Selected(table, _) => {
                let mut only = None;
                let rows = table.layout.rows;
                run_chunks(
                    &ready,
                    self.chunks(table, relation),
                    |buffers, _| Ok(buffers),
                    |buffers| {
                        only = Some(buffers);
                        Ok(false)
                    },
                )?;
                self.single_table(&result, source_errors, only.unwrap_or_default(), rows)?
            }
        };
        self.kernel_time(start.elapsed());
        Ok(table)
    }

    /// Rows of a result in the outputs, after its errors have been looked at.
    fn live_count(
        &self,
        result: &ResultProgram,
        source_errors: &[ExpressionError],
        buffers: &[Buffer],
        source_rows: usize,
    ) -> Result<usize> {
        let at = result.array_count();
        check_errors(result, source_errors, buffers)?;
        self.record_counts(result, buffers)?;
        Ok(match result.live {
            LiveRows::Prefix => buffers[at].to_vec::<i32>()?[0].max(0) as usize,
            _ => source_rows,
        })
    }

    /// The outputs of a program that ran once, as a table; copied together where few of its rows are live.
    pub fn single_table(
        &self,
        result: &ResultProgram,
        source_errors: &[ExpressionError],
        buffers: Vec<Buffer>,
        source_rows: usize,
    ) -> Result<Arc<DeviceTable>> {
        let rows = self.live_count(result, source_errors, &buffers, source_rows)?;
        if result.capacity > SPARSE_CAPACITY && capacity_bucket(rows) * 4 <= result.capacity {
            let piece = self.read_piece(result, &buffers, rows)?;
            return self.upload_pieces(&result.columns, vec![piece], 0);
        }
        let mut buffers = buffers.into_iter();
        let mut columns = Vec::with_capacity(result.columns.len());
        for column in &result.columns {
            let values = buffers.by_ref().take(column.spec.representation.element_types().len()).collect();
            let valid = if column.spec.nullable { buffers.next() } else { None };
            columns.push(Arc::new(column.device_column(vec![vec![DeviceChunk::on_device(values, valid)]])));
        }
        Ok(Arc::new(DeviceTable { layout: Arc::new(Layout::single(rows, result.capacity)), columns }))
    }

    fn piece(
        &self,
        result: &ResultProgram,
        source_errors: &[ExpressionError],
        buffers: &[Buffer],
        source_rows: usize,
    ) -> Result<Piece> {
        let rows = self.live_count(result, source_errors, buffers, source_rows)?;
        self.read_piece(result, buffers, rows)
    }

    fn read_piece(&self, result: &ResultProgram, buffers: &[Buffer], rows: usize) -> Result<Piece> {
        let arrays = &buffers[..result.array_count()];
        Ok(Piece { rows, arrays: arrays.iter().map(|b| prefix(b, rows)).collect::<Result<_>>()? })
    }

    /// Computes a relation piece by piece, in row order, until `take` says that it wants no more.
    pub fn pieces(
        &self,
        relation: &Relation,
        mut take: impl FnMut(&[ResultColumn], Piece) -> Result<bool>,
    ) -> Result<()> {
        if let Some(table) = relation.as_table() {
            let columns = result_columns(table);
            for (shard, chunks) in table.layout.shards.iter().enumerate() {
                for (chunk, rows) in chunks.iter().enumerate() {
                    if !take(&columns, piece_of_table(table, shard, chunk, rows.len())?)? {
                        return Ok(());
                    }
                }
            }
            return Ok(());
        }
        let live = if relation.keeps_all_rows() { LiveRows::OfSource } else { LiveRows::Prefix };
        let result = self.trace_rows(relation, live)?;
        let ready = self.ready(&result.traced, relation)?;
        let start = Instant::now();
        let source_errors = relation.source_errors();
        match &relation.source {
            Source::Groups(groups) => {
                let buffers = ready.run_totals(&groups.accumulators)?;
                take(&result.columns, self.piece(&result, source_errors, &buffers, 0)?)?;
            }
            Source::Table(table) | Source::Selected(table, _) => run_chunks(
                &ready,
                self.chunks(table, relation),
                |buffers, chunk_rows| self.piece(&result, source_errors, &buffers, chunk_rows),
                |piece| take(&result.columns, piece),
            )?,
        }
        self.kernel_time(start.elapsed());
        Ok(())
    }

    /// The rows of a relation, at least `limit` if there are, in one chunk of at least `capacity` rows on device 0.
    pub fn collect_padded(
        &self,
        relation: &Relation,
        limit: Option<usize>,
        capacity: usize,
    ) -> Result<Arc<DeviceTable>> {
        let (mut columns, mut pieces, mut rows) = (Vec::new(), Vec::new(), 0);
        self.pieces(relation, |of_piece, piece| {
            columns = of_piece.to_vec();
            rows += piece.rows;
            pieces.push(piece);
            Ok(limit.is_none_or(|limit| rows < limit))
        })?;
        self.upload_pieces(&columns, pieces, capacity)
    }

    /// Puts packed rows together in one chunk of at least `capacity` rows on device 0.
    pub fn upload_pieces(
        &self,
        columns: &[ResultColumn],
        pieces: Vec<Piece>,
        capacity: usize,
    ) -> Result<Arc<DeviceTable>> {
        let rows = pieces.iter().map(|p| p.rows).sum();
        let capacity = capacity_bucket(rows).max(capacity);
        let mut at = 0;
        let mut out = Vec::with_capacity(columns.len());
        for column in columns {
            let mut array = |element_type: ElementType| -> Result<Buffer> {
                let mut bytes = Vec::with_capacity(capacity * element_type.size_bytes());
                for piece in &pieces {
                    bytes.extend_from_slice(&piece.arrays[at]);
                }
                bytes.resize(capacity * element_type.size_bytes(), 0);
                at += 1;
                Ok(self.device.mesh.runtime().upload(0, &Shape::new(element_type, [capacity]), &bytes)?)
            };
            let values = column.spec.representation.element_types().iter().map(|e| array(*e)).collect::<Result<_>>()?;
            let valid = if column.spec.nullable { Some(array(ElementType::Pred)?) } else { None };
            out.push(Arc::new(column.device_column(vec![vec![DeviceChunk::on_device(values, valid)]])));
        }
        Ok(Arc::new(DeviceTable { layout: Arc::new(Layout::single(rows, capacity)), columns: out }))
    }

    /// Computes a relation and hands its rows to `emit`, chunk by chunk in row order, until it says stop.
    pub fn download(
        &self,
        relation: &Relation,
        schema: &SchemaRef,
        mut emit: impl FnMut(Downloaded) -> Result<bool>,
    ) -> Result<()> {
        let result = self.trace_rows(relation, LiveRows::Mask)?;
        let ready = self.ready(&result.traced, relation)?;
        let source_errors = relation.source_errors();
        let read = |buffers: Vec<Buffer>| self.batch(&result, source_errors, &buffers, schema);
        match &relation.source {
            Source::Groups(groups) => {
                let start = Instant::now();
                let buffers = ready.run_totals(&groups.accumulators)?;
                // The first download waits for the kernels.
                check_errors(&result, source_errors, &buffers)?;
                self.kernel_time(start.elapsed());
                emit(read(buffers)?).map(|_| ())
            }
            Source::Table(table) | Source::Selected(table, _) => run_chunks(
                &ready,
                self.chunks(table, relation),
                |buffers, _| {
                    let start = Instant::now();
                    check_errors(&result, source_errors, &buffers)?;
                    self.kernel_time(start.elapsed());
                    read(buffers)
                },
                emit,
            ),
        }
    }

    /// The live rows of one call.
    fn batch(
        &self,
        result: &ResultProgram,
        source_errors: &[ExpressionError],
        buffers: &[Buffer],
        schema: &SchemaRef,
    ) -> Result<Downloaded> {
        let start = Instant::now();
        check_errors(result, source_errors, buffers)?;
        self.record_counts(result, buffers)?;
        let live = BooleanArray::new(download_pred(&buffers[result.array_count()])?, None);
        let mut parts = Vec::with_capacity(result.columns.len());
        let mut rest = buffers;
        for column in &result.columns {
            let (arrays, others) = rest.split_at(column.array_count());
            parts.push((&column.spec, arrays));
            rest = others;
        }
        let columns = decode_columns(&parts, &live)?;
        let options = RecordBatchOptions::new().with_row_count(Some(live.true_count()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        let bytes = buffers.iter().map(Buffer::size_bytes).sum();
        Ok(Downloaded { batch, time: start.elapsed(), bytes })
    }

    /// Adds the row counts of one call to the operators' metrics.
    fn record_counts(&self, result: &ResultProgram, buffers: &[Buffer]) -> Result<()> {
        let first = buffers.len() - result.counted.len();
        for (metrics, buffer) in result.counted.iter().zip(&buffers[first..]) {
            let rows = buffer.to_vec::<i64>()?[0];
            MetricBuilder::new(metrics).output_rows(0).add(rows as usize);
        }
        Ok(())
    }
}

/// The error that a program or the accumulators below it reported.
fn check_errors(result: &ResultProgram, source_errors: &[ExpressionError], buffers: &[Buffer]) -> Result<()> {
    let mut at = result.array_count() + usize::from(result.live != LiveRows::OfSource);
    let own = result.traced.errors.as_slice();
    for (present, errors) in [(result.has_error, own), (result.has_source_error, source_errors)] {
        if present {
            let code = buffers[at].to_vec::<i32>()?[0];
            at += 1;
            if code > 0 {
                return Err(failure(code, errors));
            }
        }
    }
    Ok(())
}

fn result_columns(table: &DeviceTable) -> Vec<ResultColumn> {
    table.columns.iter().map(|c| ResultColumn { spec: c.spec(), range: c.range }).collect()
}

/// The rows of one chunk of a table.
fn piece_of_table(table: &DeviceTable, shard: usize, chunk: usize, rows: usize) -> Result<Piece> {
    let arrays = table.columns.iter().flat_map(|column| column.chunks[shard][chunk].arrays());
    Ok(Piece { rows, arrays: arrays.map(|array| array.prefix(rows)).collect::<Result<_>>()? })
}

/// The bytes of the first `rows` elements.
fn prefix(buffer: &Buffer, rows: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; rows * buffer.shape().element_type.size_bytes()];
    buffer.download_into(&mut bytes)?;
    Ok(bytes)
}

impl ResultColumn {
    pub fn array_count(&self) -> usize {
        self.spec.representation.element_types().len() + usize::from(self.spec.nullable)
    }

    /// Element types of its arrays.
    pub fn element_types(&self) -> Vec<ElementType> {
        let values = self.spec.representation.element_types().iter().copied();
        values.chain(self.spec.nullable.then_some(ElementType::Pred)).collect()
    }

    pub fn device_column(&self, chunks: Vec<Vec<DeviceChunk>>) -> DeviceColumn {
        DeviceColumn {
            data_type: self.spec.data_type.clone(),
            representation: self.spec.representation,
            range: self.range,
            has_nulls: self.spec.nullable,
            unique: false,
            ascending: false,
            dictionary: self.spec.dictionary.clone(),
            chunks,
        }
    }
}

impl ResultProgram {
    /// Arrays of all columns.
    pub fn array_count(&self) -> usize {
        self.columns.iter().map(ResultColumn::array_count).sum()
    }
}
