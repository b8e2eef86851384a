//! Replaces calls of functions in a whole plan, and expressions in a node.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The plan with `replace` applied to each expression and its parts, those of subqueries, too. `replace` also gets the schema of
/// what the expression reads.
pub fn replace_calls(plan: LogicalPlan, replace: fn(Expr, &DFSchema) -> Transformed<Expr>) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        plan.map_expressions(|expr| expr.transform_up(|expr| Ok(replace(expr, &schema))))
    })
    .data()
}

/// The node with `rewrite` applied to each of its expressions, which keep their names.
pub fn rewrite_expressions(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(rewrite(expr)?.update_data(|expr| name.restore(expr)))
    })
}
