//! `ExactLiterals`: a column compared with a literal of a finer unit, a larger scale or a wider range is compared exactly.
//!
//! DataFusion casts the literal to the column's type where it can, and drops what does not fit: `ts = TIMESTAMP '.. 00.5'` finds
//! the whole second if `ts` has seconds. Where it casts the column instead, `decimal < 1e30` fails because the literal does not
//! fit the common type. This rule comes before DataFusion's coercion. It finds the first value of the column's type that is not
//! below the literal, and the first that is above it, and compares with these: never true, a floor or a ceiling.
//!
//! It comes before DataFusion's simplification, too, which moves literals below casts that other rules have brought to them.
//!
//! A decimal is compared with a float as a float, as in Postgres and DuckDB: each decimal counts as the float nearest to it. But SQL's
//! numerals are decimals, which DataFusion reads as floats: 0.06 + 0.01, which is 0.06999999999999999, stands for 0.07.

mod constant;
mod position;
mod subject;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::utils::{disjunction, merge_schema};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use datafusion::optimizer::{AnalyzerRule, ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::scalar::ScalarValue;

use crate::frontend::applies;
use crate::frontend::exact_literals::constant::constant;
use crate::frontend::exact_literals::position::{Position, is_ordered_type, locate};
use crate::frontend::exact_literals::subject::Subject;
use crate::frontend::replace::rewrite_expressions;

/// The rule.
#[derive(Debug)]
pub struct ExactLiterals;

impl ExactLiterals {
    /// Its name in `xla.frontend_rules`.
    pub const NAME: &str = "exact_literals";
}

impl AnalyzerRule for ExactLiterals {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(Self::NAME, config) {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(in_node).data()
    }
}

impl OptimizerRule for ExactLiterals {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if applies(Self::NAME, &config.options()) { in_node(plan) } else { Ok(Transformed::no(plan)) }
    }
}

fn in_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    rewrite_expressions(plan, |expr| expr.transform_up(|expr| Ok(decide(expr, &schema))))
}

