//! The programs that a plan is expected to become, for EXPLAIN. What only the data tells (groups that are hashed, a join that expands)
//! shows in EXPLAIN ANALYZE.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::exec::boundary::host_to_device::HostToDeviceExec;
use crate::exec::device_node::DeviceNode;

/// A program whose operators are still being gathered.
#[derive(Default)]
struct Chain {
    names: Vec<&'static str>,
    /// Starts from the accumulators of an aggregation.
    finishes: bool,
}

impl Chain {
    fn with(mut self, name: &'static str) -> Self {
        self.names.push(name);
        self
    }

    fn program(&self) -> String {
        let name = if self.names.is_empty() { "scan".to_string() } else { self.names.join("_") };
        if self.finishes { format!("{name}_finish") } else { name }
    }
}

/// Names of the programs of the operators below a border, in the order in which they run.
pub fn program_names(top: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let mut programs = Vec::new();
    let last = chain(top, &mut programs);
    programs.push(last.program());
    programs
}

fn chain(plan: &Arc<dyn ExecutionPlan>, programs: &mut Vec<String>) -> Chain {
    let children = plan.children();
    match (DeviceNode::of(plan), children.first()) {
        (Some(DeviceNode::Join(join)), _) => {
            let (build, probe) = join.sides();
            let build = chain(build, programs);
            if !build.names.is_empty() {
                programs.push(build.program());
            }
            programs.push("join_build".to_string());
            chain(probe, programs).with("join")
        }
        (Some(DeviceNode::Union(_)), _) => {
            for child in children {
                let input = chain(child, programs);
                if !input.names.is_empty() {
                    programs.push(input.program());
                }
            }
            Chain::default().with("union")
        }
        (Some(node @ DeviceNode::Aggregate(_)), Some(input)) => {
            let input = chain(input, programs);
            if input.finishes {
                return input.with(node.name());
            }
            programs.push(format!("{}_update", input.with(node.name()).program()));
            Chain { names: vec![node.name()], finishes: true }
        }
        (Some(node), Some(input)) => chain(input, programs).with(node.name()),
        _ => {
            debug_assert!(plan.downcast_ref::<HostToDeviceExec>().is_some());
            Chain::default()
        }
    }
}

/// Operators that have no sharded form: on several devices their rows are gathered to one.
pub fn gathering_operators(top: &Arc<dyn ExecutionPlan>) -> Vec<&'static str> {
    let mut found = Vec::new();
    visit_gathering(top, &mut found);
    found
}

fn visit_gathering(plan: &Arc<dyn ExecutionPlan>, found: &mut Vec<&'static str>) {
    if let Some(node) = DeviceNode::of(plan) {
        let gathers = match &node {
            DeviceNode::Sort(_) | DeviceNode::Limit(_) => !plan.children().into_iter().all(holds_groups),
            DeviceNode::Union(_) => true,
            DeviceNode::Aggregate(aggregate) => aggregate.needs_all_rows(),
            // The build side is replicated; the probe side stays sharded where each row finds one match.
            DeviceNode::Join(_) | DeviceNode::Filter(_) | DeviceNode::Projection(_) => false,
        };
        if gathers && !found.contains(&node.name()) {
            found.push(node.name());
        }
        plan.children().into_iter().for_each(|child| visit_gathering(child, found));
    }
}

/// Whether the rows are the groups of an aggregation, which every device has.
fn holds_groups(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match DeviceNode::of(plan) {
        Some(DeviceNode::Aggregate(aggregate)) => !aggregate.needs_all_rows(),
        Some(DeviceNode::Join(_) | DeviceNode::Union(_)) | None => false,
        Some(_) => plan.children().into_iter().all(holds_groups),
    }
}
