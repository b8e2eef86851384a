//! One column of one row group: its bytes, and their decoding. A file of the system is read page by page into memory that was
//! just used for the page before; what a store sends is read whole.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use datafusion::arrow::array::ArrayRef;
use datafusion::common::exec_err;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use datafusion::object_store::{GetOptions, GetResultPayload, ObjectStore};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::reader::{ChunkReader, Length};

use crate::columnar::narrow::{narrow, plain};
use crate::exec::scan::parquet::prune::RowGroup;
use crate::exec::scan::parquet::table::{ByteSource, ParquetFile, reader};

/// Rows that are decoded at a time: what they take stays in cache until it is narrowed.
const BATCH_ROWS: usize = 1 << 15;

/// Of a header of a page, which is read on its own.
const HEADER_BYTES: usize = 512;

/// The bytes of a column chunk.
pub enum ChunkBytes {
    File(Arc<File>, u64),
    Memory(Bytes, Range<u64>),
}

impl ParquetFile {
    /// Opens, or fetches, the chunk of a column in a row group.
    pub async fn fetch(&self, row_group: usize, column: usize) -> Result<ChunkBytes> {
        let (start, length) = self.chunk(row_group, column).byte_range();
        let range = start..start + length;
        match &self.bytes {
            ByteSource::Store(store) => fetch_from(store, &self.file, range).await,
            ByteSource::Readers(factory) => {
                let bytes = reader(factory, &self.file)?.get_bytes(range.clone()).await?;
                Ok(ChunkBytes::Memory(bytes, range))
            }
        }
    }

    /// The values of a column in a row group in the narrowest arrays.
    pub fn decode(&self, row_group: &RowGroup, column: usize, bytes: ChunkBytes) -> Result<Vec<ArrayRef>> {
        let (leaf, metadata) = self.decoded_by(row_group.index, column);
        let only = ProjectionMask::leaves(metadata.parquet_schema(), [leaf]);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata.clone())
            .with_projection(only)
            .with_row_groups(vec![row_group.index])
            .with_batch_size(BATCH_ROWS);
        if let Some(selection) = &row_group.selection {
            builder = builder.with_row_selection(selection.clone());
        }
        builder.build()?.map(|batch| narrow(plain(batch?.column(0).clone())?)).collect()
    }
}

async fn fetch_from(store: &Arc<dyn ObjectStore>, file: &PartitionedFile, range: Range<u64>) -> Result<ChunkBytes> {
    let expected = &file.object_meta;
    let options = GetOptions { range: Some(range.clone().into()), ..Default::default() };
    let got = store.get_opts(&expected.location, options).await?;
    if got.meta.size != expected.size || got.meta.last_modified != expected.last_modified {
        return exec_err!("{} changed while it was read; run the query again", expected.location);
    }
    match got.payload {
        GetResultPayload::File(file, _) => Ok(ChunkBytes::File(Arc::new(file), expected.size)),
        GetResultPayload::Stream(_) => Ok(ChunkBytes::Memory(got.bytes().await?, range)),
    }
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Memory(_, range) => range.end,
        }
    }
}

impl ChunkReader for ChunkBytes {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> ParquetResult<ChunkRead> {
        Ok(match self {
            Self::File(file, _) => {
                let at = FileAt { file: Arc::clone(file), at: start };
                ChunkRead::File(BufReader::with_capacity(HEADER_BYTES, at))
            }
            Self::Memory(bytes, range) => {
                ChunkRead::Memory(bytes.slice(within(bytes, range, start, 0)?.start..).reader())
            }
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self {
            Self::File(file, _) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
            Self::Memory(bytes, range) => Ok(bytes.slice(within(bytes, range, start, length)?)),
        }
    }
}

/// Where in `bytes`, which are `range` of a file, a part of the file is.
fn within(bytes: &Bytes, range: &Range<u64>, start: u64, length: usize) -> io::Result<Range<usize>> {
    let from = start.checked_sub(range.start).map(|from| from as usize);
    let part = from.map(|from| from..from + length).filter(|part| part.end <= bytes.len());
    part.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "a page outside its column chunk"))
}

/// Reads on from a place in a chunk.
pub enum ChunkRead {
    File(BufReader<FileAt>),
    Memory(Reader<Bytes>),
}

/// A place in a file that others read, too.
pub struct FileAt {
    file: Arc<File>,
    at: u64,
}

impl Read for FileAt {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Read for ChunkRead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(out),
            Self::Memory(bytes) => bytes.read(out),
        }
    }
}
