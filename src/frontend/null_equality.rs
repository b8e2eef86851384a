//! `NullEquality`: keys of joins that match NULL with NULL stay apart from keys that do not.
//!
//! A join has one way with NULLs for all of its keys, and DataFusion mixes keys of both.
//!
//! `eliminate_cross_join` gathers the keys of nested inner joins and gives all of them the topmost join's way with
//! NULLs. `a JOIN b ON a.x IS NOT DISTINCT FROM b.x CROSS JOIN c` loses the rows where both are NULL; under a join by IS NOT
//! DISTINCT FROM, or under a filter above one, `=` finds NULL equal to NULL. This rule comes right before it and puts a projection
//! of all columns between two joins that differ, and between such a filter and its join. DataFusion removes the projection
//! at the end of each pass.
//!
//! `extract_equijoin_predicate` makes a key of `a.y = b.y` beside `a.x IS NOT DISTINCT FROM b.x` once a filter has brought it there,
//! and then NULL is equal to NULL in y, too. This rule adds `a.y IS NOT NULL` before it.
//!
//! Found by the comparison with SQLite and DuckDB (`make fuzz-oracles`).

use std::sync::Arc;

use datafusion::common::NullEquality as Equality;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::frontend::applies;

/// The rule.
#[derive(Debug)]
pub struct NullEquality;

impl NullEquality {
    /// Its name in `xla.frontend_rules`.
    pub const NAME: &str = "null_equality";
    /// The rules of DataFusion that it comes before.
    pub const BEFORE: [&str; 2] = ["extract_equijoin_predicate", "eliminate_cross_join"];
}

impl OptimizerRule for NullEquality {
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
        if !applies(Self::NAME, &config.options()) {
            return Ok(Transformed::no(plan));
        }
        match plan {
            LogicalPlan::Join(mut join) => {
                let own = join.null_equality;
                let mut changed = own == Equality::NullEqualsNull && demand_not_null(&mut join);
                if join.join_type == JoinType::Inner {
                    changed |= separate(&mut join.left, |child| child != own);
                    changed |= separate(&mut join.right, |child| child != own);
                }
                Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
            }
            LogicalPlan::Filter(mut filter) => {
                let changed = separate(&mut filter.input, |child| child == Equality::NullEqualsNull);
                Ok(Transformed::new_transformed(LogicalPlan::Filter(filter), changed))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Adds `l IS NOT NULL` to the condition of a join that finds NULL equal to NULL, for each `l = r` in it.
fn demand_not_null(join: &mut Join) -> bool {
    let Some(filter) = &join.filter else { return false };
    let conditions = split_conjunction(filter);
    let not_null = conditions.iter().filter_map(|condition| match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, .. }) => Some(Expr::IsNotNull(left.clone())),
        _ => None,
    });
    let missing: Vec<Expr> = not_null.filter(|not_null| !conditions.contains(&not_null)).collect();
    let changed = !missing.is_empty();
    join.filter = Some(missing.into_iter().fold(filter.clone(), Expr::and));
    changed
}

/// Puts a projection above an inner join of which `differs` is true.
fn separate(input: &mut Arc<LogicalPlan>, differs: impl Fn(Equality) -> bool) -> bool {
    let join = match input.as_ref() {
        LogicalPlan::Join(Join { join_type: JoinType::Inner, null_equality, .. }) => *null_equality,
        _ => return false,
    };
    if !differs(join) {
        return false;
    }
    let schema = Arc::clone(input.schema());
    *input = Arc::new(LogicalPlan::Projection(Projection::new_from_schema(Arc::clone(input), schema)));
    true
}
