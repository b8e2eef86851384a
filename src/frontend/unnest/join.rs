//! Subqueries in the ON of a join. One that reads columns of a single side becomes a column of that side:
//!
//! ```text
//! a FULL JOIN b ON a.k = b.k AND EXISTS (.. b.v ..)    a FULL JOIN (b with a column m) ON a.k = b.k AND m
//! ```
//!
//! One that reads both sides is decided for the pairs that an inner join finds. The rows of an outer join that are in no pair come in
//! by UNION ALL; they are those that differ from all rows of pairs, for equal rows find the same partners.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{
    Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, Union, binary_expr, lit,
};

use crate::frontend::unnest::attach::Attach;
use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::keep::{Place, is_subquery};
use crate::frontend::unnest::names::{Names, column, columns, named, project};
use crate::frontend::unnest::rewrite::{has_subquery, rewrite_filter};

/// The join without subqueries in its condition.
pub fn rewrite(join: Join, names: &Names) -> Result<LogicalPlan> {
    let Some(filter) = join.filter.clone() else { return Ok(LogicalPlan::Join(join)) };
    if !has_subquery(&filter)? {
        return Ok(LogicalPlan::Join(join));
    }
    if join.join_type == JoinType::Inner {
        let width = join.schema.fields().len();
        let joined = LogicalPlan::Join(Join { filter: None, ..join });
        let plan = rewrite_filter(Filter::try_new(filter, Arc::new(joined))?, names)?;
        return Attach::trimmed(plan, width);
    }
    if reads_both(&filter, &join, names)? { by_pairs(&join, filter, names) } else { by_columns(join, filter, names) }
}

/// Whether one of the subqueries reads columns of both sides.
fn reads_both(filter: &Expr, join: &Join, names: &Names) -> Result<bool> {
    filter.exists(|expr| Ok(is_subquery(expr) && reads(expr, &join.left, names)? && reads(expr, &join.right, names)?))
}

/// Whether an expression reads columns of a plan, in its subqueries, too.
fn reads(expr: &Expr, side: &LogicalPlan, names: &Names) -> Result<bool> {
    let mut found = false;
    expr.apply(|expr| {
        found |= match expr {
            Expr::Column(column) => side.schema().has_column(column),
            _ => match subquery_of(expr) {
                Some(subquery) => Domain::of(&subquery.subquery, side, names)?.is_read_by(&subquery.subquery)?,
                None => false,
            },
        };
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. })
        | Expr::ScalarSubquery(subquery) => Some(subquery),
        _ => None,
    }
}

/// A side of a join with the values of subqueries as further columns.
struct Side<'a> {
    attach: Attach<'a>,
    values: Vec<Expr>,
    qualifier: String,
}

impl<'a> Side<'a> {
    fn new(plan: &LogicalPlan, names: &'a Names) -> Self {
        Self { attach: Attach::new(plan.clone(), names), values: Vec::new(), qualifier: names.qualifier() }
    }

    /// The column with the value of a subquery.
    fn value(&mut self, subquery: Expr) -> Result<Expr> {
        let name = format!("{}_v{}", self.qualifier, self.values.len());
        let value = self.attach.expr(subquery, Place::Operator)?;
        self.values.push(value.alias_qualified(Some(self.qualifier.clone()), name.clone()));
        Ok(Expr::Column(Column::new(Some(self.qualifier.clone()), name)))
    }

    fn plan(self) -> Result<LogicalPlan> {
        if self.values.is_empty() {
            return Ok(self.attach.plan);
        }
        let width = self.attach.width();
        let exprs = columns(&self.attach.plan, width).chain(self.values).collect();
        project(self.attach.plan, exprs)
    }
}

fn by_columns(join: Join, filter: Expr, names: &Names) -> Result<LogicalPlan> {
    let (mut left, mut right) = (Side::new(&join.left, names), Side::new(&join.right, names));
    let filter = filter.transform_down(|expr| {
        if !is_subquery(&expr) {
            return Ok(Transformed::no(expr));
        }
        let side = if reads(&expr, &join.right, names)? { &mut right } else { &mut left };
        Ok(Transformed::new(side.value(expr)?, true, TreeNodeRecursion::Jump))
    });
    let filter = filter.data()?;
    let (left, right) = (left.plan()?, right.plan()?);
    let (left_width, wide) = (join.left.schema().fields().len(), left.schema().fields().len());
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on,
        Some(filter),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let joined = LogicalPlan::Join(joined);
    let has_left = !matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark);
    let place = |i: usize| if has_left && i >= left_width { i - left_width + wide } else { i };
    let exprs = (0..join.schema.fields().len()).map(|i| named(column(&joined, place(i)), &join.schema, i)).collect();
    project(joined, exprs)
}

