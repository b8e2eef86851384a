//! What SQL means where DataFusion means something else, or refuses: rules over logical plans and functions over
//! DataFusion's own, without any device in them. They hold on every placement. One rule or function family a file, each with the
//! report that it answers; `xla.frontend_rules` switches them off, one by one or all.

mod aggregate;
mod aggregate_schema;
mod balanced_filters;
mod balanced_operators;
mod canonical_floats;
mod checked_integers;
mod decimal_casts;
mod decimal_precision;
pub mod exact_literals;
mod flat_coalesce;
mod guarded_branches;
mod messages;
mod missing_files;
mod notices;
pub mod null_equality;
mod operand_types;
mod own_functions;
mod precise_math;
mod replace;
mod syntax;
mod truth_tests;
mod union_schema;
pub mod unnest;
mod using;
mod whole_conditions;
mod wide_dictionaries;

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, ScalarUDF};
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer};
use datafusion::prelude::SessionConfig;

use crate::config::XlaOptions;
use crate::frontend::aggregate::is_exact;
use crate::frontend::balanced_filters::BalancedFilters;
use crate::frontend::canonical_floats::extreme::is_extreme;
use crate::frontend::canonical_floats::function::CanonicalFloat;
use crate::frontend::checked_integers::{CheckedInteger, CheckedIntegers};
use crate::frontend::decimal_casts::{DecimalCasts, DecimalToDouble};
use crate::frontend::decimal_precision::{DecimalPrecision, WithinPrecision};
use crate::frontend::exact_literals::ExactLiterals;
use crate::frontend::notices::Notices;
use crate::frontend::null_equality::NullEquality;
use crate::frontend::precise_math::is_precise;
use crate::frontend::unnest::single_row::SingleRow;

pub use crate::frontend::aggregate::statistic;
pub use crate::frontend::own_functions::{is_own_aggregate, is_own_scalar};
use crate::frontend::syntax::chains;
pub use crate::frontend::syntax::chains::{LONG as LONG_CHAIN, tree as balanced};
pub use crate::frontend::syntax::{Parsed, nesting, parse, plan};

/// Adds the rules and functions to a session, and the notices that it keeps. They read `xla.frontend_rules` each time they apply.
pub fn install(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let first: [Arc<dyn AnalyzerRule + Send + Sync>; 5] = [
        Arc::new(balanced_operators::BalancedOperators),
        Arc::new(wide_dictionaries::WideDictionaries),
        Arc::new(ExactLiterals),
        Arc::new(aggregate::ExactAggregates),
        Arc::new(precise_math::PreciseMath),
    ];
    builder.analyzer().get_or_insert_with(Analyzer::new).rules.splice(0..0, first);
    let rules = &mut builder.optimizer().get_or_insert_with(Optimizer::new).rules;
    rules.insert(0, Arc::new(ExactLiterals));
    for name in NullEquality::BEFORE {
        let at = rules.iter().position(|rule| rule.name() == name).unwrap_or(0);
        rules.insert(at, Arc::new(NullEquality));
    }
    if let Some(pushed) = rules.iter().position(|rule| rule.name() == "push_down_filter") {
        rules.insert(pushed + 1, Arc::new(BalancedFilters));
    }
    whole_conditions::install(rules);
    builder.config().get_or_insert_default().set_extension(Arc::new(Notices::default()));
    builder.relation_planners().get_or_insert_default().push(Arc::new(using::UsingJoins));
    builder
        .with_analyzer_rule(Arc::new(flat_coalesce::FlatCoalesce))
        .with_analyzer_rule(Arc::new(unnest::UnnestSubqueries))
        .with_analyzer_rule(Arc::new(truth_tests::TruthTests))
        .with_analyzer_rule(Arc::new(DecimalCasts))
        .with_analyzer_rule(Arc::new(DecimalPrecision))
        .with_analyzer_rule(Arc::new(CheckedIntegers))
        .with_analyzer_rule(Arc::new(union_schema::UnionSchema))
}

/// The optimised plan as the rules that come last want it. They write what no other rule should work on, so a query planner applies
/// them, once.
///
/// # Errors
/// If a node cannot be made anew.
pub fn last_rules(mut plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
    if applies(guarded_branches::NAME, config) {
        plan = guarded_branches::rewrite(plan)?;
    }
    if applies(canonical_floats::NAME, config) {
        plan = canonical_floats::rewrite(plan)?;
    }
    Ok(plan)
}

/// Whether a scalar function is one of the frontend's, which the device knows by its name.
pub fn is_frontends(function: &ScalarUDF) -> bool {
    let inner = function.inner();
    is_precise(function)
        || inner.is::<SingleRow>()
        || inner.is::<CanonicalFloat>()
        || inner.is::<DecimalToDouble>()
        || inner.is::<WithinPrecision>()
        || inner.is::<CheckedInteger>()
}

/// Whether an aggregate function is one of the frontend's, which means what DataFusion's of the same name does.
pub fn is_frontends_aggregate(function: &AggregateUDF) -> bool {
    is_exact(function) || is_extreme(function)
}

/// The notices of a session since they were last taken.
pub fn take_notices(config: &SessionConfig) -> Vec<String> {
    Notices::of(config).map(|notices| notices.take()).unwrap_or_default()
}

/// Checks what a plan reads before it is planned further.
///
/// # Errors
/// If a file is not there.
pub async fn check_sources(plan: &LogicalPlan, state: &dyn Session) -> Result<()> {
    if applies(missing_files::NAME, state.config_options()) { missing_files::check(plan, state).await } else { Ok(()) }
}

/// The session in which a query is planned again that the planner has refused with this error; `None` if it would be refused again.
pub fn to_plan_again(error: &DataFusionError, state: &SessionState) -> Option<SessionState> {
    let applies = applies(aggregate_schema::NAME, state.config_options());
    if applies { aggregate_schema::without_check(error, state) } else { None }
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
