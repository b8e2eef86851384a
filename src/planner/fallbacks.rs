//! The fallback reasons of a plan as data, for embedders and for the shell's `\\why`.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, displayable};

use crate::exec::boundary::host_fallback::HostFallbackExec;
use crate::exec::device_exec::DeviceExec;
use crate::expr::fallback::FallbackReason;

/// An operator that stays on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Name of the plan node: `SortExec`.
    pub node: String,
    /// The node as EXPLAIN shows it, without the reason.
    pub display: String,
    /// Why it has no device form.
    pub reason: FallbackReason,
}

impl Fallback {
    /// The expression that has no device form, if that is the reason.
    pub fn expression(&self) -> Option<&str> {
        match &self.reason {
            FallbackReason::Expression { expression, .. } => Some(expression),
            FallbackReason::Aggregate { function, .. } => Some(function),
            _ => None,
        }
    }
}

/// The operators of a plan that stay on the host, each with its reason, from the top down.
pub fn fallbacks(plan: &Arc<dyn ExecutionPlan>) -> Vec<Fallback> {
    let mut found = Vec::new();
    visit(plan, &mut |plan| {
        if let Some(node) = HostFallbackExec::of(plan) {
            let display = displayable(node.host().as_ref()).one_line().to_string().trim_end().to_string();
            found.push(Fallback { node: plan.name().to_string(), display, reason: node.reason().clone() });
        }
    });
    found
}

/// Whether any operator of a plan is on the device.
pub fn uses_device(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut found = false;
    visit(plan, &mut |plan| found |= DeviceExec::of(plan).is_some());
    found
}

fn visit(plan: &Arc<dyn ExecutionPlan>, f: &mut impl FnMut(&Arc<dyn ExecutionPlan>)) {
    f(plan);
    plan.children().into_iter().for_each(|child| visit(child, f));
}
