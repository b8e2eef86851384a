//! Scalar subqueries: the value of at most one row, NULL without a row.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, first_value, max};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, FetchType, JoinType, LogicalPlan, ScalarUDF, lit, when,
};

use crate::frontend::unnest::attach::Attach;
use crate::frontend::unnest::dependent::{dependent, or_absent};
use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::names::{column, project};
use crate::frontend::unnest::single_row::SingleRow;

impl Attach<'_> {
    /// The value of a subquery for each outer row.
    pub fn scalar(&mut self, subquery: &LogicalPlan) -> Result<Expr> {
        let source = self.source(subquery)?;
        let domain = Domain::of(subquery, &source, self.names)?;
        let rows = dependent(subquery, &domain)?;
        let qualifier = self.names.qualifier();
        let name = |expr: Expr, name: String| expr.alias_qualified(Some(qualifier.clone()), name);
        let key = |i: usize| format!("{qualifier}_k{i}");

        if at_most_one_row(subquery)? {
            let absent = rows.absent.as_ref().map(|values| values[0].clone());
            let mut exprs = vec![name(column(&rows.plan, 0), format!("{qualifier}_value"))];
            exprs.extend(rows.keys().into_iter().enumerate().map(|(i, expr)| name(expr, key(i))));
            if absent.is_some() {
                exprs.push(name(rows.marker(), format!("{qualifier}_found")));
            }
            let right = project(rows.plan.clone(), exprs)?;
            let keys: Vec<Expr> = (0..domain.keys.len()).map(|i| column(&right, 1 + i)).collect();
            let on = domain.same(&domain.keys, &keys, &rows.nullable)?;
            self.join(right.clone(), JoinType::Left, on)?;
            let value = column(&right, 0);
            return match absent {
                None => Ok(value),
                Some(absent) => {
                    let absent = domain.replace(absent, &domain.keys)?;
                    or_absent(value, absent, column(&right, 1 + keys.len()))
                }
            };
        }

        let rows = rows.complete(&domain)?;
        let value = column(&rows.plan, 0);
        let value = match value.get_type(rows.plan.schema())? {
            data_type if has_maximum(&data_type) => max(value),
            _ => first_value(value, vec![]),
        };
        let (keys, n_keys) = (rows.keys(), domain.keys.len());
        let group = Aggregate::try_new(Arc::new(rows.plan), keys, vec![value, count(lit(1_i64))])?;
        let group = LogicalPlan::Aggregate(group);
        let mut exprs: Vec<Expr> = (0..n_keys).map(|i| name(column(&group, i), key(i))).collect();
        exprs.push(name(column(&group, n_keys), format!("{qualifier}_value")));
        exprs.push(name(column(&group, n_keys + 1), format!("{qualifier}_rows")));
        let right = project(group, exprs)?;
        let keys: Vec<Expr> = (0..n_keys).map(|i| column(&right, i)).collect();
        let on = domain.same(&domain.keys, &keys, &rows.nullable)?;
        self.join(right.clone(), JoinType::Left, on)?;
        let single_row = ScalarUDF::new_from_impl(SingleRow::new());
        let found = single_row.call(vec![column(&right, n_keys + 1)]).eq(lit(1_i64));
        when(found, column(&right, n_keys)).end()
    }
}

/// Whether a subquery has one row at most for every outer row.
fn at_most_one_row(plan: &LogicalPlan) -> Result<bool> {
    Ok(match plan {
        LogicalPlan::Projection(projection) => at_most_one_row(&projection.input)?,
        LogicalPlan::SubqueryAlias(alias) => at_most_one_row(&alias.input)?,
        LogicalPlan::Filter(filter) => at_most_one_row(&filter.input)?,
        LogicalPlan::Distinct(Distinct::All(input)) => at_most_one_row(input)?,
        LogicalPlan::Window(window) => at_most_one_row(&window.input)?,
        LogicalPlan::Sort(sort) => sort.fetch.is_some_and(|fetch| fetch <= 1) || at_most_one_row(&sort.input)?,
        LogicalPlan::Limit(limit) => {
            matches!(limit.get_fetch_type()?, FetchType::Literal(Some(0 | 1))) || at_most_one_row(&limit.input)?
        }
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => at_most_one_row(&join.left)?,
            JoinType::Inner | JoinType::Left => at_most_one_row(&join.left)? && at_most_one_row(&join.right)?,
            _ => false,
        },
        _ => false,
    })
}

/// Whether `max` takes a type.
fn has_maximum(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_temporal() || data_type.is_string() || *data_type == DataType::Boolean
}
