//! `a IS [NOT] DISTINCT FROM b AND c` means `(a IS [NOT] DISTINCT FROM b) AND c`, as in Postgres: IS binds more weakly than the
//! comparisons and more strongly than NOT, AND and OR (the rule `is_distinct_from`).
//!
//! The SQL parser takes all that follows for the right operand. Its tree still has operands and operators in the order of the text:
//!
//! ```text
//! NOT(IS DISTINCT FROM(a, AND(b, c)))   =>   NOT a, IS DISTINCT FROM b, AND c   =>   AND(NOT(IS DISTINCT FROM(a, b)), c)
//! ```
//!
//! so they are listed and parsed again. Parentheses are nodes of the tree, and the list never looks into them.
//!
//! IS does not chain in Postgres: `a IS DISTINCT FROM b IS NULL` is an error, here as well.

use datafusion::common::plan_datafusion_err;
use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "is_distinct_from";

/// A piece of the text, with everything that binds more strongly than IS as one operand.
enum Token {
    Operand(Box<Expr>),
    Not,
    Infix(Infix),
}

#[derive(Clone, Debug, PartialEq)]
enum Infix {
    And,
    Or,
    Is {
        negated: bool,
    },
    /// `->`, `@>` and the like, to which the parser gives a weaker binding than IS, and Postgres a stronger one.
    Other(BinaryOperator),
}

/// An operator that waits for its right operand.
enum Waiting {
    Not,
    Infix(Infix),
}

impl Infix {
    fn strength(&self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            // 3 is NOT.
            Self::Is { .. } => 4,
            Self::Other(_) => 5,
        }
    }

    fn of(op: &BinaryOperator) -> Option<Self> {
        match op {
            BinaryOperator::And => Some(Self::And),
            BinaryOperator::Or => Some(Self::Or),
            BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
            | BinaryOperator::AtArrow
            | BinaryOperator::ArrowAt
            | BinaryOperator::HashMinus
            | BinaryOperator::AtQuestion
            | BinaryOperator::AtAt
            | BinaryOperator::Question
            | BinaryOperator::QuestionAnd
            | BinaryOperator::Custom(_) => Some(Self::Other(op.clone())),
            _ => None,
        }
    }
}

impl Waiting {
    fn strength(&self) -> u8 {
        match self {
            Self::Not => 3,
            Self::Infix(infix) => infix.strength(),
        }
    }
}

/// Whether the list of operands and operators goes on into an expression of this kind.
pub fn is_listed(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => Infix::of(op).is_some(),
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => true,
        _ => false,
    }
}

/// Binds the operators of an expression that stands alone or in parentheses.
///
/// # Errors
/// If two predicates with IS follow one another without parentheses.
pub fn rebind(expr: &mut Expr) -> Result<()> {
    if !has_distinct_from(expr) {
        return Ok(());
    }
    let tokens = list(std::mem::replace(expr, Expr::Tuple(Vec::new())));
    *expr = parse(tokens)?;
    Ok(())
}

fn has_distinct_from(expr: &Expr) -> bool {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => return true,
            Expr::BinaryOp { left, right, .. } if is_listed(expr) => open.extend([left.as_ref(), right.as_ref()]),
            Expr::UnaryOp { expr: inner, .. } if is_listed(expr) => open.push(inner),
            _ => {}
        }
    }
    false
}

/// The operands and operators in the order of the text.
fn list(expr: Expr) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut open = vec![Token::Operand(Box::new(expr))];
    while let Some(token) = open.pop() {
        let Token::Operand(operand) = token else {
            tokens.push(token);
            continue;
        };
        let (left, infix, right) = match *operand {
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                open.push(Token::Operand(expr));
                tokens.push(Token::Not);
                continue;
            }
            Expr::BinaryOp { left, op, right } => match Infix::of(&op) {
                Some(infix) => (left, infix, right),
                None => {
                    tokens.push(Token::Operand(Box::new(Expr::BinaryOp { left, op, right })));
                    continue;
                }
            },
            Expr::IsDistinctFrom(left, right) => (left, Infix::Is { negated: false }, right),
            Expr::IsNotDistinctFrom(left, right) => (left, Infix::Is { negated: true }, right),
            other => {
                tokens.push(Token::Operand(Box::new(other)));
                continue;
            }
        };
        open.extend([Token::Operand(right), Token::Infix(infix), Token::Operand(left)]);
    }
    tokens
}

