//! `GuardedBranches`: an operand that a guard rules out raises no error.
//!
//! DataFusion evaluates both sides of AND and OR for all rows of a batch unless the left side decides (nearly) all of them, and
//! simplifies a boolean CASE to AND and OR. So `WHERE b <> 0 AND 10 / b > 4` divides by zero, depending on the other rows of the
//! batch. This rule writes the guard out, in a form that DataFusion does not simplify:
//!
//! ```text
//! a AND b              a AND CASE a WHEN false THEN false ELSE b END     where b can fail and a cannot
//! a OR b               a OR CASE a WHEN true THEN true ELSE b END
//! f(x) FILTER (a)      f(CASE WHEN a THEN x END) FILTER (a)              where x can fail
//! ```
//!
//! All operands of a chain that cannot fail guard those that can, wherever they stand: filters of several levels are merged in an
//! order that the query does not tell. A volatile operand guards nothing, since the guard is written twice. Where the guard is NULL
//! the operand is evaluated, since it decides between NULL and false.
//!
//! It applies once, to the optimised plan: filters have been moved to where they are evaluated.

mod fallible;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Case};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, binary_expr, lit};

use crate::frontend::guarded_branches::fallible::can_fail;
use crate::frontend::replace::rewrite_expressions;
use crate::frontend::{LONG_CHAIN, balanced};

/// Its name in `xla.frontend_rules`.
pub const NAME: &str = "guarded_branches";

/// The plan with the guards of its expressions written out.
///
/// # Errors
/// If a node cannot be made anew, which would be a fault of this rule.
pub fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        // What is pushed into a scan prunes files and row groups, and is not evaluated row by row.
        if matches!(plan, LogicalPlan::TableScan(_)) {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        rewrite_expressions(plan, |expr| guard(expr, &schema))
    })
    .data()
}

/// The expression with the guards of its parts written out.
fn guard(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| match expr {
        Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) => guard_chain(expr, op, schema),
        Expr::AggregateFunction(call) => guard_arguments(call, schema),
        other => Ok(Transformed::no(other)),
    })
}

/// A chain of ANDs or ORs: those that can fail follow those that cannot, guarded by them.
fn guard_chain(chain: Expr, op: Operator, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (mut safe, mut fallible) = (Vec::new(), Vec::new());
    for operand in operands(&chain, op) {
        // A guard is written twice, and random() would be two numbers.
        if operand.is_volatile() || can_fail(operand, schema) { fallible.push(operand) } else { safe.push(operand) }
    }
    if !fallible.iter().any(|operand| can_fail(operand, schema)) {
        return Ok(Transformed::no(chain));
    }
    let mut changed = false;
    let mut parts = Vec::new();
    for operand in safe.iter().chain(&fallible) {
        let guarded = guard((*operand).clone(), schema)?;
        changed |= guarded.transformed;
        parts.push(guarded.data);
    }
    let fallible = chain_of(parts.split_off(safe.len()), op);
    let guards = chain_of(parts, op);
    let guarded = match (guards, fallible) {
        (Some(guards), Some(fallible)) => {
            let decides = lit(op == Operator::Or);
            let when = (Box::new(decides.clone()), Box::new(decides));
            let guarded = Case::new(Some(Box::new(guards.clone())), vec![when], Some(Box::new(fallible)));
            changed = true;
            Some(binary_expr(guards, op, Expr::Case(guarded)))
        }
        (guards, fallible) => guards.or(fallible),
    };
    // The parts have been gone through.
    Ok(Transformed::new(guarded.unwrap_or(chain), changed, TreeNodeRecursion::Jump))
}

/// The operands as one chain, from left to right; a long one as a balanced tree.
fn chain_of(operands: Vec<Expr>, op: Operator) -> Option<Expr> {
    let pair = |left, right| binary_expr(left, op, right);
    if operands.len() < LONG_CHAIN { operands.into_iter().reduce(pair) } else { balanced(operands, pair) }
}

/// The operands of a chain, from left to right. A chain may have any length and lean to any side.
fn operands(chain: &Expr, op: Operator) -> Vec<&Expr> {
    let (mut operands, mut stack) = (Vec::new(), vec![chain]);
    while let Some(expr) = stack.pop() {
        match expr {
            Expr::BinaryExpr(binary) if binary.op == op => stack.extend([&*binary.right, &*binary.left]),
            operand => operands.push(operand),
        }
    }
    operands
}

/// The arguments of an aggregate, which only rows that pass its filter reach.
fn guard_arguments(mut call: AggregateFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut changed = false;
    if let Some(filter) = call.params.filter.as_ref().filter(|filter| !filter.is_volatile()) {
        for argument in call.params.args.iter_mut().filter(|argument| can_fail(argument, schema)) {
            let inner = std::mem::replace(argument, lit(true));
            let when = (filter.clone(), Box::new(inner));
            *argument = Expr::Case(Case::new(None, vec![when], None));
            changed = true;
        }
    }
    let call = Expr::AggregateFunction(call);
    Ok(if changed { Transformed::yes(call) } else { Transformed::no(call) })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::common::DFSchema;
    use datafusion::functions::expr_fn::random;
    use datafusion::logical_expr::{col, lit};

    use crate::frontend::guarded_branches::guard;

    #[test]
    fn volatile_operands_are_written_once() {
        let field = Field::new("b", DataType::Int64, true);
        let schema = DFSchema::from_unqualified_fields(vec![field].into(), HashMap::new()).unwrap();
        let quotient = || (lit(10i64) / col("b")).gt(lit(4i64));
        let unguarded = random().lt(lit(0.5)).and(quotient());
        assert_eq!(guard(unguarded.clone(), &schema).unwrap().data.to_string(), unguarded.to_string());
        let guarded = guard(col("b").not_eq(lit(0i64)).and(random().lt(lit(0.5))).and(quotient()), &schema).unwrap();
        let text = guarded.data.to_string();
        assert!(guarded.transformed && text.matches("random()").count() == 1, "{text}");
        assert!(text.contains("CASE b != Int64(0) WHEN Boolean(false)"), "{text}");
    }
}
