//! Text where DataFusion reads it differently from Postgres (the rule `text_arguments`):
//!
//! ```text
//! + '5'                               5.0, as - '5' is -5.0: a text literal after a sign is a double
//! + NULL                              NULL, whose type is not known
//! regexp_replace(s, 'b..', 'X', '')   regexp_replace(s, 'b..', 'X'): no flags, instead of an error in the regular expression
//! ```

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    ObjectNamePart, UnaryOperator, Value,
};

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "text_arguments";

/// The functions with flags, and which argument these are.
const FLAGS: [(&str, usize); 5] =
    [("regexp_replace", 3), ("regexp_like", 2), ("regexp_match", 2), ("regexp_count", 3), ("regexp_instr", 4)];

/// Rewrites an expression, if it is one of these.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr: operand } if is_text(operand) => {
            let text = std::mem::replace(operand.as_mut(), Expr::Tuple(Vec::new()));
            **operand = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(text),
                data_type: DataType::Double(ExactNumberInfo::None),
                array: false,
                format: None,
            };
        }
        Expr::UnaryOp { op: UnaryOperator::Plus, expr: operand } if is_null(operand) => {
            *expr = std::mem::replace(operand.as_mut(), Expr::Tuple(Vec::new()));
        }
        Expr::Function(function) => without_empty_flags(function),
        _ => {}
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}

/// NULL, in parentheses or with signs.
fn is_null(mut expr: &Expr) -> bool {
    loop {
        match expr {
            Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr: inner } => {
                expr = inner;
            }
            Expr::Value(value) => return value.value == Value::Null,
            _ => return false,
        }
    }
}

fn without_empty_flags(function: &mut Function) {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return };
    let Some((_, flags)) = FLAGS.iter().find(|(with_flags, _)| name.value.eq_ignore_ascii_case(with_flags)) else {
        return;
    };
    let FunctionArguments::List(arguments) = &mut function.args else { return };
    let is_empty = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => {
            matches!(&value.value, Value::SingleQuotedString(text) if text.is_empty())
        }
        _ => false,
    };
    // The flags are the last argument here: there are none after them.
    if arguments.args.len() == flags + 1 && arguments.args.last().is_some_and(is_empty) {
        arguments.args.pop();
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::frontend::syntax::text_arguments::rewrite;

    #[test]
    fn signs_and_flags() {
        for (sql, expected) in [
            ("+ '5'", "+CAST('5' AS DOUBLE)"),
            ("- '5'", "-CAST('5' AS DOUBLE)"),
            ("+ a", "+a"),
            ("+ (- NULL)", "(-NULL)"),
            ("regexp_replace(s, 'b', 'X', '')", "regexp_replace(s, 'b', 'X')"),
            ("REGEXP_LIKE(s, 'b', '')", "REGEXP_LIKE(s, 'b')"),
            ("regexp_replace(s, 'b', '')", "regexp_replace(s, 'b', '')"),
            ("regexp_replace(s, 'b', 'X', 'g')", "regexp_replace(s, 'b', 'X', 'g')"),
        ] {
            let mut expr = Parser::new(&GenericDialect).try_with_sql(sql).unwrap().parse_expr().unwrap();
            rewrite(&mut expr);
            assert_eq!(expr.to_string(), expected);
        }
    }
}
