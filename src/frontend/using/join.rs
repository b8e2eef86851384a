//! Plans labelled joins: merged columns beside the columns of both sides.

use std::collections::HashSet;

use datafusion::common::{Column, TableReference, not_impl_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::expr_rewriter::{normalize_col, normalize_col_with_schemas_and_ambiguity_check};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins};

use crate::frontend::using::label::constraint;
use crate::frontend::using::{is_label, same_columns};

/// The end of the label of a column whose name is ambiguous.
const AMBIGUOUS: &str = ", ambiguous)";

/// Plans labelled joins.
#[derive(Debug)]
pub struct UsingJoins;

impl RelationPlanner for UsingJoins {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::NestedJoin { table_with_joins, alias: Some(alias) } if is_label(&alias.name.value) => {
                let plan = tables(*table_with_joins, &alias.name.value, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
            }
            // Outside of an alias there are the merged columns only.
            TableFactor::NestedJoin { table_with_joins, alias: Some(alias) }
                if table_with_joins.joins.is_empty() && is_labelled(&table_with_joins.relation) =>
            {
                let plan = without_merged(context.plan(table_with_joins.relation)?)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, Some(alias)))))
            }
            relation => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

fn is_labelled(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::NestedJoin { alias: Some(alias), .. } if is_label(&alias.name.value))
}

fn tables(tables: TableWithJoins, label: &str, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let mut left = context.plan(tables.relation)?;
    for join in tables.joins {
        let right = context.plan(join.relation)?;
        let (Some(join_type), Some(constraint)) = (join_type(&join.join_operator), constraint(&join.join_operator))
        else {
            return not_impl_err!("a join of this kind beside a join with USING");
        };
        left = match constraint.clone() {
            JoinConstraint::On(condition) => {
                let schema = left.schema().join(right.schema())?;
                let condition = context.sql_to_expr(condition, &schema)?;
                let mut same = left.using_columns()?;
                same.extend(right.using_columns()?);
                let condition = normalize_col_with_schemas_and_ambiguity_check(
                    condition,
                    &[&[left.schema().as_ref(), right.schema().as_ref()]],
                    &same,
                )?;
                LogicalPlanBuilder::from(left).join_on(right, join_type, Some(condition))?.build()?
            }
            JoinConstraint::None if matches!(join.join_operator, JoinOperator::CrossJoin(_)) => {
                LogicalPlanBuilder::from(left).cross_join(right)?.build()?
            }
            JoinConstraint::None => LogicalPlanBuilder::from(left).join_on(right, join_type, [])?.build()?,
            JoinConstraint::Using(columns) => {
                let keys = columns.into_iter().map(|name| key(name, context)).collect::<Result<_>>()?;
                merged(left, right, join_type, keys, label)?
            }
            JoinConstraint::Natural => {
                let keys = common_names(&left, &right);
                if !keys.is_empty() {
                    merged(left, right, join_type, keys, label)?
                } else if join_type == JoinType::Inner {
                    LogicalPlanBuilder::from(left).cross_join(right)?.build()?
                } else {
                    LogicalPlanBuilder::from(left).join_on(right, join_type, Some(lit(true)))?.build()?
                }
            }
        };
    }
    without_ambiguous(left, label)
}

/// Gives another label to merged columns beside which there are columns of their name that are not part of them: the name alone is
/// ambiguous.
fn without_ambiguous(plan: LogicalPlan, label: &str) -> Result<LogicalPlan> {
    let sets = plan.using_columns()?;
    let columns = plan.schema().columns();
    let are_same = |a: &Column, b: &Column| sets.iter().any(|set| set.contains(a) && set.contains(b));
    let is_ambiguous = |merged: &Column| {
        is_merged(merged)
            && merged.relation.as_ref().is_some_and(|relation| relation.table() == label)
            && columns.iter().any(|other| other.name == merged.name && other != merged && !are_same(merged, other))
    };
    if !columns.iter().any(is_ambiguous) {
        return Ok(plan);
    }
    let label = TableReference::bare(format!("{}{AMBIGUOUS}", label.trim_end_matches(')')));
    let mut pairs = Vec::new();
    let mut projected = Vec::new();
    for column in &columns {
        let value = Expr::Column(column.clone());
        if !is_ambiguous(column) {
            projected.push(value);
            continue;
        }
        let renamed = Column::new(Some(label.clone()), &column.name);
        let same =
            columns.iter().filter(|other| *other != column && other.name == column.name && are_same(column, other));
        pairs.extend(same.map(|other| (renamed.clone(), other.clone())));
        projected.push(Expr::Alias(Alias::new(value, Some(label.clone()), &column.name)));
    }
    let plan = LogicalPlanBuilder::from(plan).project(projected)?.build()?;
    Ok(same_columns::mark(plan, pairs))
}

