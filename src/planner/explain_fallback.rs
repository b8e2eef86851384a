//! `ExplainFallback`: wraps every operator that stayed on the host so that EXPLAIN shows why. The last rule; it changes
//! nothing of what runs.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use crate::config::{Placement, XlaOptions};
use crate::exec::boundary::device_to_host::DeviceToHostExec;
use crate::exec::boundary::host_fallback::HostFallbackExec;
use crate::exec::device_exec::DeviceExec;
use crate::exec::operator::host_plan::only_moves_rows;
use crate::expr::fallback::FallbackReason;
use crate::planner::convert::try_convert;

#[derive(Debug)]
pub struct ExplainFallback;

impl ExplainFallback {
    pub const NAME: &'static str = "ExplainFallback";
}

impl PhysicalOptimizerRule for ExplainFallback {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        match XlaOptions::of(config).placement {
            Placement::Never => Ok(plan),
            _ => mark(plan, None),
        }
    }
}

/// `of_final`: why the aggregate above stayed on the host, of which this is the partial half or lies before it.
fn mark(plan: Arc<dyn ExecutionPlan>, of_final: Option<&FallbackReason>) -> Result<Arc<dyn ExecutionPlan>> {
    if HostFallbackExec::of(&plan).is_some() {
        return Ok(plan);
    }
    let mode = plan.downcast_ref::<AggregateExec>().map(|aggregate| *aggregate.mode());
    let is_final = matches!(mode, Some(AggregateMode::Final | AggregateMode::FinalPartitioned));
    let on_device = DeviceExec::of(&plan).is_some() || plan.downcast_ref::<DeviceToHostExec>().is_some();
    let reason = match (on_device || only_moves_rows(&plan) || plan.children().is_empty(), mode, of_final) {
        (true, _, _) => None,
        (false, Some(AggregateMode::Partial), Some(reason)) => Some(reason.clone()),
        (false, _, _) => Some(match try_convert(&plan) {
            Err(reason) => reason,
            Ok(_) => FallbackReason::AddedLater { name: plan.name().to_string() },
        }),
    };
    let below = if is_final { reason.as_ref() } else { of_final.filter(|_| only_moves_rows(&plan)) };
    let children = plan.children().into_iter().cloned().map(|child| mark(child, below)).collect::<Result<Vec<_>>>()?;
    let plan = replace_children_if_necessary(plan, children)?;
    Ok(match reason {
        Some(reason) => Arc::new(HostFallbackExec::new(plan, reason)),
        None => plan,
    })
}
