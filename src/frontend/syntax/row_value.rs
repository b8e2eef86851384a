//! `(a, b) IN (SELECT x, y ..)`, which DataFusion's SQL planner refuses ("Too many columns!"), rewritten in the syntax tree:
//!
//! ```text
//! (a, b) IN (SELECT x, y ..)   TRUE IN (SELECT a = __row_1.c0 AND b = __row_1.c1 FROM (SELECT x, y ..) AS __row_1 (c0, c1))
//! ```
//!
//! The two are the same in three-valued logic: true if a row is equal, NULL if it is unknown whether one is. `= ANY`, `= SOME` and
//! `<> ALL` are written as IN and NOT IN. The rule [`unnest`](crate::frontend::unnest) makes joins of the result.
//!
//! A comparison with the only row of a subquery moves into it, too, and is NULL if there is none:
//!
//! ```text
//! (a, b) < (SELECT x, y ..)    (SELECT a < __row_1.c0 OR a = __row_1.c0 AND b < __row_1.c1 FROM (SELECT x, y ..) AS __row_1 (c0, c1))
//! ```
//!
//! Aggregates and window functions would be those of the subquery there, so a row that has some stays outside:
//!
//! ```text
//! (count(*), g) IN (SELECT x, y ..)   __row(count(*), g) IN (SELECT __row(__row_1.c0, __row_1.c1) FROM (..) AS __row_1 (c0, c1))
//! ```

use std::ops::ControlFlow;

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select, SelectItem,
    SetExpr, TableFactor, Visit, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use crate::frontend::syntax::{row_comparison, visit};
use crate::frontend::unnest::row::NAME;

/// What a statement has been rewritten to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Comparisons of rows with subqueries.
    pub comparisons: usize,
    /// Whether the function [`row`](crate::frontend::unnest::row) is called.
    pub calls_row: bool,
}

/// Rewrites the comparisons of a statement. `is_aggregate` knows the names of aggregate functions.
///
/// # Errors
/// Never in practice: if the text that the rewriting starts from is not SQL.
pub fn rewrite(statement: &mut Statement, is_aggregate: &dyn Fn(&str) -> bool) -> Result<Rewritten> {
    let mut rows = RowValues { is_aggregate, rewritten: Rewritten::default() };
    match visit(statement, &mut rows) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(rows.rewritten),
    }
}

struct RowValues<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
    rewritten: Rewritten,
}

impl RowValues<'_> {
    /// Whether a row has calls that belong to the query around a subquery.
    fn is_fixed(&self, row: &[Expr]) -> bool {
        struct Calls<'a>(&'a dyn Fn(&str) -> bool);
        impl Visitor for Calls<'_> {
            type Break = ();
            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
                match expr {
                    Expr::Function(call) if call.over.is_some() => ControlFlow::Break(()),
                    Expr::Function(call) if (self.0)(&call.name.to_string().to_lowercase()) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            }
        }
        row.iter().any(|value| value.visit(&mut Calls(self.is_aggregate)).is_break())
    }
}

impl VisitorMut for RowValues<'_> {
    type Break = Box<DataFusionError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Some(only) = OnlyRow::of(expr)
            && !self.is_fixed(only.row)
        {
            match only.comparison(self.rewritten.comparisons + 1) {
                Ok(Some(rewritten)) => {
                    self.rewritten.comparisons += 1;
                    *expr = rewritten;
                }
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(Box::new(error)),
            }
        }
        let Some((row, query, negated)) = compared(expr) else { return ControlFlow::Continue(()) };
        self.rewritten.comparisons += 1;
        let fixed = self.is_fixed(&row);
        self.rewritten.calls_row |= fixed;
        match membership(row, query, negated, fixed, self.rewritten.comparisons) {
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

/// A comparison of a row with the only row of a subquery.
struct OnlyRow<'a> {
    row: &'a [Expr],
    op: &'a BinaryOperator,
    query: &'a Query,
    /// Whether the subquery stands on the left.
    is_left: bool,
}

impl<'a> OnlyRow<'a> {
    fn of(expr: &'a Expr) -> Option<Self> {
        let Expr::BinaryOp { left, op, right } = expr else { return None };
        match (left.as_ref(), right.as_ref()) {
            (Expr::Tuple(row), Expr::Subquery(query)) => Some(Self { row, op, query, is_left: false }),
            (Expr::Subquery(query), Expr::Tuple(row)) => Some(Self { row, op, query, is_left: true }),
            _ => None,
        }
        .filter(|only| only.row.len() > 1)
    }

