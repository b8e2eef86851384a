//! Runtime filters, sideways: where one input of a join has few rows, their keys go down into the other input before it is computed,
//! through projections, joins and GROUP BY, to the tables (DataFusion's dynamic filters, over device columns). Rows with other keys
//! would find no match above; so groups that nothing needs are not aggregated, and large build sides not built (Beeri and
//! Ramakrishnan, "On the power of magic", 1991; Ives and Taylor, "Sideways information passing for push-style query processing", 2008).
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
//! Only time depends on it: the join itself compares every key again.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_exec::DeviceExec;
use crate::exec::device_operator::{InputColumn, KeyFilter};
use crate::exec::run::engine::Engine;
use crate::exec::run::few_rows::with_few_rows;
use crate::exec::state::memory_mode::MemoryMode;
use crate::exec::strategy::{add_strategy, count};
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::ir::{DeviceExpr, Node};

/// An input is filtered if its tables have this many rows for each row of the other input.
const LEAST_RATIO: usize = 8;

/// Rows of tables below which nothing is gained.
pub const LEAST_ROWS: usize = 1 << 17;

/// The values that a column of an operator's output may have.
#[derive(Clone)]
pub struct RuntimeFilter {
    pub column: usize,
    keys: Arc<dyn KeyFilter>,
}

impl RuntimeFilter {
    /// The same filter of another column.
    pub fn on(&self, column: usize) -> Self {
        Self { column, keys: Arc::clone(&self.keys) }
    }

    /// The step that lets only these rows of `plan` through.
    pub fn step(&self, plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn Step> {
        let data_type = plan.schema().field(self.column).data_type().clone();
        Arc::clone(&self.keys).step(DeviceExpr { node: Node::Column(self.column), data_type })
    }
}

/// Whether input `target` of a join is large, its keys lead to something that is computed with all its rows, and the other input can
/// have few rows.
pub fn is_worth_filtering(engine: &Engine, node: &DeviceExec, target: usize) -> bool {
    let Some(source) = node.operator().runtime_filters() else { return false };
    let (plan, other) = (&node.inputs()[target], &node.inputs()[1 - target]);
    let leads =
        |(key, _): &(&DeviceExpr, &DeviceExpr)| matches!(key.node, Node::Column(column) if gains(engine, plan, column));
    let rows = rows_below(engine, plan);
    engine.mode == MemoryMode::Resident
        && rows >= LEAST_ROWS
        && (narrows(other) || rows_below(engine, other) <= rows / LEAST_RATIO)
        && source.filter_keys(target).iter().any(leads)
}

/// The filters that the keys of `source`, one input of a join, are for the other, `target`; none if it has many rows.
pub fn filters_for(
    engine: &Engine,
    node: &DeviceExec,
    target: usize,
    source: Relation,
) -> Result<(Relation, Vec<RuntimeFilter>)> {
    let Some(join) = node.operator().runtime_filters() else { return Ok((source, Vec::new())) };
    let plan = &node.inputs()[target];
    let target_rows = rows_below(engine, plan);
    let source = with_few_rows(engine, source, target_rows / LEAST_RATIO)?;
    let few = source.as_table().filter(|table| table.is_single()).map(|table| table.layout.rows);
    let Some(rows) = few.filter(|rows| rows * LEAST_RATIO <= target_rows) else { return Ok((source, Vec::new())) };
    let mut filters = Vec::new();
    for (of_target, of_source) in join.filter_keys(target) {
        let Node::Column(column) = of_target.node else { continue };
        if !gains(engine, plan, column) {
            continue;
        }
        if let Some(keys) = join.key_filter(engine, &source, of_source, target_rows)? {
            filters.push(RuntimeFilter { column, keys });
        }
    }
    if !filters.is_empty() {
        add_strategy(&node.metrics, "runtime filter");
        count(&node.metrics, "runtime_filter_rows", rows);
    }
    Ok((source, filters))
}

/// Whether something below lets rows fall away.
fn narrows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let here = DeviceExec::of(plan)
        .is_some_and(|node| matches!(node.operator().row_effect(), RowEffect::Narrows | RowEffect::Picks));
    here || plan.children().into_iter().any(narrows)
}

/// Whether fewer values of an output column mean that an operator below holds fewer rows.
fn gains(engine: &Engine, plan: &Arc<dyn ExecutionPlan>, column: usize) -> bool {
    let Some(node) = DeviceExec::of(plan) else { return false };
    let inputs = node.inputs();
    let sources = node.operator().sources_of(column, &node.widths());
    let held = node.operator().held_input();
    let is_held =
        |source: &InputColumn| held == Some(source.input) && rows_below(engine, &inputs[source.input]) >= LEAST_ROWS;
    sources.iter().any(is_held)
        || sources.into_iter().any(|InputColumn { input, column }| gains(engine, &inputs[input], column))
}

/// Rows of the tables below an operator.
fn rows_below(engine: &Engine, plan: &Arc<dyn ExecutionPlan>) -> usize {
    match engine.table_of(plan) {
        Some(table) => table.layout.rows,
        None => plan.children().into_iter().map(|child| rows_below(engine, child)).sum(),
    }
}