/// Decides a comparison with literals; leaves other expressions, and comparisons that DataFusion decides right.
fn decide(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let decided = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            compare(left, *op, right, schema).or_else(|| compare(right, op.swap()?, left, schema))
        }
        Expr::Between(between) => decide_between(between, schema),
        Expr::InList(list) => decide_in_list(list, schema),
        _ => None,
    };
    match decided {
        Some(decided) => Transformed::yes(decided),
        None => Transformed::no(expr),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// `x op literal`, or `None` if the other side is no literal or the comparison is none of this rule's.
fn compare(x: &Expr, op: Operator, literal: &Expr, schema: &DFSchema) -> Option<Expr> {
    if !is_comparison(op) {
        return None;
    }
    let subject = Subject::of(x, schema)?;
    let position = position(&subject, literal)?;
    Some(subject.guarded(op, subject.compare(op, &position)?))
}

fn position(subject: &Subject, literal: &Expr) -> Option<Position> {
    // Most comparisons are none of this rule's by their type, before the literal is evaluated.
    if is_ordered_type(&subject.data_type) { locate(subject, &constant(literal)?) } else { None }
}

/// `x BETWEEN low AND high` as two comparisons, as DataFusion would write it.
fn decide_between(between: &Between, schema: &DFSchema) -> Option<Expr> {
    let Between { expr: x, negated, low, high } = between;
    let decided = (compare(x, Operator::GtEq, low, schema), compare(x, Operator::LtEq, high, schema));
    if decided == (None, None) || x.is_volatile() {
        return None;
    }
    let low = decided.0.unwrap_or_else(|| x.as_ref().clone().gt_eq(low.as_ref().clone()));
    let high = decided.1.unwrap_or_else(|| x.as_ref().clone().lt_eq(high.as_ref().clone()));
    let both = low.and(high);
    Some(if *negated { Expr::Not(Box::new(both)) } else { both })
}

/// `x IN (..)`: the literals that this rule places, in the column's type, and the others as they are.
fn decide_in_list(list: &InList, schema: &DFSchema) -> Option<Expr> {
    let x = list.expr.as_ref();
    let subject = Subject::of(x, schema)?;
    let (mut placed, mut equal, mut others) = (false, Vec::new(), Vec::new());
    let mut terms = Vec::new();
    for item in &list.list {
        match position(&subject, item) {
            None => others.push(item.clone()),
            Some(position) => {
                placed = true;
                match only_value(&position) {
                    Some(value) => equal.push(value),
                    None if is_never_equal(&position) => {}
                    None => terms.push(subject.compare(Operator::Eq, &position)?),
                }
            }
        }
    }
    if !placed || x.is_volatile() {
        return None;
    }
    if !equal.is_empty() {
        terms.push(subject.x().in_list(equal, false));
    }
    let placed = subject.guarded(Operator::Eq, disjunction(terms).unwrap_or_else(|| subject.never()));
    let any = if others.is_empty() { placed } else { placed.or(x.clone().in_list(others, false)) };
    Some(if list.negated { Expr::Not(Box::new(any)) } else { any })
}

fn is_never_equal(position: &Position) -> bool {
    matches!(position, Position::Among(place) if place.is_between_values())
}

/// The literal in the column's type, if exactly one value of it equals the literal.
fn only_value(position: &Position) -> Option<Expr> {
    match position {
        Position::Among(place) => place.only_value().map(lit),
        Position::As(value) => Some(lit(value.clone())),
    }
}

impl Subject {
    fn x(&self) -> Expr {
        self.x.clone()
    }

    /// True for no value, and NULL for NULL.
    fn never(&self) -> Expr {
        if self.nullable { self.x().is_null().and(lit(ScalarValue::Boolean(None))) } else { lit(false) }
    }

    /// True for every value, and NULL for NULL.
    fn always(&self) -> Expr {
        if self.nullable { self.x().is_not_null().or(lit(ScalarValue::Boolean(None))) } else { lit(true) }
    }

    fn compare(&self, op: Operator, position: &Position) -> Option<Expr> {
        let place = match position {
            Position::As(value) => return Some(binary(self.x(), op, lit(value.clone()))),
            Position::Among(place) => place,
        };
        // The first value that is not below the literal, the last that is not above it.
        let (from, to) = (place.first_not_below(), place.last_not_above());
        let constant = |holds| if holds { self.always() } else { self.never() };
        // `x op bound`. Where the type has no values on that side of the literal, the answer is `holds` for all of them; where it
        // has no others, the contrary.
        let part = |op, bound: &Option<ScalarValue>, reaches: bool, holds: bool| match bound {
            Some(bound) if reaches => binary(self.x(), op, lit(bound.clone())),
            _ => constant(holds != reaches),
        };
        let less = || part(Operator::Lt, &from, place.has_below(), false);
        let not_less = || part(Operator::GtEq, &from, place.has_below(), true);
        let greater = || part(Operator::Gt, &to, place.has_above(), false);
        let not_greater = || part(Operator::LtEq, &to, place.has_above(), true);
        if let (Some(value), Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) =
            (place.only_value(), op)
        {
            return Some(binary(self.x(), op, lit(value)));
        }
        let none = place.is_between_values();
        Some(match op {
            Operator::Lt => less(),
            Operator::LtEq => not_greater(),
            Operator::GtEq => not_less(),
            Operator::Gt => greater(),
            Operator::Eq if none => self.never(),
            Operator::NotEq if none => self.always(),
            Operator::IsNotDistinctFrom if none => lit(false),
            Operator::IsDistinctFrom if none => lit(true),
            // Several values equal the literal.
            _ if self.x.is_volatile() => return None,
            Operator::Eq => not_less().and(not_greater()),
            Operator::NotEq => less().or(greater()),
            Operator::IsNotDistinctFrom => self.x().is_not_null().and(not_less()).and(not_greater()),
            Operator::IsDistinctFrom => self.x().is_null().or(less()).or(greater()),
            _ => return None,
        })
    }
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}
