//! The subqueries that stay for DataFusion's own rules, because these decorrelate them correctly:
//!
//! - scalar subqueries without outer values, which run once;
//! - EXISTS, NOT EXISTS and IN in filters, with outer values only in the WHERE of inner joins;
//! - NOT IN without outer values, of a value that is no constant;
//! - scalar aggregates that are NULL over nothing, with outer values only in equalities.
//!
//! None stays that has others inside of it, [`MOST_LEVELS`] deep: DataFusion checks each level twice as often as the one around it.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Exists, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::create_col_from_scalar_expr;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, ExprSchemable, JoinType, LogicalPlan, Operator, Subquery};

use crate::frontend::unnest::domain::is_correlated;
use crate::frontend::unnest::row;

/// How deeply subqueries that stay may nest.
const MOST_LEVELS: usize = 4;

/// Where a subquery is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In an expression that stays in a filter or a projection.
    Operator,
    /// In another operator, or in an expression that moves.
    Operand,
}

/// Whether an expression is a subquery.
pub fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_))
}

/// Whether a subquery within a larger expression stays.
pub fn is_kept(expr: &Expr, place: Place, input: &LogicalPlan) -> Result<bool> {
    if levels(expr)? > MOST_LEVELS {
        return Ok(false);
    }
    match expr {
        Expr::ScalarSubquery(subquery) => match place {
            Place::Operator => is_scalar_kept(subquery, input.schema()),
            Place::Operand => Ok(!is_correlated(&subquery.subquery)? && is_scalar_kept(subquery, input.schema())?),
        },
        _ => Ok(false),
    }
}

/// Whether all subqueries of a conjunct of a filter stay.
pub fn is_conjunct_kept(expr: &Expr, input: &LogicalPlan) -> Result<bool> {
    let schema = input.schema();
    if levels(expr)? > MOST_LEVELS {
        return Ok(false);
    }
    match expr {
        Expr::Exists(Exists { subquery, .. }) => is_exists_kept(subquery, schema),
        Expr::InSubquery(in_subquery) => is_in_kept(in_subquery, in_subquery.negated, schema),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::Exists(Exists { subquery, .. }) => is_exists_kept(subquery, schema),
            Expr::InSubquery(in_subquery) => is_in_kept(in_subquery, !in_subquery.negated, schema),
            _ => is_embedded_kept(expr, false, schema),
        },
        _ => is_embedded_kept(expr, true, schema),
    }
}

