//! What SQL means where DataFusion means something else, or refuses: rules over logical plans and functions over
//! DataFusion's own, without any device in them. They hold on every placement. One rule or function family a file, each with the
//! report that it answers; `xla.frontend_rules` switches them off, one by one or all.

pub mod exact_literals;

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer, OptimizerRule};

use crate::config::XlaOptions;
use crate::frontend::exact_literals::ExactLiterals;

/// Adds the rules and functions to a session. They read `xla.frontend_rules` each time they apply.
pub fn install(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let before: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::new(ExactLiterals)];
    let mut analyzer = builder.analyzer().take().unwrap_or_else(Analyzer::new);
    analyzer.rules.splice(0..0, before);
    *builder.analyzer() = Some(analyzer);
    let before: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(ExactLiterals)];
    let mut optimizer = builder.optimizer().take().unwrap_or_else(Optimizer::new);
    optimizer.rules.splice(0..0, before);
    *builder.optimizer() = Some(optimizer);
    builder
}

/// Whether the rule of this name applies in a session.
fn applies(rule: &str, config: &ConfigOptions) -> bool {
    config.extensions.get::<XlaOptions>().is_some_and(|options| options.frontend_rules.has(rule))
}
