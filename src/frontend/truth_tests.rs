//! `TruthTests`: `x IS TRUE` and the like are nullable for DataFusion's logical planner where they are for the physical one.
//!
//! `SELECT DISTINCT (a > 1) IS TRUE FROM t` fails with "Internal error: Physical input schema should be the same as the one converted
//! from logical input schema": DataFusion's physical planner makes `x IS NOT DISTINCT FROM true` of it, which it takes for nullable.
//! This rule does so in the logical plan, after the coercion of types.
//!
//! Found by the comparison with SQLite and DuckDB (`make fuzz-oracles`).

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::applies;
use crate::frontend::replace::rewrite_expressions;

/// The rule.
#[derive(Debug)]
pub struct TruthTests;

impl AnalyzerRule for TruthTests {
    fn name(&self) -> &str {
        "truth_tests"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(self.name(), config) {
            return Ok(plan);
        }
        let replaced = plan.transform_up_with_subqueries(|plan| {
            rewrite_expressions(plan, |expr| expr.transform_up(|expr| Ok(replace(expr))))
        })?;
        if !replaced.transformed {
            return Ok(replaced.data);
        }
        replaced.data.transform_up_with_subqueries(|plan| plan.recompute_schema().map(Transformed::yes)).data()
    }
}

fn replace(expr: Expr) -> Transformed<Expr> {
    let test = |expr: Expr, op, value| Transformed::yes(binary_expr(expr, op, lit(value)));
    match expr {
        Expr::IsTrue(expr) => test(*expr, Operator::IsNotDistinctFrom, true),
        Expr::IsNotTrue(expr) => test(*expr, Operator::IsDistinctFrom, true),
        Expr::IsFalse(expr) => test(*expr, Operator::IsNotDistinctFrom, false),
        Expr::IsNotFalse(expr) => test(*expr, Operator::IsDistinctFrom, false),
        Expr::IsUnknown(expr) => Transformed::yes(Expr::IsNull(expr)),
        Expr::IsNotUnknown(expr) => Transformed::yes(Expr::IsNotNull(expr)),
        other => Transformed::no(other),
    }
}
