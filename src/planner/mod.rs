//! Host plan -> device plan. Two physical optimizer rules, and a query planner around them ([`balance_filters`] comes before them):
//!
//! 1. [`place_on_device`], before DataFusion's `EnsureRequirements`: converts operators bottom-up and puts the boundaries in; then
//!    [`distribute`] puts exchanges between devices. What DataFusion does after it (distribution, order) fits the converted plan by
//!    itself.
//! 2. [`explain_fallback`], last: marks every operator that stayed on the host with the reason.
//! 3. [`session_planner`] adds what rules do not see of the session.
//!
//! [`fallbacks`] reads the reasons of a plan as data.

pub mod balance_filters;
pub mod convert;
pub mod distribute;
pub mod explain_fallback;
pub mod fallbacks;
pub mod place_on_device;
mod refusal;
pub mod session_planner;

use std::sync::Arc;

use datafusion::common::config_err;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use crate::config::XlaOptions;
use crate::exec::state::context::DeviceContext;
use crate::planner::balance_filters::BalanceFilters;
use crate::planner::explain_fallback::ExplainFallback;
use crate::planner::place_on_device::PlaceOnDevice;
use crate::planner::session_planner::{SessionPlanner, rules_after_placement};

/// The rule of DataFusion that placement comes before: it makes distribution and order fit.
const BEFORE: &str = "EnsureRequirements";

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules with Parallax's two in their places, for the mesh of `device`.
fn with_device_rules(rules: &[Rule], device: &Arc<DeviceContext>) -> Result<Vec<Rule>> {
    let Some(before) = rules.iter().position(|rule| rule.name() == BEFORE) else {
        let names: Vec<_> = rules.iter().map(|rule| rule.name()).collect();
        return config_err!(
            "Parallax places operators before the physical optimizer rule {BEFORE}, which this session does not have (its rules are {}): \
             add Parallax to a builder with DataFusion's default rules, and change rules afterwards",
            names.join(", ")
        );
    };
    let place = |following| -> Rule {
        Arc::new(PlaceOnDevice { device: Arc::downgrade(device), devices: device.mesh.len(), following })
    };
    let mut out = rules.to_vec();
    out.insert(before, Arc::new(BalanceFilters));
    out.insert(before + 1, place(Default::default()));
    out.push(Arc::new(ExplainFallback));
    // A query planner of the embedder's own may not know the session: then the rules as they are now serve.
    out[before + 1] = place(rules_after_placement(&out));
    Ok(out)
}

/// Adds the options, the device, the rules and the query planner to a program's own DataFusion.
///
/// # Errors
/// If DataFusion's rule before which operators are placed is not there.
pub fn install(mut builder: SessionStateBuilder, device: DeviceContext) -> Result<SessionStateBuilder> {
    let rules = match builder.physical_optimizers() {
        Some(optimizer) => optimizer.rules.clone(),
        None => PhysicalOptimizer::new().rules,
    };
    let config = std::mem::take(builder.config().get_or_insert_with(SessionConfig::new));
    let device = Arc::new(device);
    let rules = with_device_rules(&rules, &device)?;
    let config = config.with_option_extension(XlaOptions::default()).with_extension(device);
    let planner = SessionPlanner::new(builder.query_planner().take());
    Ok(builder.with_config(config).with_physical_optimizer_rules(rules).with_query_planner(Arc::new(planner)))
}
