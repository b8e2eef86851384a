//! Drops a syntax tree that is too deep to be dropped by itself: `a + a + a + ..` of a megabyte has half a million levels, and each
//! takes a part of the stack.

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, VisitMut, VisitorMut};

use crate::frontend::syntax::chains::nothing;
use crate::frontend::syntax::visit;

/// Drops a statement. What the parser reads in a loop is taken apart in a loop; what it reads by recursion is bounded by its limit.
pub fn dismantle(mut statement: Statement) {
    let _ = visit(&mut statement, &mut Dismantle { inside: false });
}

struct Dismantle {
    /// The next expression is one whose operands are to be visited.
    inside: bool,
}

impl VisitorMut for Dismantle {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut body = mem::replace(query.body.as_mut(), nothing());
        while let SetExpr::SetOperation { left, mut right, .. } = body {
            let _ = right.visit(self);
            body = *left;
        }
        body.visit(self)
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if mem::take(&mut self.inside) || first_operand(expr).is_none() {
            return ControlFlow::Continue(());
        }
        let mut rest = mem::replace(expr, nil());
        while let Some(first) = first_operand(&mut rest) {
            let next = mem::replace(first, nil());
            self.inside = true;
            let _ = rest.visit(self);
            rest = next;
        }
        rest.visit(self)
    }
}

/// The operand that the parser has read before an operator, of which there may be many in a row.
fn first_operand(expr: &mut Expr) -> Option<&mut Expr> {
    match expr {
        Expr::BinaryOp { left: operand, .. }
        | Expr::AnyOp { left: operand, .. }
        | Expr::AllOp { left: operand, .. }
        | Expr::IsDistinctFrom(operand, _)
        | Expr::IsNotDistinctFrom(operand, _)
        | Expr::IsNull(operand)
        | Expr::IsNotNull(operand)
        | Expr::IsTrue(operand)
        | Expr::IsNotTrue(operand)
        | Expr::IsFalse(operand)
        | Expr::IsNotFalse(operand)
        | Expr::IsUnknown(operand)
        | Expr::IsNotUnknown(operand)
        | Expr::IsNormalized { expr: operand, .. }
        | Expr::InList { expr: operand, .. }
        | Expr::InSubquery { expr: operand, .. }
        | Expr::InUnnest { expr: operand, .. }
        | Expr::Between { expr: operand, .. }
        | Expr::Like { expr: operand, .. }
        | Expr::ILike { expr: operand, .. }
        | Expr::SimilarTo { expr: operand, .. }
        | Expr::RLike { expr: operand, .. }
        | Expr::UnaryOp { expr: operand, .. }
        | Expr::Cast { expr: operand, .. }
        | Expr::AtTimeZone { timestamp: operand, .. }
        | Expr::Collate { expr: operand, .. }
        | Expr::CompoundFieldAccess { root: operand, .. }
        | Expr::JsonAccess { value: operand, .. }
        | Expr::Nested(operand) => Some(operand),
        _ => None,
    }
}

fn nil() -> Expr {
    Expr::Tuple(Vec::new())
}
