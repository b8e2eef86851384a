//! LIMIT and OFFSET for every value of a domain: rows are numbered within each value.

use std::sync::Arc;

use datafusion::common::not_impl_err;
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, FetchType, Filter, Limit, LogicalPlan, Projection, SkipType, SubqueryAlias, Window, lit,
};

use crate::frontend::unnest::dependent::{Dependent, dependent_complete};
use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::names::{column, project};

/// A LIMIT for every value. It moves below projections, to the sort that gives the order.
pub fn limit(limit: &Limit, domain: &Domain<'_>) -> Result<Dependent> {
    let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?) else {
        return not_impl_err!("a LIMIT that is no number in a subquery that reads outer columns");
    };
    match limit.input.as_ref() {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => limited(&sort.input, &sort.expr, skip, fetch, domain),
        LogicalPlan::Projection(projection) => {
            let below = Limit { input: Arc::clone(&projection.input), ..limit.clone() };
            let input = Arc::new(LogicalPlan::Limit(below));
            let schema = Arc::clone(&projection.schema);
            let plan = Projection::try_new_with_schema(projection.expr.clone(), input, schema)?;
            dependent_complete(&LogicalPlan::Projection(plan), domain)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let below = Limit { input: Arc::clone(&alias.input), ..limit.clone() };
            let plan = SubqueryAlias::try_new(Arc::new(LogicalPlan::Limit(below)), alias.alias.clone())?;
            dependent_complete(&LogicalPlan::SubqueryAlias(plan), domain)
        }
        input => limited(input, &[], skip, fetch, domain),
    }
}

/// The rows of each value from `skip`, at most `fetch`, in an order.
pub fn limited(
    input: &LogicalPlan,
    order: &[SortExpr],
    skip: usize,
    fetch: Option<usize>,
    domain: &Domain<'_>,
) -> Result<Dependent> {
    let input = dependent_complete(input, domain)?;
    let keys = input.keys();
    let mut by = Vec::new();
    for sort in order {
        by.push(sort.with_expr(domain.replace(sort.expr.clone(), &keys)?));
    }
    let mut number = row_number().partition_by(keys);
    if !by.is_empty() {
        number = number.order_by(by);
    }
    let number = number.build()?;
    let columns: Vec<Expr> = (0..input.plan.schema().fields().len()).map(|i| column(&input.plan, i)).collect();
    let plan = LogicalPlan::Window(Window::try_new(vec![number], Arc::new(input.plan))?);
    let number = column(&plan, columns.len());
    let mut predicate = number.clone().gt(lit(skip as u64));
    if let Some(fetch) = fetch {
        let last = number.lt_eq(lit(skip.saturating_add(fetch) as u64));
        predicate = if skip == 0 { last } else { predicate.and(last) };
    }
    let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
    Ok(Dependent { plan: project(plan, columns)?, width: input.width, nullable: input.nullable, absent: None })
}
