//! `HostToDeviceExec`: the lower boundary of a pipeline. Encodes and uploads the rows of its input, or finds the columns
//! resident.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
};
use tokio::sync::Semaphore;

use crate::columnar::encode::{ColumnEncoder, StringEncoding};
use crate::columnar::host_array::HostWriter;
use crate::columnar::layout::Layout;
use crate::columnar::representation::Kind;
use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::config::XlaOptions;
use crate::cores::cores;
use crate::exec::device_exec::{device_properties, not_executable, only_child, visit_expressions};
use crate::exec::scan::host_rows::{collect_in_order, column_of};
use crate::exec::scan::parquet::load::load_columns;
use crate::exec::scan::parquet::prune::RowGroup;
use crate::exec::scan::parquet::table::{ParquetTable, rows_of};
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::column_cache::{ColumnCache, ColumnSource, HostBudget};
use crate::exec::state::context::DeviceContext;
use crate::exec::state::memory_mode::MemoryMode;
use crate::exec::strategy::{add_strategy, count};
use crate::expr::fallback::FallbackReason;
use crate::runtime::DeviceKind;

#[derive(Debug)]
pub struct HostToDeviceExec {
    pub input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

/// A column by its number in the table, and the arrays that it was made of where they are the table's own.
type Loaded = (usize, Arc<DeviceColumn>, Vec<ArrayRef>);

/// Parquet files, of which all is read, or what one query needs.
enum Opened {
    Whole(ParquetTable),
    Pruned(ParquetTable),
}

/// Where a table is loaded to.
#[derive(Clone, Copy)]
pub struct LoadContext<'a> {
    pub device: &'a Arc<DeviceContext>,
    /// Columns that are here: the session's, or with `xla.cache_columns = false` those that this query has loaded.
    pub columns: &'a ColumnCache,
    pub options: &'a XlaOptions,
    /// For each column the form in which it is needed.
    pub strings: &'a [StringEncoding],
    pub mode: MemoryMode,
    /// As many permits to decode as there are cores.
    pub cores: &'a Arc<Semaphore>,
}

