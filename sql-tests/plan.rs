//! What a physical plan says about where it runs.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

/// What every refusal under `xla.placement = always` contains.
pub const REFUSAL: &str = "cannot run on the device";

/// Whether any node of the plan runs on the device. Boundary nodes (`HostToDeviceExec`) alone prove nothing.
pub fn holds_device_node(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.name().starts_with("Xla") || plan.children().into_iter().any(holds_device_node)
}

/// Operators of a host plan that have a device form.
const PLACEABLE: [&str; 11] = [
    "FilterExec",
    "ProjectionExec",
    "AggregateExec",
    "SortExec",
    "GlobalLimitExec",
    "LocalLimitExec",
    "UnionExec",
    "HashJoinExec",
    "SortMergeJoinExec",
    "NestedLoopJoinExec",
    "CrossJoinExec",
];

/// Whether a host plan holds an operator that may be placed on the device, over rows of a table; without one a record
/// is vacuous everywhere.
pub fn holds_placeable_node(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // `SortExec(TopK)` is a sort.
    let name = plan.name().split('(').next().unwrap_or_default();
    (PLACEABLE.contains(&name) && reads_rows(plan)) || plan.children().into_iter().any(holds_placeable_node)
}

/// Whether any leaf is more than DataFusion's stand-ins for constants and for nothing.
fn reads_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => !["PlaceholderRowExec", "EmptyExec"].contains(&plan.name()),
        children => children.iter().any(|child| reads_rows(child)),
    }
}

/// The node names from the root down, for a message.
pub fn node_names(plan: &Arc<dyn ExecutionPlan>) -> String {
    let mut names = vec![plan.name().to_string()];
    names.extend(plan.children().into_iter().map(node_names));
    names.join(", ")
}
