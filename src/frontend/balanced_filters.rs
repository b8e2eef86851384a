//! `BalancedFilters`: long conditions stay balanced trees while they are optimized (the rule `balanced_chains`).
//!
//! DataFusion takes the condition of a filter apart at AND, moves the terms, and joins them in a chain as deep as it is long. Rules
//! that compare the terms with each other then take time that grows with the square of their number, and so do physical
//! expressions, each of which asks for the type of all that is below it.

use std::mem;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::scalar::ScalarValue;

use crate::frontend::applies;
use crate::frontend::syntax::chains;

/// The rule.
#[derive(Debug)]
pub struct BalancedFilters;

impl OptimizerRule for BalancedFilters {
    fn name(&self) -> &str {
        "balanced_filters"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::TableScan(_))
            || !applies(chains::NAME, &config.options())
        {
            return Ok(Transformed::no(plan));
        }
        plan.map_expressions(|expr| {
            expr.transform_down(|expr| {
                let Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) = &expr else {
                    return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
                };
                let op = *op;
                Ok(balance(expr, op))
            })
        })
    }
}

/// Balances a chain that is deeper than a balanced tree is.
fn balance(mut expr: Expr, op: Operator) -> Transformed<Expr> {
    if !is_deep(&expr, op) {
        return Transformed::new(expr, false, TreeNodeRecursion::Jump);
    }
    let mut terms = Vec::new();
    let mut open = vec![mem::replace(&mut expr, nothing())];
    while let Some(term) = open.pop() {
        match term {
            Expr::BinaryExpr(BinaryExpr { left, op: inner, right }) if inner == op => open.extend([*right, *left]),
            term => terms.push(term),
        }
    }
    let pair = |left, right| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
    let balanced = chains::tree(terms, pair).unwrap_or_else(nothing);
    Transformed::new(balanced, true, TreeNodeRecursion::Jump)
}

/// Whether a chain has a term below more than [`chains::LONG`] of its operators.
fn is_deep(expr: &Expr, op: Operator) -> bool {
    let mut open = vec![(expr, 0)];
    while let Some((expr, depth)) = open.pop() {
        if depth > chains::LONG {
            return true;
        }
        if let Expr::BinaryExpr(BinaryExpr { left, op: inner, right }) = expr
            && *inner == op
        {
            open.extend([(right.as_ref(), depth + 1), (left.as_ref(), depth + 1)]);
        }
    }
    false
}

fn nothing() -> Expr {
    Expr::Literal(ScalarValue::Null, None)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{Operator, col, lit};

    use crate::frontend::balanced_filters::{balance, is_deep};

    #[test]
    fn deep_chains_become_shallow() {
        let terms: Vec<_> = (0..1000).map(|i| col("a").not_eq(lit(i))).collect();
        let chain = terms.into_iter().reduce(|l, r| l.and(r)).unwrap();
        let text = chain.to_string();
        let balanced = balance(chain, Operator::And);
        assert!(balanced.transformed && !is_deep(&balanced.data, Operator::And));
        assert_eq!(balanced.data.to_string(), text);
        assert!(!balance(balanced.data, Operator::And).transformed);
    }
}
