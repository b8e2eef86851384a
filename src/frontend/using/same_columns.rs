//! Columns of one name of which DataFusion may take one for another, written into the plan as it looks for them: as the keys of a
//! join with USING. The join keeps all rows of its left side, because none matches; it is removed before the plan is used.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, DFSchema, JoinConstraint, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::{EmptyRelation, Expr, Join, LogicalPlan};

/// Writes down that each pair of columns of `plan` has one name and may stand for the other.
pub fn mark(plan: LogicalPlan, pairs: Vec<(Column, Column)>) -> LogicalPlan {
    let nothing = EmptyRelation { produce_one_row: false, schema: Arc::new(DFSchema::empty()) };
    LogicalPlan::Join(Join {
        schema: Arc::clone(plan.schema()),
        left: Arc::new(plan),
        right: Arc::new(LogicalPlan::EmptyRelation(nothing)),
        on: pairs.into_iter().map(|(merged, column)| (Expr::Column(merged), Expr::Column(column))).collect(),
        filter: None,
        join_type: JoinType::LeftAnti,
        join_constraint: JoinConstraint::Using,
        null_equality: NullEquality::NullEqualsNothing,
        null_aware: false,
    })
}

/// Removes what [`mark`] has added.
///
/// # Errors
/// Those of the traversal.
pub fn remove(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) if is_mark(&join) => Ok(Transformed::yes(Arc::unwrap_or_clone(join.left))),
        node => Ok(Transformed::no(node)),
    })
    .data()
}

fn is_mark(join: &Join) -> bool {
    join.join_type == JoinType::LeftAnti
        && join.join_constraint == JoinConstraint::Using
        && matches!(join.right.as_ref(), LogicalPlan::EmptyRelation(right) if right.schema.fields().is_empty())
}
