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

use datafusion::physical_optimizer::PhysicalOptimizerRule;

use crate::exec::context::DeviceContext;
use crate::planner::explain_fallback::ExplainFallback;
use crate::planner::place_on_device::PlaceOnDevice;

/// DataFusion's rules with Parallax's two in their places, for the mesh of `device`.
pub fn with_device_rules(
    rules: &[Arc<dyn PhysicalOptimizerRule + Send + Sync>],
    device: &Arc<DeviceContext>,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut out = rules.to_vec();
    let before = out.iter().position(|rule| rule.name() == "EnsureRequirements").unwrap_or(out.len());
    out.insert(before, Arc::new(PlaceOnDevice { device: Arc::downgrade(device), devices: device.mesh.len() }));
    out.push(Arc::new(ExplainFallback));
    out
}
