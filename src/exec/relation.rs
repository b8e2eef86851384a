//! A relation that has not been computed yet: rows that lie on the device, and the operators that are still to be traced over
//! them. Operators add steps; whoever needs the rows (`collect`, an aggregation, the upper border) turns the whole into
//! one program.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::exec::device_node::DeviceNode;
use crate::exec::groups::Groups;
use crate::exec::join_probe::Probe;
use crate::exec::parts::Part;
use crate::exec::run::Selection;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::error::ExpressionError;

/// Slots of groups that may as well be empty.
const FEW_SLOTS: usize = 1 << 13;

/// Rows that are there.
#[derive(Clone)]
pub enum Source {
    /// Chunks of columns.
    Table(Arc<DeviceTable>),
    /// Some rows of each chunk. The steps are traced over these rows, those that selected them, too.
    Selected(Arc<DeviceTable>, Arc<Selection>),
    /// Accumulators of a dense aggregation, whose finish is the first thing to trace.
    Groups(Arc<Groups>),
}

/// One operator to trace.
#[derive(Clone)]
pub enum Step {
    /// Filter, projection, sort, limit or whole aggregation.
    Node(Arc<dyn ExecutionPlan>),
    /// The first rows of each chunk in the order of a sort that keeps no more.
    TopOfChunk(Arc<dyn ExecutionPlan>),
    /// A join whose build side is ready.
    Probe(Arc<Probe>),
    /// The rows of one part, where an operator runs in several.
    Part(Arc<Part>),
}

/// A source and the steps above it, the lowest first.
#[derive(Clone)]
pub struct Relation {
    pub source: Source,
    pub steps: Vec<Step>,
}

impl Step {
    /// The device operator of a plan node that is traced as such.
    pub fn node(plan: &Arc<dyn ExecutionPlan>) -> Result<DeviceNode<'_>> {
        DeviceNode::of(plan)
            .ok_or_else(|| DataFusionError::Internal(format!("{} inside a device pipeline", plan.name())))
    }

    /// Part of the program's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Node(plan) => DeviceNode::of(plan).map_or("node", |node| node.name()),
            Self::TopOfChunk(_) => "top",
            Self::Probe(_) => "join",
            Self::Part(_) => "part",
        }
    }

    /// Where its rows are counted.
    pub fn metrics(&self) -> Option<&ExecutionPlanMetricsSet> {
        match self {
            Self::Node(plan) => DeviceNode::of(plan).map(|node| node.metrics()),
            // Its rows are those of the sort above, which counts.
            Self::TopOfChunk(_) | Self::Part(_) => None,
            Self::Probe(probe) => probe.metrics.as_ref(),
        }
    }

    /// Whether it is traced over all rows at once.
    pub fn needs_all_rows(&self) -> bool {
        match self {
            Self::Node(plan) => {
                matches!(
                    DeviceNode::of(plan),
                    Some(DeviceNode::Sort(_) | DeviceNode::Limit(_) | DeviceNode::Aggregate(_))
                )
            }
            Self::TopOfChunk(_) | Self::Probe(_) | Self::Part(_) => false,
        }
    }

    /// What a row costs, in gathers.
    pub fn weight(&self) -> usize {
        match self {
            Self::Node(_) | Self::TopOfChunk(_) | Self::Part(_) => 0,
            Self::Probe(probe) => 1 + probe.gathered_columns(),
        }
    }

    /// Whether rows can fall away, so that what is left should be packed.
    pub fn narrows(&self) -> bool {
        match self {
            Self::Node(plan) => !matches!(DeviceNode::of(plan), Some(DeviceNode::Projection(_))),
            Self::TopOfChunk(_) | Self::Part(_) => true,
            Self::Probe(probe) => probe.narrows(),
        }
    }
}

impl Relation {
    pub fn of_table(table: DeviceTable) -> Self {
        Self { source: Source::Table(Arc::new(table)), steps: Vec::new() }
    }

    /// All rows of a table that may be shared.
    pub fn on(table: Arc<DeviceTable>) -> Self {
        Self { source: Source::Table(table), steps: Vec::new() }
    }

