//! The spill buffer: rows that wait on the host until a program reads them. Host chunks of any size become a table of full chunks, in
//! host memory or in a file.

use std::sync::Arc;

use datafusion::common::internal_err;
use datafusion::error::Result;

use crate::columnar::host_array::{HostArray, HostWriter};
use crate::columnar::layout::Layout;
use crate::columnar::table::{ChunkArray, DeviceChunk, DeviceTable};
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::{HostChunk, for_each_host_chunk, upload_host_chunks};
use crate::exec::trace::program::ResultColumn;
use crate::exec::trace::relation::Relation;
use crate::program::{ElementType, Shape};

/// A table under construction.
pub struct SpillBuffer {
    columns: Vec<ResultColumn>,
    /// Element type of each array of a chunk, column after column.
    types: Vec<ElementType>,
    /// Rows of a chunk.
    capacity: usize,
    /// Most rows that are taken.
    limit: usize,
    rows: usize,
    /// The last chunk, which is not full: the bytes of each array.
    filling: Vec<Vec<u8>>,
    chunks: usize,
    host: HostWriter,
}

impl SpillBuffer {
    /// An empty table of which no more than `limit` rows are needed.
    pub fn new(engine: &Engine, limit: Option<usize>) -> Self {
        let options = &engine.options;
        Self {
            columns: Vec::new(),
            types: Vec::new(),
            capacity: engine.device.chunk_rows(options),
            limit: limit.unwrap_or(usize::MAX),
            rows: 0,
            filling: Vec::new(),
            chunks: 0,
            host: HostWriter::new(engine.device.waiting.clone(), options.host_memory_limit, options.spill_dir()),
        }
    }

    /// Takes rows; false once there are as many as are needed.
    pub fn push(&mut self, columns: &[ResultColumn], chunk: &HostChunk) -> Result<bool> {
        self.unify(columns)?;
        let mut from = 0;
        let end = chunk.rows.min(self.limit - self.rows);
        while from < end {
            let in_chunk = self.rows - self.chunks * self.capacity;
            let to = end.min(from + self.capacity - in_chunk);
            for ((filling, bytes), element_type) in self.filling.iter_mut().zip(&chunk.arrays).zip(&self.types) {
                let width = element_type.size_bytes();
                filling.extend_from_slice(&bytes[from * width..to * width]);
            }
            self.rows += to - from;
            from = to;
            if self.rows - self.chunks * self.capacity == self.capacity {
                self.put_chunk()?;
            }
        }
        Ok(self.rows < self.limit)
    }

    /// Chunks come from runs of programs that differ at most in what is known of the values.
    fn unify(&mut self, columns: &[ResultColumn]) -> Result<()> {
        if self.types.is_empty() && self.columns.is_empty() {
            self.columns = columns.to_vec();
            self.types = columns.iter().flat_map(ResultColumn::element_types).collect();
            self.filling = vec![Vec::new(); self.types.len()];
            return Ok(());
        }
        for (mine, other) in self.columns.iter_mut().zip(columns) {
            let (a, b) = (&mine.spec, &other.spec);
            if a.representation != b.representation || a.nullable != b.nullable || a.dictionary != b.dictionary {
                return internal_err!(
                    "passes over one relation differ in the encoding of their results: {a:?} and {b:?}"
                );
            }
            mine.range = mine.range.zip(other.range).map(|(a, b)| a.union(&b));
        }
        Ok(())
    }

    fn put_chunk(&mut self) -> Result<()> {
        for (filling, element_type) in self.filling.iter_mut().zip(&self.types) {
            let mut bytes = std::mem::take(filling);
            bytes.resize(self.capacity * element_type.size_bytes(), 0);
            self.host.put(Shape::new(*element_type, [self.capacity]), bytes.into())?;
        }
        self.chunks += 1;
        Ok(())
    }

    /// The table as a relation. One of a single chunk is uploaded.
    pub fn finish(mut self, engine: &Engine) -> Result<Relation> {
        let layout = Layout::new(self.rows, 1, self.capacity);
        let last = self.rows - self.chunks * self.capacity;
        if last > 0 && self.chunks > 0 {
            self.put_chunk()?;
        }
        let arrays = self.host.finish();
        if layout.chunks_per_shard() == 1 {
            let of_chunk = |array: &HostArray| {
                let mut bytes = vec![0; array.shape().size_bytes()];
                array.read_into(&mut bytes).map(|()| bytes)
            };
            let full = arrays.iter().map(of_chunk).collect::<Result<Vec<_>>>()?;
            let arrays = if self.chunks == 0 { self.filling } else { full };
            let chunk = HostChunk { rows: self.rows, arrays };
            let table = upload_host_chunks(engine, &self.columns, vec![chunk], layout.capacity)?;
            return Ok(Relation::on(table));
        }
        let mut arrays = arrays.into_iter();
        let mut chunks: Vec<Vec<DeviceChunk>> = self.columns.iter().map(|_| Vec::with_capacity(self.chunks)).collect();
        for _ in 0..self.chunks {
            for (column, chunks) in self.columns.iter().zip(&mut chunks) {
                let n = column.spec.representation.element_types().len();
                let values = arrays.by_ref().take(n).map(ChunkArray::Host).collect();
                let valid = if column.spec.nullable { arrays.next().map(ChunkArray::Host) } else { None };
                chunks.push(DeviceChunk { values, valid });
            }
        }
        let columns =
            self.columns.iter().zip(chunks).map(|(column, chunks)| Arc::new(column.device_column(vec![chunks])));
        let table = DeviceTable { layout: Arc::new(layout), columns: columns.collect() };
        Ok(Relation::on(Arc::new(table)))
    }
}

/// The rows of a relation, computed, and waiting on the host.
pub fn spill(engine: &Engine, relation: &Relation) -> Result<Relation> {
    if relation.as_table().is_some() {
        return Ok(relation.clone());
    }
    let mut buffer = SpillBuffer::new(engine, None);
    for_each_host_chunk(engine, relation, |columns, chunk| buffer.push(columns, &chunk))?;
    buffer.finish(engine)
}
