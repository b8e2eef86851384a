//! The walk over a plan, from its leaves up: subqueries inside of subqueries become joins first.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, Projection, Sort, Subquery, Window, WriteOp};

use crate::frontend::unnest::attach::Attach;
use crate::frontend::unnest::keep::{self, Place};
use crate::frontend::unnest::names::{Names, column, columns, named, project};
use crate::frontend::unnest::{join, lateral};

/// Whether a plan has subqueries or lateral joins.
pub fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let mut found = matches!(node, LogicalPlan::Subquery(_));
        node.apply_expressions(|expr| {
            found |= has_subquery(expr)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

pub fn has_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| Ok(keep::is_subquery(expr)))
}

/// Whether an expression has subqueries that do not stay.
fn is_rewritten(expr: &Expr, place: Place, input: &LogicalPlan) -> Result<bool> {
    expr.exists(|expr| Ok(keep::is_subquery(expr) && !keep::is_kept(expr, place, input)?))
}

fn any_rewritten<'a>(exprs: impl IntoIterator<Item = &'a Expr>, place: Place, input: &LogicalPlan) -> Result<bool> {
    for expr in exprs {
        if is_rewritten(expr, place, input)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The plan with joins instead of subqueries.
pub fn rewrite(plan: LogicalPlan, names: &Names) -> Result<LogicalPlan> {
    // Tables read the condition of a DELETE, UPDATE or MERGE from the plan as it is.
    if matches!(&plan, LogicalPlan::Dml(dml) if !matches!(dml.op, WriteOp::Insert(_) | WriteOp::Ctas)) {
        return Ok(plan);
    }
    let children = |plan: LogicalPlan| plan.map_children(|child| rewrite(child, names).map(Transformed::yes)).data();
    let plan =
        if matches!(plan, LogicalPlan::Subquery(_)) { names.within(|| children(plan))? } else { children(plan)? };
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= has_subquery(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let LogicalPlan::Join(join) = &plan
        && let Some(plan) = lateral::rewrite(join, names)?
    {
        return if found { rewrite_node(plan, names) } else { Ok(plan) };
    }
    if !found {
        return Ok(plan);
    }
    let plan = plan.map_expressions(|expr| expr.transform_up(|expr| inside(expr, names))).data()?;
    rewrite_node(plan, names)
}

/// Rewrites what is inside of a subquery.
fn inside(expr: Expr, names: &Names) -> Result<Transformed<Expr>> {
    let within = |subquery: &mut Subquery| -> Result<()> {
        let plan = names.within(|| rewrite(subquery.subquery.as_ref().clone(), names))?;
        subquery.outer_ref_columns = plan.all_out_ref_exprs();
        subquery.subquery = Arc::new(plan);
        Ok(())
    };
    let mut expr = expr;
    match &mut expr {
        Expr::Exists(exists) => within(&mut exists.subquery)?,
        Expr::InSubquery(in_subquery) => within(&mut in_subquery.subquery)?,
        Expr::SetComparison(comparison) => within(&mut comparison.subquery)?,
        Expr::ScalarSubquery(subquery) => within(subquery)?,
        _ => return Ok(Transformed::no(expr)),
    }
    Ok(Transformed::yes(expr))
}

fn rewrite_node(plan: LogicalPlan, names: &Names) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => rewrite_filter(filter, names),
        LogicalPlan::Projection(projection) => rewrite_projection(projection, names),
        LogicalPlan::Aggregate(aggregate) => rewrite_aggregate(aggregate, names),
        LogicalPlan::Sort(sort) => rewrite_sort(sort, names),
        LogicalPlan::Window(window) => rewrite_window(window, names),
        LogicalPlan::Join(join) => join::rewrite(join, names),
        other => Ok(other),
    }
}

pub fn rewrite_filter(filter: Filter, names: &Names) -> Result<LogicalPlan> {
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    for conjunct in split_conjunction(&filter.predicate) {
        let list = if keep::is_conjunct_kept(conjunct, &filter.input)? { &mut kept } else { &mut taken };
        list.push(conjunct.clone());
    }
    if taken.is_empty() {
        return Ok(LogicalPlan::Filter(filter));
    }
    let mut input = filter.input.as_ref().clone();
    let width = input.schema().fields().len();
    if let Some(predicate) = conjunction(kept) {
        input = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?);
    }
    let mut attach = Attach::new(input, names);
    let mut rest = Vec::new();
    for conjunct in taken {
        rest.extend(attach.conjunct(conjunct)?);
    }
    let mut plan = attach.plan;
    if let Some(predicate) = conjunction(rest) {
        plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
    }
    Attach::trimmed(plan, width)
}