fn by_pairs(join: &Join, filter: Expr, names: &Names) -> Result<LogicalPlan> {
    let pairs = Join::try_new(
        Arc::clone(&join.left),
        Arc::clone(&join.right),
        join.on.clone(),
        None,
        JoinType::Inner,
        join.join_constraint,
        join.null_equality,
        false,
    )?;
    let pairs = rewrite_filter(Filter::try_new(filter, Arc::new(LogicalPlan::Join(pairs)))?, names)?;
    let left_width = join.left.schema().fields().len();
    let left = |join_type| among(&join.left, &pairs, 0, join_type, names);
    let right = |join_type| among(&join.right, &pairs, left_width, join_type, names);
    let qualifier = names.qualifier();
    let mut inputs = match join.join_type {
        JoinType::LeftSemi => return left(JoinType::LeftSemi),
        JoinType::LeftAnti => return left(JoinType::LeftAnti),
        JoinType::RightSemi => return right(JoinType::LeftSemi),
        JoinType::RightAnti => return right(JoinType::LeftAnti),
        JoinType::Left | JoinType::Right | JoinType::Full => vec![Arc::new(placed(&pairs, 0, join, &qualifier)?)],
        other => return not_impl_err!("a subquery that reads both tables in the ON of a {other} JOIN"),
    };
    if join.join_type != JoinType::Right {
        inputs.push(Arc::new(placed(&left(JoinType::LeftAnti)?, 0, join, &qualifier)?));
    }
    if join.join_type != JoinType::Left {
        inputs.push(Arc::new(placed(&right(JoinType::LeftAnti)?, left_width, join, &qualifier)?));
    }
    let union = LogicalPlan::Union(Union::try_new(inputs)?);
    let exprs = (0..join.schema.fields().len()).map(|i| named(column(&union, i), &join.schema, i)).collect();
    project(union, exprs)
}

/// The rows of a side that are in pairs, or those that are in none. The side's columns in the pairs begin with `first`.
fn among(
    side: &LogicalPlan,
    pairs: &LogicalPlan,
    first: usize,
    join_type: JoinType,
    names: &Names,
) -> Result<LogicalPlan> {
    let qualifier = names.qualifier();
    let width = side.schema().fields().len();
    let name = |i: usize| format!("{qualifier}_p{i}");
    let exprs = (0..width).map(|i| column(pairs, first + i).alias_qualified(Some(qualifier.clone()), name(i)));
    let exprs = exprs.collect();
    let paired = project(pairs.clone(), exprs)?;
    let same = |i: usize| binary_expr(column(side, i), Operator::IsNotDistinctFrom, column(&paired, i));
    let varies = |i: &usize| !side.schema().field(*i).data_type().is_null();
    let mut on: Vec<Expr> = (0..width).filter(varies).map(same).collect();
    if on.is_empty() {
        on.push(lit(true));
    }
    LogicalPlanBuilder::from(side.clone()).join_on(paired, join_type, on)?.build()
}

/// The columns of a join under other names, from a plan that has those from the `first` on; others are NULL.
fn placed(plan: &LogicalPlan, first: usize, join: &Join, qualifier: &str) -> Result<LogicalPlan> {
    let there = first..first + plan.schema().fields().len();
    let value = |(i, field): (usize, &FieldRef)| -> Result<Expr> {
        let value = match there.contains(&i) {
            true => column(plan, i - first),
            false => Expr::Literal(ScalarValue::try_from(field.data_type())?, None),
        };
        Ok(value.alias(format!("{qualifier}_c{i}")))
    };
    let exprs = join.schema.fields().iter().enumerate().map(value).collect::<Result<Vec<_>>>()?;
    project(plan.clone(), exprs)
}
