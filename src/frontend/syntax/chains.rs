//! Long chains become balanced trees: `a OR b OR c OR ..`, `.. AND ..`, `.. UNION [ALL] ..`, `.. INTERSECT [ALL] ..` (the rule
//! `balanced_chains`).
//!
//! The parser reads a chain of n terms as a tree of depth n, which is too deep for the stacks of what comes after it, and on
//! which DataFusion's rules take time that grows with the square of n. These operators are associative: a tree of depth log n over
//! the same terms in the same order means the same.

use std::mem;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, SetExpr, SetOperator, SetQuantifier, Values};

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "balanced_chains";

/// Shorter chains stay as they are, and with them the plans of usual statements.
pub const LONG: usize = 32;

/// The operator of an expression that may be the root of a chain.
pub fn operator(expr: &Expr) -> Option<&BinaryOperator> {
    match expr {
        Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => Some(op),
        _ => None,
    }
}

/// Balances the chain of AND or OR that begins at this expression. Returns the number of its terms, 0 for a short one.
pub fn balance(expr: &mut Expr) -> usize {
    let Some(op) = operator(expr).cloned() else { return 0 };
    if !is_long(expr, &op) {
        return 0;
    }
    let mut terms = Vec::new();
    let mut open = vec![mem::replace(expr, Expr::Tuple(Vec::new()))];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryOp { left, op: inner, right } if inner == op => open.extend([*right, *left]),
            term => terms.push(term),
        }
    }
    let length = terms.len();
    let pair = |left, right| Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) };
    if let Some(balanced) = tree(terms, pair) {
        *expr = balanced;
    }
    length
}

fn is_long(expr: &Expr, op: &BinaryOperator) -> bool {
    let mut terms = 0;
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryOp { left, op: inner, right } if inner == op => open.extend([right.as_ref(), left.as_ref()]),
            _ => terms += 1,
        }
        if terms >= LONG {
            return true;
        }
    }
    false
}

/// A set operation whose chains may be regrouped; UNION and UNION DISTINCT are the same.
#[derive(Clone, Copy, PartialEq)]
struct Set {
    op: SetOperator,
    all: bool,
}

impl Set {
    fn of(body: &SetExpr) -> Option<Self> {
        match body {
            SetExpr::SetOperation {
                op: op @ (SetOperator::Union | SetOperator::Intersect), set_quantifier, ..
            } => match set_quantifier {
                SetQuantifier::All => Some(Self { op: *op, all: true }),
                SetQuantifier::Distinct | SetQuantifier::None => Some(Self { op: *op, all: false }),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Balances the chains of set operations of a query. Returns the number of terms of the longest.
pub fn balance_sets(body: &mut SetExpr) -> usize {
    let mut longest = 0;
    let mut open = vec![body];
    while let Some(body) = open.pop() {
        if let Some(set) = Set::of(body) {
            let mut terms = Vec::new();
            let mut around = vec![mem::replace(body, nothing())];
            while let Some(expr) = around.pop() {
                match expr {
                    SetExpr::SetOperation { left, right, op, set_quantifier } => {
                        let expr = SetExpr::SetOperation { left, right, op, set_quantifier };
                        if Set::of(&expr) != Some(set) {
                            terms.push(expr);
                        } else if let SetExpr::SetOperation { left, right, .. } = expr {
                            around.extend([*right, *left]);
                        }
                    }
                    term => terms.push(term),
                }
            }
            longest = longest.max(terms.len());
            let set_quantifier = if set.all { SetQuantifier::All } else { SetQuantifier::None };
            let pair = |left, right| SetExpr::SetOperation {
                left: Box::new(left),
                op: set.op,
                set_quantifier,
                right: Box::new(right),
            };
            let balanced = if terms.len() >= LONG { tree(terms, pair) } else { terms.into_iter().reduce(pair) };
            *body = balanced.unwrap_or_else(nothing);
        }
        leave_chain(body, &mut open);
    }
    longest
}

/// The operands of the chain at the root of a query that are set operations of another kind.
fn leave_chain<'a>(body: &'a mut SetExpr, out: &mut Vec<&'a mut SetExpr>) {
    let set = Set::of(body);
    let mut inside = vec![body];
    while let Some(body) = inside.pop() {
        if let SetExpr::SetOperation { left, right, .. } = body {
            for operand in [left.as_mut(), right.as_mut()] {
                match operand {
                    SetExpr::SetOperation { .. } if set.is_some() && Set::of(operand) == set => inside.push(operand),
                    SetExpr::SetOperation { .. } => out.push(operand),
                    _ => {}
                }
            }
        }
    }
}

/// How deeply set operations nest below the root of a query.
pub fn depth(body: &SetExpr) -> usize {
    let mut deepest = 0;
    let mut open = vec![(body, 0)];
    while let Some((body, depth)) = open.pop() {
        deepest = deepest.max(depth);
        if let SetExpr::SetOperation { left, right, .. } = body {
            open.extend([(left.as_ref(), depth + 1), (right.as_ref(), depth + 1)]);
        }
    }
    deepest
}

/// A query body that stands where one has been taken away.
pub fn nothing() -> SetExpr {
    SetExpr::Values(Values { explicit_row: false, value_keyword: false, rows: Vec::new() })
}

/// Joins neighbours until one is left.
pub fn tree<T>(mut terms: Vec<T>, pair: impl Fn(T, T) -> T) -> Option<T> {
    while terms.len() > 1 {
        let mut next = Vec::with_capacity(terms.len().div_ceil(2));
        let mut terms_left = terms.into_iter();
        while let Some(left) = terms_left.next() {
            next.push(match terms_left.next() {
                Some(right) => pair(left, right),
                None => left,
            });
        }
        terms = next;
    }
    terms.pop()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::ast::{Expr, SetExpr, Statement};
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::frontend::syntax::chains::{balance, balance_sets, depth};

    fn depth_of(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth_of(left).max(depth_of(right)),
            _ => 0,
        }
    }

    #[test]
    fn long_chains_become_shallow_and_keep_their_order() {
        let sql: Vec<String> = (0..1000).map(|i| format!("a = {i}")).collect();
        for op in [" OR ", " AND "] {
            let text = sql.join(op);
            let mut expr = Parser::new(&GenericDialect).try_with_sql(&text).unwrap().parse_expr().unwrap();
            assert_eq!(balance(&mut expr), 1000);
            assert_eq!(depth_of(&expr), 11);
            assert_eq!(expr.to_string(), text);
        }
    }

    #[test]
    fn short_chains_stay() {
        let mut expr = Parser::new(&GenericDialect).try_with_sql("a OR b OR c OR d").unwrap().parse_expr().unwrap();
        let before = expr.clone();
        balance(&mut expr);
        assert_eq!(expr, before);
    }

    #[test]
    fn unions_are_balanced_by_kind() {
        let branch = |all: &str| (0..100).map(|i| format!("SELECT {i}")).collect::<Vec<_>>().join(all);
        let sql = format!("{} UNION {}", branch(" UNION ALL "), branch(" UNION "));
        let statement = Parser::parse_sql(&GenericDialect, &sql).unwrap().pop().unwrap();
        let Statement::Query(mut query) = statement else { panic!("a query") };
        let before = query.to_string();
        assert_eq!(depth(&query.body), 199);
        balance_sets(&mut query.body);
        assert!(depth(&query.body) < 20, "{}", depth(&query.body));
        assert_eq!(query.to_string(), before);
        assert!(matches!(query.body.as_ref(), SetExpr::SetOperation { .. }));
    }
}
