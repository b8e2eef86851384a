//! Runs the programs of a pipeline over the chunks of a table.
//!
//! One device: as many host threads as there are cores take chunks from a common counter, each with accumulators of
//! its own. Several devices: they step through their chunks together, one program for all (SPMD); a device whose shard
//! has run out gets a chunk of no rows.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::decode::{decode_column, download_pred};
use crate::columnar::table::DeviceTable;
use crate::exec::pipeline::{ResultProgram, TracedProgram, UpdateProgram};
use crate::expr::tracer::Input;
use crate::program::ElementType::S32;
use crate::program::Shape;
use crate::runtime::{Argument, Buffer, CacheOutcome, Executable, Mesh};

/// Set when the reader of a query has gone away.
#[derive(Clone, Default)]
pub struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// An error once the query has been cancelled; asked before each chunk.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("the query was cancelled".to_string()));
        }
        Ok(())
    }
}

/// A compiled program with the arguments that are the same for every chunk, on every device.
pub struct Ready {
    executable: Arc<Executable>,
    inputs: Vec<Input>,
    /// `[device]`, by input index; `None` where the argument changes.
    constants: Vec<Vec<Option<Buffer>>>,
    pub outcome: CacheOutcome,
}

impl Ready {
    /// Compiles (or finds) a program for the mesh and uploads its constants.
    pub fn new(traced: &TracedProgram, mesh: &Mesh) -> Result<Self> {
        let (executable, outcome) = mesh.runtime().compile(&traced.program, mesh.len())?;
        let mut constants = Vec::with_capacity(mesh.len());
        for device in mesh.devices() {
            let mut of_device = Vec::with_capacity(traced.inputs.len());
            for input in &traced.inputs {
                of_device.push(match input {
                    Input::Constant { shape, bytes } => Some(mesh.runtime().upload(device, shape, bytes)?),
                    _ => None,
                });
            }
            constants.push(of_device);
        }
        Ok(Self { executable, inputs: traced.inputs.clone(), constants, outcome })
    }

    /// The arguments for one chunk of one device. `accumulators[worker][index]`, taken as they are donated.
    fn arguments<'a>(
        &'a self,
        device: usize,
        table: Option<&'a DeviceTable>,
        chunk: usize,
        row_count: Option<&'a Buffer>,
        accumulators: &mut [Vec<Option<Buffer>>],
    ) -> Result<Vec<Argument<'a>>> {
        let missing = || DataFusionError::Internal(format!("{:?} lacks an argument", self.executable));
        let mut arguments = Vec::with_capacity(self.inputs.len());
        for (index, input) in self.inputs.iter().enumerate() {
            arguments.push(match input {
                Input::Constant { .. } => Argument::Borrow(self.constants[device][index].as_ref().ok_or_else(missing)?),
                Input::RowCount => Argument::Borrow(row_count.ok_or_else(missing)?),
                Input::Column { column, part } => {
                    let chunk = &table.ok_or_else(missing)?.columns[*column].chunks[device][chunk];
                    let buffer = chunk.values.get(*part).or(chunk.valid.as_ref()).ok_or_else(missing)?;
                    Argument::Borrow(buffer)
                }
                Input::Accumulator { worker, index } => {
                    let accumulator = accumulators.get_mut(*worker).and_then(|a| a.get_mut(*index)?.take());
                    Argument::Donate(accumulator.ok_or_else(missing)?)
                }
            });
        }
        Ok(arguments)
    }
}

/// Row counts of the chunks as scalars in device memory, `[device][chunk]`.
struct RowCounts(Vec<Vec<Buffer>>);

impl RowCounts {
    fn upload(table: &DeviceTable, mesh: &Mesh) -> Result<Self> {
        let mut counts = Vec::with_capacity(mesh.len());
        for (device, chunks) in mesh.devices().zip(&table.layout.shards) {
            let mut of_device = Vec::with_capacity(chunks.len());
            for rows in chunks {
                let bytes = (rows.len() as i32).to_le_bytes();
                of_device.push(mesh.runtime().upload(device, &Shape::scalar(S32), &bytes)?);
            }
            counts.push(of_device);
        }
        Ok(Self(counts))
    }
}

/// Accumulators that have seen all chunks, `[device][worker][index]`, and the time it took.
pub struct Totals {
    accumulators: Vec<Vec<Vec<Option<Buffer>>>>,
    pub workers: usize,
    pub kernel_time: Duration,
}

