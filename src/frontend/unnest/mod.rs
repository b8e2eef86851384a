//! Subqueries that DataFusion refuses or answers wrongly, rewritten into joins (the rule `unnest`).
//!
//! ```text
//! SELECT o.id, (SELECT count(*) FROM i WHERE i.w > o.w) FROM o
//!
//!   Projection: o.id, CASE WHEN q.found IS NULL THEN 0 ELSE q.value END
//!     Left join: o.w = q.key
//!       o
//!       Aggregate: group by key: count(*)          the subquery, for every value of the domain at once
//!         Inner join: i.w > key
//!           i
//!           Distinct: o.w AS key                   the domain: the distinct outer values that the subquery reads
//!             o
//! ```
//!
//! The method is Neumann and Kemper's ("Unnesting Arbitrary Queries", BTW 2015, and its sequel of 2025): the subquery is evaluated
//! once for all values of its outer columns by pushing their domain down through its operators, and its result is joined back.
//! Where equalities give the outer values from the subquery's own rows, no domain is built.
//!
//! This is an analyzer rule because DataFusion checks what subqueries may look like at the end of the analysis. It leaves the
//! subqueries that DataFusion's own rules decorrelate correctly (see [`keep`]), so that their plans stay as they are. Syntax that the
//! SQL planner refuses is rewritten before it, by [`row_value`](crate::frontend::syntax::row_value), for statements that come through
//! `Session`; a program with its own `SessionContext` has the rule only.
//!
//! The outer rows are evaluated twice where a domain is built.

mod attach;
mod dependent;
mod domain;
mod join;
mod keep;
mod lateral;
mod limit;
mod names;
mod presence;
mod quantified;
mod rewrite;
pub mod row;
mod scalar;
mod set_operation;
pub mod single_row;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::applies;

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "unnest";

/// The rule.
#[derive(Debug)]
pub struct UnnestSubqueries;

impl AnalyzerRule for UnnestSubqueries {
    fn name(&self) -> &str {
        NAME
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !applies(NAME, config) || !rewrite::has_subqueries(&plan)? {
            return Ok(plan);
        }
        rewrite::rewrite(plan, &names::Names::default())
    }
}
