//! Semi-join reduction, sideways: where one side of a join has few rows, their keys go down into the other side before it is
//! computed, through projections, joins and GROUP BY, to the tables. Rows with other keys would find no match above; so groups
//! that nobody asks for are not aggregated, and large build sides not built (Beeri and Ramakrishnan, "On the power of magic", 1991;
//! Ives and Taylor, "Sideways information passing for push-style query processing", 2008).
//!
//! ```text
//!        join on p = l                           join on p = l
//!       /            \                          /            \
//!  few rows   aggregate by l        ─▶     few rows ─┐  aggregate by l
//!                     |                              │         |
//!                  lineitem                          └▶ keys of l among these
//!                                                              |
//!                                                           lineitem
//! ```
//!
//! The keys are marks in an array of slots, one array for each key column; only columns whose range has room enough for
//! the marks to say something are used. Nothing depends on it but time: the join itself looks at every key again.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_node::DeviceNode;
use crate::exec::engine::Engine;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::exec::join::{JoinKind, JoinSpec, XlaJoinExec};
use crate::exec::join_build::Built;
use crate::exec::join_keys::KeyForm;
use crate::exec::join_probe::Probe;
use crate::exec::memory_mode::MemoryMode;
use crate::exec::relation::{Relation, Step};
use crate::exec::trace::Trace;
use crate::expr::ir::{DeviceExpr, Node};
use crate::program::ElementType::S32;

/// A side is reduced if its tables have this many rows for each row of the other side.
const LEAST_RATIO: usize = 8;

/// Rows of tables below which nothing is gained.
const LEAST_ROWS: usize = 1 << 17;

/// Marks in one of this many slots, or fewer, let few rows through.
const SLOTS_A_MARK: usize = 4;

/// Slots whose marks are counted, because several rows may have the same key.
const COUNTED_SLOTS: usize = 1 << 20;

/// What follows a reduction, in gathers: it is only made where much does.
const WEIGHT_BELOW: usize = 6;

/// The values that a column of an operator's output may have.
#[derive(Clone)]
pub struct Reduction {
    column: usize,
    keys: Arc<Built>,
}

impl Reduction {
    /// The step that lets only these rows of `plan` through.
    fn step(&self, plan: &Arc<dyn ExecutionPlan>) -> Step {
        let data_type = plan.schema().field(self.column).data_type().clone();
        let key = DeviceExpr { node: Node::Column(self.column), data_type };
        Step::Probe(Arc::new(Probe::of_keys(vec![key], Arc::clone(&self.keys))))
    }
}

/// The columns of the inputs of `plan`, as (input, column), of which the rows of an output can be told by `column`: a row of the
/// input with another value makes no row that has the value asked for, and changes none.
fn below(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Vec<(usize, usize)> {
    let of_expr = |expr: &DeviceExpr| match expr.node {
        Node::Column(column) => vec![(0, column)],
        _ => Vec::new(),
    };
    match DeviceNode::of(plan) {
        Some(DeviceNode::Filter(filter)) => {
            let width = plan.children()[0].schema().fields().len();
            vec![(0, filter.project((0..width).collect())[column])]
        }
        Some(DeviceNode::Projection(projection)) => of_expr(&projection.exprs[column]),
        Some(DeviceNode::Sort(sort)) if sort.rows_kept().is_none() => vec![(0, column)],
        Some(DeviceNode::Aggregate(aggregate)) => aggregate.plain_keys().get(column).map_or_else(Vec::new, of_expr),
        Some(DeviceNode::Join(join)) => below_join(join, column),
        _ => Vec::new(),
    }
}

fn below_join(join: &XlaJoinExec, column: usize) -> Vec<(usize, usize)> {
    use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    let width = |plan: &Arc<dyn ExecutionPlan>| (0..plan.schema().fields().len()).map(Some);
    let of_left = width(&join.left).map(|c| c.map(|c| (true, c)));
    let of_right = width(&join.right).map(|c| c.map(|c| (false, c)));
    let columns: Vec<Option<(bool, usize)>> = match join.spec.join_type {
        LeftSemi | LeftAnti => of_left.collect(),
        RightSemi | RightAnti => of_right.collect(),
        LeftMark => of_left.chain([None]).collect(),
        RightMark => of_right.chain([None]).collect(),
        _ => of_left.chain(of_right).collect(),
    };
    let Some((is_left, column)) = join.spec.project(columns)[column] else { return Vec::new() };
    // A row of the other side that loses its match must not appear for that.
    let may_fall_away = match join.spec.join_type {
        Inner => true,
        Left | LeftSemi | LeftAnti | LeftMark => is_left,
        Right | RightSemi | RightAnti | RightMark => !is_left,
        JoinType::Full => false,
    };
    if !may_fall_away || join.spec.null_aware {
        return Vec::new();
    }
    let mut found = vec![(usize::from(!is_left), column)];
    for (left, right) in &join.spec.keys {
        let (own, other) = if is_left { (left, right) } else { (right, left) };
        if let (Node::Column(own), Node::Column(other)) = (&own.node, &other.node)
            && *own == column
        {
            found.push((usize::from(is_left), *other));
        }
    }
    found
}

/// Whether something below lets rows fall away.
fn narrows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let here = match DeviceNode::of(plan) {
        Some(DeviceNode::Filter(_) | DeviceNode::Limit(_)) => true,
        Some(DeviceNode::Sort(sort)) => sort.rows_kept().is_some(),
        _ => false,
    };
    here || plan.children().into_iter().any(narrows)
}

