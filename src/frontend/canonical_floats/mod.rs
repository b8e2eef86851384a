//! `canonical_floats`: one NaN, which is equal to itself and larger than every number, and one zero, wherever floats are compared.
//!
//! DataFusion compares most floats so, but not all. Hash joins and IN lists test the bits of a value where they prune and look up, so
//! -0.0 is not found by 0.0; `CASE x WHEN 0.0` does as well; a NaN with a sign, which processors make of 0.0 / 0.0, is below all
//! numbers; grouped MIN and MAX skip NaN; and row groups of Parquet files are pruned by statistics that leave NaN out. This rule
//! wraps what is compared in [`CanonicalFloat`](function::CanonicalFloat), and MIN and MAX of floats in [`Extreme`](extreme::Extreme):
//!
//! ```text
//! x = y, x IN (y, ..), CASE x WHEN y     both sides canonical; join keys, group keys, sort keys, DISTINCT arguments, too
//! x > 2                                  canonical(x) > 2: no statistics tell whether there is NaN
//! x < 2                                  x < 2 AND canonical(x) < 2: statistics can prune by the first
//! ```
//!
//! It applies once, to the optimised plan, so that no other rule works on what it writes. The device compares canonical floats always.

pub mod extreme;
pub mod function;

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, Case, InList, Sort};
use datafusion::logical_expr::expr_rewriter::normalize_col;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, BinaryExpr, Expr, ExprSchemable, Join, LogicalPlan, Operator, WindowFunctionDefinition,
    binary_expr,
};

use crate::frontend::canonical_floats::extreme::extreme;
use crate::frontend::canonical_floats::function::{canonical_float, canonical_value, is_plain};
use crate::frontend::replace::rewrite_expressions;

/// Its name in `xla.frontend_rules`.
pub const NAME: &str = "canonical_floats";

/// The plan with canonical floats where they are compared.
///
/// # Errors
/// If a node cannot be made anew, which would be a fault of this rule.
pub fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(in_node).data()
}

fn in_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // What is pushed into a scan only prunes.
    if matches!(plan, LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let inside = rewrite_expressions(plan, |expr| expr.transform_up(|expr| in_expression(expr, &schema)))?;
    inside.transform_data(|plan| in_keys(plan, &schema))
}

/// The keys of joins, groups and sorts.
fn in_keys(plan: LogicalPlan, schema: &DFSchema) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(Join {
            on,
            left,
            right,
            filter,
            join_type,
            join_constraint,
            schema,
            null_equality,
            null_aware,
        }) => {
            let mut changed = false;
            // With qualifiers: joins find keys that are no columns by their names.
            let mut key = |expr: Expr, input: &LogicalPlan| {
                let canonical = canonical(expr, input.schema());
                changed |= canonical.transformed;
                if canonical.transformed { normalize_col(canonical.data, input) } else { Ok(canonical.data) }
            };
            let on = on.into_iter().map(|(l, r)| Ok((key(l, &left)?, key(r, &right)?))).collect::<Result<_>>()?;
            let join = Join { on, left, right, filter, join_type, join_constraint, schema, null_equality, null_aware };
            Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
        }
        LogicalPlan::Sort(mut sort) => {
            let changed = in_sort_keys(&mut sort.expr, schema);
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
        }
        LogicalPlan::Aggregate(Aggregate { input, group_expr, aggr_expr, schema: output, .. }) => {
            let mut changed = false;
            let group = group_expr.into_iter().map(|expr| {
                let (relation, name) = expr.qualified_name();
                let canonical = canonical(expr, schema);
                changed |= canonical.transformed;
                if canonical.transformed { canonical.data.alias_qualified(relation, name) } else { canonical.data }
            });
            let group = group.collect();
            let aggregate = Aggregate::try_new_with_schema(input, group, aggr_expr, output)?;
            Ok(Transformed::new_transformed(LogicalPlan::Aggregate(aggregate), changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn in_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(binary) if is_comparison(binary.op) && is_float(&binary.left, schema) => compare(binary),
        Expr::Between(between) if is_float(&between.expr, schema) => {
            let Between { expr, negated, low, high } = between;
            let part = |part: Box<Expr>| Box::new(of_float(*part));
            Transformed::yes(Expr::Between(Between::new(part(expr), negated, part(low), part(high))))
        }
        Expr::InList(InList { expr, list, negated }) if is_float(&expr, schema) => {
            let list = list.into_iter().map(of_float).collect();
            Transformed::yes(Expr::InList(InList::new(Box::new(of_float(*expr)), list, negated)))
        }
        Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr }) if is_float(&expr, schema) => {
            let whens = when_then_expr.into_iter().map(|(when, then)| (Box::new(of_float(*when)), then)).collect();
            Transformed::yes(Expr::Case(Case::new(Some(Box::new(of_float(*expr))), whens, else_expr)))
        }
        Expr::AggregateFunction(mut call) => {
            let mut changed = in_sort_keys(&mut call.params.order_by, schema);
            if let Some(extreme) = extreme_of_floats(&call.func, &call.params.args, schema) {
                call.func = extreme;
                changed = true;
            } else if call.params.distinct {
                for argument in &mut call.params.args {
                    changed |= make_canonical(argument, schema);
                }
            }
            Transformed::new_transformed(Expr::AggregateFunction(call), changed)
        }
        Expr::WindowFunction(mut call) => {
            let mut changed = in_sort_keys(&mut call.params.order_by, schema);
            for key in &mut call.params.partition_by {
                changed |= make_canonical(key, schema);
            }
            if let WindowFunctionDefinition::AggregateUDF(function) = &call.fun
                && let Some(extreme) = extreme_of_floats(function, &call.params.args, schema)
            {
                call.fun = WindowFunctionDefinition::AggregateUDF(extreme);
                changed = true;
            }
            Transformed::new_transformed(Expr::WindowFunction(call), changed)
        }
        other => Transformed::no(other),
    })
}