/// How deeply subqueries nest in an expression.
fn levels(expr: &Expr) -> Result<usize> {
    let mut deepest = 0;
    expr.apply(|expr| {
        let plan = match expr {
            Expr::Exists(Exists { subquery, .. })
            | Expr::InSubquery(InSubquery { subquery, .. })
            | Expr::SetComparison(SetComparison { subquery, .. })
            | Expr::ScalarSubquery(subquery) => &subquery.subquery,
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        let mut inside = 0;
        plan.apply(|node| {
            node.apply_expressions(|expr| {
                inside = inside.max(levels(expr)?);
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        deepest = deepest.max(1 + inside);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(deepest)
}

/// Whether all subqueries inside of an expression stay. NULL and false are the same where `positive`.
fn is_embedded_kept(expr: &Expr, positive: bool, schema: &DFSchema) -> Result<bool> {
    match expr {
        Expr::Exists(Exists { subquery, .. }) => is_exists_kept(subquery, schema),
        Expr::InSubquery(in_subquery) => {
            Ok(positive && !in_subquery.negated && is_in_kept(in_subquery, false, schema)?)
        }
        Expr::SetComparison(_) => Ok(false),
        Expr::ScalarSubquery(subquery) => is_scalar_kept(subquery, schema),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            Ok(is_embedded_kept(left, positive, schema)? && is_embedded_kept(right, positive, schema)?)
        }
        _ => {
            let mut kept = true;
            expr.apply_children(|child| {
                kept &= is_embedded_kept(child, false, schema)?;
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(kept)
        }
    }
}

fn is_exists_kept(subquery: &Subquery, schema: &DFSchema) -> Result<bool> {
    let plan = subquery.subquery.as_ref();
    if !is_correlated(plan)? {
        return Ok(true);
    }
    Ok(match unselected(plan) {
        Some(rows) => is_correlated_by_filters(rows, schema, &compares_rows)?,
        None => false,
    })
}

fn is_in_kept(in_subquery: &InSubquery, negated: bool, schema: &DFSchema) -> Result<bool> {
    let value = &in_subquery.expr;
    let plan = in_subquery.subquery.subquery.as_ref();
    if row::values(value).is_some()
        || !value.any_column_refs()
        || value.contains_outer()
        || value.exists(|e| Ok(is_subquery(e)))?
    {
        return Ok(false);
    }
    if !is_correlated(plan)? {
        // DataFusion finds the column by the name of the expression that it takes for the subquery's.
        let Some(head) = plan.head_output_expr()? else { return Ok(false) };
        let head = create_col_from_scalar_expr(&head, "subquery".to_string())?;
        let field = plan.schema().field(0);
        return Ok(head.name == *field.name() && value.get_type(schema)? == *field.data_type());
    }
    Ok(match unselected(plan) {
        Some(rows) if !negated => is_correlated_by_filters(rows, schema, &compares_rows)?,
        _ => false,
    })
}

fn is_scalar_kept(subquery: &Subquery, schema: &DFSchema) -> Result<bool> {
    let plan = subquery.subquery.as_ref();
    if !is_correlated(plan)? {
        // DataFusion takes the value to be non-nullable if its column is, whether there is a row or not.
        return Ok(plan.schema().field(0).is_nullable() || has_one_row(plan));
    }
    is_aggregate_kept(plan, schema)
}

/// Whether a plan has exactly one row, whatever the data.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Sort(sort) => sort.fetch != Some(0) && has_one_row(&sort.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// Whether a scalar subquery is NULL where its aggregates have no rows, and outer values are only compared with columns for equality.
fn is_aggregate_kept(plan: &LogicalPlan, schema: &DFSchema) -> Result<bool> {
    match plan {
        LogicalPlan::Projection(projection) => {
            Ok(projection.expr.iter().all(is_null_for_null) && is_aggregate_kept(&projection.input, schema)?)
        }
        LogicalPlan::SubqueryAlias(alias) => is_aggregate_kept(&alias.input, schema),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
            for (expr, field) in aggregate.aggr_expr.iter().zip(aggregate.schema.fields()) {
                let Expr::AggregateFunction(AggregateFunction { func, .. }) = expr.clone().unalias() else {
                    return Ok(false);
                };
                if expr.contains_outer() || !func.default_value(field.data_type())?.is_null() {
                    return Ok(false);
                }
            }
            is_correlated_by_filters(&aggregate.input, schema, &equals_column)
        }
        _ => Ok(false),
    }
}

/// Whether an expression over aggregates is NULL if one of these is, and reads one.
fn is_null_for_null(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_null_for_null(&alias.expr),
        Expr::Cast(cast) => is_null_for_null(&cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let known = |expr: &Expr| matches!(expr, Expr::Literal(..));
            matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide)
                && (is_null_for_null(left) || is_null_for_null(right))
                && (known(left) || is_null_for_null(left))
                && (known(right) || is_null_for_null(right))
        }
        _ => false,
    }
}

/// The rows of an EXISTS or IN below its SELECT list. `None` if the list reads outer values or has subqueries.
fn unselected(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let plain = |expr: &Expr| !expr.contains_outer() && !expr.exists(|e| Ok(is_subquery(e))).unwrap_or(true);
            projection.expr.iter().all(plain).then_some(&projection.input)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => unselected(input),
        _ => None,
    }
}

/// Whether outer values, all of one level, are read only in filters, below which are only inner joins, and in conjuncts that `is_kept`.
fn is_correlated_by_filters(
    plan: &LogicalPlan,
    schema: &DFSchema,
    is_kept: &dyn Fn(&Expr) -> Result<bool>,
) -> Result<bool> {
    if !is_correlated(plan)? {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            for conjunct in split_conjunction(&filter.predicate) {
                if conjunct.contains_outer() && !(is_of_level(conjunct, schema)? && is_kept(conjunct)?) {
                    return Ok(false);
                }
            }
            is_correlated_by_filters(&filter.input, schema, is_kept)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let plain = !join.filter.iter().any(Expr::contains_outer)
                && !join.on.iter().any(|(l, r)| l.contains_outer() || r.contains_outer());
            Ok(plain
                && is_correlated_by_filters(&join.left, schema, is_kept)?
                && is_correlated_by_filters(&join.right, schema, is_kept)?)
        }
        _ => Ok(false),
    }
}

fn is_of_level(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(!expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(_, column) if !schema.has_column(column))))?)
}

fn compares_rows(expr: &Expr) -> Result<bool> {
    Ok(expr.any_column_refs() && !expr.exists(|e| Ok(is_subquery(e)))?)
}

fn equals_column(expr: &Expr) -> Result<bool> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return Ok(false) };
    let is_column = |expr: &Expr| match expr {
        Expr::Column(_) => true,
        Expr::Cast(cast) => matches!(cast.expr.as_ref(), Expr::Column(_)),
        _ => false,
    };
    let plain = |expr: &Expr| -> Result<bool> { Ok(!expr.any_column_refs() && !expr.exists(|e| Ok(is_subquery(e)))?) };
    Ok(is_column(left) && plain(right)? || is_column(right) && plain(left)?)
}