    /// The subquery that compares; `None` for an operator that compares no rows.
    fn comparison(&self, n: usize) -> Result<Option<Expr>> {
        let (columns, names) = columns(n, self.row.len());
        let rows = if self.is_left { (&columns[..], self.row) } else { (self.row, &columns[..]) };
        let Some(selected) = row_comparison::comparison(rows.0, self.op, rows.1) else { return Ok(None) };
        let text = format!("(SELECT TRUE FROM (SELECT TRUE) AS {} ({}))", table(n), names.join(", "));
        let mut comparison = DFParser::parse_sql_into_expr_with_dialect(&text, &GenericDialect {})?.expr;
        if let Expr::Subquery(query) = &mut comparison
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            select.projection = vec![SelectItem::UnnamedExpr(selected)];
            set_table(select, self.query.clone());
        }
        Ok(Some(comparison))
    }
}

/// The name of the `n`-th subquery that rows are compared with.
fn table(n: usize) -> String {
    format!("__row_{n}")
}

/// The columns of the `n`-th subquery, and their names.
fn columns(n: usize, number: usize) -> (Vec<Expr>, Vec<String>) {
    let names: Vec<String> = (0..number).map(|i| format!("c{i}")).collect();
    let column = |name: &String| Expr::CompoundIdentifier(vec![Ident::new(table(n)), Ident::new(name)]);
    (names.iter().map(column).collect(), names)
}

/// Reads a subquery in place of the only table.
fn set_table(select: &mut Select, query: Query) {
    if let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) {
        **subquery = query;
        name_twins(subquery.body.as_mut());
    }
}

/// The comparison, whose values are `fixed` outside of the subquery or move into it.
fn membership(row: Vec<Expr>, query: Query, negated: bool, fixed: bool, n: usize) -> Result<Expr> {
    let (columns, names) = columns(n, row.len());
    let not = if negated { "NOT " } else { "" };
    let list = names.join(", ");
    let [value, selected] = match fixed {
        true => [format!("{NAME}({list})"), format!("{NAME}({list})")],
        false => ["TRUE".to_string(), "TRUE".to_string()],
    };
    let text = format!("{value} {not}IN (SELECT {selected} FROM (SELECT TRUE) AS {} ({list}))", table(n));
    let mut membership = DFParser::parse_sql_into_expr_with_dialect(&text, &GenericDialect {})?.expr;
    if let Expr::InSubquery { expr, subquery, .. } = &mut membership
        && let SetExpr::Select(select) = subquery.body.as_mut()
    {
        match (expr.as_mut(), select.projection.first_mut()) {
            (Expr::Function(outside), Some(SelectItem::UnnamedExpr(Expr::Function(inside)))) => {
                set_arguments(outside, row);
                set_arguments(inside, columns);
            }
            (_, Some(SelectItem::UnnamedExpr(selected))) => {
                let equal = row.into_iter().zip(columns).map(|(value, column)| equality(value, column));
                if let Some(equal) = equal.reduce(|l, r| binary(l, BinaryOperator::And, r)) {
                    *selected = equal;
                }
            }
            _ => {}
        }
        set_table(select, query);
    }
    Ok(membership)
}

fn set_arguments(call: &mut Function, values: impl IntoIterator<Item = Expr>) {
    if let FunctionArguments::List(list) = &mut call.args {
        let argument = |value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value));
        list.args = values.into_iter().map(argument).collect();
    }
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
        let found = rewrite(&mut statement, &|name| name == "count").unwrap();
        (found.comparisons > 0).then(|| statement.to_string())
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
    fn aggregates_stay_outside() {
        let expected = "SELECT g FROM t GROUP BY g HAVING __row(count(*), g) IN (SELECT __row(__row_1.c0, __row_1.c1) \
                        FROM (SELECT x, y FROM u) AS __row_1 (c0, c1))";
        let sql = "SELECT g FROM t GROUP BY g HAVING (count(*), g) IN (SELECT x, y FROM u)";
        assert_eq!(rewritten(sql).as_deref(), Some(expected));
    }

    #[test]
    fn the_only_row_is_compared_in_the_subquery() {
        let only = "FROM (SELECT x, y FROM u) AS __row_1 (c0, c1))";
        for (sql, expected) in [
            ("(a, b) = (SELECT x, y FROM u)", "(SELECT (a = __row_1.c0) AND (b = __row_1.c1) "),
            ("(SELECT x, y FROM u) <> (a, b)", "(SELECT (__row_1.c0 <> a) OR (__row_1.c1 <> b) "),
        ] {
            let expected = format!("SELECT * FROM t WHERE {expected}{only}");
            assert_eq!(rewritten(&format!("SELECT * FROM t WHERE {sql}")), Some(expected));
        }
    }

    #[test]
    fn other_comparisons_stay() {
        for sql in ["SELECT (a) IN (SELECT x FROM u) FROM t", "SELECT a FROM t WHERE (a, b) IN ((1, 2), (3, 4))"] {
            assert_eq!(rewritten(sql), None);
        }
    }
}
