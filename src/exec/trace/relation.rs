//! A relation that has not been computed yet: rows that lie on the device, and the steps still to be traced over them. Operators
//! add steps. Whatever needs the rows (`materialize`, an aggregation, the upper boundary) turns the whole into one program.

use std::sync::Arc;

use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::exec::trace::accumulate::Accumulated;
use crate::exec::trace::selection::Selection;
use crate::exec::trace::step::{RowEffect, Step};

/// Slots of groups that may as well be empty.
const FEW_SLOTS: usize = 1 << 13;

/// The rows that a relation starts from.
#[derive(Clone)]
pub enum Source {
    /// Chunks of columns.
    Table(Arc<DeviceTable>),
    /// The selected rows of each chunk. All steps are traced over these rows, including those that selected them.
    Selected(Arc<DeviceTable>, Arc<Selection>),
    /// Accumulators that have seen every row; their finish is the first thing to trace.
    Accumulated(Arc<Accumulated>),
}

/// A source and the steps above it, the lowest first.
#[derive(Clone)]
pub struct Relation {
    pub source: Source,
    pub steps: Vec<Arc<dyn Step>>,
    /// The exchange below the steps that moves the rows between devices, once they are needed together.
    exchange: Option<ExecutionPlanMetricsSet>,
}

impl Relation {
    /// A relation without steps.
    pub fn of(source: Source) -> Self {
        Self { source, steps: Vec::new(), exchange: None }
    }

    /// All rows of a table.
    pub fn on(table: Arc<DeviceTable>) -> Self {
        Self::of(Source::Table(table))
    }

    pub fn with(mut self, step: Arc<dyn Step>) -> Self {
        self.steps.push(step);
        self
    }

    /// The same steps over another source.
    pub fn over(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The relation up to step `number`, which is included.
    pub fn up_to(&self, number: usize) -> Self {
        Self { source: self.source.clone(), steps: self.steps[..=number].to_vec(), exchange: self.exchange.clone() }
    }

    /// Lets an exchange of the plan account for the rows, if they have to move between devices.
    pub fn moved_by(self, exchange: ExecutionPlanMetricsSet) -> Self {
        Self { exchange: Some(exchange), ..self }
    }

    /// The metrics of the exchange that accounts for the rows if they move between devices.
    pub fn exchange(&self) -> Option<&ExecutionPlanMetricsSet> {
        self.exchange.as_ref()
    }

    /// Whether all rows lie in one chunk of one device, so that operators over the whole can be traced.
    pub fn is_single(&self) -> bool {
        match &self.source {
            Source::Table(table) | Source::Selected(table, _) => table.is_single(),
            Source::Accumulated(_) => true,
        }
    }

    /// Whether a step has to see all rows at once.
    pub fn needs_all_rows(&self) -> bool {
        self.steps.iter().any(|step| step.needs_all_rows())
    }

    /// Whether the rows are chunks that programs can run over one by one.
    pub fn is_chunked(&self) -> bool {
        !self.needs_all_rows() && !matches!(self.source, Source::Accumulated(_))
    }

    /// The chunks that the relation is computed from.
    pub fn table(&self) -> Option<&Arc<DeviceTable>> {
        match &self.source {
            Source::Table(table) | Source::Selected(table, _) => Some(table),
            Source::Accumulated(_) => None,
        }
    }

    /// Rows below the steps, where they are known before anything runs.
    pub fn source_rows(&self) -> usize {
        match &self.source {
            Source::Table(table) => table.layout.rows,
            Source::Selected(_, selection) => selection.counts.iter().flatten().sum(),
            Source::Accumulated(_) => 0,
        }
    }

    pub fn selection(&self) -> Option<&Arc<Selection>> {
        match &self.source {
            Source::Selected(_, selection) => Some(selection),
            _ => None,
        }
    }

    /// The table of a relation without steps.
    pub fn as_table(&self) -> Option<&Arc<DeviceTable>> {
        match &self.source {
            Source::Table(table) if self.steps.is_empty() => Some(table),
            _ => None,
        }
    }

    /// Whether the rows are groups in slots that may be mostly empty.
    pub fn is_sparse(&self) -> bool {
        let replaces = |step: &Arc<dyn Step>| step.row_effect() == RowEffect::Replaces;
        match &self.source {
            Source::Accumulated(accumulated) => accumulated.capacity() > FEW_SLOTS,
            Source::Table(table) | Source::Selected(table, _) => {
                table.layout.capacity > FEW_SLOTS && self.steps.iter().any(replaces)
            }
        }
    }

    /// Whether every row of the source is still there.
    pub fn keeps_all_rows(&self) -> bool {
        matches!(self.source, Source::Table(_)) && self.steps.iter().all(|step| step.row_effect() == RowEffect::Keeps)
    }

    /// Whether no two rows are known to have the same value of output column `column`, NULL aside.
    pub fn is_unique(&self, column: usize) -> bool {
        self.is_known_as(column, |column| column.unique, &[RowEffect::Replaces])
    }

    /// Whether output column `column` is known to ascend from row to row, without NULL.
    pub fn is_ascending(&self, column: usize) -> bool {
        self.is_known_as(
            column,
            |column| column.ascending,
            &[RowEffect::Replaces, RowEffect::Reorders, RowEffect::Picks],
        )
    }

    /// Whether `what` holds of the table column that an output column is, unless a step has one of the effects in `but`.
    fn is_known_as(&self, mut column: usize, what: impl Fn(&DeviceColumn) -> bool, but: &[RowEffect]) -> bool {
        for step in self.steps.iter().rev() {
            match step.source_of(column) {
                Some(source) if !but.contains(&step.row_effect()) => column = source,
                _ => return false,
            }
        }
        self.table().and_then(|table| table.columns.get(column)).is_some_and(|column| what(column))
    }

    /// Name of the program that computes the relation.
    pub fn program_name(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        match &self.source {
            Source::Table(_) => {}
            Source::Selected(..) => names.push("selected"),
            Source::Accumulated(accumulated) => names.push(accumulated.label()),
        }
        names.extend(self.steps.iter().map(|step| step.label()));
        let name = if names.is_empty() { "scan".to_string() } else { names.join("_") };
        if matches!(self.source, Source::Accumulated(_)) { format!("{name}_finish") } else { name }
    }
}
