//! Converts one host operator, or says why not. Both rules ask here, so that the reason shown is the reason acted on.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::exec::boundary::device_to_host::DeviceToHostExec;
use crate::exec::boundary::host_to_device::HostToDeviceExec;
use crate::exec::operator::convert::Inputs;
use crate::exec::operator::host_plan::only_moves_rows;
use crate::exec::operator::registry;
use crate::expr::fallback::FallbackReason;

/// A host operator with its children already planned: the device node that replaces it, without its upper boundary.
pub fn try_convert(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    registry::try_convert(plan, Inputs(&device_inputs))
}

/// What a device operator reads: the operators below a boundary, or a new boundary above a host plan. Some of several inputs may be
/// constants.
fn device_inputs(inputs: &[&Arc<dyn ExecutionPlan>]) -> Result<Vec<Arc<dyn ExecutionPlan>>, FallbackReason> {
    if inputs.iter().all(|input| reads_no_table(input)) {
        return Err(FallbackReason::NoRows);
    }
    inputs.iter().map(|input| below_boundary(input)).collect()
}

fn below_boundary(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    if let Some(boundary) = input.downcast_ref::<DeviceToHostExec>() {
        return Ok(boundary.input.clone());
    }
    if only_moves_rows(input)
        && let [child] = input.children().as_slice()
        && child.downcast_ref::<DeviceToHostExec>().is_some()
    {
        return below_boundary(child);
    }
    Ok(Arc::new(HostToDeviceExec::try_new(input.clone())?))
}

/// Whether the rows below are computed from constants alone.
fn reads_no_table(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => matches!(plan.name(), "PlaceholderRowExec" | "EmptyExec"),
        children => children.iter().all(|child| reads_no_table(child)),
    }
}