impl JoinSpec {
    /// Whether rows of a side without a match leave no trace in the output.
    fn drops_unmatched(&self, left: bool) -> bool {
        use JoinType::{Full, Left, LeftAnti, LeftMark, Right, RightAnti, RightMark};
        if self.keys.is_empty() || self.null_aware || self.null_equals_null {
            return false;
        }
        match self.join_type {
            Left | LeftAnti | LeftMark => !left,
            Right | RightAnti | RightMark => left,
            Full => false,
            _ => true,
        }
    }
}

impl Engine {
    /// The inputs of a join, the side that is built first, each without rows that the `reductions` of the left and of the right
    /// exclude, or the other side's keys.
    pub fn open_sides(
        &self,
        join: &XlaJoinExec,
        of_left: &[Reduction],
        of_right: &[Reduction],
    ) -> Result<(Relation, Relation)> {
        let (build_plan, probe_plan) = join.sides();
        let (_, probe_is_left) = join.spec.kind();
        let (of_build, of_probe) = if probe_is_left { (of_right, of_left) } else { (of_left, of_right) };
        if self.is_worth_reducing(join, build_plan, probe_plan, !probe_is_left) {
            let probe = self.open_reduced(probe_plan, of_probe)?;
            let (probe, mut reductions) = self.reductions(join, probe, build_plan, !probe_is_left)?;
            reductions.extend_from_slice(of_build);
            return Ok((self.open_reduced(build_plan, &reductions)?, probe));
        }
        let mut build = self.open_reduced(build_plan, of_build)?;
        let mut reductions = Vec::new();
        if self.is_worth_reducing(join, probe_plan, build_plan, probe_is_left) {
            (build, reductions) = self.reductions(join, build, probe_plan, probe_is_left)?;
        }
        reductions.extend_from_slice(of_probe);
        Ok((build, self.open_reduced(probe_plan, &reductions)?))
    }

    /// Whether the input `plan` of a join is large, its keys lead to something that is computed with all its rows, and the other
    /// input can have few rows.
    fn is_worth_reducing(
        &self,
        join: &XlaJoinExec,
        plan: &Arc<dyn ExecutionPlan>,
        other: &Arc<dyn ExecutionPlan>,
        is_left: bool,
    ) -> bool {
        let leads = |key: &&DeviceExpr| matches!(key.node, Node::Column(column) if self.gains(plan, column));
        let rows = self.rows_below(plan);
        self.mode == MemoryMode::Resident
            && join.spec.drops_unmatched(is_left)
            && rows >= LEAST_ROWS
            && (narrows(other) || self.rows_below(other) <= rows / LEAST_RATIO)
            && join.spec.side_keys(is_left).iter().any(leads)
    }

    /// Whether fewer values of an output column mean that less is aggregated or built.
    fn gains(&self, plan: &Arc<dyn ExecutionPlan>, column: usize) -> bool {
        let children = plan.children();
        let below = below(plan, column);
        let here = match DeviceNode::of(plan) {
            Some(DeviceNode::Aggregate(_)) => !below.is_empty(),
            Some(DeviceNode::Join(join)) => {
                let (_, probe_is_left) = join.spec.kind();
                let built = usize::from(probe_is_left);
                below.iter().any(|(input, _)| *input == built && self.rows_below(children[built]) >= LEAST_ROWS)
            }
            _ => false,
        };
        here || below.into_iter().any(|(input, column)| self.gains(children[input], column))
    }

    /// Rows of the tables below an operator.
    fn rows_below(&self, plan: &Arc<dyn ExecutionPlan>) -> usize {
        if plan.downcast_ref::<HostToDeviceExec>().is_some() {
            return self.table_of(plan).map_or(0, |table| table.layout.rows);
        }
        plan.children().into_iter().map(|child| self.rows_below(child)).sum()
    }