impl HostToDeviceExec {
    /// A boundary above `input`, whose columns must all have an encoding.
    pub fn try_new(input: Arc<dyn ExecutionPlan>) -> Result<Self, FallbackReason> {
        for field in input.schema().fields() {
            if Kind::of(field.data_type()).is_none() {
                return Err(FallbackReason::Type {
                    what: format!("column {}", field.name()),
                    data_type: field.data_type().clone(),
                });
            }
        }
        if input.boundedness().is_unbounded() {
            return Err(FallbackReason::UnboundedStream);
        }
        if streams_recursion(&input) {
            return Err(FallbackReason::StreamingRecursion);
        }
        Ok(Self {
            properties: device_properties(input.schema(), EmissionType::Final),
            input,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// The input as a device table: resident columns where they are unchanged, uploads for the rest.
    pub async fn load(&self, task: &Arc<TaskContext>, to: &LoadContext<'_>) -> Result<DeviceTable> {
        let schema = self.input.schema();
        let table = match TableSource::of(&self.input) {
            Some(source) => self.load_table(source, schema, task, to).await?,
            None => self.load_rows(schema, task, to).await?,
        };
        for (name, n) in [
            ("streamed_columns", table.columns.iter().filter(|column| column.is_streamed()).count()),
            ("spilled_bytes", table.columns.iter().map(|column| column.disk_bytes()).sum()),
        ] {
            if n > 0 {
                MetricBuilder::new(&self.metrics).counter(name, 0).add(n);
            }
        }
        Ok(table)
    }

    /// The rows that the input gives, for this query alone.
    async fn load_rows(&self, schema: SchemaRef, task: &Arc<TaskContext>, to: &LoadContext<'_>) -> Result<DeviceTable> {
        let batches = collect_in_order(self.input.clone(), task).await?;
        let columns: Vec<_> = (0..schema.fields().len()).map(|i| column_of(&batches, i)).collect();
        let rows = batches.iter().map(|b| b.num_rows()).sum();
        drop(batches);
        let layout = Arc::new(self.layout(rows, to));
        let pending = columns.into_iter().enumerate().collect();
        let uploaded = self.upload(pending, schema, layout.clone(), to).await?;
        let columns = uploaded.into_iter().map(|(_, column, _)| column).collect();
        Ok(DeviceTable { layout, columns })
    }

    /// The columns of a table that are here, and the others from its rows or files.
    async fn load_table(
        &self,
        source: TableSource,
        schema: SchemaRef,
        task: &Arc<TaskContext>,
        to: &LoadContext<'_>,
    ) -> Result<DeviceTable> {
        let n_columns = schema.fields().len();
        let mut columns: Vec<Option<Arc<DeviceColumn>>> = vec![None; n_columns];
        let keys: Vec<ColumnSource> = source.column_sources(&schema);
        let mut layout = source.known_rows(to.columns).map(|rows| self.layout(rows, to));
        if let Some(layout) = &layout {
            for ((column, key), form) in columns.iter_mut().zip(&keys).zip(to.strings) {
                *column = to.columns.get(key, layout, *form);
            }
        }
        let hits = columns.iter().flatten().count();
        if to.options.cache_columns {
            MetricBuilder::new(&self.metrics).counter("cached_columns", 0).add(hits);
        } else if hits > 0 {
            MetricBuilder::new(&self.metrics).counter("shared_columns", 0).add(hits);
        }
        let missing: Vec<usize> = (0..n_columns).filter(|i| columns[*i].is_none()).collect();
        if !missing.is_empty() || layout.is_none() {
            let parquet = source.open_parquet(&missing, task).await?;
            let parquet = match parquet {
                Some(parquet) if hits == 0 => match self.prune(&source, parquet, &keys, to) {
                    Opened::Whole(parquet) => Some(parquet),
                    Opened::Pruned(parquet) => {
                        let layout = Arc::new(self.layout(parquet.rows(), to));
                        let loaded = self.load_parquet(parquet, missing, schema, layout.clone(), to).await?;
                        let columns = loaded.into_iter().map(|(_, column, _)| column).collect();
                        return Ok(DeviceTable { layout, columns });
                    }
                },
                None if !to.options.cache_columns => return self.load_rows(schema, task, to).await,
                other => other,
            };
            let (rows, arrays) = match &parquet {
                Some(parquet) => (parquet.rows(), Vec::new()),
                None => source.read(&missing, task).await?,
            };
            source.remember_rows(to.columns, rows);
            let read_layout = Arc::new(self.layout(rows, to));
            if layout.as_ref().is_some_and(|known| *known != *read_layout) {
                return Err(DataFusionError::Execution(
                    "the table changed while it was read; run the query again".to_string(),
                ));
            }
            let uploaded = match parquet {
                Some(parquet) => self.load_parquet(parquet, missing, schema, read_layout.clone(), to).await?,
                None => {
                    let pending = missing.into_iter().zip(arrays).collect();
                    self.upload(pending, schema, read_layout.clone(), to).await?
                }
            };
            let host = HostBudget {
                limit: to.options.host_memory_limit,
                pool: task.memory_pool(),
                device_is_host: to.device.mesh.runtime().kind() == DeviceKind::Cpu,
            };
            // What only this query has is in no account but the device's.
            let host = to.options.cache_columns.then_some(&host);
            for (i, column, arrays) in uploaded {
                let layout = (*read_layout).clone();
                to.columns.insert(keys[i].clone(), layout, to.strings[i], column.clone(), &arrays, host);
                columns[i] = Some(column);
            }
            layout = Some((*read_layout).clone());
        }
        let layout = layout.ok_or_else(|| DataFusionError::Internal("a table without a layout".into()))?;
        Ok(DeviceTable { layout: Arc::new(layout), columns: columns.into_iter().flatten().collect() })
    }

    /// Reads less of Parquet files where the query's filter leaves little of them, and of columns that would stay less than to
    /// read them whole.
    fn prune(
        &self,
        source: &TableSource,
        mut whole: ParquetTable,
        keys: &[ColumnSource],
        to: &LoadContext<'_>,
    ) -> Opened {
        let Some(pruned) = source.pruned(&whole) else { return Opened::Whole(whole) };
        let (rows, of_table) = (rows_of(&pruned), whole.rows());
        if rows == of_table || to.options.cache_columns && !to.columns.read_pruned(keys, rows, of_table) {
            return Opened::Whole(whole);
        }
        let groups = |row_groups: &[Vec<RowGroup>]| row_groups.iter().map(Vec::len).sum::<usize>();
        let (left, all) = (groups(&pruned), groups(&whole.row_groups));
        add_strategy(&self.metrics, "pruned by statistics");
        for (name, n) in
            [("row_groups_read", left), ("row_groups_total", all), ("rows_read", rows), ("rows_total", of_table)]
        {
            count(&self.metrics, name, n);
        }
        whole.row_groups = pruned;
        Opened::Pruned(whole)
    }

    /// Columns `missing`, which are those of `parquet`, decoded and uploaded one after another.
    async fn load_parquet(
        &self,
        parquet: ParquetTable,
        missing: Vec<usize>,
        schema: SchemaRef,
        layout: Arc<Layout>,
        to: &LoadContext<'_>,
    ) -> Result<Vec<Loaded>> {
        let bytes = MetricBuilder::new(&self.metrics).counter("upload_bytes", 0);
        let decode_time = MetricBuilder::new(&self.metrics).subset_time("decode_time", 0);
        let upload_time = MetricBuilder::new(&self.metrics).subset_time("upload_time", 0);
        let (device, options, strings, mode) =
            (Arc::clone(to.device), to.options.clone(), to.strings.to_vec(), to.mode);
        let columns = missing.clone();
        let finish = move |number: usize, arrays: Vec<ArrayRef>| {
            let start = Instant::now();
            let (index, data_type) = (columns[number], schema.field(columns[number]).data_type());
            let encoder = ColumnEncoder::with_string_encoding(arrays, data_type, strings[index])?;
            let column = upload_or_stage(&encoder, data_type, &layout, &device, &options, mode)?;
            bytes.add(column.size_bytes());
            upload_time.add_duration(start.elapsed());
            Ok(column)
        };
        let loaded =
            load_columns(Arc::new(parquet), Arc::clone(to.cores), &to.device.load_tracker, decode_time, finish).await?;
        Ok(missing.into_iter().zip(loaded).map(|(index, column)| (index, Arc::new(column), Vec::new())).collect())
    }

    fn layout(&self, rows: usize, to: &LoadContext<'_>) -> Layout {
        to.device.layout(rows, to.options)
    }

    /// Encodes and uploads columns on as many threads as there are cores. When device memory is short, resident
    /// columns that no query holds make room; a column that still does not fit waits on the host, chunk by chunk.
    async fn upload(
        &self,
        pending: Vec<(usize, Vec<ArrayRef>)>,
        schema: SchemaRef,
        layout: Arc<Layout>,
        to: &LoadContext<'_>,
    ) -> Result<Vec<Loaded>> {
        let start = Instant::now();
        let (device, options, strings, mode) =
            (Arc::clone(to.device), to.options.clone(), to.strings.to_vec(), to.mode);
        let uploaded = tokio::task::spawn_blocking(move || {
            let workers = cores().min(pending.len().max(1));
            let queue = Mutex::new(pending.into_iter());
            let results = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        loop {
                            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                            let Some((index, arrays)) = next else { break };
                            let data_type = schema.field(index).data_type();
                            let column = ColumnEncoder::with_string_encoding(arrays.clone(), data_type, strings[index])
                                .and_then(|encoder| {
                                    upload_or_stage(&encoder, data_type, &layout, &device, &options, mode)
                                });
                            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, column, arrays));
                        }
                    });
                }
            });
            results.into_inner().unwrap_or_else(PoisonError::into_inner)
        })
        .await
        .map_err(|e| DataFusionError::Execution(format!("uploading a table: {e}")))?;
        MetricBuilder::new(&self.metrics).subset_time("upload_time", 0).add_duration(start.elapsed());
        let bytes = MetricBuilder::new(&self.metrics).counter("upload_bytes", 0);
        let mut out = Vec::with_capacity(uploaded.len());
        for (index, column, arrays) in uploaded {
            let column = column?;
            bytes.add(column.size_bytes());
            out.push((index, Arc::new(column), arrays));
        }
        out.sort_by_key(|(index, _, _)| *index);
        Ok(out)
    }
}

