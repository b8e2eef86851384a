//! Comparisons of rows, which DataFusion takes for values of struct types, and whose NULLs are equal there (the rule
//! `row_comparisons`). They are written out:
//!
//! ```text
//! (a, b) = (c, d)              a = c AND b = d
//! (a, b) < (c, d)              a < c OR a = c AND b < d
//! (a, b) IN ((1, 2), (3, 4))   a = 1 AND b = 2 OR a = 3 AND b = 4
//! ```
//!
//! These are the same in SQL's three-valued logic. [`row_value`](crate::frontend::syntax::row_value) compares rows with subqueries.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "row_comparisons";

/// Writes out an expression if it compares rows of the same length.
pub fn rewrite(expr: &mut Expr) {
    let written = match &*expr {
        Expr::BinaryOp { left, op, right } => pair(left, right).and_then(|(left, right)| comparison(left, op, right)),
        Expr::IsDistinctFrom(left, right) => {
            pair(left, right).map(|(left, right)| negated(join(&same(left, right), &BinaryOperator::And)))
        }
        Expr::IsNotDistinctFrom(left, right) => {
            pair(left, right).map(|(left, right)| join(&same(left, right), &BinaryOperator::And))
        }
        Expr::InList { expr, list, negated } => in_list(expr, list, *negated),
        Expr::Between { expr, negated, low, high } => between(expr, *negated, low, high),
        _ => None,
    };
    if let Some(written) = written {
        *expr = Expr::Nested(Box::new(written));
    }
}

/// The values of a row.
fn row(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(values) if values.len() > 1 => Some(values),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

/// The values of two rows of the same length.
fn pair<'a>(left: &'a Expr, right: &'a Expr) -> Option<(&'a [Expr], &'a [Expr])> {
    let (left, right) = (row(left)?, row(right)?);
    (left.len() == right.len()).then_some((left, right))
}

/// The comparison of two rows of the same length; `None` for an operator that compares no rows.
pub fn comparison(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    let each = |op: &BinaryOperator| -> Vec<Expr> { left.iter().zip(right).map(|(l, r)| binary(l, op, r)).collect() };
    Some(match op {
        Eq => join(&each(&Eq), &And),
        NotEq => join(&each(&NotEq), &Or),
        Lt | LtEq => ordered(left, &Lt, op, right),
        Gt | GtEq => ordered(left, &Gt, op, right),
        _ => return None,
    })
}

/// The first values that differ decide by `strict`, the last ones by `last`.
fn ordered(left: &[Expr], strict: &BinaryOperator, last: &BinaryOperator, right: &[Expr]) -> Expr {
    let (Some((l, left)), Some((r, right))) = (left.split_first(), right.split_first()) else {
        return Expr::Tuple(Vec::new());
    };
    if left.is_empty() {
        return binary(l, last, r);
    }
    let tie = binary(&binary(l, &BinaryOperator::Eq, r), &BinaryOperator::And, &ordered(left, strict, last, right));
    binary(&binary(l, strict, r), &BinaryOperator::Or, &tie)
}

fn same(left: &[Expr], right: &[Expr]) -> Vec<Expr> {
    let boxed = |expr: &Expr| Box::new(nested(expr));
    left.iter().zip(right).map(|(l, r)| Expr::IsNotDistinctFrom(boxed(l), boxed(r))).collect()
}

fn in_list(expr: &Expr, list: &[Expr], is_negated: bool) -> Option<Expr> {
    let equal = |item| pair(expr, item).and_then(|(left, right)| comparison(left, &BinaryOperator::Eq, right));
    let equal = list.iter().map(equal).collect::<Option<Vec<_>>>()?;
    let found = (!equal.is_empty()).then(|| join(&equal, &BinaryOperator::Or))?;
    Some(if is_negated { negated(found) } else { found })
}

fn between(expr: &Expr, is_negated: bool, low: &Expr, high: &Expr) -> Option<Expr> {
    let (value, low) = pair(expr, low)?;
    let (_, high) = pair(expr, high)?;
    let (above, below) =
        (comparison(value, &BinaryOperator::GtEq, low)?, comparison(value, &BinaryOperator::LtEq, high)?);
    let inside = binary(&above, &BinaryOperator::And, &below);
    Some(if is_negated { negated(inside) } else { inside })
}

/// The terms under one operator, as a tree that is not deeper than need be.
fn join(terms: &[Expr], op: &BinaryOperator) -> Expr {
    match terms {
        [] => Expr::Tuple(Vec::new()),
        [term] => term.clone(),
        _ => {
            let (left, right) = terms.split_at(terms.len() / 2);
            binary(&join(left, op), op, &join(right, op))
        }
    }
}

fn binary(left: &Expr, op: &BinaryOperator, right: &Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(nested(left)), op: op.clone(), right: Box::new(nested(right)) }
}

fn negated(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(&expr)) }
}

/// An operand as it binds by itself.
fn nested(expr: &Expr) -> Expr {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::Nested(_) | Expr::Function(_) => {
            expr.clone()
        }
        other => Expr::Nested(Box::new(other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use crate::frontend::syntax::row_comparison::rewrite;

    fn rewritten(sql: &str) -> String {
        let mut expr = DFParser::parse_sql_into_expr_with_dialect(sql, &GenericDialect {}).unwrap().expr;
        rewrite(&mut expr);
        expr.to_string()
    }

    #[test]
    fn rows_are_compared_by_their_values() {
        for (sql, expected) in [
            ("(a, b) = (c, 1 + 1)", "((a = c) AND (b = (1 + 1)))"),
            ("(a, b) <> (c, d)", "((a <> c) OR (b <> d))"),
            ("((a, b)) < (c, d)", "((a < c) OR ((a = c) AND (b < d)))"),
            ("(a, b) >= (c, d)", "((a > c) OR ((a = c) AND (b >= d)))"),
            ("(a, b) IN ((1, 2), (3, 4))", "(((a = 1) AND (b = 2)) OR ((a = 3) AND (b = 4)))"),
            ("(a, b) NOT IN ((1, 2))", "(NOT ((a = 1) AND (b = 2)))"),
            ("(a, b) IS DISTINCT FROM (c, d)", "(NOT ((a IS NOT DISTINCT FROM c) AND (b IS NOT DISTINCT FROM d)))"),
        ] {
            assert_eq!(rewritten(sql), expected);
        }
    }

    #[test]
    fn other_comparisons_stay() {
        for sql in ["(a, b) = c", "(a) = (b)", "(a, b) = (1, 2, 3)", "(a, b) IN ((1, 2), c)", "a IN (1, 2)"] {
            assert_eq!(rewritten(sql), sql);
        }
    }
}
