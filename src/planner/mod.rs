//! Host plan -> device plan. Two physical optimizer rules:
//!
//! 1. [`place_on_device`], before DataFusion's `EnsureRequirements`: converts operators bottom-up and puts the borders
//!    in. What DataFusion does after it (distribution, order) then fits the converted plan by itself.
//! 2. [`explain_fallback`], last: marks every operator that stayed on the host with the reason.

pub mod analyze;
pub mod convert;
pub mod explain_fallback;
pub mod place_on_device;

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use crate::config::XlaOptions;
use crate::exec::state::context::DeviceContext;
use crate::planner::analyze::CountRowsOfAnalyze;
use crate::planner::explain_fallback::ExplainFallback;
use crate::planner::place_on_device::PlaceOnDevice;

/// DataFusion's rules with Parallax's two in their places, for the mesh of `device`.
fn with_device_rules(
    rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>],
    device: &Arc<DeviceContext>,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut out = rules.to_vec();
    let before = out.iter().position(|rule| rule.name() == "EnsureRequirements").unwrap_or(out.len());
    out.insert(before, Arc::new(PlaceOnDevice { device: Arc::downgrade(device), devices: device.mesh.len() }));
    out.push(Arc::new(ExplainFallback));
    out
}

/// Adds the options, the device, the rules and the query planner to a program's own DataFusion.
pub fn install(mut builder: SessionStateBuilder, device: DeviceContext) -> SessionStateBuilder {
    let rules = match builder.physical_optimizers() {
        Some(optimizer) => optimizer.rules.clone(),
        None => PhysicalOptimizer::new().rules,
    };
    let config = std::mem::take(builder.config().get_or_insert_with(SessionConfig::new));
    let device = Arc::new(device);
    let rules = with_device_rules(&rules, &device);
    let config = config.with_option_extension(XlaOptions::default()).with_extension(device);
    let planner = CountRowsOfAnalyze::new(builder.query_planner().take());
    builder.with_config(config).with_physical_optimizer_rules(rules).with_query_planner(Arc::new(planner))
}
