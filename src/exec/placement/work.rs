//! Estimates the work of a host plan, from the rows of the tables up: what each kind of operator reads. Sizes are guesses where
//! only the data could tell (what a filter keeps, how many rows a group has).

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::exec::operator::host_plan::reads_rows;
use crate::exec::scan::table_source::TableSource;
use crate::exec::state::work_estimate::{Kind, WorkEstimate};

/// Rows of a table of which nothing is known.
const UNKNOWN_ROWS: f64 = 1000.0;

/// Bytes of a row of files whose rows have not been counted.
const FILE_ROW_BYTES: f64 = 50.0;

/// Rows of a group.
const GROUP_ROWS: f64 = 8.0;

/// The host plan that a node of the plan has replaced: a device pipeline counts as much work as what it replaces.
pub type Replaced<'a> = &'a dyn Fn(&Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>>;

/// The work of a plan, its result included.
pub fn work_of(plan: &Arc<dyn ExecutionPlan>, replaced: Replaced<'_>) -> WorkEstimate {
    let mut walk = Walk { work: WorkEstimate::default(), replaced };
    let size = walk.add_plan(plan);
    walk.add(Kind::Output, size.rows * plan.schema().fields().len() as f64);
    walk.work
}

/// Adds up the work of a plan from its leaves up.
struct Walk<'a> {
    work: WorkEstimate,
    replaced: Replaced<'a>,
}

impl Walk<'_> {
    fn add(&mut self, kind: Kind, amount: f64) {
        self.work.add_amount(kind, amount);
    }

    fn add_plan(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Size {
        if let Some(host) = (self.replaced)(plan) {
            return self.add_plan(&host);
        }
        let inputs: Vec<Size> = plan.children().into_iter().map(|child| self.add_plan(child)).collect();
        let (first, second) = (inputs.first().copied(), inputs.get(1).copied());
        let Some(input) = first else { return self.add_leaf(plan) };
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            self.add(Kind::Operator, 1.0);
            self.add(Kind::Filter, input.rows * operations(filter.predicate()));
            return input.times(kept(filter.predicate()));
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            self.add(Kind::Operator, 1.0);
            let computed: f64 = projection.expr().iter().map(|e| operations(&e.expr)).sum();
            self.add(Kind::Project, input.rows * computed);
            return input;
        }
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            return if reads_rows(aggregate.mode()) { self.add_aggregate(aggregate, input) } else { input };
        }
        if let Some(sort) = plan.downcast_ref::<SortExec>() {
            self.add(Kind::Operator, 1.0);
            return match sort.fetch() {
                Some(fetch) => {
                    self.add(Kind::Filter, input.rows);
                    input.at_most(fetch)
                }
                None => {
                    self.add(Kind::Sort, input.rows * input.rows.max(2.0).log2());
                    input
                }
            };
        }
        if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>() {
            self.add(Kind::Operator, 1.0);
            return limit.fetch().map_or(input, |fetch| input.at_most(fetch));
        }
        if let Some(limit) = plan.downcast_ref::<LocalLimitExec>() {
            self.add(Kind::Operator, 1.0);
            return input.at_most(limit.fetch());
        }
        if plan.downcast_ref::<UnionExec>().is_some() {
            self.add(Kind::Operator, 1.0);
            return inputs.iter().skip(1).fold(input, |sum, size| Size::of(sum.rows + size.rows));
        }
        if let (Some(kind), Some(other)) = (join_of(plan), second) {
            return self.add_join(kind, input, other);
        }
        if plan.downcast_ref::<RepartitionExec>().is_none() && plan.children().len() == 1 && !moves_rows(plan) {
            // Windows, unnesting and the like.
            self.add(Kind::Operator, 1.0);
            self.add(Kind::Sort, input.rows * input.rows.max(2.0).log2());
        }
        input
    }

    fn add_aggregate(&mut self, aggregate: &AggregateExec, input: Size) -> Size {
        self.add(Kind::Operator, 1.0);
        let keys = aggregate.group_expr().expr().len();
        self.add(Kind::Group, input.rows * keys as f64);
        let inputs = aggregate
            .aggr_expr()
            .iter()
            .map(|function| 1.0 + function.expressions().iter().map(operations).sum::<f64>());
        self.add(Kind::Aggregate, input.rows * inputs.sum::<f64>());
        Size::of(if keys == 0 { 1.0 } else { input.rows / GROUP_ROWS })
    }

    fn add_join(&mut self, kind: JoinKind, left: Size, right: Size) -> Size {
        self.add(Kind::Operator, 1.0);
        let (small, large) = if left.rows <= right.rows { (left, right) } else { (right, left) };
        match kind {
            JoinKind::Pairs => {
                self.add(Kind::Build, small.rows);
                self.add(Kind::Probe, small.rows * large.rows);
                Size::of(small.rows * large.rows)
            }
            JoinKind::Keys(join_type) => {
                self.add(Kind::Build, small.rows);
                self.add(Kind::Probe, large.rows);
                // The keys of the smaller table are taken to be unique.
                let pairs = left.rows * right.rows / left.table.min(right.table).max(1.0);
                let rows = match join_type {
                    JoinType::Left => pairs.max(left.rows),
                    JoinType::Right => pairs.max(right.rows),
                    JoinType::Full => pairs.max(left.rows).max(right.rows),
                    JoinType::LeftSemi | JoinType::LeftAnti => left.rows / 2.0,
                    JoinType::RightSemi | JoinType::RightAnti => right.rows / 2.0,
                    JoinType::LeftMark => left.rows,
                    JoinType::RightMark => right.rows,
                    JoinType::Inner => pairs,
                };
                Size { rows: rows.max(1.0), table: left.table.max(right.table) }
            }
        }
    }

    fn add_leaf(&mut self, plan: &Arc<dyn ExecutionPlan>) -> Size {
        let source = TableSource::of(plan);
        let rows = match &source {
            Some(TableSource::Memory { rows, .. }) => Some(*rows as f64),
            _ => {
                let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
                statistics.ok().and_then(|known| known.num_rows.get_value().map(|rows| *rows as f64))
            }
        };
        let is_file = matches!(source, Some(TableSource::Files { .. }));
        let guess = source.as_ref().map_or(UNKNOWN_ROWS, |source| source.magnitude() as f64 / FILE_ROW_BYTES);
        let size = Size::of(rows.unwrap_or(guess));
        if is_file {
            self.add(Kind::Decode, size.rows * plan.schema().fields().len() as f64);
        }
        size
    }
}