fn parse(tokens: Vec<Token>) -> Result<Expr> {
    let mut operands = Vec::new();
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut after_is = false;
    for token in tokens {
        let is = matches!(token, Token::Infix(Infix::Is { .. }));
        match token {
            Token::Operand(operand) if after_is && is_predicate(&operand) => return Err(chained()),
            Token::Operand(operand) => operands.push(*operand),
            Token::Not => waiting.push(Waiting::Not),
            Token::Infix(infix) => {
                while let Some(op) = waiting.pop_if(|op| op.strength() >= infix.strength()) {
                    if is && matches!(op, Waiting::Infix(Infix::Is { .. })) {
                        return Err(chained());
                    }
                    apply(op, &mut operands)?;
                }
                waiting.push(Waiting::Infix(infix));
            }
        }
        after_is = is;
    }
    while let Some(op) = waiting.pop() {
        apply(op, &mut operands)?;
    }
    operands.pop().ok_or_else(missing)
}

fn apply(op: Waiting, operands: &mut Vec<Expr>) -> Result<()> {
    let right = Box::new(operands.pop().ok_or_else(missing)?);
    let Waiting::Infix(infix) = op else {
        operands.push(Expr::UnaryOp { op: UnaryOperator::Not, expr: right });
        return Ok(());
    };
    let left = Box::new(operands.pop().ok_or_else(missing)?);
    operands.push(match infix {
        Infix::And => Expr::BinaryOp { left, op: BinaryOperator::And, right },
        Infix::Or => Expr::BinaryOp { left, op: BinaryOperator::Or, right },
        Infix::Other(op) => Expr::BinaryOp { left, op, right },
        Infix::Is { negated: false } => Expr::IsDistinctFrom(left, right),
        Infix::Is { negated: true } => Expr::IsNotDistinctFrom(left, right),
    });
    Ok(())
}

fn is_predicate(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
    )
}

fn chained() -> datafusion::error::DataFusionError {
    plan_datafusion_err!(
        "IS DISTINCT FROM and another predicate with IS follow one another; put parentheses around one of them, \
         for example (a IS DISTINCT FROM b) IS TRUE"
    )
}

/// A tree has an operand on each side of every operator, so this never happens.
fn missing() -> datafusion::error::DataFusionError {
    plan_datafusion_err!("an operator of the statement lacks an operand")
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::Expr;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::frontend::syntax::is_distinct_from::rebind;

    fn parsed(sql: &str) -> Expr {
        Parser::new(&GenericDialect).try_with_sql(sql).unwrap().parse_expr().unwrap()
    }

    /// The expression with parentheses around every operation.
    fn grouped(expr: &Expr) -> String {
        match expr {
            Expr::Nested(expr) => grouped(expr),
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", grouped(left), grouped(right)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", grouped(expr)),
            Expr::IsDistinctFrom(l, r) => format!("({} <> {})", grouped(l), grouped(r)),
            Expr::IsNotDistinctFrom(l, r) => format!("({} == {})", grouped(l), grouped(r)),
            other => other.to_string(),
        }
    }

    #[test]
    fn is_binds_above_not_and_or() {
        for (sql, expected) in [
            ("a IS DISTINCT FROM b AND c", "((a <> b) AND c)"),
            ("a IS NOT DISTINCT FROM b OR c AND d", "((a == b) OR (c AND d))"),
            ("NOT a IS DISTINCT FROM b AND c", "((NOT (a <> b)) AND c)"),
            ("x AND NOT a IS DISTINCT FROM b OR c", "((x AND (NOT (a <> b))) OR c)"),
            ("a IS DISTINCT FROM b AND c IS NOT DISTINCT FROM d OR e", "(((a <> b) AND (c == d)) OR e)"),
            ("a + 1 IS DISTINCT FROM b * 2 AND c = d", "(((a + 1) <> (b * 2)) AND (c = d))"),
            ("a IS DISTINCT FROM (b AND c) OR d", "((a <> (b AND c)) OR d)"),
            ("a IS DISTINCT FROM NOT b AND c", "((a <> (NOT b)) AND c)"),
            ("a IS DISTINCT FROM NOT b IS NULL AND c", "((a <> (NOT b IS NULL)) AND c)"),
            ("a IS DISTINCT FROM b AND c IS NULL", "((a <> b) AND c IS NULL)"),
            ("a IS NULL IS DISTINCT FROM b AND c", "((a IS NULL <> b) AND c)"),
            ("a @> b IS DISTINCT FROM c AND d", "(((a @> b) <> c) AND d)"),
            ("a = b OR NOT c AND d", "((a = b) OR ((NOT c) AND d))"),
        ] {
            let mut expr = parsed(sql);
            rebind(&mut expr).unwrap();
            assert_eq!(grouped(&expr), expected, "{sql}");
        }
    }

    #[test]
    fn is_does_not_chain() {
        for sql in ["a IS DISTINCT FROM b IS NULL", "a IS DISTINCT FROM b IS NOT DISTINCT FROM c AND d"] {
            let error = rebind(&mut parsed(sql)).unwrap_err().strip_backtrace();
            assert!(error.contains("put parentheses"), "{error}");
        }
        rebind(&mut parsed("(a IS DISTINCT FROM b) IS NULL")).unwrap();
    }
}
