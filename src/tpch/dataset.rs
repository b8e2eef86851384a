//! Writes a TPC-H data set, `lineitem.parquet` to `region.parquet`, into one folder, which appears complete or not at all.
//!
//! ```text
//! jobs (table, part) --> 2 threads: generate and encode a row group --> TableFile: appends the parts in order
//! folder.tmp-<pid>/  -- all eight files closed -->  rename to folder/
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use datafusion::arrow::record_batch::RecordBatchReader;
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::ArrowSchemaConverter;
use datafusion::parquet::arrow::add_encoded_arrow_schema_to_metadata;
use datafusion::parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;

use crate::tpch::table::{Table, check_scale};

const THREADS: usize = 2;
const ROW_GROUP_ROWS: u64 = 1 << 20;

/// Returns whether `dir` contains all eight files.
pub fn is_complete(dir: &Path) -> bool {
    Table::ALL.iter().all(|table| file_of(dir, *table).is_file())
}

/// Writes the data set of scale factor `scale` into `dir`, unless it exists. Calls `progress` from several threads, with the number
/// of rows of each generated batch.
///
/// # Errors
/// If the scale factor is out of range, or the parent folder of `dir` cannot be written. `dir` is then unchanged.
pub fn ensure(dir: &Path, scale: f64, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
    check_scale(scale)?;
    if is_complete(dir) {
        return Ok(());
    }
    let mut unfinished = dir.as_os_str().to_owned();
    unfinished.push(format!(".tmp-{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    remove_abandoned(dir);
    let written = fs::create_dir_all(&unfinished)
        .map_err(|error| cannot_write(&unfinished, error))
        .and_then(|()| write_tables(&unfinished, scale, progress))
        .and_then(|()| put_in_place(&unfinished, dir));
    if written.is_err() {
        // The original error is reported, not one of the cleanup.
        let _ = fs::remove_dir_all(&unfinished);
    }
    written
}

fn file_of(dir: &Path, table: Table) -> PathBuf {
    dir.join(format!("{}.parquet", table.name()))
}

fn cannot_write(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error)).context(format!("cannot write {}", path.display()))
}

/// Removes unfinished folders of processes that were killed while generating `dir`. Keeps those of running processes.
fn remove_abandoned(dir: &Path) {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str())) else { return };
    let prefix = format!("{name}.tmp-");
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let file_name = entry.file_name();
        let process = file_name.to_str().and_then(|name| name.strip_prefix(&prefix));
        let alive = |process: &str| !Path::new("/proc/self").exists() || Path::new("/proc").join(process).exists();
        if process.is_some_and(|process| !alive(process)) {
            // A folder that cannot be removed only wastes space.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn put_in_place(unfinished: &Path, dir: &Path) -> Result<()> {
    let rename = || fs::rename(unfinished, dir);
    let renamed = rename().or_else(|error| {
        if is_complete(dir) {
            // Another process has finished first, with the same files.
            return fs::remove_dir_all(unfinished);
        }
        if !dir.exists() {
            return Err(error);
        }
        fs::remove_dir_all(dir).and_then(|()| rename())
    });
    renamed.map_err(|error| cannot_write(dir, error))
}

fn write_tables(dir: &Path, scale: f64, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
    let files = Table::ALL.iter().map(|table| TableFile::create(dir, *table, scale)).collect::<Result<Vec<_>>>()?;
    let jobs: Vec<(&TableFile, i32)> =
        files.iter().flat_map(|file| (1..=file.parts).map(move |part| (file, part))).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some((file, part)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = file.write_part(scale, *part, progress) {
                next.store(jobs.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(DataFusionError::Internal("the generator of TPC-H data panicked".to_string())))
        })
    })
}

/// A Parquet file written in parts of one row group. Parts may be encoded in any order.
struct TableFile {
    table: Table,
    parts: i32,
    path: PathBuf,
    row_groups: ArrowRowGroupWriterFactory,
    output: Mutex<Output>,
}

struct Output {
    writer: SerializedFileWriter<File>,
    next_part: i32,
    waiting: BTreeMap<i32, Vec<ArrowColumnChunk>>,
}

impl TableFile {
    fn create(dir: &Path, table: Table, scale: f64) -> Result<Self> {
        let path = file_of(dir, table);
        let parts = i32::try_from(table.rows(scale).div_ceil(ROW_GROUP_ROWS)).unwrap_or(i32::MAX).max(1);
        let file = File::create(&path).map_err(|error| cannot_write(&path, error))?;
        let schema = table.part(scale, 1, parts).schema();
        let mut properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        // Keeps the Arrow types (Utf8View) for the reader.
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
        let writer = SerializedFileWriter::new(file, parquet_schema.root_schema_ptr(), Arc::new(properties))?;
        let row_groups = ArrowRowGroupWriterFactory::new(&writer, schema);
        let output = Mutex::new(Output { writer, next_part: 1, waiting: BTreeMap::new() });
        Ok(Self { table, parts, path, row_groups, output })
    }

    fn write_part(&self, scale: f64, part: i32, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
        let mut columns = self.row_groups.create_column_writers(usize::try_from(part - 1).unwrap_or_default())?;
        let reader: Box<dyn RecordBatchReader + Send> = self.table.part(scale, part, self.parts);
        for batch in reader {
            let batch = batch?;
            // The columns of TPC-H are flat: one leaf each.
            for ((field, column), writer) in batch.schema().fields().iter().zip(batch.columns()).zip(&mut columns) {
                for leaf in compute_leaves(field, column)? {
                    writer.write(&leaf)?;
                }
            }
            progress(batch.num_rows() as u64);
        }
        let chunks = columns.into_iter().map(|column| column.close()).collect::<std::result::Result<Vec<_>, _>>()?;
        self.append(part, chunks).map_err(|error| cannot_write(&self.path, io::Error::other(error)))
    }

    fn append(&self, part: i32, chunks: Vec<ArrowColumnChunk>) -> datafusion::parquet::errors::Result<()> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.waiting.insert(part, chunks);
        loop {
            let next_part = output.next_part;
            let Some(chunks) = output.waiting.remove(&next_part) else { break };
            let mut row_group = output.writer.next_row_group()?;
            for chunk in chunks {
                chunk.append_to_row_group(&mut row_group)?;
            }
            row_group.close()?;
            output.next_part += 1;
        }
        if output.next_part > self.parts {
            output.writer.finish()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::tpch::{ensure, is_complete};

    #[test]
    fn a_data_set_appears_complete_and_abandoned_folders_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let dir = cache.path().join("sf0.001");
        // No process has this id: Linux assigns ids up to 2^22.
        let abandoned = cache.path().join("sf0.001.tmp-99999999");
        fs::create_dir(&abandoned).unwrap();
        let rows = AtomicU64::new(0);
        ensure(&dir, 0.001, &|n| {
            assert!(!dir.exists(), "the folder is there before it is complete");
            rows.fetch_add(n, Ordering::Relaxed);
        })
        .unwrap();
        assert!(is_complete(&dir));
        assert_eq!(rows.into_inner(), 6005 + 1500 + 800 + 200 + 150 + 10 + 25 + 5);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);

        ensure(&dir, 0.001, &|_| panic!("generated again")).unwrap();
        fs::remove_file(dir.join("region.parquet")).unwrap();
        ensure(&dir, 0.001, &|_| ()).unwrap();
        assert!(is_complete(&dir));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let error = ensure("/dev/null/tpch/sf0.001".as_ref(), 0.001, &|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("cannot write /dev/null/tpch/sf0.001.tmp-"), "{error}");
    }
}
