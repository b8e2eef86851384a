//! The programs that a plan is expected to become, for EXPLAIN. What only the data tells (groups that are hashed, a join that expands)
//! shows in EXPLAIN ANALYZE.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_exec::DeviceExec;

/// A program whose operators are still being collected.
#[derive(Default)]
struct Chain {
    names: Vec<&'static str>,
    /// Starts from accumulators.
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

/// Names of the programs of the operators below a boundary, in the order in which they run.
pub fn program_names(top: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let mut programs = Vec::new();
    let last = chain(top, &mut programs);
    programs.push(last.program());
    programs
}

fn chain(plan: &Arc<dyn ExecutionPlan>, programs: &mut Vec<String>) -> Chain {
    let Some(node) = DeviceExec::of(plan) else { return Chain::default() };
    let (operator, inputs) = (node.operator(), node.inputs());
    match (inputs, operator.held_input()) {
        // Exchanges are no part of a program.
        ([input], _) if operator.label().is_empty() => chain(input, programs),
        ([input], _) if operator.accumulates() => {
            let input = chain(input, programs);
            if input.finishes {
                return input.with(operator.label());
            }
            programs.push(format!("{}_update", input.with(operator.label()).program()));
            Chain { names: vec![operator.label()], finishes: true }
        }
        ([input], _) => chain(input, programs).with(operator.label()),
        ([_, _], Some(held)) => {
            let build = chain(&inputs[held], programs);
            if !build.names.is_empty() {
                programs.push(build.program());
            }
            programs.push(format!("{}_build", operator.label()));
            chain(&inputs[1 - held], programs).with(operator.label())
        }
        _ => {
            for input in inputs {
                let input = chain(input, programs);
                if !input.names.is_empty() {
                    programs.push(input.program());
                }
            }
            Chain::default().with(operator.label())
        }
    }
}