/// Rows, and those of the table that they are of.
#[derive(Clone, Copy, Debug)]
struct Size {
    rows: f64,
    table: f64,
}

impl Size {
    fn of(rows: f64) -> Self {
        Self { rows: rows.max(1.0), table: rows.max(1.0) }
    }

    fn times(self, part: f64) -> Self {
        Self { rows: (self.rows * part).max(1.0), ..self }
    }

    fn at_most(self, rows: usize) -> Self {
        Self::of(self.rows.min(rows as f64))
    }
}

enum JoinKind {
    Keys(JoinType),
    /// Every row with every row.
    Pairs,
}

fn join_of(plan: &Arc<dyn ExecutionPlan>) -> Option<JoinKind> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(JoinKind::Keys(*join.join_type()));
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        return Some(JoinKind::Keys(join.join_type()));
    }
    let pairs = plan.downcast_ref::<NestedLoopJoinExec>().is_some() || plan.downcast_ref::<CrossJoinExec>().is_some();
    pairs.then_some(JoinKind::Pairs)
}

/// Operators of one input that cost nothing worth counting.
fn moves_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let name = plan.name();
    name.contains("Coalesce") || matches!(name, "CooperativeExec" | "SortPreservingMergeExec" | "OutputRequirementExec")
}

/// The part of the rows of which a condition is expected to be true.
fn kept(condition: &Arc<dyn PhysicalExpr>) -> f64 {
    let Some(binary) = condition.downcast_ref::<BinaryExpr>() else { return 0.25 };
    match binary.op() {
        Operator::And => kept(binary.left()) * kept(binary.right()),
        Operator::Or => (kept(binary.left()) + kept(binary.right())).min(1.0),
        Operator::Eq => 0.1,
        Operator::NotEq => 0.9,
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => 0.4,
        _ => 0.25,
    }
}

/// Operations of an expression; a column is none.
fn operations(expr: &Arc<dyn PhysicalExpr>) -> f64 {
    if expr.downcast_ref::<Column>().is_some() {
        return 0.0;
    }
    let below: f64 = expr.children().into_iter().map(operations).sum();
    if expr.children().is_empty() { 0.0 } else { 1.0 + below }
}
