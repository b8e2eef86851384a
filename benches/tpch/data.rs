//! The tables, TPC-H and `s`: in memory for the engines of this process, and as Parquet files for all engines.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use parallax::cache_dir::cache_dir;
use parallax::tpch::{self, Table};

/// Number of partitions of each table.
const PARTITIONS: i32 = 2;

/// Number of rows of `s` at scale factor 1.
const RANDOM_ROWS: usize = 10_000_000;

/// The tables of one scale factor.
pub struct Data {
    pub memory: Vec<(&'static str, Arc<MemTable>)>,
    pub rows: BTreeMap<&'static str, u64>,
}

impl Data {
    /// Generates the TPC-H tables, and `s` if `random`.
    pub fn generate(scale: f64, random: bool) -> Result<Self> {
        let mut data = Self { memory: Vec::new(), rows: BTreeMap::new() };
        for table in Table::ALL {
            data.add(table.name(), tpch_partitions(table, scale)?)?;
        }
        if random {
            data.add("s", random_table(random_rows(scale))?)?;
        }
        Ok(data)
    }

    fn add(&mut self, name: &'static str, partitions: Vec<Vec<RecordBatch>>) -> Result<()> {
        self.rows.insert(name, partitions.iter().flatten().map(|batch| batch.num_rows() as u64).sum());
        let schema = partitions.iter().flatten().next().map_or_else(|| Arc::new(Schema::empty()), |b| b.schema());
        self.memory.push((name, Arc::new(MemTable::try_new(schema, partitions)?)));
        Ok(())
    }

    /// Returns the total number of rows of some tables.
    pub fn rows_of(&self, tables: &[&str]) -> u64 {
        tables.iter().filter_map(|table| self.rows.get(table)).sum()
    }
}

fn random_rows(scale: f64) -> usize {
    (RANDOM_ROWS as f64 * scale) as usize
}

/// Returns the Parquet file of each table in the cache. Missing files are written.
pub fn files(scale: f64) -> Result<Vec<(&'static str, PathBuf)>> {
    let folder = cache_dir()?.join("tpch").join(format!("sf{scale}"));
    tpch::ensure(&folder, scale, &|_| ())?;
    let mut files: Vec<_> =
        Table::ALL.iter().map(|table| (table.name(), folder.join(format!("{}.parquet", table.name())))).collect();
    let rows = random_rows(scale);
    let random = cache_dir()?.join("bench").join(format!("random-1-{rows}.parquet"));
    if !random.is_file() {
        write(&random, random_table(rows)?)?;
    }
    files.push(("s", random));
    Ok(files)
}

/// Writes a file, which appears only when it is complete.
fn write(path: &Path, partitions: Vec<Vec<RecordBatch>>) -> Result<()> {
    let unfinished = path.with_extension(format!("tmp-{}", std::process::id()));
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let batches: Vec<&RecordBatch> = partitions.iter().flatten().collect();
    let mut writer = ArrowWriter::try_new(File::create(&unfinished)?, batches[0].schema(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    Ok(fs::rename(unfinished, path)?)
}

/// Generates a TPC-H table with one thread per partition.
fn tpch_partitions(table: Table, scale: f64) -> Result<Vec<Vec<RecordBatch>>> {
    let part = |part| table.part(scale, part, PARTITIONS).collect();
    let partitions: Vec<Result<Vec<RecordBatch>, _>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=PARTITIONS).map(|number| scope.spawn(move || part(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the generator does not panic")).collect()
    });
    Ok(partitions.into_iter().collect::<Result<_, _>>()?)
}

/// Creates `s`: a random u64 key, groups of a million, a thousand and ten, and three payload columns.
pub fn random_table(rows: usize) -> Result<Vec<Vec<RecordBatch>>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("key", DataType::UInt64, false),
        Field::new("g", DataType::Int64, false),
        Field::new("a", DataType::Int64, false),
        Field::new("b", DataType::Float64, false),
        Field::new("c", DataType::Int32, false),
        Field::new("g1k", DataType::Int32, false),
        Field::new("g10", DataType::Int32, false),
    ]));
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    // SplitMix64 (Steele, Lea, Flood).
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    for (batch, start) in (0..rows).step_by(8192).enumerate() {
        let n = 8192.min(rows - start);
        let keys: Vec<u64> = (0..n).map(|_| next()).collect();
        let group = |bits, groups| keys.iter().map(move |k| k.rotate_left(bits) % groups);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(keys.clone())),
            Arc::new(Int64Array::from_iter_values(group(17, 1_000_000).map(|g| g as i64))),
            Arc::new(Int64Array::from_iter_values(keys.iter().map(|k| (k >> 40) as i64))),
            Arc::new(Float64Array::from_iter_values(keys.iter().map(|k| (k >> 11) as f64))),
            Arc::new(Int32Array::from_iter_values(keys.iter().map(|k| *k as i32))),
            Arc::new(Int32Array::from_iter_values(group(31, 1000).map(|g| g as i32))),
            Arc::new(Int32Array::from_iter_values(group(47, 10).map(|g| g as i32))),
        ];
        partitions[batch % PARTITIONS as usize].push(RecordBatch::try_new(schema.clone(), columns)?);
    }
    Ok(partitions)
}
