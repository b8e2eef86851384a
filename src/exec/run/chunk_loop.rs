//! Runs programs over the chunks of a table.
//!
//! One device: as many host threads as there are cores take chunks from a common counter, each with accumulators of
//! its own. Several devices: they step through their chunks together, one program for all (SPMD); a device whose shard
//! has run out gets a chunk of no rows. A table that lies on one device of several is run there alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};

use crate::columnar::table::{ChunkArray, DeviceTable};
use crate::exec::run::ordered::ordered_map;
use crate::exec::trace::accumulate::{AccumulatorPlan, AccumulatorSpec, Totals};
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::program::TracedProgram;
use crate::exec::trace::selection::Selection;
use crate::expr::tracer::Input;
use crate::hlo::Builder;
use crate::program::ElementType::S32;
use crate::program::Shape;
use crate::runtime::{Argument, Buffer, CacheOutcome, Executable, Mesh, Runtime};

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
pub struct BoundProgram {
    runtime: Arc<Runtime>,
    executable: Arc<Executable>,
    inputs: Vec<Input>,
    sides: Vec<Arc<BroadcastArray>>,
    /// `[device]`, by input index; `None` where the argument changes.
    constants: Vec<Vec<Option<Buffer>>>,
    pub outcome: CacheOutcome,
}

/// What changes from call to call.
#[derive(Clone, Copy, Default)]
pub struct CallInputs<'a> {
    table: Option<&'a DeviceTable>,
    chunk: usize,
    selection: Option<&'a Selection>,
    row_count: Option<&'a Buffer>,
    /// Accumulators to read, `[device][worker][index]`.
    totals: Option<&'a Totals>,
}

impl BoundProgram {
    /// Compiles (or finds) a program for the first `devices` of the mesh and uploads its constants.
    pub fn new(traced: &TracedProgram, mesh: &Mesh, devices: usize) -> Result<Self> {
        let (executable, outcome) = mesh.runtime().compile(&traced.program, devices)?;
        let mut constants = Vec::with_capacity(devices);
        for device in 0..devices {
            let mut of_device = Vec::with_capacity(traced.inputs.len());
            for input in &traced.inputs {
                of_device.push(match input {
                    Input::Constant { shape, bytes } => Some(mesh.runtime().upload(device, shape, bytes)?),
                    _ => None,
                });
            }
            constants.push(of_device);
        }
        let runtime = Arc::clone(mesh.runtime());
        Ok(Self { runtime, executable, inputs: traced.inputs.clone(), sides: traced.sides.clone(), constants, outcome })
    }

    fn devices(&self) -> usize {
        self.constants.len()
    }

    /// The arguments of one call on one device. `accumulators[index]` are taken, as they are donated.
    fn arguments<'a>(
        &'a self,
        device: usize,
        rows: CallInputs<'a>,
        accumulators: &mut [Option<Buffer>],
    ) -> Result<Vec<Argument<'a>>> {
        let missing = || DataFusionError::Internal(format!("{:?} lacks an argument", self.executable));
        let mut arguments = Vec::with_capacity(self.inputs.len());
        for (index, input) in self.inputs.iter().enumerate() {
            arguments.push(match input {
                Input::Constant { .. } => Argument::Borrow(self.constants[device][index].as_ref().ok_or_else(missing)?),
                Input::RowCount => Argument::Borrow(rows.row_count.ok_or_else(missing)?),
                Input::Selection => Argument::Borrow(&rows.selection.ok_or_else(missing)?.row_ids[device][rows.chunk]),
                Input::Side(side) => Argument::Borrow(self.sides[*side].on(device)?),
                Input::Column { column, part } => {
                    let chunk = &rows.table.ok_or_else(missing)?.columns[*column].chunks[device][rows.chunk];
                    match chunk.array(*part).ok_or_else(missing)? {
                        ChunkArray::Device(buffer) => Argument::Borrow(buffer),
                        // Its device memory is free again after the call.
                        ChunkArray::Host(array) => Argument::Donate(array.upload(&self.runtime, device)?),
                    }
                }
                Input::Accumulator { worker, index } => match rows.totals {
                    Some(totals) => Argument::Borrow(&totals[device][*worker][*index]),
                    None => {
                        let taken = accumulators.get_mut(*index).and_then(Option::take);
                        Argument::Donate(taken.ok_or_else(missing)?)
                    }
                },
            });
        }
        Ok(arguments)
    }

    /// Runs the program once, over totals; every device has the same rows, those of the first are returned.
    pub fn run_totals(&self, totals: &Totals) -> Result<Vec<Buffer>> {
        let rows = CallInputs { totals: Some(totals), ..CallInputs::default() };
        let arguments =
            (0..self.devices()).map(|device| self.arguments(device, rows, &mut [])).collect::<Result<Vec<_>>>()?;
        Ok(self.executable.execute_replicated(arguments)?.into_iter().next().unwrap_or_default())
    }

    /// Runs the program once on device 0, which reads no chunk but only sides and constants.
    pub fn run_sides(&self) -> Result<Vec<Buffer>> {
        Ok(self.executable.execute_donating(self.arguments(0, CallInputs::default(), &mut [])?)?)
    }
}