fn rewrite_projection(projection: Projection, names: &Names) -> Result<LogicalPlan> {
    if !any_rewritten(&projection.expr, Place::Operator, &projection.input)? {
        return Ok(LogicalPlan::Projection(projection));
    }
    let mut attach = Attach::new(projection.input.as_ref().clone(), names);
    let mut exprs = Vec::new();
    for (i, expr) in projection.expr.into_iter().enumerate() {
        exprs.push(named(attach.expr(expr, Place::Operator)?, &projection.schema, i));
    }
    project(attach.plan, exprs)
}

fn rewrite_aggregate(aggregate: Aggregate, names: &Names) -> Result<LogicalPlan> {
    let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    if !any_rewritten(exprs, Place::Operand, &aggregate.input)? {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let mut attach = Attach::new(aggregate.input.as_ref().clone(), names);
    let mut replaced = |exprs: Vec<Expr>| -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| attach.expr(expr, Place::Operand)).collect()
    };
    let (group, aggr) = (replaced(aggregate.group_expr)?, replaced(aggregate.aggr_expr)?);
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(attach.plan), group, aggr)?);
    let width = aggregate.schema.fields().len();
    let exprs = (0..width).map(|i| named(column(&plan, i), &aggregate.schema, i)).collect();
    project(plan, exprs)
}

fn rewrite_window(window: Window, names: &Names) -> Result<LogicalPlan> {
    if !any_rewritten(&window.window_expr, Place::Operand, &window.input)? {
        return Ok(LogicalPlan::Window(window));
    }
    let mut attach = Attach::new(window.input.as_ref().clone(), names);
    let mut exprs = Vec::new();
    for expr in window.window_expr {
        exprs.push(attach.expr(expr.unalias(), Place::Operand)?);
    }
    let width = attach.width();
    let wide = attach.plan.schema().fields().len();
    let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(attach.plan))?);
    let mut exprs: Vec<Expr> = columns(&plan, width).collect();
    for i in width..window.schema.fields().len() {
        exprs.push(named(column(&plan, i - width + wide), &window.schema, i));
    }
    project(plan, exprs)
}

fn rewrite_sort(sort: Sort, names: &Names) -> Result<LogicalPlan> {
    if !any_rewritten(sort.expr.iter().map(|sort| &sort.expr), Place::Operand, &sort.input)? {
        return Ok(LogicalPlan::Sort(sort));
    }
    let width = sort.input.schema().fields().len();
    let input = with_outer_columns(sort.input.as_ref().clone(), &sort)?;
    let mut attach = Attach::new(input, names);
    let mut by = Vec::new();
    for sort in sort.expr {
        let expr = attach.expr(sort.expr.clone(), Place::Operand)?;
        by.push(sort.with_expr(expr));
    }
    let plan = LogicalPlan::Sort(Sort { expr: by, input: Arc::new(attach.plan), fetch: sort.fetch });
    Attach::trimmed(plan, width)
}

/// The input of a sort with the columns that its subqueries read and that a projection has dropped.
fn with_outer_columns(input: LogicalPlan, sort: &Sort) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = &input else { return Ok(input) };
    let mut missing: Vec<Column> = Vec::new();
    for sort in &sort.expr {
        sort.expr.apply(|expr| {
            let refs = match expr {
                Expr::Exists(exists) => &exists.subquery.outer_ref_columns,
                Expr::InSubquery(in_subquery) => &in_subquery.subquery.outer_ref_columns,
                Expr::SetComparison(comparison) => &comparison.subquery.outer_ref_columns,
                Expr::ScalarSubquery(subquery) => &subquery.outer_ref_columns,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            for outer in refs {
                if let Expr::OuterReferenceColumn(_, column) = outer
                    && !projection.schema.has_column(column)
                    && projection.input.schema().has_column(column)
                    && !missing.contains(column)
                {
                    missing.push(column.clone());
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if missing.is_empty() {
        return Ok(input);
    }
    let exprs = projection.expr.iter().cloned().chain(missing.into_iter().map(Expr::Column)).collect();
    project(projection.input.as_ref().clone(), exprs)
}