fn join_type(operator: &JoinOperator) -> Option<JoinType> {
    Some(match operator {
        JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => JoinType::Inner,
        JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => JoinType::Left,
        JoinOperator::Right(_) | JoinOperator::RightOuter(_) => JoinType::Right,
        JoinOperator::FullOuter(_) => JoinType::Full,
        JoinOperator::LeftSemi(_) => JoinType::LeftSemi,
        JoinOperator::RightSemi(_) => JoinType::RightSemi,
        JoinOperator::LeftAnti(_) => JoinType::LeftAnti,
        JoinOperator::RightAnti(_) => JoinType::RightAnti,
        _ => return None,
    })
}

fn key(name: ObjectName, context: &dyn RelationPlannerContext) -> Result<String> {
    let ident = match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    };
    match ident {
        Some(ident) => Ok(context.normalize_ident(ident.clone())),
        None => plan_err!("USING takes the names of columns, without the name of a table, not {name}"),
    }
}

fn common_names(left: &LogicalPlan, right: &LogicalPlan) -> Vec<String> {
    let of_right: HashSet<&String> = right.schema().fields().iter().map(|field| field.name()).collect();
    let mut names: Vec<String> = Vec::new();
    for field in left.schema().fields() {
        if of_right.contains(field.name()) && !names.contains(field.name()) {
            names.push(field.name().clone());
        }
    }
    names
}

fn merged(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    keys: Vec<String>,
    label: &str,
) -> Result<LogicalPlan> {
    let column =
        |name: &String, side: &LogicalPlan| match normalize_col(Expr::Column(Column::new_unqualified(name)), side)? {
            Expr::Column(column) => Ok(column),
            other => plan_err!("USING takes the names of columns, not {other}"),
        };
    let of_left = keys.iter().map(|name| column(name, &left)).collect::<Result<Vec<_>>>()?;
    let of_right = keys.iter().map(|name| column(name, &right)).collect::<Result<Vec<_>>>()?;
    let joined =
        LogicalPlanBuilder::from(left).join(right, join_type, (of_left.clone(), of_right.clone()), None)?.build()?;
    let label = TableReference::bare(label);
    let merges: Vec<(Column, Expr)> = keys
        .iter()
        .zip(of_left.iter().zip(&of_right))
        .filter_map(|(name, (l, r))| {
            let (l, r) = (l.clone(), r.clone());
            let value = match join_type {
                JoinType::Inner | JoinType::Left => Expr::Column(l.clone()),
                JoinType::Right => Expr::Column(r),
                JoinType::Full => coalesce(vec![Expr::Column(l.clone()), Expr::Column(r)]),
                _ => return None,
            };
            Some((l, Expr::Alias(Alias::new(value, Some(label.clone()), name))))
        })
        .collect();
    if merges.is_empty() {
        return Ok(joined);
    }
    let mut columns = Vec::new();
    for column in joined.schema().columns() {
        columns.extend(merges.iter().filter(|(before, _)| *before == column).map(|(_, merged)| merged.clone()));
        // A column that was merged before is part of one that is merged now.
        let is_replaced = is_merged(&column) && (of_left.contains(&column) || of_right.contains(&column));
        if !is_replaced {
            columns.push(Expr::Column(column));
        }
    }
    let plan = LogicalPlanBuilder::from(joined).project(columns)?.build()?;
    let mut pairs = Vec::new();
    for column in plan.schema().columns() {
        if keys.contains(&column.name) && !is_merged(&column) {
            pairs.push((Column::new(Some(label.clone()), &column.name), column));
        }
    }
    Ok(same_columns::mark(plan, pairs))
}

fn is_merged(column: &Column) -> bool {
    column.relation.as_ref().is_some_and(|relation| is_label(relation.table()))
}

/// Leaves out the columns that have been merged.
fn without_merged(plan: LogicalPlan) -> Result<LogicalPlan> {
    let merged: HashSet<String> =
        plan.schema().columns().into_iter().filter(is_merged).map(|column| column.name).collect();
    let columns = plan.schema().columns().into_iter();
    let columns = columns.filter(|column| is_merged(column) || !merged.contains(&column.name)).map(Expr::Column);
    LogicalPlanBuilder::from(plan).project(columns.collect::<Vec<_>>())?.build()
}
