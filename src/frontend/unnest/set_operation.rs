//! Joins and unions for every value of a domain. (INTERSECT and EXCEPT are joins.)

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, not_impl_err};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, JoinConstraint, JoinType, LogicalPlan, Union};

use crate::frontend::unnest::dependent::{Dependent, dependent_complete};
use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::names::{column, columns, named, project};

/// A side of a join: for all values of the domain, or the same for each.
enum Side {
    Dependent(Dependent),
    Same(LogicalPlan),
}

impl Side {
    fn plan(&self) -> &LogicalPlan {
        match self {
            Self::Dependent(rows) => &rows.plan,
            Self::Same(plan) => plan,
        }
    }
}

/// A join for every value.
pub fn join(join: &Join, domain: &Domain<'_>) -> Result<Dependent> {
    let (keeps_left, keeps_right) = match join.join_type {
        JoinType::Inner => (false, false),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
        JoinType::Full => (true, true),
    };
    if join.null_aware {
        return not_impl_err!("NOT IN without a correlation inside of a subquery that reads outer columns");
    }
    let reads_right = domain.is_read_by(&join.right)? || keeps_right;
    let reads_left = domain.is_read_by(&join.left)? || keeps_left || !reads_right;
    let side = |reads: bool, plan: &Arc<LogicalPlan>| -> Result<Side> {
        Ok(match reads {
            true => Side::Dependent(dependent_complete(plan, domain)?),
            false => Side::Same(plan.as_ref().clone()),
        })
    };
    let left = side(reads_left, &join.left)?;
    let right = side(reads_right, &join.right)?;
    let mut renamed = Vec::new();
    let right = match right {
        Side::Dependent(rows) if join.join_type == JoinType::LeftMark => {
            Side::Dependent(under_one_qualifier(rows, domain, &mut renamed)?)
        }
        right => right,
    };
    let condition = |expr: &Expr, keys: &[Expr]| -> Result<Expr> {
        let expr = expr.clone().transform_up(|expr| {
            Ok(match renamed.iter().find(|(old, _)| *old == expr) {
                Some((_, new)) => Transformed::yes(new.clone()),
                None => Transformed::no(expr),
            })
        });
        domain.replace(expr.data()?, keys)
    };
    let n_left = join.left.schema().fields().len();
    let n_right = join.right.schema().fields().len();

    // The outer values inside of the condition come from the side whose rows are all kept.
    let (keys, nullable) = match (&left, &right) {
        (_, Side::Dependent(rows)) if keeps_right && !keeps_left => (rows.keys(), rows.nullable.clone()),
        (Side::Dependent(rows), _) | (_, Side::Dependent(rows)) => (rows.keys(), rows.nullable.clone()),
        _ => (Vec::new(), Vec::new()),
    };
    let mut on = Vec::new();
    for (l, r) in &join.on {
        on.push((condition(l, &keys)?, condition(r, &keys)?));
    }
    let mut filter: Vec<Expr> = Vec::new();
    if let Some(expr) = &join.filter {
        filter.push(condition(expr, &keys)?);
    }
    if let (Side::Dependent(l), Side::Dependent(r)) = (&left, &right) {
        if join.null_equality == NullEquality::NullEqualsNull {
            on.extend(l.keys().into_iter().zip(r.keys()));
        } else {
            let both: Vec<bool> = l.nullable.iter().zip(&r.nullable).map(|(l, r)| *l && *r).collect();
            filter.extend(domain.same(&l.keys(), &r.keys(), &both)?);
        }
    }
    let full_keys = match (&left, &right) {
        (Side::Dependent(l), Side::Dependent(r)) if join.join_type == JoinType::Full => {
            Some(l.keys().into_iter().zip(r.keys()).map(|(l, r)| coalesce(vec![l, r])).collect::<Vec<_>>())
        }
        _ => None,
    };
    let wide_left = left.plan().schema().fields().len();
    let joined = Join::try_new(
        Arc::new(left.plan().clone()),
        Arc::new(right.plan().clone()),
        on,
        conjunction(filter),
        join.join_type,
        JoinConstraint::On,
        join.null_equality,
        false,
    )?;
    let joined = LogicalPlan::Join(joined);

    // Positions of the subquery's own columns among those of the join.
    let width = join.schema.fields().len();
    let places: Vec<usize> = match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            (0..n_left).chain(wide_left..wide_left + n_right).collect()
        }
        JoinType::LeftMark => (0..n_left).chain([wide_left]).collect(),
        JoinType::RightMark => (0..n_right).chain([right.plan().schema().fields().len()]).collect(),
        _ => (0..width).collect(),
    };
    let mut exprs: Vec<Expr> =
        places.into_iter().enumerate().map(|(i, place)| named(column(&joined, place), &join.schema, i)).collect();
    match full_keys {
        None => exprs.extend(keys),
        Some(keys) => {
            let qualifier = domain.names.qualifier();
            let name =
                |(i, key): (usize, Expr)| key.alias_qualified(Some(qualifier.clone()), format!("{qualifier}_k{i}"));
            exprs.extend(keys.into_iter().enumerate().map(name));
        }
    }
    Ok(Dependent { plan: project(joined, exprs)?, width, nullable, absent: None })
}

