//! `ExplainFallback`: wraps every operator that stayed on the host so that EXPLAIN shows why. The last rule; it changes
//! nothing of what runs.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use crate::config::{Placement, XlaOptions};
use crate::exec::device_to_host::DeviceToHostExec;
use crate::exec::host_fallback::HostFallbackExec;
use crate::expr::fallback::FallbackReason;
use crate::planner::convert::{is_plumbing, try_convert};

#[derive(Debug)]
pub struct ExplainFallback;

impl PhysicalOptimizerRule for ExplainFallback {
    fn name(&self) -> &str {
        "ExplainFallback"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        match XlaOptions::of(config).placement {
            Placement::Never => Ok(plan),
            _ => mark(plan),
        }
    }
}

fn mark(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    // Below a border everything is on the device, down to the scan.
    if plan.downcast_ref::<HostFallbackExec>().is_some() {
        return Ok(plan);
    }
    let children = plan.children().into_iter().cloned().map(mark).collect::<Result<Vec<_>>>()?;
    let plan = replace_children_if_necessary(plan, children)?;
    let on_device = plan.name().starts_with("Xla") || plan.downcast_ref::<DeviceToHostExec>().is_some();
    if plan.children().is_empty() || on_device || is_plumbing(&plan) {
        return Ok(plan);
    }
    let reason = match try_convert(&plan) {
        Err(reason) => reason,
        Ok(_) => FallbackReason::AddedLater { name: plan.name().to_string() },
    };
    Ok(Arc::new(HostFallbackExec::new(plan, reason)))
}
