//! `WholeConditions`: the conditions of DELETE and UPDATE are not split into a projection and a filter.
//!
//! DataFusion takes a common part out of the expressions of every plan, such as the cast in `CAST(a AS DOUBLE) BETWEEN 1.5 AND 2.5`, and
//! hands a table the filters alone: `DELETE FROM t WHERE a BETWEEN 1.5 AND 2.5` on a REAL column fails with "No field named
//! __common_expr_3". Found in SQLite's corpus (`make sqlite`, index/delete).

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{DmlStatement, LogicalPlan, WriteOp};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::frontend::applies;

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "whole_conditions";

/// The rule of DataFusion that takes common parts out.
const SPLITS: &str = "common_sub_expression_eliminate";

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// DataFusion's rule, but for DELETE and UPDATE.
#[derive(Debug)]
struct WholeConditions {
    splits: Rule,
}

/// Puts the rule in the place of DataFusion's.
pub fn install(rules: &mut [Rule]) {
    for rule in rules.iter_mut().filter(|rule| rule.name() == SPLITS) {
        *rule = Arc::new(WholeConditions { splits: Arc::clone(rule) });
    }
}

impl OptimizerRule for WholeConditions {
    fn name(&self) -> &str {
        self.splits.name()
    }

    /// `None`, as DataFusion's rule has it: each is given the whole plan.
    fn apply_order(&self) -> Option<ApplyOrder> {
        self.splits.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let filters_rows =
            matches!(&plan, LogicalPlan::Dml(DmlStatement { op: WriteOp::Delete | WriteOp::Update, .. }));
        if filters_rows && applies(NAME, &config.options()) {
            return Ok(Transformed::no(plan));
        }
        self.splits.rewrite(plan, config)
    }
}
