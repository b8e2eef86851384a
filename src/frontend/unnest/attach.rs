//! The input of an operator, joined with what stands for the subqueries in the operator's expressions.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, lit, not};

use crate::frontend::unnest::domain::{Domain, is_correlated};
use crate::frontend::unnest::keep::{self, Place};
use crate::frontend::unnest::names::{Names, columns, project};
use crate::frontend::unnest::presence::Presence;

/// An input under construction.
pub struct Attach<'a> {
    /// The input so far; its first columns are those of the original input.
    pub plan: LogicalPlan,
    base: LogicalPlan,
    pub names: &'a Names,
}

impl<'a> Attach<'a> {
    pub fn new(input: LogicalPlan, names: &'a Names) -> Self {
        Self { plan: input.clone(), base: input, names }
    }

    /// The input with the columns that the original one has.
    pub fn trimmed(plan: LogicalPlan, width: usize) -> Result<LogicalPlan> {
        if plan.schema().fields().len() == width {
            return Ok(plan);
        }
        let exprs = columns(&plan, width).collect();
        project(plan, exprs)
    }

    /// Number of columns of the original input.
    pub fn width(&self) -> usize {
        self.base.schema().fields().len()
    }

    /// Adds the rows of a predicate that is a conjunct of a filter. Returns what is left to filter by.
    pub fn conjunct(&mut self, conjunct: Expr) -> Result<Option<Expr>> {
        let (subquery, wanted) = match conjunct {
            Expr::Not(inner) => match *inner {
                Expr::Exists(Exists { subquery, negated }) => (subquery.subquery, negated),
                inner => return self.expr(not(inner), Place::Operator).map(Some),
            },
            Expr::Exists(Exists { subquery, negated }) => (subquery.subquery, !negated),
            Expr::InSubquery(InSubquery { expr, subquery, negated: false }) => {
                let expr = self.expr(*expr, Place::Operand)?;
                (self.matching(expr, Operator::Eq, &subquery.subquery)?.into(), true)
            }
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier: SetQuantifier::Any }) => {
                let expr = self.expr(*expr, Place::Operand)?;
                (self.matching(expr, op, &subquery.subquery)?.into(), true)
            }
            other => return self.expr(other, Place::Operator).map(Some),
        };
        let join_type = if wanted { JoinType::LeftSemi } else { JoinType::LeftAnti };
        Ok(match self.presence(&subquery, join_type)? {
            Presence::Joined => None,
            Presence::Known(found) => (found != wanted).then(|| lit(false)),
            Presence::Value(value) => Some(if wanted { value } else { not(value) }),
        })
    }

    /// `expr` with columns of [`plan`](Self::plan) instead of the subqueries that DataFusion does not decorrelate correctly.
    pub fn expr(&mut self, expr: Expr, place: Place) -> Result<Expr> {
        let expr = expr.transform_down(|expr| {
            if !keep::is_subquery(&expr) || keep::is_kept(&expr, place, &self.plan)? {
                return Ok(Transformed::no(expr));
            }
            let value = match expr {
                Expr::Exists(Exists { subquery, negated }) => {
                    let value = match self.presence(&subquery.subquery, JoinType::LeftMark)? {
                        Presence::Known(found) => lit(found),
                        Presence::Value(value) => value,
                        Presence::Joined => lit(true),
                    };
                    if negated { not(value) } else { value }
                }
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    let expr = self.expr(*expr, Place::Operand)?;
                    let value = self.any(expr, Operator::Eq, &subquery.subquery)?;
                    if negated { not(value) } else { value }
                }
                Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                    let expr = self.expr(*expr, Place::Operand)?;
                    match quantifier {
                        SetQuantifier::Any => self.any(expr, op, &subquery.subquery)?,
                        SetQuantifier::All => self.all(expr, op, &subquery.subquery)?,
                    }
                }
                Expr::ScalarSubquery(subquery) => self.scalar(&subquery.subquery)?,
                other => other,
            };
            Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
        });
        expr.data()
    }

    /// The plan of the outer rows for a domain: the original input if it has all that the subquery reads.
    pub fn source(&self, subquery: &LogicalPlan) -> Result<LogicalPlan> {
        let all = Domain::of(subquery, &self.plan, self.names)?;
        let own = Domain::of(subquery, &self.base, self.names)?;
        Ok(if all.keys == own.keys { self.base.clone() } else { self.plan.clone() })
    }

    /// Whether a subquery reads columns of the input.
    pub fn reads(&self, subquery: &LogicalPlan) -> Result<bool> {
        Domain::of(subquery, &self.plan, self.names)?.is_read_by(subquery)
    }

    /// Joins the input with `right`.
    pub fn join(&mut self, right: LogicalPlan, join_type: JoinType, on: Vec<Expr>) -> Result<()> {
        let left = LogicalPlanBuilder::from(self.plan.clone());
        let plan = if on.is_empty() && join_type == JoinType::Inner {
            left.cross_join(right)?
        } else {
            let on = if on.is_empty() { vec![lit(true)] } else { on };
            left.join_on(right, join_type, on)?
        };
        self.plan = plan.build()?;
        Ok(())
    }

    /// A subquery without any outer value as an expression.
    pub fn constant(&self, subquery: LogicalPlan) -> Result<Option<Expr>> {
        if is_correlated(&subquery)? {
            return Ok(None);
        }
        Ok(Some(datafusion::logical_expr::scalar_subquery(Arc::new(subquery))))
    }
}
