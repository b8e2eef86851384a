//! The conditions of filters as balanced trees: DataFusion's `FilterPushdown` takes them apart at AND and joins them in a chain, and each
//! level of a chain asks for the type of all that is below it. The logical plan has them balanced
//! ([`frontend`](crate::frontend)).

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use crate::frontend;

/// The rule.
#[derive(Debug)]
pub struct BalanceFilters;

impl PhysicalOptimizerRule for BalanceFilters {
    fn name(&self) -> &str {
        "BalanceFilters"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if !frontend::balances_chains(config) {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let Some(filter) = node.downcast_ref::<FilterExec>() else { return Ok(Transformed::no(node)) };
            let terms = split_conjunction(filter.predicate());
            if terms.len() < frontend::LONG_CHAIN || !is_deep(filter.predicate()) {
                return Ok(Transformed::no(node));
            }
            let and = |left, right| Arc::new(BinaryExpr::new(left, Operator::And, right)) as Arc<dyn PhysicalExpr>;
            let Some(predicate) = frontend::balanced(terms.into_iter().cloned().collect(), and) else {
                return Ok(Transformed::no(node));
            };
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            Ok(Transformed::yes(Arc::new(filter) as _))
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a condition has more levels of AND than a balanced one.
fn is_deep(predicate: &Arc<dyn PhysicalExpr>) -> bool {
    let mut open = vec![(predicate, 0)];
    while let Some((expr, depth)) = open.pop() {
        if depth > frontend::LONG_CHAIN {
            return true;
        }
        if let Some(and) = expr.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == Operator::And) {
            open.extend([(and.right(), depth + 1), (and.left(), depth + 1)]);
        }
    }
    false
}
