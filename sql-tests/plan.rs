//! Inspects a physical plan for where it runs.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

/// Boundary nodes (`HostToDeviceExec`) alone do not count.
pub use parallax::session::uses_device as holds_device_node;

/// Part of every refusal under `xla.placement = always`.
pub const REFUSAL: &str = "cannot run on the device";

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

/// Returns whether a host plan has an operator over rows of a table that may be placed on the device. Without one, a
/// record is vacuous on every engine.
pub fn holds_placeable_node(plan: &Arc<dyn ExecutionPlan>) -> bool {
    // `SortExec(TopK)` is a sort.
    let name = plan.name().split('(').next().unwrap_or_default();
    (PLACEABLE.contains(&name) && reads_rows(plan)) || plan.children().into_iter().any(holds_placeable_node)
}

/// Returns whether any leaf is not one of DataFusion's placeholders for constants and empty input.
fn reads_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => !["PlaceholderRowExec", "EmptyExec"].contains(&plan.name()),
        children => children.iter().any(|child| reads_rows(child)),
    }
}

/// Returns the node names from the root down, for a message.
pub fn node_names(plan: &Arc<dyn ExecutionPlan>) -> String {
    let mut names = vec![plan.name().to_string()];
    names.extend(plan.children().into_iter().map(node_names));
    names.join(", ")
}
