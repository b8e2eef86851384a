//! The programs that a plan is expected to become, for EXPLAIN. What only the data tells (groups that are hashed, a join that expands)
//! shows in EXPLAIN ANALYZE.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_node::DeviceNode;
use crate::exec::host_to_device::HostToDeviceExec;

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
