//! Functions that are called by another name than their own, deep inside of each other. DataFusion keeps the name as that of an inner
//! column, and asks each such column twice for its type: `length(repeat('x', length(repeat('x', ..))))` takes twice as long with each
//! level. Deep inside, the functions get their own names.

use std::ops::ControlFlow;

use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, VisitorMut};

use crate::frontend::syntax::visit;

/// How many calls by another name may be around one that keeps it. The names of columns that people read are not that deep.
const KEPT: usize = 4;

/// Rewrites a statement.
pub fn rewrite(statement: &mut Statement, state: &SessionState) {
    let normalize = state.config_options().sql_parser.enable_ident_normalization;
    let normalizer = IdentNormalizer::new(normalize);
    let _ = visit(statement, &mut Rename { state, normalizer, around: Vec::new(), depth: 0 });
}

struct Rename<'a> {
    state: &'a SessionState,
    normalizer: IdentNormalizer,
    /// For each expression around the current one, whether it is a call by another name.
    around: Vec<bool>,
    depth: usize,
}

impl Rename<'_> {
    /// The function's own name, if this is a call by another.
    fn own_name(&self, expr: &Expr) -> Option<String> {
        let Expr::Function(call) = expr else { return None };
        let [part] = call.name.0.as_slice() else { return None };
        let called = self.normalizer.normalize(part.as_ident()?.clone());
        let function = self.state.udf(&called).ok()?;
        (function.name() != called).then(|| function.name().to_string())
    }
}

impl VisitorMut for Rename<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let own_name = self.own_name(expr);
        self.around.push(own_name.is_some());
        if let (Some(name), Expr::Function(call)) = (own_name, expr) {
            self.depth += 1;
            if self.depth > KEPT {
                call.name = ObjectName::from(vec![Ident::new(name)]);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        if self.around.pop().unwrap_or(false) {
            self.depth -= 1;
        }
        ControlFlow::Continue(())
    }
}
