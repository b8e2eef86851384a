//! What an operator of the device is: one trait, without default methods, so that an operator that leaves a declaration out does not
//! compile. Policies read the declarations; no operator knows of them:
//!
//! ```text
//! declaration          read by
//! row_scope            open: chunk by chunk, or together · spill: passes · planner::distribute: exchanges between devices
//! row_effect           compaction · which programs may share a selection
//! required_encodings   boundary: which columns need a dictionary
//! sources_of           runtime filters
//! weight, held_input   compaction and runtime filters: where fewer rows pay
//! hash_shape           placement: which runs teach something about each other
//! ```
//!
//! An operator that does not say its row scope is an error of the compiler:
//!
//! ```compile_fail,E0046
//! use parallax::exec::device_operator::DeviceOperator;
//!
//! #[derive(Debug)]
//! struct Incomplete;
//!
//! impl DeviceOperator for Incomplete {
//!     fn name(&self) -> &'static str {
//!         "XlaIncompleteExec"
//!     }
//! }
//! ```

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::run::engine::Engine;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::ir::DeviceExpr;

/// The rows that an operator has to see together (DataFusion's `required_input_distribution`).
#[derive(Clone, Debug)]
pub enum RowScope {
    /// One chunk at a time.
    Chunk,
    /// All rows with the same values of the keys: one list of keys for each input.
    Keys(Vec<Vec<DeviceExpr>>),
    /// All rows, in the order of the keys; no more than `limit` of the output are needed.
    Order { keys: Vec<(DeviceExpr, SortOptions)>, limit: Option<usize> },
    /// All rows of every input.
    All,
}

/// A column of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputColumn {
    pub input: usize,
    pub column: usize,
}

impl InputColumn {
    /// Column `column` of the only input.
    pub fn of_only(column: usize) -> Self {
        Self { input: 0, column }
    }
}

/// Computes an operator over inputs that hold together the rows of its scope, or those of one pass.
pub type Compute = Box<dyn Fn(&Engine, Vec<Relation>) -> Result<Relation>>;

/// An operator whose inputs are there.
pub enum Opened {
    /// Its rows can be computed chunk by chunk, or have been.
    Relation(Relation),
    /// It has to hold the rows of its row scope together: all of them at once, or those of one pass after another.
    Together {
        inputs: Vec<Relation>,
        /// The input that it holds; the others stream past it.
        held: usize,
        compute: Compute,
    },
}

/// An operator of the device.
pub trait DeviceOperator: fmt::Debug + Send + Sync + 'static {
    /// Name in EXPLAIN: `XlaFilterExec`.
    fn name(&self) -> &'static str;

    /// Part of the names of the programs that it is traced into: `filter`; empty for what is never traced.
    fn label(&self) -> &'static str;

    /// The rows that it has to see together.
    fn row_scope(&self) -> RowScope;

    /// What it does to the rows of its input.
    fn row_effect(&self) -> RowEffect;

    /// For each input the encodings of its columns that it needs to give its output columns in the encodings `output`; `widths` are
    /// the numbers of columns of the inputs.
    fn required_encodings(&self, output: &[StringEncoding], widths: &[usize]) -> Vec<Vec<StringEncoding>>;

    /// The input columns that output column `column` has its values from, if dropping all input rows with other values drops exactly
    /// the output rows with other values; none where that does not hold.
    fn sources_of(&self, column: usize, widths: &[usize]) -> Vec<InputColumn>;

    /// What a row of the input costs, in gathers.
    fn weight(&self) -> usize;

    /// The input that it holds as groups or as a build side, so that fewer rows of it are less work.
    fn held_input(&self) -> Option<usize>;

    /// The filters that it can make of the keys of one input for the other; `None` for all but joins.
    fn runtime_filters(&self) -> Option<&dyn RuntimeFilterSource>;

    /// Whether its programs begin with the accumulators of an update program, rather than with the rows of its input.
    fn accumulates(&self) -> bool;

    /// Hashes everything that decides its programs, but no value of a literal.
    fn hash_shape(&self, state: &mut dyn Hasher);

    /// The host expressions that it evaluates.
    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>>;

    /// Schema, order and boundedness of its output.
    fn properties(&self, inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties>;

    /// Its line in EXPLAIN.
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// The operator over its inputs.
    fn open(
        self: Arc<Self>,
        engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened>;
}

/// What a join offers to runtime filters.
pub trait RuntimeFilterSource {
    /// The keys of input `target` beside those of the other input, if rows of `target` whose keys the other input does not have leave
    /// no trace in the output; else none.
    fn filter_keys(&self, target: usize) -> Vec<(&DeviceExpr, &DeviceExpr)>;

    /// The values of `key` in `source`, as a filter for a column of `rows` rows; `None` if it would let most rows through.
    fn key_filter(
        &self,
        engine: &Engine,
        source: &Relation,
        key: &DeviceExpr,
        rows: usize,
    ) -> Result<Option<Arc<dyn KeyFilter>>>;
}

/// Key values that rows can be filtered by.
pub trait KeyFilter: Send + Sync {
    /// The step that lets through only rows whose `key` is among the values.
    fn step(self: Arc<Self>, key: DeviceExpr) -> Arc<dyn Step>;
}
