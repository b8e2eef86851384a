//! The outer values that a subquery reads, and their distinct combinations: the domain.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr_rewriter::strip_outer_reference;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit};

use crate::frontend::unnest::names::{Names, project};

/// The outer values that a subquery reads.
pub struct Domain<'a> {
    /// As expressions over the columns of `source`: a column, or a column under casts.
    pub keys: Vec<Expr>,
    /// The plan of the outer rows.
    source: &'a LogicalPlan,
    pub names: &'a Names,
}

impl<'a> Domain<'a> {
    /// The values of `source` that `subquery` reads.
    pub fn of(subquery: &LogicalPlan, source: &'a LogicalPlan, names: &'a Names) -> Result<Self> {
        let mut chains: Vec<(Column, Expr)> = Vec::new();
        for_each_expr(subquery, &mut |expr| {
            if let Some(column) = chain_root(expr)
                && source.schema().has_column(column)
            {
                let chain = (column.clone(), strip_outer_reference(expr.clone()));
                if !chains.contains(&chain) {
                    chains.push(chain);
                }
                return Ok(TreeNodeRecursion::Jump);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let mut keys: Vec<Expr> = Vec::new();
        for (column, chain) in &chains {
            // A cast is a part of the key if the subquery reads the column under no other.
            let alone = chains.iter().all(|(c, other)| c != column || other == chain);
            let key = if alone { chain.clone() } else { Expr::Column(column.clone()) };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(Self { keys, source, names })
    }

    /// Whether a plan reads outer values.
    pub fn is_read_by(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        for_each_expr(plan, &mut |expr| {
            found |= self.is_read_here(expr);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(found)
    }

    /// Whether an expression reads outer values.
    pub fn is_read_in(&self, expr: &Expr) -> Result<bool> {
        expr.exists(|expr| Ok(self.is_read_here(expr)))
    }

    fn is_read_here(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::OuterReferenceColumn(_, column) if self.source.schema().has_column(column))
    }

    /// The key that an expression is, outer references and casts only.
    pub fn key_of(&self, expr: &Expr) -> Option<usize> {
        chain_root(expr)?;
        let stripped = strip_outer_reference(expr.clone());
        self.keys.iter().position(|key| *key == stripped)
    }

    /// `expr` with columns instead of the outer values.
    pub fn replace(&self, expr: Expr, columns: &[Expr]) -> Result<Expr> {
        expr.transform_down(|expr| {
            Ok(match self.key_of(&expr) {
                Some(key) => Transformed::new(columns[key].clone(), true, TreeNodeRecursion::Jump),
                None => Transformed::no(expr),
            })
        })
        .data()
    }

    /// The distinct combinations of the outer values, one column each.
    pub fn rows(&self) -> Result<LogicalPlan> {
        let qualifier = self.names.qualifier();
        let keys = self.keys.iter().enumerate();
        let exprs =
            keys.map(|(i, key)| key.clone().alias_qualified(Some(qualifier.clone()), format!("{qualifier}_k{i}")));
        Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(project(self.source.clone(), exprs.collect())?))))
    }

    /// The schema of the outer rows.
    pub fn schema(&self) -> &DFSchema {
        self.source.schema()
    }

    /// The condition that joins rows whose keys are the same, NULLs included: one equality or two for each key, so that a join hashes
    /// them. (An `IS NOT DISTINCT FROM` would make the join take NULLs as equal in every key that the optimizer adds to it.)
    pub fn same(&self, left: &[Expr], right: &[Expr], nullable: &[bool]) -> Result<Vec<Expr>> {
        let mut equalities = Vec::new();
        for (i, key) in self.keys.iter().enumerate() {
            let (left, right) = (left[i].clone(), right[i].clone());
            if !nullable[i] || !key.nullable(self.schema())? {
                equalities.push(left.eq(right));
                continue;
            }
            match ScalarValue::new_default(&key.get_type(self.schema())?) {
                Ok(default) if !default.is_null() => {
                    equalities.push(left.clone().is_null().eq(right.clone().is_null()));
                    let value = |expr| coalesce(vec![expr, lit(default.clone())]);
                    equalities.push(value(left).eq(value(right)));
                }
                _ => equalities.push(binary_expr(left, Operator::IsNotDistinctFrom, right)),
            }
        }
        Ok(equalities)
    }
}

/// The outer column of an expression that is one, or one under casts.
fn chain_root(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::OuterReferenceColumn(_, column) => Some(column),
        Expr::Cast(cast) => chain_root(&cast.expr),
        Expr::TryCast(cast) => chain_root(&cast.expr),
        _ => None,
    }
}

/// Whether any outer value is read by a plan, of whatever level.
pub fn is_correlated(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    for_each_expr(plan, &mut |expr| {
        found |= matches!(expr, Expr::OuterReferenceColumn(..));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Visits all expressions of a plan but those inside of its remaining subqueries, which read no outer values of this level.
fn for_each_expr(plan: &LogicalPlan, visit: &mut dyn FnMut(&Expr) -> Result<TreeNodeRecursion>) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            Ok(match expr.apply(&mut *visit)? {
                TreeNodeRecursion::Stop => TreeNodeRecursion::Stop,
                // A jump at the root of an expression must not skip the children of the node.
                _ => TreeNodeRecursion::Continue,
            })
        })
    })?;
    Ok(())
}
