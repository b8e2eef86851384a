//! One operator of a relation that still has to be traced.

use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::trace::program::Trace;
use crate::expr::tracer::TracedRelation;

/// What an operator does to the rows of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowEffect {
    /// Every row stays, in its place.
    Keeps,
    /// Rows may fall away; the others stay in their places.
    Narrows,
    /// Every row stays; rows change places.
    Reorders,
    /// A few rows stay and change places (top-k).
    Picks,
    /// The output has other rows: groups, pairs, the rows of several inputs.
    Replaces,
}

/// An operator that is traced over the rows of one chunk.
pub trait Step: Send + Sync {
    /// Name of the operator, for errors.
    fn operator(&self) -> &'static str;

    /// Its part of the names of programs.
    fn label(&self) -> &'static str;

    /// Where its output rows are counted; `None` for what is no operator of the plan.
    fn metrics(&self) -> Option<&ExecutionPlanMetricsSet>;

    /// Whether the chunk must hold all rows of the relation.
    fn needs_all_rows(&self) -> bool;

    fn row_effect(&self) -> RowEffect;

    /// What a row costs, in gathers.
    fn weight(&self) -> usize;

    /// The input column whose values output column `column` has, row for row; `None` where they are computed.
    fn source_of(&self, column: usize) -> Option<usize>;

    /// Adds the operator to the program being traced.
    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation>;
}