/// Row counts of the chunks as scalars in device memory, `[device][chunk]`.
struct RowCounts(Vec<Vec<Buffer>>);

impl RowCounts {
    fn upload(chunks: Chunks<'_>) -> Result<Self> {
        let mesh = chunks.mesh;
        let mut counts = Vec::with_capacity(chunks.table.layout.shards.len());
        for (device, of_shard) in chunks.table.layout.shards.iter().enumerate() {
            let mut of_device = Vec::with_capacity(of_shard.len());
            for chunk in 0..of_shard.len() {
                let bytes = (chunks.rows_of(device, chunk) as i32).to_le_bytes();
                of_device.push(mesh.runtime().upload(device, &Shape::scalar(S32), &bytes)?);
            }
            counts.push(of_device);
        }
        Ok(Self(counts))
    }
}

/// What a chunk program runs over, and how.
#[derive(Clone, Copy)]
pub struct Chunks<'a> {
    pub table: &'a DeviceTable,
    pub mesh: &'a Mesh,
    /// Host threads that take chunks, where the table is on one device.
    pub workers: usize,
    pub cancelled: &'a Cancelled,
    /// Rows of each chunk that count; `None` is all.
    pub selection: Option<&'a Selection>,
    /// The chunks to run; `None` is all.
    pub only: Option<&'a [usize]>,
}

impl Chunks<'_> {
    fn rows_of(&self, shard: usize, chunk: usize) -> usize {
        match self.selection {
            Some(selection) => selection.counts[shard][chunk],
            None => self.table.layout.shards[shard][chunk].len(),
        }
    }

    /// Chunks that each device runs, in order.
    fn numbers(&self) -> Vec<usize> {
        match self.only {
            Some(only) => only.to_vec(),
            None => (0..self.table.layout.chunks_per_shard()).collect(),
        }
    }

    /// Workers that have accumulators of their own: one a device where devices step together.
    fn workers(&self) -> usize {
        if self.table.layout.shards.len() > 1 { 1 } else { self.workers.min(self.numbers().len()).max(1) }
    }
}

/// Accumulators of at least this many bytes are filled by a program, not uploaded: nothing is written on the host.
const LARGE_ACCUMULATORS: usize = 1 << 20;

/// How the accumulators of a worker begin.
struct AccumulatorInit<'a> {
    specs: &'a [AccumulatorSpec],
    mesh: &'a Mesh,
    fill: Option<Arc<Executable>>,
}

impl<'a> AccumulatorInit<'a> {
    fn new(specs: &'a [AccumulatorSpec], mesh: &'a Mesh, devices: usize) -> Result<Self> {
        let bytes: usize = specs.iter().map(|spec| spec.shape.size_bytes()).sum();
        let fill = if bytes >= LARGE_ACCUMULATORS && devices == 1 { Some(Self::program(specs, mesh)?) } else { None };
        Ok(Self { specs, mesh, fill })
    }

    fn program(specs: &[AccumulatorSpec], mesh: &Mesh) -> Result<Arc<Executable>> {
        let mut b = Builder::new("fill");
        let mut outputs = Vec::with_capacity(specs.len());
        for AccumulatorSpec { shape, initial, .. } in specs {
            let value = b.constant_of(shape.element_type, *initial)?;
            outputs.push(b.broadcast(value, &shape.dims)?);
        }
        Ok(mesh.runtime().compile(&b.finish(&outputs, &[])?, 1)?.0)
    }

