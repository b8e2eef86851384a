//! The value of an expression without columns, before types have been coerced.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::scalar::ScalarValue;

/// Returns `None` if `expr` is not constant, is NULL, or has no value, which DataFusion reports.
pub fn constant(expr: &Expr) -> Option<ScalarValue> {
    let value = match expr {
        Expr::Literal(value, _) => value.clone(),
        _ if !is_constant(expr) => return None,
        _ => {
            let simplifier = ExprSimplifier::new(SimplifyContext::default());
            let coerced = simplifier.coerce(expr.clone(), &DFSchema::empty()).ok()?;
            match simplifier.simplify(coerced).ok()? {
                Expr::Literal(value, _) => value,
                _ => return None,
            }
        }
    };
    (!value.is_null()).then_some(value)
}

/// Whether an expression is made of literals, and functions and operators on them.
fn is_constant(expr: &Expr) -> bool {
    let other = expr.exists(|expr| {
        Ok(!matches!(
            expr,
            Expr::Alias(_)
                | Expr::Literal(..)
                | Expr::BinaryExpr(_)
                | Expr::Negative(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::ScalarFunction(_)
        ))
    });
    other.is_ok_and(|other| !other) && !expr.is_volatile()
}