    pub fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Whether all rows lie in one chunk of one device, so that operators over the whole can be traced.
    pub fn is_single(&self) -> bool {
        match &self.source {
            Source::Table(table) | Source::Selected(table, _) => table.is_single(),
            Source::Groups(_) => true,
        }
    }

    /// The chunks that it is computed from.
    pub fn table(&self) -> Option<&Arc<DeviceTable>> {
        match &self.source {
            Source::Table(table) | Source::Selected(table, _) => Some(table),
            Source::Groups(_) => None,
        }
    }

    /// Rows that its steps begin with, where they are known before anything runs.
    pub fn source_rows(&self) -> usize {
        match &self.source {
            Source::Table(table) => table.layout.rows,
            Source::Selected(_, selection) => selection.counts.iter().flatten().sum(),
            Source::Groups(_) => 0,
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

    /// Whether its rows are groups in slots of which most may be empty.
    pub fn is_sparse(&self) -> bool {
        let is_aggregate = |step: &Step| match step {
            Step::Node(plan) => matches!(DeviceNode::of(plan), Some(DeviceNode::Aggregate(_))),
            _ => false,
        };
        match &self.source {
            Source::Groups(groups) => groups.plan.slots() > FEW_SLOTS,
            Source::Table(table) | Source::Selected(table, _) => {
                table.layout.capacity > FEW_SLOTS && self.steps.iter().any(is_aggregate)
            }
        }
    }

    /// Whether every row of the source is still there.
    pub fn keeps_all_rows(&self) -> bool {
        matches!(self.source, Source::Table(_)) && !self.steps.iter().any(Step::narrows)
    }

    /// Of each column, whether it is known that no two rows have the same value, NULL aside; none where nothing is known.
    pub fn unique_columns(&self) -> Vec<bool> {
        self.columns_known_as(|column| column.unique, true)
    }

    /// Of each column, whether it is known that its values ascend from row to row, without NULL; none where nothing is known.
    pub fn ascending_columns(&self) -> Vec<bool> {
        self.columns_known_as(|column| column.ascending, false)
    }

    /// Of each column, whether `what` holds of the table's column that it is: rows fall away, and if `in_any_order` change places.
    fn columns_known_as(&self, what: impl Fn(&DeviceColumn) -> bool, in_any_order: bool) -> Vec<bool> {
        let Some(table) = self.table() else { return Vec::new() };
        let mut known: Vec<bool> = table.columns.iter().map(|column| what(column)).collect();
        for step in &self.steps {
            known = match step {
                Step::Node(plan) => match DeviceNode::of(plan) {
                    Some(DeviceNode::Filter(filter)) => filter.project(known),
                    Some(DeviceNode::Projection(projection)) => {
                        let of_column = |expr: &DeviceExpr| match expr.node {
                            Node::Column(column) => known[column],
                            _ => false,
                        };
                        projection.exprs.iter().map(of_column).collect()
                    }
                    Some(DeviceNode::Limit(_)) => known,
                    Some(DeviceNode::Sort(_)) if in_any_order => known,
                    _ => return Vec::new(),
                },
                // Each of its rows comes at most once.
                Step::Probe(probe) => probe.output(known, false),
                Step::TopOfChunk(_) if !in_any_order => return Vec::new(),
                Step::TopOfChunk(_) | Step::Part(_) => known,
            };
        }
        known
    }

    /// The errors of the error codes that come with the source.
    pub fn source_errors(&self) -> &[ExpressionError] {
        match &self.source {
            Source::Table(_) | Source::Selected(..) => &[],
            Source::Groups(groups) => &groups.errors,
        }
    }

    /// Name of the program that computes it.
    pub fn program_name(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        match self.source {
            Source::Table(_) => {}
            Source::Selected(..) => names.push("selected"),
            Source::Groups(_) => names.push("aggregate"),
        }
        names.extend(self.steps.iter().map(Step::name));
        let name = if names.is_empty() { "scan".to_string() } else { names.join("_") };
        if matches!(self.source, Source::Groups(_)) { format!("{name}_finish") } else { name }
    }
}
