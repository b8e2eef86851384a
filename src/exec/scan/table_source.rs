//! Recognises the scan of an unchanged table, so that its columns can stay on the device: an in-memory table by its
//! arrays, files (Parquet, CSV, JSON, Arrow) by path, size, modification time and etag. Anything else is read for each query.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::exec::scan::host_rows::{collect_in_order, column_of};
use crate::exec::scan::parquet::prune::RowGroup;
use crate::exec::scan::parquet::table::ParquetTable;
use crate::exec::state::column_cache::{ColumnCache, ColumnSource, FileIdentity, FileSet, array_address};

/// A scan whose columns have an identity.
pub enum TableSource {
    Memory {
        /// Arrays of each projected column.
        columns: Vec<Vec<ArrayRef>>,
        rows: usize,
    },
    Files {
        config: Box<FileScanConfig>,
        set: Arc<FileSet>,
        /// Columns of the table that are projected.
        projection: Vec<usize>,
    },
}

impl TableSource {
    /// The table behind a scan, if the scan is the whole of it.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
            return Self::of(cooperative.input());
        }
        let source = plan.downcast_ref::<DataSourceExec>()?.data_source();
        if let Some(memory) = source.downcast_ref::<MemorySourceConfig>() {
            return Self::memory(memory, plan.schema());
        }
        source.downcast_ref::<FileScanConfig>().and_then(Self::of_files)
    }

    fn memory(memory: &MemorySourceConfig, schema: SchemaRef) -> Option<Self> {
        if datafusion::datasource::source::DataSource::fetch(memory).is_some() {
            return None;
        }
        let batches: Vec<&RecordBatch> = memory.partitions().iter().flatten().collect();
        // Without arrays all empty columns would be the same.
        if batches.is_empty() {
            return None;
        }
        let rows = batches.iter().map(|b| b.num_rows()).sum();
        let indices: Vec<usize> = match memory.projection() {
            Some(projection) => projection.clone(),
            None => (0..schema.fields().len()).collect(),
        };
        let columns = indices.iter().map(|i| batches.iter().map(|b| b.column(*i).clone()).collect()).collect();
        Some(Self::Memory { columns, rows })
    }

    fn of_files(config: &FileScanConfig) -> Option<Self> {
        let source = config.file_source();
        // A scan that filters or stops early is not the table.
        if config.limit.is_some() {
            return None;
        }
        let reader = match source.file_type() {
            "parquet" => {
                let parquet = source.downcast_ref::<ParquetSource>()?;
                if parquet.table_parquet_options().global.pushdown_filters && parquet.filter().is_some() {
                    return None;
                }
                None
            }
            "csv" | "json" | "arrow" if source.filter().is_none() => {
                Some(Arc::clone(source.table_schema().file_schema()))
            }
            _ => return None,
        };
        let projection = match source.projection() {
            Some(exprs) => {
                exprs.iter().map(|e| e.expr.downcast_ref::<Column>().map(|c| c.index())).collect::<Option<Vec<_>>>()?
            }
            None => (0..source.table_schema().table_schema().fields().len()).collect(),
        };
        let store = config.object_store_url.as_str().to_string();
        let identity = |file: &PartitionedFile| FileIdentity {
            store: store.clone(),
            path: file.object_meta.location.to_string(),
            size: file.object_meta.size,
            modified: file.object_meta.last_modified.timestamp_nanos_opt().unwrap_or_default(),
            etag: file.object_meta.e_tag.clone(),
        };
        let files = whole_files(config)?.iter().map(identity).collect();
        Some(Self::Files { config: Box::new(config.clone()), set: Arc::new(FileSet { files, reader }), projection })
    }

    /// The identity of each projected column.
    pub fn column_sources(&self, schema: &SchemaRef) -> Vec<ColumnSource> {
        match self {
            Self::Memory { columns, .. } => {
                columns.iter().map(|arrays| ColumnSource::Arrays(arrays.iter().map(array_address).collect())).collect()
            }
            Self::Files { config, set, projection } => projection
                .iter()
                .zip(schema.fields())
                .map(|(index, field)| ColumnSource::Files {
                    set: Arc::clone(set),
                    column: format!(
                        "{}:{}",
                        config.file_source().table_schema().table_schema().field(*index).name(),
                        field.data_type()
                    ),
                })
                .collect(),
        }
    }

    /// The files that it is made of.
    pub fn files(&self) -> Option<&Arc<FileSet>> {
        match self {
            Self::Memory { .. } => None,
            Self::Files { set, .. } => Some(set),
        }
    }

    /// Rows in memory, or bytes of files: how large the table is, roughly.
    pub fn magnitude(&self) -> usize {
        match self {
            Self::Memory { rows, .. } => *rows,
            Self::Files { set, .. } => set.files.iter().map(|file| file.size as usize).sum(),
        }
    }

    /// Rows of the table, where that is known without reading it.
    pub fn known_rows(&self, resident: &ColumnCache) -> Option<usize> {
        match self {
            Self::Memory { rows, .. } => Some(*rows),
            Self::Files { set, .. } => resident.file_rows(set),
        }
    }

    pub fn remember_rows(&self, resident: &ColumnCache, rows: usize) {
        if let Self::Files { set, .. } = self {
            resident.set_file_rows(set, rows);
        }
    }

    /// The projected columns `wanted` of Parquet files; `None` if they are to be read otherwise.
    pub async fn open_parquet(&self, wanted: &[usize], task: &Arc<TaskContext>) -> Result<Option<ParquetTable>> {
        let Self::Files { config, projection, .. } = self else { return Ok(None) };
        let Some(files) = whole_files(config) else { return Ok(None) };
        let wanted: Vec<usize> = wanted.iter().map(|i| projection[*i]).collect();
        ParquetTable::open(config, files, &wanted, task).await
    }

    /// What the filter of the query leaves of Parquet files, which are `opened`; `None` if there is none, or it may not prune.
    pub fn pruned(&self, opened: &ParquetTable) -> Option<Vec<Vec<RowGroup>>> {
        let Self::Files { config, .. } = self else { return None };
        let parquet = config.file_source().downcast_ref::<ParquetSource>()?;
        let filter = parquet.filter().filter(|_| parquet.table_parquet_options().global.pruning)?;
        Some(opened.pruned(&filter, parquet.table_schema().file_schema()))
    }

    /// Reads the projected columns `wanted`; returns the number of rows and each column's arrays.
    pub async fn read(&self, wanted: &[usize], task: &Arc<TaskContext>) -> Result<(usize, Vec<Vec<ArrayRef>>)> {
        match self {
            Self::Memory { columns, rows } => Ok((*rows, wanted.iter().map(|i| columns[*i].clone()).collect())),
            Self::Files { config, projection, .. } => {
                let plan = whole_scan(config, projection, wanted, task)?;
                let batches = collect_in_order(plan, task).await?;
                let rows = batches.iter().map(|b| b.num_rows()).sum();
                Ok((rows, (0..wanted.len()).map(|i| column_of(&batches, i)).collect()))
            }
        }
    }
}

