//! LATERAL: a join whose right side reads columns of its left side.

use std::sync::Arc;

use datafusion::common::not_impl_err;
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Subquery, SubqueryAlias,
};

use crate::frontend::unnest::dependent::dependent_complete;
use crate::frontend::unnest::domain::{Domain, is_correlated};
use crate::frontend::unnest::names::{Names, columns, project};

/// The right side of a join without the mark that it is lateral. `None` if it is not.
fn unmarked(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    Ok(match plan {
        LogicalPlan::Subquery(Subquery { subquery, .. }) => Some(subquery.as_ref().clone()),
        LogicalPlan::SubqueryAlias(alias) => match unmarked(&alias.input)? {
            Some(input) => {
                Some(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?))
            }
            None => None,
        },
        _ => None,
    })
}

/// Rewrites a lateral join. Returns `None` if the join is none.
pub fn rewrite(join: &Join, names: &Names) -> Result<Option<LogicalPlan>> {
    let left = join.left.as_ref().clone();
    let right = match unmarked(&join.right)? {
        Some(right) => right,
        // DataFusion does not mark a side whose subqueries only read the other side. Where there is no query around the join, its
        // outer values are those of the left side.
        None if !names.is_within() && is_correlated(&join.right)? => join.right.as_ref().clone(),
        None => return Ok(None),
    };
    let domain = Domain::of(&right, &left, names)?;
    if domain.keys.is_empty() {
        return rebuilt(join, left, right).map(Some);
    }
    let right = dependent_complete(&right, &domain)?;
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return not_impl_err!("{} JOIN LATERAL; use a LEFT or INNER JOIN", join.join_type);
    }
    let on = domain.same(&domain.keys, &right.keys(), &right.nullable)?;
    let width = right.width;
    let rows = right.plan;
    let n_left = left.schema().fields().len();
    let mut conditions = on;
    // Equalities of the statement's own go into the condition, too.
    conditions.extend(join.on.iter().map(|(l, r)| l.clone().eq(r.clone())));
    let mut after: Vec<Expr> = Vec::new();
    match join.join_type {
        JoinType::Left => conditions.extend(join.filter.clone()),
        _ => after.extend(join.filter.clone()),
    }
    let mut plan = LogicalPlanBuilder::from(left).join_on(rows, join.join_type, conditions)?.build()?;
    if let Some(predicate) = conjunction(after) {
        plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
    }
    let exprs: Vec<Expr> = columns(&plan, n_left + width).collect();
    project(plan, exprs).map(Some)
}

fn rebuilt(join: &Join, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on.clone(),
        join.filter.clone(),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
    .map(LogicalPlan::Join)
}
