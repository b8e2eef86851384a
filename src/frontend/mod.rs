//! What SQL means where DataFusion means something else, or refuses: rules over logical plans and functions over
//! DataFusion's own, without any device in them. They hold on every placement. One rule or function family a file, each with the
//! report that it answers; `xla.frontend_rules` switches them off, one by one or all.

mod aggregate;
mod balanced_filters;
pub mod exact_literals;
mod messages;
mod own_functions;
mod precise_math;
mod replace;
mod syntax;
pub mod unnest;
mod using;

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer};

use crate::config::XlaOptions;
use crate::frontend::balanced_filters::BalancedFilters;
use crate::frontend::exact_literals::ExactLiterals;

pub use crate::frontend::aggregate::{is_exact, statistic};
pub use crate::frontend::own_functions::{is_own_aggregate, is_own_scalar};
pub use crate::frontend::precise_math::is_precise;
use crate::frontend::syntax::chains;
pub use crate::frontend::syntax::chains::{LONG as LONG_CHAIN, tree as balanced};
pub use crate::frontend::syntax::{Parsed, nesting, parse, plan};

/// Adds the rules and functions to a session. They read `xla.frontend_rules` each time they apply.
pub fn install(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let first: [Arc<dyn AnalyzerRule + Send + Sync>; 3] =
        [Arc::new(ExactLiterals), Arc::new(aggregate::ExactAggregates), Arc::new(precise_math::PreciseMath)];
    builder.analyzer().get_or_insert_with(Analyzer::new).rules.splice(0..0, first);
    let rules = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    rules.insert(0, Arc::new(ExactLiterals));
    if let Some(pushed) = rules.iter().position(|rule| rule.name() == "push_down_filter") {
        rules.insert(pushed + 1, Arc::new(BalancedFilters));
    }
    builder.relation_planners().get_or_insert_default().push(Arc::new(using::UsingJoins));
    builder.with_analyzer_rule(Arc::new(unnest::UnnestSubqueries))
}

/// Whether long chains of AND and OR are balanced.
pub fn balances_chains(config: &ConfigOptions) -> bool {
    applies(chains::NAME, config)
}

/// An error in the words of SQL.
pub fn explain(error: DataFusionError, config: &ConfigOptions) -> DataFusionError {
    if applies(messages::NAME, config) { messages::explain(error) } else { error }
}

/// Whether the rule of this name applies in a session.
pub fn applies(rule: &str, config: &ConfigOptions) -> bool {
    config.extensions.get::<XlaOptions>().is_some_and(|options| options.frontend_rules.has(rule))
}
