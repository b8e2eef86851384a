//! `HostToDeviceExec`: the lower border of a pipeline. Encodes and uploads the rows of its input, or finds the columns
//! resident.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr, PlanProperties,
};
use futures::TryStreamExt;

use crate::columnar::encode::{ColumnEncoder, Strings};
use crate::columnar::host_array::HostWriter;
use crate::columnar::layout::Layout;
use crate::columnar::representation::Kind;
use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::config::XlaOptions;
use crate::exec::context::{DeviceContext, cores};
use crate::exec::device_node::{device_execution_plan, device_properties};
use crate::exec::memory_mode::MemoryMode;
use crate::exec::resident::{ColumnSource, HostBudget};
use crate::exec::table_source::TableSource;
use crate::expr::fallback::FallbackReason;
use crate::runtime::DeviceKind;

#[derive(Debug)]
pub struct HostToDeviceExec {
    pub input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

/// Where a table is loaded to.
pub struct LoadTo<'a> {
    pub device: &'a Arc<DeviceContext>,
    pub options: &'a XlaOptions,
    /// For each column the form in which it is needed.
    pub strings: &'a [Strings],
    pub mode: MemoryMode,
}

impl HostToDeviceExec {
    /// A border above `input`, whose columns must all have an encoding.
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
            return Err(FallbackReason::Operator { name: "an unbounded stream".into() });
        }
        if streams_recursion(&input) {
            return Err(FallbackReason::Operator { name: "a recursion that only its reader ends".into() });
        }
        Ok(Self {
            properties: device_properties(input.schema(), EmissionType::Final),
            input,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self { input, properties: self.properties.clone(), metrics: ExecutionPlanMetricsSet::new() }
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    /// The input as a device table: resident columns where they are unchanged, uploads for the rest.
    pub async fn load(&self, task: &Arc<TaskContext>, to: &LoadTo<'_>) -> Result<DeviceTable> {
        let source = if to.options.resident { TableSource::of(&self.input) } else { None };
        let schema = self.input.schema();
        let table = match source {
            Some(source) => self.load_resident(source, schema, task, to).await?,
            None => {
                let batches = collect_in_order(self.input.clone(), task).await?;
                let columns: Vec<_> = (0..schema.fields().len()).map(|i| column_of(&batches, i)).collect();
                let rows = batches.iter().map(|b| b.num_rows()).sum();
                drop(batches);
                let layout = Arc::new(self.layout(rows, to));
                let pending = columns.into_iter().enumerate().collect();
                let uploaded = self.upload(pending, schema, layout.clone(), to).await?;
                let columns = uploaded.into_iter().map(|(_, column, _)| column).collect();
                DeviceTable { layout, columns }
            }
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

    async fn load_resident(
        &self,
        source: TableSource,
        schema: SchemaRef,
        task: &Arc<TaskContext>,
        to: &LoadTo<'_>,
    ) -> Result<DeviceTable> {
        let resident = &to.device.resident;
        let n_columns = schema.fields().len();
        let mut columns: Vec<Option<Arc<DeviceColumn>>> = vec![None; n_columns];
        let keys: Vec<ColumnSource> = source.column_sources(&schema);
        let mut layout = source.known_rows(resident).map(|rows| self.layout(rows, to));
        if let Some(layout) = &layout {
            for ((column, key), form) in columns.iter_mut().zip(&keys).zip(to.strings) {
                *column = resident.get(key, layout, *form);
            }
        }
        let hits = columns.iter().flatten().count();
        MetricBuilder::new(&self.metrics).counter("resident_hits", 0).add(hits);
        let missing: Vec<usize> = (0..n_columns).filter(|i| columns[*i].is_none()).collect();
        if !missing.is_empty() || layout.is_none() {
            let (rows, arrays) = source.read(&missing, task).await?;
            source.remember_rows(resident, rows);
            let read_layout = self.layout(rows, to);
            if layout.as_ref().is_some_and(|known| *known != read_layout) {
                return Err(DataFusionError::Execution(
                    "the table changed while it was read; run the query again".to_string(),
                ));
            }
            let read_layout = Arc::new(read_layout);
            let pending = missing.iter().copied().zip(arrays).collect();
            let uploaded = self.upload(pending, schema, read_layout.clone(), to).await?;
            let host = HostBudget {
                limit: to.options.host_memory_limit,
                pool: task.memory_pool(),
                device_is_host: to.device.mesh.runtime().kind() == DeviceKind::Cpu,
            };
            for (i, column, arrays) in uploaded {
                let layout = (*read_layout).clone();
                resident.insert(keys[i].clone(), layout, to.strings[i], column.clone(), &arrays, &host);
                columns[i] = Some(column);
            }
            layout = Some((*read_layout).clone());
        }
        let layout = layout.ok_or_else(|| DataFusionError::Internal("a table without a layout".into()))?;
        Ok(DeviceTable { layout: Arc::new(layout), columns: columns.into_iter().flatten().collect() })
    }

    fn layout(&self, rows: usize, to: &LoadTo<'_>) -> Layout {
        to.device.layout(rows, to.options)
    }

    /// Encodes and uploads columns on as many threads as there are cores. When device memory is short, resident
    /// columns that no query holds make room; a column that still does not fit waits on the host, chunk by chunk.
    async fn upload(
        &self,
        pending: Vec<(usize, Vec<ArrayRef>)>,
        schema: SchemaRef,
        layout: Arc<Layout>,
        to: &LoadTo<'_>,
    ) -> Result<Vec<(usize, Arc<DeviceColumn>, Vec<ArrayRef>)>> {
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
                            let column = ColumnEncoder::with_strings(arrays.clone(), data_type, strings[index])
                                .and_then(|encoder| place(&encoder, data_type, &layout, &device, &options, mode));
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
fn place(
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
            Err(DataFusionError::ResourcesExhausted(_)) if device.resident.evict_one() => {}
            Err(DataFusionError::ResourcesExhausted(_)) if may_wait => break,
            done => return done,
        }
    }
    if mode == MemoryMode::Resident && device.resident.evict_one() {
        return place(encoder, data_type, layout, device, options, mode);
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

/// All rows of a host plan, partition after partition, read in parallel.
pub async fn collect_in_order(plan: Arc<dyn ExecutionPlan>, task: &Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
    let n = plan.output_partitioning().partition_count();
    let mut readers = tokio::task::JoinSet::new();
    for partition in 0..n {
        let stream = plan.execute(partition, task.clone())?;
        readers.spawn(async move { (partition, stream.try_collect::<Vec<_>>().await) });
    }
    let mut partitions: Vec<Vec<RecordBatch>> = vec![Vec::new(); n];
    while let Some(read) = readers.join_next().await {
        let (partition, batches) = read.map_err(|e| DataFusionError::Execution(format!("reading a table: {e}")))?;
        partitions[partition] = batches?;
    }
    Ok(partitions.into_iter().flatten().collect())
}

/// Column `index` of every batch.
pub fn column_of(batches: &[RecordBatch], index: usize) -> Vec<ArrayRef> {
    batches.iter().map(|b| b.column(index).clone()).collect()
}

impl DisplayAs for HostToDeviceExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return Ok(());
        }
        f.write_str("HostToDeviceExec")
    }
}

device_execution_plan!(HostToDeviceExec, "HostToDeviceExec");