/// The rows with all columns under one new qualifier, which a mark join gives to its mark; else marks have the same name.
fn under_one_qualifier(rows: Dependent, domain: &Domain<'_>, renamed: &mut Vec<(Expr, Expr)>) -> Result<Dependent> {
    let qualifier = domain.names.qualifier();
    let n = rows.plan.schema().fields().len();
    let old: Vec<Expr> = columns(&rows.plan, n).collect();
    let name =
        |(i, expr): (usize, &Expr)| expr.clone().alias_qualified(Some(qualifier.clone()), format!("{qualifier}_c{i}"));
    let plan = project(rows.plan, old.iter().enumerate().map(name).collect())?;
    renamed.extend(old.into_iter().zip(columns(&plan, n)));
    Ok(Dependent { plan, ..rows })
}

/// A union for every value.
pub fn union(union: &Union, domain: &Domain<'_>) -> Result<Dependent> {
    let inputs = union.inputs.iter().map(|input| dependent_complete(input, domain)).collect::<Result<_>>()?;
    union_of(inputs, &union.schema, domain)
}

/// The rows of all `inputs`, which have the columns of `schema` and the keys.
pub fn union_of(inputs: Vec<Dependent>, schema: &DFSchema, domain: &Domain<'_>) -> Result<Dependent> {
    let width = schema.fields().len();
    let n_keys = domain.keys.len();
    let mut nullable = vec![false; n_keys];
    let qualifier = domain.names.qualifier();
    let mut plans = Vec::new();
    for input in inputs {
        for (nullable, input) in nullable.iter_mut().zip(&input.nullable) {
            *nullable |= input;
        }
        let mut exprs: Vec<Expr> = (0..width).map(|i| named(column(&input.plan, i), schema, i)).collect();
        for (i, key) in input.keys().into_iter().enumerate() {
            // Without a qualifier, as in the schema of a union: an input must keep its names if it is the only one with rows.
            exprs.push(key.alias(format!("{qualifier}_k{i}")));
        }
        plans.push(Arc::new(project(input.plan, exprs)?));
    }
    let plan = match plans.len() {
        1 => plans.remove(0).as_ref().clone(),
        _ => LogicalPlan::Union(Union::try_new(plans)?),
    };
    let mut exprs: Vec<Expr> = (0..width).map(|i| named(column(&plan, i), schema, i)).collect();
    exprs.extend((width..width + n_keys).map(|i| column(&plan, i)));
    Ok(Dependent { plan: project(plan, exprs)?, width, nullable, absent: None })
}