/// The files of a scan in the order of their paths, each once; `None` if the byte ranges into which DataFusion has split
/// them do not make up whole files.
fn whole_files(config: &FileScanConfig) -> Option<Vec<PartitionedFile>> {
    let mut parts: Vec<&PartitionedFile> = config.file_groups.iter().flat_map(|group| group.files()).collect();
    let start = |file: &PartitionedFile| file.range.as_ref().map_or(0, |r| r.start);
    parts.sort_by(|a, b| a.object_meta.location.cmp(&b.object_meta.location).then(start(a).cmp(&start(b))));
    let mut files: Vec<PartitionedFile> = Vec::new();
    let mut covered = 0;
    for part in parts {
        let size = part.object_meta.size as i64;
        let (from, to) = part.range.as_ref().map_or((0, size), |r| (r.start, r.end));
        let continues = files.last().is_some_and(|last| last.object_meta.location == part.object_meta.location);
        if continues && from != covered || !continues && from != 0 {
            return None;
        }
        if !continues {
            if files.last().is_some_and(|last| covered < last.object_meta.size as i64) {
                return None;
            }
            files.push(PartitionedFile { range: None, ..part.clone() });
        }
        covered = to;
    }
    (files.last().is_none_or(|last| covered >= last.object_meta.size as i64)).then_some(files)
}

/// A scan of all rows of the files in the order of their paths, without the predicate that prunes row groups: columns
/// `wanted` of those in `projection`.
fn whole_scan(
    config: &FileScanConfig,
    projection: &[usize],
    wanted: &[usize],
    task: &Arc<TaskContext>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let files = whole_files(config)
        .ok_or_else(|| DataFusionError::Internal("a resident table of parts of files".to_string()))?;
    let old = config.file_source();
    let builder = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(vec![FileGroup::new(files)])
        .with_output_ordering(Vec::new());
    let config = if let Some(parquet) = old.downcast_ref::<ParquetSource>() {
        let mut source = ParquetSource::new(old.table_schema().clone())
            .with_table_parquet_options(parquet.table_parquet_options().clone());
        if let Some(factory) = parquet.parquet_file_reader_factory() {
            source = source.with_parquet_file_reader_factory(factory.clone());
        }
        let columns = wanted.iter().map(|i| projection[*i]).collect();
        builder.with_source(Arc::new(source)).with_projection_indices(Some(columns))?.build()
    } else {
        // The source has its projection already.
        let columns = ProjectionExprs::from_indices(wanted, &*config.projected_schema()?);
        let source = old.try_pushdown_projection(&columns)?;
        let what = || DataFusionError::Internal(format!("{} files cannot be read by column", old.file_type()));
        builder.with_source(source.ok_or_else(what)?).build()
    };
    let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
    let session = task.session_config();
    // Byte ranges in file order: partition after partition is still row after row.
    let split = plan.repartitioned(session.target_partitions(), session.options())?;
    Ok(match split {
        Some(split) if split.output_partitioning().partition_count() > 1 => split,
        _ => plan,
    })
}
