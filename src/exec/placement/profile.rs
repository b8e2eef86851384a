//! What is known of a pipeline before it runs: its fingerprint in the placement history, and the work on either side. Computed at its
//! first run, or when EXPLAIN ANALYZE or EXPLAIN VERBOSE shows it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::columnar::encode::StringEncoding;
use crate::config::XlaOptions;
use crate::cores::cores;
use crate::exec::device_exec::DeviceExec;
use crate::exec::placement::work::{Replaced, work_of};
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::column_cache::ColumnSource;
use crate::exec::state::context::DeviceContext;
use crate::exec::state::costs::Task;
use crate::exec::state::history::{Choice, Reason, Target};
use crate::exec::state::work_estimate::Kind;

#[derive(Debug)]
pub struct Profile {
    /// What it is known by.
    pub fingerprint: u64,
    /// Without what is to be uploaded, which changes.
    task: Task,
    tables: Vec<Table>,
    /// For each leaf, whether what it uploads stays.
    leaves_stay: Vec<bool>,
}

/// The host plan below a leaf, and the encodings in which its columns are needed.
pub type Leaf<'a> = (&'a Arc<dyn ExecutionPlan>, Vec<StringEncoding>);

/// A table whose columns may be on the device.
struct Table {
    source: TableSource,
    columns: Vec<(ColumnSource, StringEncoding)>,
    /// By count, or as the files' statistics say.
    rows: f64,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} columns of {} rows", self.columns.len(), self.rows)
    }
}

impl Profile {
    /// The profile of the device operators `input`, which read `leaves` and become `programs` programs, beside the host plan that they
    /// replace.
    pub fn new(
        input: &Arc<dyn ExecutionPlan>,
        leaves: Vec<Leaf<'_>>,
        programs: usize,
        host_plan: &Arc<dyn ExecutionPlan>,
        replaced: Replaced<'_>,
        options: &XlaOptions,
    ) -> Self {
        let host = work_of(host_plan, replaced);
        let mut task = Task { host, programs, operators: operators(input), ..Task::default() };
        let (mut tables, mut magnitudes, mut leaves_stay) = (Vec::new(), Vec::new(), Vec::new());
        for (leaf, uses) in leaves {
            let source = TableSource::of(leaf);
            magnitudes.push(source.as_ref().map_or(0, |source| source.magnitude().next_power_of_two()));
            let below = work_of(leaf, replaced);
            let values = below.get(Kind::Output);
            let n_columns = uses.len().max(1) as f64;
            let source = source.filter(|_| options.cache_columns);
            leaves_stay.push(source.is_some());
            match source {
                Some(source) => {
                    let columns = source.column_sources(&leaf.schema()).into_iter().zip(uses).collect();
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

    /// Where this run takes place, and why.
    pub fn choose(&self, device: &DeviceContext, options: &XlaOptions, partitions: usize) -> Choice {
        let mut task = self.without_uploads(device, options, partitions);
        let costs = device.costs();
        let choose =
            |task: &Task| device.history.choice(self.fingerprint, costs.estimate(task), options.background_compile);
        // What is to be uploaded takes a while to find out, and matters only where the device could win.
        let choice = choose(&task);
        if choice.target == Target::Host && choice.reason == Reason::Faster {
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
            let layout = table.source.known_rows(&device.column_cache).map(|rows| device.layout(rows, options));
            let here = |(source, form): &&(ColumnSource, StringEncoding)| {
                layout.as_ref().is_some_and(|layout| device.column_cache.holds(source, layout, *form))
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
    match DeviceExec::of(plan) {
        Some(node) => 1 + node.inputs().iter().map(operators).sum::<usize>(),
        None => 0,
    }
}

/// What a pipeline is known by: its operators with their columns and types, whatever the literals are, and the magnitude of its tables;
/// both decide its programs.
fn fingerprint(plan: &Arc<dyn ExecutionPlan>, magnitudes: &[usize], options: &XlaOptions) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_plan(plan, &mut hasher);
    magnitudes.hash(&mut hasher);
    format!("{options:?}").hash(&mut hasher);
    hasher.finish()
}

fn hash_plan(plan: &Arc<dyn ExecutionPlan>, hasher: &mut DefaultHasher) {
    plan.name().hash(hasher);
    match DeviceExec::of(plan) {
        Some(node) => node.operator().hash_shape(hasher),
        None => hash_host_node(plan, hasher),
    }
    let children = plan.children();
    children.len().hash(hasher);
    children.into_iter().for_each(|child| hash_plan(child, hasher));
}

/// Hashes the schema and the expressions of a host operator, without the values of literals.
fn hash_host_node(plan: &Arc<dyn ExecutionPlan>, hasher: &mut DefaultHasher) {
    for field in plan.schema().fields() {
        (field.name(), field.data_type(), field.is_nullable()).hash(hasher);
    }
    if let Some(files) = TableSource::of(plan).and_then(|source| source.files().cloned()) {
        files.files.iter().for_each(|file| file.path.hash(hasher));
    }
    let _infallible = plan.apply_expressions(&mut |expr| {
        let shape = Arc::clone(expr).transform_up(|e| {
            Ok(match e.downcast_ref::<Literal>() {
                Some(literal) => Transformed::yes(typed_placeholder(literal)),
                None => Transformed::no(e),
            })
        });
        if let Ok(shape) = shape {
            shape.data.to_string().hash(hasher);
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

/// Stands for any literal of the same type.
fn typed_placeholder(literal: &Literal) -> Arc<dyn PhysicalExpr> {
    let value = literal.value();
    Arc::new(Column::new(&format!("{:?} {}", value.data_type(), value.is_null()), 0))
}