/// Uploads a column, or lets it wait on the host where tables may take no more device memory.
fn upload_or_stage(
    encoder: &ColumnEncoder,
    data_type: &DataType,
    layout: &Layout,
    device: &DeviceContext,
    options: &XlaOptions,
    mode: MemoryMode,
) -> Result<DeviceColumn> {
    let memory = device.mesh.runtime().memory();
    // What programs run over whole must be on the device.
    let may_wait = layout.chunks_per_shard() > 1;
    let budget = table_budget(options, mode).filter(|_| may_wait);
    let bytes = encoder.row_bytes() as u64 * (layout.capacity * layout.shards.len() * layout.chunks_per_shard()) as u64;
    while budget.is_none_or(|budget| memory.used() + bytes <= budget) {
        match DeviceColumn::upload(encoder, data_type, layout, &device.mesh) {
            Err(DataFusionError::ResourcesExhausted(_)) if device.column_cache.evict_one() => {}
            Err(DataFusionError::ResourcesExhausted(_)) if may_wait => break,
            done => return done,
        }
    }
    if mode == MemoryMode::Resident && device.column_cache.evict_one() {
        return upload_or_stage(encoder, data_type, layout, device, options, mode);
    }
    let host = HostWriter::new(device.waiting.clone(), options.host_memory_limit, options.spill_dir());
    DeviceColumn::keep_on_host(encoder, data_type, layout, host)
}

/// Bytes of device memory that may be in use after a table's column has been uploaded: what operators build needs room, too.
fn table_budget(options: &XlaOptions, mode: MemoryMode) -> Option<u64> {
    let limit = options.memory_limit? as u64;
    Some(if mode == MemoryMode::Resident { limit / 4 * 3 } else { 0 })
}

/// Whether the rows come from a recursion as it goes on. It may never end by itself: `LIMIT` on the host stops reading.
fn streams_recursion(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.downcast_ref::<RecursiveQueryExec>().is_some() {
        return true;
    }
    let ends = plan.fetch().is_some() || plan.pipeline_behavior() == EmissionType::Final;
    !ends && plan.children().into_iter().any(streams_recursion)
}

impl DisplayAs for HostToDeviceExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return Ok(());
        }
        f.write_str("HostToDeviceExec")
    }
}

impl ExecutionPlan for HostToDeviceExec {
    fn name(&self) -> &str {
        "HostToDeviceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        visit_expressions(&[], f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = only_child(children, "HostToDeviceExec")?;
        Ok(Arc::new(Self { input, properties: self.properties.clone(), metrics: ExecutionPlanMetricsSet::new() }))
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Err(not_executable("HostToDeviceExec"))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