/// What a chunk program runs over, and how.
#[derive(Clone, Copy)]
pub struct Chunks<'a> {
    pub table: &'a DeviceTable,
    pub mesh: &'a Mesh,
    /// Host threads that take chunks, where there is one device.
    pub workers: usize,
    pub cancelled: &'a Cancelled,
}

/// Runs the update program over every chunk.
pub fn run_update(ready: &Ready, update: &UpdateProgram, chunks: Chunks<'_>) -> Result<Totals> {
    let Chunks { table, mesh, workers, cancelled } = chunks;
    let start = Instant::now();
    let n_chunks = table.layout.chunks_per_shard();
    let row_counts = RowCounts::upload(table, mesh)?;
    let initial = |device: usize| -> Result<Vec<Option<Buffer>>> {
        update.initial.iter().map(|(shape, bytes)| Ok(Some(mesh.runtime().upload(device, shape, bytes)?))).collect()
    };
    let accumulators = if mesh.len() > 1 {
        let mut running: Vec<Vec<Vec<Option<Buffer>>>> =
            mesh.devices().map(|device| Ok(vec![initial(device)?])).collect::<Result<_>>()?;
        for chunk in 0..n_chunks {
            cancelled.check()?;
            let mut arguments = Vec::with_capacity(mesh.len());
            for device in mesh.devices() {
                let count = &row_counts.0[device][chunk];
                arguments.push(ready.arguments(device, Some(table), chunk, Some(count), &mut running[device])?);
            }
            let outputs = ready.executable.execute_replicated(arguments)?;
            running = outputs.into_iter().map(|of_device| vec![of_device.into_iter().map(Some).collect()]).collect();
        }
        running
    } else {
        let workers = workers.min(n_chunks).max(1);
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<Option<Buffer>>> {
            let mut running = vec![initial(0)?];
            loop {
                let chunk = next.fetch_add(1, Ordering::Relaxed);
                if chunk >= n_chunks {
                    break;
                }
                cancelled.check()?;
                let count = &row_counts.0[0][chunk];
                let arguments = ready.arguments(0, Some(table), chunk, Some(count), &mut running)?;
                let outputs = ready.executable.execute_donating(arguments)?;
                running = vec![outputs.into_iter().map(Some).collect()];
            }
            Ok(running.swap_remove(0))
        };
        vec![on_threads(workers, work)?]
    };
    let workers = accumulators[0].len();
    Ok(Totals { accumulators, workers, kernel_time: start.elapsed() })
}

/// Runs `work` on `n` threads, this one included.
fn on_threads<T: Send>(n: usize, work: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..n).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for other in others {
            let result = other.join();
            results.push(result.unwrap_or_else(|_| {
                Err(DataFusionError::Internal("a thread that runs device chunks has panicked".to_string()))
            }));
        }
        results.into_iter().collect()
    })
}

/// Rows of one run of a result program, and what it counted.
pub struct RunResult {
    pub batch: RecordBatch,
    pub row_counts: Vec<i64>,
    pub kernel_time: Duration,
    pub download_time: Duration,
    pub download_bytes: usize,
}

/// Runs the finish program once. Every device has the same totals; the rows come from the first.
pub fn run_finish(
    ready: &Ready,
    result: &ResultProgram,
    update_errors: &[String],
    totals: Totals,
    mesh: &Mesh,
    schema: &SchemaRef,
) -> Result<RunResult> {
    let start = Instant::now();
    let mut accumulators = totals.accumulators;
    let mut arguments = Vec::with_capacity(mesh.len());
    for device in mesh.devices() {
        arguments.push(ready.arguments(device, None, 0, None, &mut accumulators[device])?);
    }
    let outputs = ready.executable.execute_replicated(arguments)?;
    let first = outputs.into_iter().next().unwrap_or_default();
    download(result, update_errors, first, start, schema)
}

