//! `(a, b) IN (SELECT x, y ..)`, which DataFusion's SQL planner refuses ("Too many columns!"), rewritten in the syntax tree:
//!
//! ```text
//! (a, b) IN (SELECT x, y ..)   TRUE IN (SELECT a = __row_1.c0 AND b = __row_1.c1 FROM (SELECT x, y ..) AS __row_1 (c0, c1))
//! ```
//!
//! The two are the same in three-valued logic: true if a row is equal, NULL if it is unknown whether one is. `= ANY`, `= SOME` and
//! `<> ALL` are written as IN and NOT IN. The rule [`unnest`](crate::frontend::unnest) makes joins of the result.

use std::ops::ControlFlow;

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, SelectItem, SetExpr, TableFactor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use crate::frontend::syntax::visit;

/// Rewrites the comparisons of a statement. Returns whether there were any.
///
/// # Errors
/// Never in practice: if the text that the rewriting starts from is not SQL.
pub fn rewrite(statement: &mut Statement) -> Result<bool> {
    let mut rows = RowValues { n: 0 };
    match visit(statement, &mut rows) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(rows.n > 0),
    }
}

struct RowValues {
    /// How many have been rewritten.
    n: usize,
}

impl VisitorMut for RowValues {
    type Break = Box<DataFusionError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let Some((row, query, negated)) = compared(expr) else { return ControlFlow::Continue(()) };
        self.n += 1;
        match membership(row, query, negated, self.n) {
            Ok(rewritten) => *expr = rewritten,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        }
        ControlFlow::Continue(())
    }
}

/// The values, the subquery and whether it is NOT IN, if an expression is a comparison of a row with a subquery.
fn compared(expr: &Expr) -> Option<(Vec<Expr>, Query, bool)> {
    let subquery = |expr: &Expr| match expr {
        Expr::Subquery(query) => Some(query.as_ref().clone()),
        _ => None,
    };
    let (row, query, negated) = match expr {
        Expr::InSubquery { expr, subquery, negated } => (expr, subquery.as_ref().clone(), *negated),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, subquery(right)?, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, subquery(right)?, true),
        _ => return None,
    };
    match row.as_ref() {
        Expr::Tuple(values) if values.len() > 1 => Some((values.clone(), query, negated)),
        _ => None,
    }
}

fn membership(row: Vec<Expr>, query: Query, negated: bool, n: usize) -> Result<Expr> {
    let table = format!("__row_{n}");
    let names: Vec<String> = (0..row.len()).map(|i| format!("c{i}")).collect();
    let not = if negated { "NOT " } else { "" };
    let text = format!("TRUE {not}IN (SELECT TRUE FROM (SELECT TRUE) AS {table} ({}))", names.join(", "));
    let mut membership = DFParser::parse_sql_into_expr_with_dialect(&text, &GenericDialect {})?.expr;
    if let Expr::InSubquery { subquery, .. } = &mut membership
        && let SetExpr::Select(select) = subquery.body.as_mut()
    {
        let equal = row.into_iter().zip(names).map(|(value, name)| {
            let column = Expr::CompoundIdentifier(vec![Ident::new(&table), Ident::new(name)]);
            equality(value, column)
        });
        if let Some(equal) = equal.reduce(|l, r| binary(l, BinaryOperator::And, r)) {
            select.projection = vec![SelectItem::UnnamedExpr(equal)];
        }
        if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
            **subquery = query;
            name_twins(subquery.body.as_mut());
        }
    }
    Ok(membership)
}

/// Names the columns of a SELECT list that has an expression twice: the columns of a table have different names.
fn name_twins(body: &mut SetExpr) {
    let SetExpr::Select(select) = body else { return };
    let twins = select.projection.iter().enumerate().any(|(i, item)| select.projection[..i].contains(item));
    for (i, item) in select.projection.iter_mut().enumerate() {
        if let (true, SelectItem::UnnamedExpr(expr)) = (twins, &*item) {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(format!("c{i}")) };
        }
    }
}

fn equality(left: Expr, right: Expr) -> Expr {
    binary(Expr::Nested(Box::new(left)), BinaryOperator::Eq, right)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use crate::frontend::syntax::row_value::rewrite;

    fn rewritten(sql: &str) -> Option<String> {
        let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
        let found = rewrite(&mut statement).unwrap();
        found.then(|| statement.to_string())
    }

    #[test]
    fn rows_are_compared_column_by_column() {
        let expected = "SELECT * FROM t WHERE true NOT IN (SELECT (a) = __row_1.c0 AND (b + 1) = __row_1.c1 \
                        FROM (SELECT x, y FROM u) AS __row_1 (c0, c1))";
        for sql in ["(a, b + 1) NOT IN (SELECT x, y FROM u)", "(a, b + 1) <> ALL (SELECT x, y FROM u)"] {
            assert_eq!(rewritten(&format!("SELECT * FROM t WHERE {sql}")).as_deref(), Some(expected));
        }
    }

    #[test]
    fn other_comparisons_stay() {
        for sql in ["SELECT (a) IN (SELECT x FROM u) FROM t", "SELECT a FROM t WHERE (a, b) IN ((1, 2), (3, 4))"] {
            assert_eq!(rewritten(sql), None);
        }
    }
}
