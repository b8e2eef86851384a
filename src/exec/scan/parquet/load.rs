//! Loads columns of Parquet files on all cores: a core takes the next column chunk, decodes it, and, when it was the last of its
//! column, encodes and uploads the column. Nothing waits for all to be decoded, and a column's arrays go when it is uploaded.
//!
//! ```text
//! column chunks, the largest columns first ──▶ bytes ──▶ decoded, narrowed ─┬─ the column has more
//!                                                                          └─ its last: encode, upload
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::arrow::array::ArrayRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::Time;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

use crate::cores;
use crate::exec::scan::parquet::chunk::ChunkBytes;
use crate::exec::scan::parquet::prune::RowGroup;
use crate::exec::scan::parquet::table::ParquetTable;
use crate::exec::state::load_progress::{Load as Progress, LoadTracker};

/// A column chunk.
#[derive(Clone, Copy)]
struct Unit {
    column: usize,
    file: usize,
    /// Among those of the file that are read.
    group: usize,
    /// Its place among the chunks of its column.
    place: usize,
}

/// The column chunks of one column: what is decoded, and how many are still missing.
struct ColumnProgress {
    decoded: Mutex<Vec<Vec<ArrayRef>>>,
    missing: AtomicUsize,
}

/// What the cores share.
struct Load<F> {
    table: Arc<ParquetTable>,
    units: Vec<Unit>,
    next: AtomicUsize,
    columns: Vec<ColumnProgress>,
    /// Permits to decode, which other tables of the query want, too.
    cores: Arc<Semaphore>,
    /// Of all cores.
    decode_time: Time,
    progress: Arc<Progress>,
    finish: F,
}

/// What `finish(column, arrays)` makes of each column of the table, in order.
pub async fn load_columns<T, F>(
    table: Arc<ParquetTable>,
    cores: Arc<Semaphore>,
    loads: &LoadTracker,
    decode_time: Time,
    finish: F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize, Vec<ArrayRef>) -> Result<T> + Send + Sync + 'static,
{
    let n_columns = table.columns.len();
    let units = units(&table);
    let mut done: Vec<Option<T>> = (0..n_columns).map(|_| None).collect();
    if units.is_empty() {
        return (0..n_columns).map(|column| finish(column, Vec::new())).collect();
    }
    let of_column = units.len() / n_columns;
    let columns = (0..n_columns).map(|_| ColumnProgress {
        decoded: Mutex::new(vec![Vec::new(); of_column]),
        missing: AtomicUsize::new(of_column),
    });
    let total = units.iter().map(|unit| bytes_of(&table, unit)).sum();
    let progress = loads.begin(table.name(), total);
    let (columns, next) = (columns.collect(), AtomicUsize::new(0));
    let load = Arc::new(Load { table, units, next, columns, cores, decode_time, progress, finish });
    // Dropped with the query, it stops after the chunks that are in hand.
    let mut lanes = JoinSet::new();
    // While some decode, others fetch.
    let n_lanes = 2 * cores::cores();
    for _ in 0..n_lanes.min(load.units.len()) {
        lanes.spawn(Arc::clone(&load).lane());
    }
    while let Some(lane) = lanes.join_next().await {
        for (column, loaded) in lane.map_err(stopped)?? {
            done[column] = Some(loaded);
        }
    }
    let missing = || DataFusionError::Internal("a column of a Parquet file was not loaded".to_string());
    done.into_iter().map(|column| column.ok_or_else(missing)).collect()
}

/// All chunks of a column, then those of the next, the largest columns first.
fn units(table: &ParquetTable) -> Vec<Unit> {
    let of_file = |(file, groups): (usize, &Vec<RowGroup>)| -> Vec<(usize, usize)> {
        (0..groups.len()).map(|group| (file, group)).collect()
    };
    let groups: Vec<(usize, usize)> = table.row_groups.iter().enumerate().flat_map(of_file).collect();
    let bytes = |column: &usize| -> i64 {
        let chunk = |(file, group): &(usize, usize)| {
            table.files[*file].chunk(table.row_groups[*file][*group].index, *column).uncompressed_size()
        };
        groups.iter().map(chunk).sum()
    };
    let mut columns: Vec<usize> = (0..table.columns.len()).collect();
    columns.sort_by_key(|column| std::cmp::Reverse(bytes(column)));
    let of_column = |column: usize| {
        let units = groups.iter().enumerate();
        units.map(move |(place, (file, group))| Unit { column, file: *file, group: *group, place })
    };
    columns.into_iter().flat_map(of_column).collect()
}

/// Bytes of a chunk in its file.
fn bytes_of(table: &ParquetTable, unit: &Unit) -> u64 {
    let row_group = table.row_groups[unit.file][unit.group].index;
    table.files[unit.file].chunk(row_group, unit.column).compressed_size().max(0) as u64
}

impl<T, F> Load<F>
where
    T: Send + 'static,
    F: Fn(usize, Vec<ArrayRef>) -> Result<T> + Send + Sync + 'static,
{
    /// Works on chunks until there are none; gives the columns that it has finished.
    async fn lane(self: Arc<Self>) -> Result<Vec<(usize, T)>> {
        let mut finished = Vec::new();
        while let Some(unit) = self.units.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let row_group = self.table.row_groups[unit.file][unit.group].index;
            let bytes = self.table.files[unit.file].fetch(row_group, unit.column).await?;
            let permit = Arc::clone(&self.cores).acquire_owned().await;
            let column = match Handle::current().runtime_flavor() {
                // Its threads are as many as the cores, and have memory that they have used before.
                RuntimeFlavor::MultiThread => self.work(*unit, bytes)?,
                _ => {
                    let (load, unit) = (Arc::clone(&self), *unit);
                    let work = move || {
                        let _permit = permit;
                        load.work(unit, bytes)
                    };
                    spawn_blocking(work).await.map_err(stopped)??
                }
            };
            finished.extend(column.map(|column| (unit.column, column)));
        }
        Ok(finished)
    }

    /// Decodes a chunk, and finishes its column if it is the last.
    fn work(&self, unit: Unit, bytes: ChunkBytes) -> Result<Option<T>> {
        let start = Instant::now();
        let arrays =
            self.table.files[unit.file].decode(&self.table.row_groups[unit.file][unit.group], unit.column, bytes)?;
        self.decode_time.add_duration(start.elapsed());
        self.progress.advance(&self.table.columns[unit.column].0, bytes_of(&self.table, &unit));
        let column = &self.columns[unit.column];
        let decoded = || column.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        decoded()[unit.place] = arrays;
        if column.missing.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(None);
        }
        let all = std::mem::take(&mut *decoded());
        (self.finish)(unit.column, all.into_iter().flatten().collect()).map(Some)
    }
}

fn stopped(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::Execution(format!("reading a Parquet file: {error}"))
}