    fn on(&self, device: usize) -> Result<Vec<Option<Buffer>>> {
        if let Some(fill) = &self.fill {
            return Ok(fill.execute(&[])?.into_iter().map(Some).collect());
        }
        let upload = |AccumulatorSpec { shape, initial, .. }: &AccumulatorSpec| {
            let one = &initial.to_le_bytes()[..shape.element_type.size_bytes()];
            Ok(Some(self.mesh.runtime().upload(device, shape, &one.repeat(shape.element_count()))?))
        };
        self.specs.iter().map(upload).collect()
    }
}

/// Runs an update program over every chunk; the accumulators afterwards.
pub fn run_update(bound: &BoundProgram, accumulators: &AccumulatorPlan, chunks: Chunks<'_>) -> Result<Totals> {
    let Chunks { table, mesh, cancelled, selection, .. } = chunks;
    let numbers = chunks.numbers();
    let row_counts = RowCounts::upload(chunks)?;
    let start = AccumulatorInit::new(&accumulators.specs, mesh, bound.devices())?;
    let all = |buffers: Vec<Option<Buffer>>| buffers.into_iter().flatten().collect::<Vec<_>>();
    if bound.devices() > 1 {
        let mut running = (0..bound.devices()).map(|device| start.on(device)).collect::<Result<Vec<_>>>()?;
        for chunk in numbers {
            cancelled.check()?;
            let mut arguments = Vec::with_capacity(running.len());
            for (device, accumulators) in running.iter_mut().enumerate() {
                let row_count = Some(&row_counts.0[device][chunk]);
                let rows = CallInputs { table: Some(table), chunk, selection, row_count, totals: None };
                arguments.push(bound.arguments(device, rows, accumulators)?);
            }
            let outputs = bound.executable.execute_replicated(arguments)?;
            running = outputs.into_iter().map(|of_device| of_device.into_iter().map(Some).collect()).collect();
        }
        return Ok(running.into_iter().map(|of_device| vec![all(of_device)]).collect());
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Buffer>> {
        let mut running = start.on(0)?;
        while let Some(chunk) = numbers.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
            cancelled.check()?;
            let rows = CallInputs {
                table: Some(table),
                chunk,
                selection,
                row_count: Some(&row_counts.0[0][chunk]),
                totals: None,
            };
            let outputs = bound.executable.execute_donating(bound.arguments(0, rows, &mut running)?)?;
            running = outputs.into_iter().map(Some).collect();
        }
        Ok(all(running))
    };
    Ok(vec![on_threads(chunks.workers(), work)?])
}

/// Runs a program over every chunk. `read` takes the outputs of one chunk on the thread that ran it; `emit` gets what it made, in
/// row order, and says whether to go on.
pub fn run_chunks<T: Send>(
    bound: &BoundProgram,
    chunks: Chunks<'_>,
    read: impl Fn(Vec<Buffer>, usize) -> Result<T> + Sync,
    mut emit: impl FnMut(T) -> Result<bool>,
) -> Result<()> {
    let Chunks { table, cancelled, selection, .. } = chunks;
    let numbers = chunks.numbers();
    let row_counts = RowCounts::upload(chunks)?;
    if bound.devices() > 1 {
        // Rows of later shards wait until those of the first have been handed over.
        let mut later: Vec<Vec<T>> = (0..bound.devices()).map(|_| Vec::new()).collect();
        let mut more = true;
        for chunk in numbers {
            cancelled.check()?;
            let mut arguments = Vec::with_capacity(bound.devices());
            for device in 0..bound.devices() {
                let row_count = Some(&row_counts.0[device][chunk]);
                let rows = CallInputs { table: Some(table), chunk, selection, row_count, totals: None };
                arguments.push(bound.arguments(device, rows, &mut [])?);
            }
            for (device, outputs) in bound.executable.execute_replicated(arguments)?.into_iter().enumerate() {
                let made = read(outputs, chunks.rows_of(device, chunk))?;
                if device > 0 {
                    later[device].push(made);
                } else if more {
                    more = emit(made)?;
                }
            }
            if !more {
                return Ok(());
            }
        }
        for made in later.into_iter().flatten() {
            if !emit(made)? {
                break;
            }
        }
        return Ok(());
    }
    let call = |chunk: usize| {
        cancelled.check()?;
        let rows =
            CallInputs { table: Some(table), chunk, selection, row_count: Some(&row_counts.0[0][chunk]), totals: None };
        let outputs = bound.executable.execute_donating(bound.arguments(0, rows, &mut [])?)?;
        read(outputs, chunks.rows_of(0, chunk))
    };
    ordered_map(chunks.workers(), &numbers, call, emit)
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
