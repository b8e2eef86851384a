//! `SELECT DISTINCT TRY_CAST(a AS INT) AS c .. ORDER BY TRY_CAST(a AS INT)`: an expression of the list is an output column, so DISTINCT
//! allows an order by it. DataFusion looks into casts, finds the column `a` in the order and not in the list, and refuses (the
//! rule `distinct_order`). Such an expression is replaced by its position in the list.

use datafusion::sql::sqlparser::ast::{Distinct, Expr, OrderByKind, Query, SelectItem, SetExpr, Value};

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "distinct_order";

/// Rewrites the order of a query.
pub fn rewrite(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some(Distinct::Distinct) = select.distinct else { return };
    let Some(OrderByKind::Expressions(order)) = query.order_by.as_mut().map(|order| &mut order.kind) else { return };
    for sort in order {
        if !matches!(sort.expr, Expr::Cast { .. }) {
            continue;
        }
        // A wildcard stands for more than one column.
        let named = select.projection.iter().map_while(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        if let Some(position) = named.into_iter().position(|expr| *expr == sort.expr) {
            sort.expr = Expr::Value(Value::Number((position + 1).to_string(), false).with_empty_span());
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::frontend::syntax::distinct_order::rewrite;

    #[test]
    fn casts_of_the_list_are_positions() {
        for (sql, expected) in [
            (
                "SELECT DISTINCT b, CAST(a AS INT) AS c FROM t ORDER BY CAST(a AS INT) DESC, b",
                "SELECT DISTINCT b, CAST(a AS INT) AS c FROM t ORDER BY 2 DESC, b",
            ),
            (
                "SELECT CAST(a AS INT) FROM t ORDER BY CAST(a AS INT)",
                "SELECT CAST(a AS INT) FROM t ORDER BY CAST(a AS INT)",
            ),
            (
                "SELECT DISTINCT *, CAST(a AS INT) FROM t ORDER BY CAST(a AS INT)",
                "SELECT DISTINCT *, CAST(a AS INT) FROM t ORDER BY CAST(a AS INT)",
            ),
        ] {
            let Statement::Query(mut query) = Parser::parse_sql(&GenericDialect, sql).unwrap().remove(0) else {
                panic!()
            };
            rewrite(&mut query);
            assert_eq!(query.to_string(), expected);
        }
    }
}
