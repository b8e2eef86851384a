//! What SQL means where DataFusion means something else, or refuses: rules over logical plans and functions over
//! DataFusion's own, without any device in them. They hold on every placement. One rule or function family a file, each with the
//! report that it answers; `xla.frontend_rules` switches them off, one by one or all.

mod aggregate;
pub mod exact_literals;
pub mod null_equality;
mod own_functions;
mod precise_math;
mod replace;
pub mod row_value;
mod truth_tests;
mod union_schema;
pub mod unnest;

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer};

use crate::config::XlaOptions;
use crate::frontend::exact_literals::ExactLiterals;
use crate::frontend::null_equality::NullEquality;

pub use crate::frontend::aggregate::{is_exact, statistic};
pub use crate::frontend::own_functions::{is_own_aggregate, is_own_scalar};
pub use crate::frontend::precise_math::is_precise;

/// Adds the rules and functions to a session. They read `xla.frontend_rules` each time they apply.
pub fn install(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let first: [Arc<dyn AnalyzerRule + Send + Sync>; 3] =
        [Arc::new(ExactLiterals), Arc::new(aggregate::ExactAggregates), Arc::new(precise_math::PreciseMath)];
    builder.analyzer().get_or_insert_with(Analyzer::new).rules.splice(0..0, first);
    let rules = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    rules.insert(0, Arc::new(ExactLiterals));
    for name in NullEquality::BEFORE {
        let at = rules.iter().position(|rule| rule.name() == name).unwrap_or(0);
        rules.insert(at, Arc::new(NullEquality));
    }
    builder
        .with_analyzer_rule(Arc::new(unnest::UnnestSubqueries))
        .with_analyzer_rule(Arc::new(truth_tests::TruthTests))
        .with_analyzer_rule(Arc::new(union_schema::UnionSchema))
}

/// Whether the rule of this name applies in a session.
pub fn applies(rule: &str, config: &ConfigOptions) -> bool {
    config.extensions.get::<XlaOptions>().is_some_and(|options| options.frontend_rules.has(rule))
}
