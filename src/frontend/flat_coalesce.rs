//! `FlatCoalesce`: `coalesce(coalesce(a, b), c)` becomes `coalesce(a, b, c)` (the rule `balanced_chains`).
//!
//! DataFusion writes `coalesce(x, y)` as `CASE WHEN x IS NOT NULL THEN x ELSE y END`, with x twice: each level of calls in each other
//! doubles the expression, and 60 of them fill any memory.

use std::mem;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::replace::rewrite_expressions;
use crate::frontend::syntax::chains;
use crate::frontend::{applies, is_own_scalar};

/// The rule. It comes after DataFusion's coercion: what has one type needs no cast in between.
#[derive(Debug)]
pub struct FlatCoalesce;

impl AnalyzerRule for FlatCoalesce {
    fn name(&self) -> &str {
        "flat_coalesce"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(chains::NAME, config) {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(|plan| {
            rewrite_expressions(plan, |expr| expr.transform_up(|expr| Ok(flatten(expr))))
        })
        .data()
    }
}

fn flatten(mut expr: Expr) -> Transformed<Expr> {
    let Some(args) = arguments(&mut expr) else { return Transformed::no(expr) };
    if !args.iter_mut().any(|arg| arguments(arg).is_some()) {
        return Transformed::no(expr);
    }
    for mut arg in mem::take(args) {
        match arguments(&mut arg) {
            Some(inner) => args.append(inner),
            None => args.push(arg),
        }
    }
    Transformed::yes(expr)
}

/// The arguments of a call of COALESCE.
fn arguments(expr: &mut Expr) -> Option<&mut Vec<Expr>> {
    match expr {
        Expr::ScalarFunction(call) if call.name() == "coalesce" && is_own_scalar(&call.func) => Some(&mut call.args),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::functions::expr_fn::{abs, coalesce};
    use datafusion::logical_expr::{col, lit};

    use crate::frontend::flat_coalesce::flatten;

    #[test]
    fn calls_in_calls_become_one() {
        let inner = coalesce(vec![col("a"), col("b")]);
        let outer = coalesce(vec![col("c"), inner.clone(), lit(1), inner]);
        let flat = coalesce(vec![col("c"), col("a"), col("b"), lit(1), col("a"), col("b")]);
        assert_eq!(flatten(outer).data, flat);
        assert!(!flatten(flat).transformed);
        assert!(!flatten(abs(coalesce(vec![col("a")]))).transformed);
    }
}
