//! What SQL means where DataFusion means something else, or refuses: rules over logical plans and functions over
//! DataFusion's own, without any device in them. They hold on every placement. One rule or function family a file, each with the
//! report that it answers; `xla.frontend_rules` switches them off, one by one or all.

pub mod row_value;
pub mod unnest;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;

/// Adds the rules and functions to a session. They read `xla.frontend_rules` each time they apply.
pub fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder.with_analyzer_rule(Arc::new(unnest::UnnestSubqueries))
}
