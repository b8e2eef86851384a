//! Long rows of signs, as in `- - - - a`, become short ones: two signs mean nothing, and DataFusion takes time that grows with the third
//! power of their number. At least two minus signs stay, so that what has no sign is refused as before, and so is the smallest integer
//! where arithmetic is checked.

use std::mem;

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator};

/// Rows of so many signs stay as they are.
const SHORT: usize = 8;

/// Shortens the row of signs that begins at this expression.
pub fn shorten(expr: &mut Expr) {
    let (mut minus, mut plus) = (0, 0);
    let mut operand = &*expr;
    while let Expr::UnaryOp { op, expr: inner } = operand {
        match op {
            UnaryOperator::Minus => minus += 1,
            UnaryOperator::Plus => plus += 1,
            _ => break,
        }
        operand = inner;
    }
    if minus + plus <= SHORT {
        return;
    }
    let mut operand = mem::replace(expr, Expr::Tuple(Vec::new()));
    for _ in 0..minus + plus {
        operand = match operand {
            Expr::UnaryOp { expr: inner, .. } => *inner,
            other => other,
        };
    }
    let sign = |op, operand| Expr::UnaryOp { op, expr: Box::new(operand) };
    if plus > 0 {
        operand = sign(UnaryOperator::Plus, operand);
    }
    for _ in 0..if minus < 2 { minus } else { 2 + minus % 2 } {
        operand = sign(UnaryOperator::Minus, operand);
    }
    *expr = operand;
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::frontend::syntax::signs::shorten;

    fn shortened(signs: &str) -> String {
        let text = format!("{signs} a");
        let mut expr = Parser::new(&GenericDialect).try_with_sql(&text).unwrap().parse_expr().unwrap();
        shorten(&mut expr);
        expr.to_string().replace(' ', "")
    }

    #[test]
    fn rows_of_signs_keep_their_meaning() {
        assert_eq!(shortened("- - -"), "---a");
        assert_eq!(shortened(&"- ".repeat(20)), "--a");
        assert_eq!(shortened(&"- ".repeat(21)), "---a");
        assert_eq!(shortened(&"+ ".repeat(21)), "+a");
        assert_eq!(shortened(&"- + ".repeat(20)), "--+a");
    }
}