/// MIN or MAX in the place of DataFusion's, if the arguments are floats.
fn extreme_of_floats(function: &AggregateUDF, arguments: &[Expr], schema: &DFSchema) -> Option<Arc<AggregateUDF>> {
    extreme(function).filter(|_| arguments.iter().any(|argument| is_float(argument, schema)))
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_float(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type.is_floating())
}

/// A comparison of floats.
fn compare(binary: BinaryExpr) -> Transformed<Expr> {
    let BinaryExpr { left, op, right } = binary;
    let (x, op, y) = match (&*left, op.swap()) {
        (Expr::Literal(..), Some(swapped)) => (right, swapped, left),
        _ => (left, op, right),
    };
    let is_plain_literal = matches!(&*y, Expr::Literal(value, _) if is_plain(value));
    let (x, y) = (*x, of_float(*y));
    if is_plain_literal && op == Operator::Eq {
        // Only one value has these bits. As it was, so that statistics can prune by it.
        return Transformed::no(binary_expr(x, op, y));
    }
    let canonical = binary_expr(of_float(x.clone()), op, y.clone());
    let prunes =
        matches!(op, Operator::Lt | Operator::LtEq) && matches!((&x, &y), (Expr::Column(_), Expr::Literal(..)));
    Transformed::yes(if prunes { binary_expr(x, op, y).and(canonical) } else { canonical })
}

/// Makes a key canonical if it is a float. Returns whether it is changed.
fn make_canonical(key: &mut Expr, schema: &DFSchema) -> bool {
    let changed = is_float(key, schema) && !matches!(key, Expr::Literal(..));
    if changed {
        *key = canonical(key.clone(), schema).data;
    }
    changed
}

fn in_sort_keys(keys: &mut [Sort], schema: &DFSchema) -> bool {
    let mut changed = false;
    for key in keys {
        changed |= make_canonical(&mut key.expr, schema);
    }
    changed
}

/// The expression, canonical if it is a float.
fn canonical(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    if is_float(&expr, schema) && !matches!(expr, Expr::Literal(..)) {
        Transformed::yes(of_float(expr))
    } else {
        Transformed::no(expr)
    }
}

/// The canonical form of a float. Literals stay literals.
fn of_float(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(value, metadata) => Expr::Literal(canonical_value(value), metadata),
        Expr::Alias(alias) => of_float(*alias.expr),
        other => canonical_float().call(vec![other]),
    }
}