    /// What the keys of `source`, a side of a join, exclude of the other side, `target`; nothing if there are many of them.
    fn reductions(
        &self,
        join: &XlaJoinExec,
        source: Relation,
        target: &Arc<dyn ExecutionPlan>,
        target_is_left: bool,
    ) -> Result<(Relation, Vec<Reduction>)> {
        let target_rows = self.rows_below(target);
        let source = self.with_few_rows(source, target_rows / LEAST_RATIO)?;
        let Some(table) = source.as_table().filter(|table| table.is_single()) else { return Ok((source, Vec::new())) };
        let rows = table.layout.rows;
        let mut reductions = Vec::new();
        if rows * LEAST_RATIO > target_rows {
            return Ok((source, reductions));
        }
        for (left, right) in &join.spec.keys {
            let (of_target, of_source) = if target_is_left { (left, right) } else { (right, left) };
            let Node::Column(column) = of_target.node else { continue };
            if !self.gains(target, column) {
                continue;
            }
            if let Some(keys) = self.telling_marks(&source, of_source, target_rows, rows)? {
                reductions.push(Reduction { column, keys: Arc::new(keys) });
            }
        }
        if !reductions.is_empty() {
            self.chose(&join.metrics, format!("{rows} rows of one side reduced the other"));
        }
        Ok((source, reductions))
    }

    /// Collects a relation that has no more than `most` rows, as far as a sample can tell.
    pub fn with_few_rows(&self, relation: Relation, most: usize) -> Result<Relation> {
        let is_single = relation.is_single();
        if !is_single && self.estimated_rows(&relation)? > most {
            return Ok(relation);
        }
        let table = self.collect(&relation, None)?;
        if !is_single && table.layout.rows > most {
            self.mistrust_sample(&relation)?;
        }
        Ok(Relation::on(table))
    }

    /// Lets through only rows of the probe side with those values of single key columns that the build side has, before all keys
    /// are hashed.
    pub fn without_strangers(&self, join: &XlaJoinExec, built: &Built, probe: Relation) -> Result<Relation> {
        let (kind, probe_is_left) = join.spec.kind();
        let rows = probe.source_rows();
        let drops = matches!(kind, JoinKind::Inner | JoinKind::Semi) && !join.spec.null_equals_null;
        let is_hashed = !matches!(built.keys.form, KeyForm::Dense { .. }) && join.spec.keys.len() > 1;
        if self.mode != MemoryMode::Resident
            || !drops
            || !is_hashed
            || rows < LEAST_ROWS
            || built.rows() > rows
            || probe.steps.iter().any(Step::needs_all_rows)
        {
            return Ok(probe);
        }
        let source = Relation::on(Arc::clone(&built.table));
        let mut probe = probe;
        for (left, right) in &join.spec.keys {
            let (of_probe, of_build) = if probe_is_left { (left, right) } else { (right, left) };
            if let Some(marks) = self.telling_marks(&source, of_build, rows, built.rows())? {
                probe = probe.with(Step::Probe(Arc::new(Probe::of_keys(vec![of_probe.clone()], Arc::new(marks)))));
            }
        }
        Ok(probe)
    }

    /// The marks of one key of `source`, which has `rows` rows, if few of those that could be are there.
    fn telling_marks(&self, source: &Relation, key: &DeviceExpr, probes: usize, rows: usize) -> Result<Option<Built>> {
        let Some(marks) = self.mark_keys(source, &[key], probes, false)? else { return Ok(None) };
        let KeyForm::Dense { slots } = marks.keys.form else { return Ok(None) };
        let is_telling =
            slots >= SLOTS_A_MARK * rows || slots <= COUNTED_SLOTS && SLOTS_A_MARK * self.count_marks(&marks)? <= slots;
        Ok(is_telling.then_some(marks))
    }

    fn count_marks(&self, marks: &Built) -> Result<usize> {
        let Some(hits) = marks.hits() else { return Ok(usize::MAX) };
        let mut trace = Trace::new("count_marks", &self.options, 1, self.lowering());
        let hits = trace.side(hits);
        let hits = trace.t.builder.convert(hits, S32)?;
        let count = trace.t.sum(hits)?;
        let buffers = self.run_once(&trace.finish(&[count], &[])?)?;
        Ok(buffers[0].to_vec::<i64>()?[0] as usize)
    }

    /// The rows of `plan` that `reductions` of its output leave.
    pub fn open_reduced(&self, plan: &Arc<dyn ExecutionPlan>, reductions: &[Reduction]) -> Result<Relation> {
        let mut inputs = vec![Vec::new(); plan.children().len()];
        let mut here = Vec::new();
        for reduction in reductions {
            let places = below(plan, reduction.column);
            if places.is_empty() {
                here.push(reduction.step(plan));
            }
            for (input, column) in places {
                inputs[input].push(Reduction { column, keys: Arc::clone(&reduction.keys) });
            }
        }
        let is_reduced = !here.is_empty();
        let relation = here.into_iter().fold(self.open_with(plan, &inputs)?, Relation::with);
        if is_reduced { self.select(relation, WEIGHT_BELOW) } else { Ok(relation) }
    }
}