/// Runs the stream program over every chunk and hands each chunk's rows to `emit`, in row order.
pub fn run_stream(
    ready: &Ready,
    result: &ResultProgram,
    chunks: Chunks<'_>,
    schema: &SchemaRef,
    mut emit: impl FnMut(RunResult) -> Result<()>,
) -> Result<()> {
    let Chunks { table, mesh, workers, cancelled } = chunks;
    let n_chunks = table.layout.chunks_per_shard();
    let row_counts = RowCounts::upload(table, mesh)?;
    if mesh.len() > 1 {
        // Rows of later shards wait until those of the first have been handed over.
        let mut later: Vec<Vec<RunResult>> = mesh.devices().map(|_| Vec::new()).collect();
        for chunk in 0..n_chunks {
            cancelled.check()?;
            let start = Instant::now();
            let mut arguments = Vec::with_capacity(mesh.len());
            for device in mesh.devices() {
                let count = &row_counts.0[device][chunk];
                arguments.push(ready.arguments(device, Some(table), chunk, Some(count), &mut [])?);
            }
            let outputs = ready.executable.execute_replicated(arguments)?;
            for (device, buffers) in outputs.into_iter().enumerate() {
                let rows = download(result, &[], buffers, start, schema)?;
                if device == 0 { emit(rows)? } else { later[device].push(rows) }
            }
        }
        return later.into_iter().flatten().try_for_each(emit);
    }
    let workers = workers.max(1);
    for round in (0..n_chunks).step_by(workers) {
        cancelled.check()?;
        let end = (round + workers).min(n_chunks);
        let next = AtomicUsize::new(round);
        let done: Mutex<Vec<(usize, RunResult)>> = Mutex::new(Vec::new());
        on_threads(end - round, || {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            let arguments = ready.arguments(0, Some(table), chunk, Some(&row_counts.0[0][chunk]), &mut [])?;
            let outputs = ready.executable.execute_donating(arguments)?;
            let rows = download(result, &[], outputs, start, schema)?;
            done.lock().unwrap_or_else(PoisonError::into_inner).push((chunk, rows));
            Ok(())
        })?;
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(chunk, _)| *chunk);
        for (_, rows) in done {
            emit(rows)?;
        }
    }
    Ok(())
}

/// Reads the outputs of a result program: first what went wrong, then the live rows.
fn download(
    result: &ResultProgram,
    update_errors: &[String],
    buffers: Vec<Buffer>,
    start: Instant,
    schema: &SchemaRef,
) -> Result<RunResult> {
    let width = |spec: &crate::columnar::decode::ColumnSpec| {
        spec.representation.element_types().len() + usize::from(spec.nullable)
    };
    let n_arrays: usize = result.columns.iter().map(width).sum();
    let mut at = n_arrays + usize::from(result.has_mask);
    // The first download waits for the kernels.
    for (present, messages) in
        [(result.has_error, result.traced.errors.as_slice()), (result.has_update_error, update_errors)]
    {
        if present {
            let code = buffers[at].to_vec::<i32>()?[0];
            at += 1;
            if code > 0 {
                let message = messages.get(code as usize - 1).cloned();
                let failure = DeviceFailure(message.unwrap_or_else(|| format!("device error {code}")));
                return Err(DataFusionError::External(Box::new(failure)));
            }
        }
    }
    let mut row_counts = Vec::with_capacity(result.row_counts);
    for buffer in &buffers[at..at + result.row_counts] {
        row_counts.push(buffer.to_vec::<i64>()?[0]);
    }
    let live = if result.has_mask { Some(BooleanArray::new(download_pred(&buffers[n_arrays])?, None)) } else { None };
    let kernel_time = start.elapsed();
    let start = Instant::now();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(result.columns.len());
    let mut at = 0;
    for spec in &result.columns {
        let n = width(spec);
        columns.push(decode_column(spec, &buffers[at..at + n], live.as_ref())?);
        at += n;
    }
    let rows = match (&live, columns.first()) {
        (Some(live), _) => live.true_count(),
        (None, Some(column)) => column.len(),
        (None, None) => 0,
    };
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    Ok(RunResult {
        batch,
        row_counts,
        kernel_time,
        download_time: start.elapsed(),
        download_bytes: buffers.iter().map(|b| b.size_bytes()).sum(),
    })
}

/// What an expression of a program reported: the query fails.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceFailure(pub String);

/// The error of an expression, of the kind that DataFusion gives it.
pub fn device_error(message: &str) -> DataFusionError {
    use datafusion::arrow::error::ArrowError;
    if message.contains("Divide by zero") {
        return DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None);
    }
    if let Some(rest) = message.strip_prefix("Arrow error: Arithmetic overflow: ") {
        return DataFusionError::ArrowError(Box::new(ArrowError::ArithmeticOverflow(rest.to_string())), None);
    }
    if let Some(rest) = message.strip_prefix("Arrow error: Cast error: ") {
        return DataFusionError::ArrowError(Box::new(ArrowError::CastError(rest.to_string())), None);
    }
    DataFusionError::Execution(message.trim_start_matches("Execution error: ").to_string())
}
