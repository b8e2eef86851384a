//! What a border knows of its pipeline before it runs: what it is known by (`tier`) and what there is to do (`cost`). Computed at
//! its first run, or when EXPLAIN shows it.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, displayable};

use crate::columnar::encode::Strings;
use crate::config::XlaOptions;
use crate::exec::boundary::device_to_host::DeviceToHostExec;
use crate::exec::boundary::encoding_demand::leaf_columns;
use crate::exec::boundary::host_to_device::HostToDeviceExec;
use crate::exec::boundary::program_names::program_names;
use crate::exec::placement::work::{Kind, Work};
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::column_cache::ColumnSource;
use crate::exec::state::context::{DeviceContext, cores};
use crate::exec::state::costs::Task;
use crate::exec::state::history::{Choice, Side, Why};

#[derive(Debug)]
pub struct Pipeline {
    /// What it is known by.
    pub fingerprint: u64,
    /// Without what is to be uploaded, which changes.
    task: Task,
    tables: Vec<Table>,
    /// For each leaf, whether what it uploads stays.
    leaves_stay: Vec<bool>,
}

/// A table whose columns may be on the device.
struct Table {
    source: TableSource,
    columns: Vec<(ColumnSource, Strings)>,
    /// By count, or as the files' statistics say.
    rows: f64,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} columns of {} rows", self.columns.len(), self.rows)
    }
}

impl Pipeline {
    /// Of the device operators `input` and of the host plan that they replace.
    pub fn new(input: &Arc<dyn ExecutionPlan>, host_plan: &Arc<dyn ExecutionPlan>, options: &XlaOptions) -> Self {
        let host = Work::of(host_plan);
        let mut task =
            Task { host, programs: program_names(input).len(), operators: operators(input), ..Task::default() };
        let (mut tables, mut magnitudes, mut leaves_stay) = (Vec::new(), Vec::new(), Vec::new());
        for (leaf, uses) in leaf_columns(input) {
            let Some(leaf) = leaf.downcast_ref::<HostToDeviceExec>() else { continue };
            let source = TableSource::of(&leaf.input);
            magnitudes.push(source.as_ref().map_or(0, |source| source.magnitude().next_power_of_two()));
            let below = Work::of(&leaf.input);
            let values = below.get(Kind::Output);
            let n_columns = uses.len().max(1) as f64;
            let source = source.filter(|_| options.resident);
            leaves_stay.push(source.is_some());
            match source {
                Some(source) => {
                    let columns = source.column_sources(&leaf.input.schema()).into_iter().zip(uses).collect();
                    tables.push(Table { source, columns, rows: values / n_columns });
                }
                None => {
                    task.below = task.below + below;
                    task.reload += values;
                }
            }
        }
        // Files are read once for the device.
        task.device = (host - task.below).without(Kind::Decode);
        Self { fingerprint: fingerprint(input, &magnitudes, options), task, tables, leaves_stay }
    }

    /// For each leaf in order, whether what it uploads stays for other runs.
    pub fn leaves_stay(&self) -> impl Iterator<Item = bool> {
        self.leaves_stay.iter().copied()
    }

    /// Who answers now.
    pub fn choose(&self, device: &DeviceContext, options: &XlaOptions, partitions: usize) -> Choice {
        let mut task = self.without_uploads(device, options, partitions);
        let costs = device.costs();
        let choose = |task: &Task| device.tiers.choice(self.fingerprint, costs.estimate(task), options.tiered);
        // What is to be uploaded takes a while to find out, and matters only where the device could win.
        let choice = choose(&task);
        if choice.side == Side::Host && choice.why == Why::Faster {
            return choice;
        }
        self.add_uploads(&mut task, device, options);
        choose(&task)
    }

    fn without_uploads(&self, device: &DeviceContext, options: &XlaOptions, partitions: usize) -> Task {
        let (host_threads, device_threads) = (partitions.min(cores()), device.workers(options).min(cores()));
        Task { host_threads, device_threads, ..self.task }
    }

    /// Columns that are resident need not be uploaded.
    fn add_uploads(&self, task: &mut Task, device: &DeviceContext, options: &XlaOptions) {
        for table in &self.tables {
            let layout = table.source.known_rows(&device.resident).map(|rows| device.layout(rows, options));
            let here = |(source, form): &&(ColumnSource, Strings)| {
                layout.as_ref().is_some_and(|layout| device.resident.holds(source, layout, *form))
            };
            let missing = table.columns.len() - table.columns.iter().filter(here).count();
            let values = missing as f64 * table.rows;
            task.upload += values;
            if matches!(table.source, TableSource::Files { .. }) {
                task.decode += values;
            }
        }
    }
}

/// Device operators of a pipeline.
fn operators(plan: &Arc<dyn ExecutionPlan>) -> usize {
    match plan.downcast_ref::<HostToDeviceExec>() {
        Some(_) => 0,
        None => 1 + plan.children().into_iter().map(operators).sum::<usize>(),
    }
}

/// What a pipeline is known by: its operators, whatever numbers stand in them, and the magnitude of its tables, because
/// both decide its programs.
fn fingerprint(plan: &Arc<dyn ExecutionPlan>, magnitudes: &[usize], options: &XlaOptions) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_operators(plan, &mut hasher);
    magnitudes.hash(&mut hasher);
    format!("{options:?}").hash(&mut hasher);
    hasher.finish()
}

fn hash_operators(plan: &Arc<dyn ExecutionPlan>, hasher: &mut DefaultHasher) {
    match plan.downcast_ref::<DeviceToHostExec>() {
        // A border displays what is known of it so far.
        Some(_) => plan.name().hash(hasher),
        None => {
            let _infallible =
                write!(Numberless { hasher, in_number: false }, "{}", displayable(plan.as_ref()).one_line());
        }
    }
    let children = plan.children();
    children.len().hash(hasher);
    children.into_iter().for_each(|child| hash_operators(child, hasher));
}

/// Hashes text, all numbers alike.
struct Numberless<'a> {
    hasher: &'a mut DefaultHasher,
    in_number: bool,
}

impl fmt::Write for Numberless<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let digit = byte.is_ascii_digit();
            if !digit {
                self.hasher.write_u8(byte);
            } else if !self.in_number {
                self.hasher.write_u8(b'#');
            }
            self.in_number = digit;
        }
        Ok(())
    }
}
