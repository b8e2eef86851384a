//! Rewrites the arithmetic of an expression by the types of its operands, in time that is linear in the expression: asking each
//! operator of a chain for its type takes time that grows with the square of its length.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

/// An arithmetic operator, with the types of its operands.
pub enum Arithmetic<'a> {
    Binary(Operator, &'a DataType, &'a DataType),
    Negative(&'a DataType),
}

/// Applies `rewrite` to each `+ - * / %` and negation of an expression, from the leaves up. What it returns must have the type of the
/// operator.
pub fn rewrite_arithmetic(
    expr: Expr,
    schema: &DFSchema,
    rewrite: impl Fn(Expr, Arithmetic) -> Transformed<Expr>,
) -> Result<Transformed<Expr>> {
    expr.rewrite(&mut Rewriter { schema, rewrite, types: Vec::new(), open: Vec::new() })
}

struct Rewriter<'a, F> {
    schema: &'a DFSchema,
    rewrite: F,
    /// The types of the operands before the current node whose parent is still to come; `None` if they are not known yet.
    types: Vec<Option<DataType>>,
    /// For each node around the current one, how many types there were before it.
    open: Vec<usize>,
}

impl<F: Fn(Expr, Arithmetic) -> Transformed<Expr>> TreeNodeRewriter for Rewriter<'_, F> {
    type Node = Expr;

    fn f_down(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        self.open.push(self.types.len());
        Ok(Transformed::no(expr))
    }

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let before = self.open.pop().unwrap_or(0);
        let mut operands = self.types.drain(before.min(self.types.len())..).collect::<Vec<_>>().into_iter();
        let mut type_of = |operand: &Expr| match operands.next().flatten() {
            Some(known) => Ok(known),
            None => operand.get_type(self.schema),
        };
        let (result, rewritten) = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(*op) => {
                let (left, right) = (type_of(left)?, type_of(right)?);
                let op = *op;
                let result = BinaryTypeCoercer::new(&left, &op, &right).get_result_type()?;
                let rewritten = (self.rewrite)(expr, Arithmetic::Binary(op, &left, &right));
                (Some(result), rewritten)
            }
            Expr::Negative(operand) => {
                let operand = type_of(operand)?;
                let rewritten = (self.rewrite)(expr, Arithmetic::Negative(&operand));
                (Some(operand), rewritten)
            }
            _ => (None, Transformed::no(expr)),
        };
        self.types.push(result);
        Ok(Transformed::new(rewritten.data, rewritten.transformed, TreeNodeRecursion::Continue))
    }
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}
