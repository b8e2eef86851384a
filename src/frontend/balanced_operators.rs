//! `BalancedOperators`: long chains of `+ -`, of `*` and of `||` become balanced trees (the rule `balanced_chains`).
//!
//! DataFusion asks each operator of an expression for its type, several times, and gets it from all the operators below: the time for
//! `a + b + c + ..` grows with the square of its length. Integers wrap, so that their sums and products are the same in any order,
//! and text is put together from any parts. Sums and products of floats are rounded, and those of decimals have a type of their own
//! for each term, so these stay as they are.
//!
//! It comes before DataFusion's coercion, and does what that would do to the operands.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::config::XlaOptions;
use crate::frontend::applies;
use crate::frontend::replace::rewrite_expressions;
use crate::frontend::syntax::chains;

/// The rule.
#[derive(Debug)]
pub struct BalancedOperators;

impl AnalyzerRule for BalancedOperators {
    fn name(&self) -> &str {
        "balanced_operators"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(chains::NAME, config) {
            return Ok(plan);
        }
        // Each operator checks its own result.
        let integers = !XlaOptions::of(config).checked_arithmetic;
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            rewrite_expressions(plan, |expr| expr.transform_down(|expr| balance(expr, &schema, integers)))
        })
        .data()
    }
}

/// A kind of operators that may follow each other.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sum,
    Product,
    Text,
}

fn kind_of(op: Operator) -> Option<Kind> {
    Some(match op {
        Operator::Plus | Operator::Minus => Kind::Sum,
        Operator::Multiply => Kind::Product,
        Operator::StringConcat => Kind::Text,
        _ => return None,
    })
}

/// The operands of a chain after its first, the last one first.
fn operands(expr: &Expr) -> (Option<Kind>, &Expr, Vec<(Operator, &Expr)>) {
    let (mut kind, mut first, mut rest) = (None, expr, Vec::new());
    while let Expr::BinaryExpr(BinaryExpr { left, op, right }) = first {
        let own = kind_of(*op);
        if own.is_none() || kind.is_some() && kind != own {
            break;
        }
        (kind, first) = (own, left);
        rest.push((*op, right.as_ref()));
    }
    (kind, first, rest)
}

fn balance(expr: Expr, schema: &DFSchema, integers: bool) -> Result<Transformed<Expr>> {
    let (Some(kind), first, mut rest) = operands(&expr) else { return Ok(Transformed::no(expr)) };
    if rest.len() < chains::LONG {
        return Ok(Transformed::no(expr));
    }
    rest.reverse();
    let mut types = Vec::with_capacity(rest.len() + 1);
    for operand in std::iter::once(first).chain(rest.iter().map(|(_, operand)| *operand)) {
        let of = operand.get_type(schema)?;
        let fits = match kind {
            Kind::Text => matches!(of, DataType::Utf8 | DataType::Utf8View),
            Kind::Sum | Kind::Product => integers && of.is_integer(),
        };
        if !fits {
            return Ok(Transformed::no(expr));
        }
        types.push(of);
    }
    let balanced = match kind {
        Kind::Text => Some(tree(first, &rest, Operator::StringConcat, |expr| expr)),
        _ => sum_type(&types).map(|to| {
            let mut types = types.iter();
            let mut widened = |expr: Expr| if types.next() == Some(&to) { expr } else { cast(expr, to.clone()) };
            match kind {
                Kind::Product => tree(first, &rest, Operator::Multiply, &mut widened),
                _ => difference(first, &rest, &mut widened),
            }
        }),
    };
    Ok(balanced.flatten().map_or_else(|| Transformed::no(expr), Transformed::yes))
}

/// All operands under one associative operator.
fn tree(first: &Expr, rest: &[(Operator, &Expr)], op: Operator, operand: impl FnMut(Expr) -> Expr) -> Option<Expr> {
    let operands = std::iter::once(first).chain(rest.iter().map(|(_, expr)| *expr)).cloned().map(operand);
    chains::tree(operands.collect(), |left, right| binary_expr(left, op, right))
}

/// The sum of the operands that are added, less the sum of those that are taken away.
fn difference(first: &Expr, rest: &[(Operator, &Expr)], operand: &mut impl FnMut(Expr) -> Expr) -> Option<Expr> {
    let (mut added, mut taken) = (vec![operand(first.clone())], Vec::new());
    for (op, expr) in rest {
        let expr = operand((*expr).clone());
        if *op == Operator::Minus { taken.push(expr) } else { added.push(expr) }
    }
    let plus = |left, right| binary_expr(left, Operator::Plus, right);
    let added = chains::tree(added, plus)?;
    Some(match chains::tree(taken, plus) {
        Some(taken) => binary_expr(added, Operator::Minus, taken),
        None => added,
    })
}

/// The type of a chain of integers, if all of its operators have it.
fn sum_type(types: &[DataType]) -> Option<DataType> {
    let result = |left: &DataType, right: &DataType| {
        BinaryTypeCoercer::new(left, &Operator::Plus, right).get_result_type().ok().filter(DataType::is_integer)
    };
    let [first, second, ..] = types else { return None };
    let of_all = result(first, second)?;
    types.iter().all(|own| result(&of_all, own).as_ref() == Some(&of_all)).then_some(of_all)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr, col, lit};

    use crate::frontend::balanced_operators::balance;

    fn schema() -> DFSchema {
        let field = |name, of| Field::new(name, of, true);
        let fields = vec![
            field("a", DataType::Int64),
            field("b", DataType::Int32),
            field("x", DataType::Float64),
            field("s", DataType::Utf8View),
        ];
        DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).unwrap()
    }

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, right, .. }) => 1 + depth(left).max(depth(right)),
            _ => 0,
        }
    }

    /// The chain `first op term op term ..`, balanced if it may be.
    fn balanced(first: Expr, op: &[Operator], term: Expr, integers: bool) -> (bool, Expr) {
        let chain = (0..200).fold(first, |chain, i| binary_expr(chain, op[i % op.len()], term.clone()));
        let found = balance(chain, &schema(), integers).unwrap();
        (found.transformed, found.data)
    }

    #[test]
    fn chains_of_integers_and_of_text_become_shallow() {
        let (changed, sum) = balanced(col("b"), &[Operator::Plus], lit(1i64), true);
        assert!(changed && depth(&sum) <= 9, "{}", depth(&sum));
        assert_eq!(sum.get_type(&schema()).unwrap(), DataType::Int64);
        let (changed, sum) = balanced(col("a"), &[Operator::Plus, Operator::Minus], col("b"), true);
        assert!(changed && depth(&sum) <= 9, "{}", depth(&sum));
        assert!(balanced(col("b"), &[Operator::Multiply], col("b"), true).0);
        let (changed, text) = balanced(col("s"), &[Operator::StringConcat], lit("x"), true);
        assert!(changed && depth(&text) <= 9, "{}", depth(&text));
    }

    #[test]
    fn chains_whose_order_counts_stay() {
        assert!(!balanced(col("x"), &[Operator::Plus], lit(1i64), true).0);
        assert!(!balanced(col("a"), &[Operator::Plus], lit(0.5), true).0);
        // The first sums wrap at 32 bits.
        assert!(!balanced(col("b") + col("b"), &[Operator::Plus], lit(1i64), true).0);
        assert!(!balanced(col("a"), &[Operator::Plus], lit(1i64), false).0);
        assert!(!balanced(lit(1i64), &[Operator::StringConcat], col("s"), true).0);
    }
}
