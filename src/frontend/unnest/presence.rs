//! EXISTS: whether a subquery has rows.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, FetchType, Filter, JoinType, Limit, LogicalPlan, SkipType, lit,
};

use crate::frontend::unnest::attach::Attach;
use crate::frontend::unnest::dependent::dependent_complete;
use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::keep;
use crate::frontend::unnest::names::{column, project};

/// What has become of an EXISTS.
pub enum Presence {
    /// The same for every outer row.
    Known(bool),
    /// A semi or anti join with the outer rows decides.
    Joined,
    /// A Boolean for each outer row.
    Value(Expr),
}

impl Attach<'_> {
    /// Decides whether `subquery` has rows, by a join of `join_type` (semi, anti or mark).
    pub fn presence(&mut self, subquery: &LogicalPlan, join_type: JoinType) -> Result<Presence> {
        let subquery = match stripped(subquery)? {
            Stripped::Known(found) => return Ok(Presence::Known(found)),
            Stripped::Rows(plan) => plan,
        };
        if !self.reads(subquery)? {
            return self.uncorrelated(subquery);
        }
        let (right, on) = match self.direct(subquery)? {
            Some(joined) => joined,
            None => {
                let source = self.source(subquery)?;
                let domain = Domain::of(subquery, &source, self.names)?;
                let rows = dependent_complete(subquery, &domain)?;
                let qualifier = self.names.qualifier();
                let exprs = rows.keys().into_iter().enumerate();
                let exprs =
                    exprs.map(|(i, key)| key.alias_qualified(Some(qualifier.clone()), format!("{qualifier}_k{i}")));
                let right = project(rows.plan.clone(), exprs.collect())?;
                let keys: Vec<Expr> = (0..domain.keys.len()).map(|i| column(&right, i)).collect();
                let on = domain.same(&domain.keys, &keys, &rows.nullable)?;
                (right, on)
            }
        };
        self.join(right, join_type, on)?;
        if join_type != JoinType::LeftMark {
            return Ok(Presence::Joined);
        }
        let mark = self.plan.schema().fields().len() - 1;
        Ok(Presence::Value(column(&self.plan, mark)))
    }

    /// EXISTS without outer values of the input: one count, of at most one row.
    fn uncorrelated(&mut self, subquery: &LogicalPlan) -> Result<Presence> {
        let one = Limit { skip: None, fetch: Some(Box::new(lit(1_i64))), input: Arc::new(subquery.clone()) };
        let counted = Aggregate::try_new(Arc::new(LogicalPlan::Limit(one)), vec![], vec![count(lit(1_i64))])?;
        let counted = LogicalPlan::Aggregate(counted);
        let qualifier = self.names.qualifier();
        let found =
            column(&counted, 0).gt(lit(0_i64)).alias_qualified(Some(qualifier.clone()), format!("{qualifier}_found"));
        let found = project(counted, vec![found])?;
        if let Some(value) = self.constant(found.clone())? {
            return Ok(Presence::Value(value));
        }
        self.join(found.clone(), JoinType::Inner, vec![])?;
        Ok(Presence::Value(column(&found, 0)))
    }

    /// The rows and the condition to join with if the outer values are read only in a filter at the top.
    fn direct(&self, subquery: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<Expr>)>> {
        let LogicalPlan::Filter(filter) = subquery else { return Ok(None) };
        if self.reads(&filter.input)? {
            return Ok(None);
        }
        let outer = self.plan.schema();
        let reads = |expr: &Expr| {
            expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(_, column) if outer.has_column(column))))
        };
        let (mut inner, mut on) = (Vec::new(), Vec::new());
        for conjunct in split_conjunction(&filter.predicate) {
            if !reads(conjunct)? {
                inner.push(conjunct.clone());
            } else if conjunct.exists(|e| Ok(keep::is_subquery(e)))? || conjunct.is_volatile() {
                return Ok(None);
            } else {
                on.push(conjunct.clone());
            }
        }
        let mut right = filter.input.as_ref().clone();
        if let Some(predicate) = conjunction(inner) {
            right = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(right))?);
        }
        let qualifier = self.names.qualifier();
        let mut used: Vec<Column> = Vec::new();
        let mut conditions = Vec::new();
        for condition in on {
            let condition = condition.transform_up(|expr| {
                Ok(match expr {
                    Expr::Column(column) => {
                        let place = used.iter().position(|u| *u == column).unwrap_or(used.len());
                        if place == used.len() {
                            used.push(column);
                        }
                        let name = format!("{qualifier}_c{place}");
                        Transformed::yes(Expr::Column(Column::new(Some(qualifier.clone()), name)))
                    }
                    Expr::OuterReferenceColumn(_, column) if outer.has_column(&column) => {
                        Transformed::yes(Expr::Column(column))
                    }
                    expr => Transformed::no(expr),
                })
            });
            conditions.push(condition.data()?);
        }
        if used.is_empty() {
            // The condition is about the outer row only.
            return Ok(None);
        }
        let exprs = used.into_iter().enumerate();
        let exprs =
            exprs.map(|(i, c)| Expr::Column(c).alias_qualified(Some(qualifier.clone()), format!("{qualifier}_c{i}")));
        Ok(Some((project(right, exprs.collect())?, conditions)))
    }
}

enum Stripped<'a> {
    Known(bool),
    Rows(&'a LogicalPlan),
}

/// The subquery without operators at its top that do not decide whether there are rows.
fn stripped(plan: &LogicalPlan) -> Result<Stripped<'_>> {
    match plan {
        LogicalPlan::Projection(projection) => stripped(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => stripped(&alias.input),
        LogicalPlan::Window(window) => stripped(&window.input),
        LogicalPlan::Distinct(Distinct::All(input)) => stripped(input),
        LogicalPlan::Distinct(Distinct::On(on)) => stripped(&on.input),
        LogicalPlan::Sort(sort) if sort.fetch != Some(0) => stripped(&sort.input),
        LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            (_, FetchType::Literal(Some(0))) => Ok(Stripped::Known(false)),
            (SkipType::Literal(0), FetchType::Literal(_)) => stripped(&limit.input),
            (SkipType::Literal(_), _) if matches!(stripped(&limit.input)?, Stripped::Known(_)) => {
                // At most one row, which is skipped.
                Ok(Stripped::Known(false))
            }
            _ => Ok(Stripped::Rows(plan)),
        },
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Ok(Stripped::Known(true)),
        LogicalPlan::Aggregate(aggregate) if !has_grouping_set(aggregate) => stripped(&aggregate.input),
        LogicalPlan::EmptyRelation(empty) => Ok(Stripped::Known(empty.produce_one_row)),
        LogicalPlan::Filter(filter) => match &filter.predicate {
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => stripped(&filter.input),
            _ => Ok(Stripped::Rows(plan)),
        },
        _ => Ok(Stripped::Rows(plan)),
    }
}

fn has_grouping_set(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)))
}
