//! `HostToDeviceExec`: the lower border of a pipeline. Encodes and uploads the rows of its input, or finds the columns
//! resident.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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

use crate::columnar::encode::Strings;
use crate::columnar::layout::Layout;
use crate::columnar::representation::Kind;
use crate::columnar::table::{DeviceColumn, DeviceTable, UploadCost};
use crate::config::XlaOptions;
use crate::exec::context::DeviceContext;
use crate::exec::device_node::{device_execution_plan, device_properties};
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

    /// The input as a device table: resident columns where they are unchanged, uploads for the rest. `strings` says for each
    /// column in which form it is needed.
    pub async fn load(
        &self,
        task: &Arc<TaskContext>,
        device: &Arc<DeviceContext>,
        options: &XlaOptions,
        strings: &[Strings],
    ) -> Result<DeviceTable> {
        let source = if options.resident { TableSource::of(&self.input) } else { None };
        let schema = self.input.schema();
        match source {
            Some(source) => self.load_resident(source, schema, task, device, options, strings).await,
            None => {
                let batches = collect_in_order(self.input.clone(), task).await?;
                let columns: Vec<_> = (0..schema.fields().len()).map(|i| column_of(&batches, i)).collect();
                let rows = batches.iter().map(|b| b.num_rows()).sum();
                let layout = Arc::new(self.layout(rows, device, options));
                let pending = columns.into_iter().enumerate().collect();
                let uploaded = self.upload(pending, schema, strings, layout.clone(), device).await?;
                let columns = uploaded.into_iter().map(|(_, column, _)| column).collect();
                Ok(DeviceTable { layout, columns })
            }
        }
    }

    async fn load_resident(
        &self,
        source: TableSource,
        schema: SchemaRef,
        task: &Arc<TaskContext>,
        device: &Arc<DeviceContext>,
        options: &XlaOptions,
        strings: &[Strings],
    ) -> Result<DeviceTable> {
        let n_columns = schema.fields().len();
        let mut columns: Vec<Option<Arc<DeviceColumn>>> = vec![None; n_columns];
        let keys: Vec<ColumnSource> = source.column_sources(&schema);
        let mut layout = source.known_rows(&device.resident).map(|rows| self.layout(rows, device, options));
        if let Some(layout) = &layout {
            for ((column, key), form) in columns.iter_mut().zip(&keys).zip(strings) {
                *column = device.resident.get(key, layout, *form);
            }
        }
        let hits = columns.iter().flatten().count();
        MetricBuilder::new(&self.metrics).counter("resident_hits", 0).add(hits);
        let missing: Vec<usize> = (0..n_columns).filter(|i| columns[*i].is_none()).collect();
        if !missing.is_empty() || layout.is_none() {
            let (rows, arrays) = source.read(&missing, task).await?;
            source.remember_rows(&device.resident, rows);
            let read_layout = self.layout(rows, device, options);
            if layout.as_ref().is_some_and(|known| *known != read_layout) {
                return Err(DataFusionError::Execution(
                    "the table changed while it was read; run the query again".to_string(),
                ));
            }
            let read_layout = Arc::new(read_layout);
            let pending = missing.iter().copied().zip(arrays).collect();
            let uploaded = self.upload(pending, schema, strings, read_layout.clone(), device).await?;
            let host = HostBudget {
                limit: options.host_memory_limit,
                pool: task.memory_pool(),
                device_is_host: device.mesh.runtime().kind() == DeviceKind::Cpu,
            };
            for (i, column, arrays) in uploaded {
                let layout = (*read_layout).clone();
                device.resident.insert(keys[i].clone(), layout, strings[i], column.clone(), &arrays, &host);
                columns[i] = Some(column);
            }
            layout = Some((*read_layout).clone());
        }
        let layout = layout.ok_or_else(|| DataFusionError::Internal("a table without a layout".into()))?;
        Ok(DeviceTable { layout: Arc::new(layout), columns: columns.into_iter().flatten().collect() })
    }

    fn layout(&self, rows: usize, device: &DeviceContext, options: &XlaOptions) -> Layout {
        Layout::new(rows, device.mesh.len(), device.chunk_rows(options))
    }

    /// Encodes and uploads columns on as many threads as there are cores. When device memory is short, resident
    /// columns that no query holds make room.
    async fn upload(
        &self,
        pending: Vec<(usize, Vec<ArrayRef>)>,
        schema: SchemaRef,
        strings: &[Strings],
        layout: Arc<Layout>,
        device: &Arc<DeviceContext>,
    ) -> Result<Vec<(usize, Arc<DeviceColumn>, Vec<ArrayRef>)>> {
        let (device, strings) = (device.clone(), strings.to_vec());
        let uploaded = tokio::task::spawn_blocking(move || {
            let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(pending.len().max(1));
            let queue = Mutex::new(pending.into_iter());
            let results = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        loop {
                            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                            let Some((index, arrays)) = next else { break };
                            let data_type = schema.field(index).data_type();
                            let column = upload_with_room(&arrays, data_type, strings[index], &layout, &device);
                            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, column, arrays));
                        }
                    });
                }
            });
            results.into_inner().unwrap_or_else(PoisonError::into_inner)
        })
        .await
        .map_err(|e| DataFusionError::Execution(format!("uploading a table: {e}")))?;
        let bytes = MetricBuilder::new(&self.metrics).counter("upload_bytes", 0);
        let time = MetricBuilder::new(&self.metrics).subset_time("upload_time", 0);
        let mut out = Vec::with_capacity(uploaded.len());
        for (index, column, arrays) in uploaded {
            let (column, cost) = column?;
            bytes.add(cost.bytes);
            time.add_duration(cost.time);
            out.push((index, Arc::new(column), arrays));
        }
        out.sort_by_key(|(index, _, _)| *index);
        Ok(out)
    }
}

fn upload_with_room(
    arrays: &[ArrayRef],
    data_type: &DataType,
    strings: Strings,
    layout: &Layout,
    device: &DeviceContext,
) -> Result<(DeviceColumn, UploadCost)> {
    loop {
        match DeviceColumn::upload(arrays.to_vec(), data_type, strings, layout, &device.mesh) {
            Err(DataFusionError::ResourcesExhausted(_)) if device.resident.evict_one() => continue,
            done => return done,
        }
    }
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
