//! Opens a pipeline from the leaves up. Operators that narrow or map rows become steps of a [`Relation`] and run nothing; where an
//! operator has to see rows together, its inputs are computed: at once, or in passes where device memory is short.
//!
//! ```text
//! open(join)
//!   open(build)                              the input that the join holds
//!   runtime filter of the build side's keys  where the probe side gains by it
//!   open(probe, filters)                     filters sink to the tables, past projections, joins and GROUP BY
//!   join.open(build, probe)                  a step of the probe side, or rows
//! ```

use std::sync::Arc;

use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_exec::DeviceExec;
use crate::exec::device_operator::{InputColumn, Opened, RowScope};
use crate::exec::fallback_error::name_operator;
use crate::exec::run::compaction::compact;
use crate::exec::run::engine::Engine;
use crate::exec::runtime_filter::{RuntimeFilter, filters_for, is_worth_filtering};
use crate::exec::spill::multi_pass::compute_in_passes;
use crate::exec::spill::spill_buffer::spill;
use crate::exec::state::memory_mode::MemoryMode;
use crate::exec::trace::relation::Relation;

/// What follows a runtime filter, in gathers a row: it is only made where much does.
const WEIGHT_BELOW: usize = 6;

/// The relation of a device operator and all below it.
pub fn open(engine: &Engine, plan: &Arc<dyn ExecutionPlan>) -> Result<Relation> {
    open_filtered(engine, plan, &[])
}

/// The rows of `plan` that runtime filters of its output columns let through. A filter sinks as far down as the operators allow.
fn open_filtered(engine: &Engine, plan: &Arc<dyn ExecutionPlan>, filters: &[RuntimeFilter]) -> Result<Relation> {
    engine.cancelled.check()?;
    let mut here = Vec::new();
    let relation = match (DeviceExec::of(plan), engine.table_of(plan)) {
        (Some(node), _) => {
            let widths = node.widths();
            let mut of_inputs = vec![Vec::new(); widths.len()];
            for filter in filters {
                let sources = node.operator().sources_of(filter.column, &widths);
                if sources.is_empty() {
                    here.push(filter);
                }
                for InputColumn { input, column } in sources {
                    of_inputs[input].push(filter.on(column));
                }
            }
            let inputs = open_inputs(engine, node, of_inputs)?;
            open_operator(engine, node, inputs).map_err(|error| name_operator(error, node.operator().name()))?
        }
        (None, Some(table)) => {
            here.extend(filters);
            Relation::on(Arc::clone(table))
        }
        (None, None) => return internal_err!("{} inside a device pipeline", plan.name()),
    };
    let is_filtered = !here.is_empty();
    let relation = here.into_iter().fold(relation, |relation, filter| relation.with(filter.step(plan)));
    if is_filtered { compact(engine, relation, WEIGHT_BELOW) } else { Ok(relation) }
}

/// The inputs of an operator, each without the rows that its filters exclude; the keys of one may filter the other.
fn open_inputs(engine: &Engine, node: &DeviceExec, mut filters: Vec<Vec<RuntimeFilter>>) -> Result<Vec<Relation>> {
    let inputs = node.inputs();
    let held = node.operator().held_input().unwrap_or(0);
    let [_, _] = inputs else {
        return inputs.iter().zip(&filters).map(|(input, filters)| open_filtered(engine, input, filters)).collect();
    };
    let other = 1 - held;
    // The build side comes first, unless it is the one that gains by the other's keys.
    let (first, second, is_filtered) = match is_worth_filtering(engine, node, held) {
        true => (other, held, true),
        false => (held, other, is_worth_filtering(engine, node, other)),
    };
    let mut source = open_filtered(engine, &inputs[first], &filters[first])?;
    if is_filtered {
        let (relation, found) = filters_for(engine, node, second, source)?;
        source = relation;
        filters[second].extend(found);
    }
    let target = open_filtered(engine, &inputs[second], &filters[second])?;
    Ok(if first == 0 { vec![source, target] } else { vec![target, source] })
}

/// The rows of an operator whose inputs are open, as device memory allows.
fn open_operator(engine: &Engine, node: &DeviceExec, mut inputs: Vec<Relation>) -> Result<Relation> {
    let operator = Arc::clone(node.operator());
    let is_keyed = matches!(operator.row_scope(), RowScope::Keys(_));
    let spills = engine.mode == MemoryMode::Spooled && is_keyed;
    if let ([input], true) = (inputs.as_mut_slice(), spills) {
        *input = spill(engine, input)?;
    }
    let relation = match Arc::clone(&operator).open(engine, inputs, &node.metrics)? {
        Opened::Relation(relation) => relation,
        Opened::Together { inputs, compute, .. } if engine.mode == MemoryMode::Resident => compute(engine, inputs)?,
        Opened::Together { inputs, held, compute } => {
            compute_in_passes(engine, operator.as_ref(), &node.metrics, inputs, held, compute.as_ref())?
        }
    };
    if spills { spill(engine, &relation) } else { Ok(relation) }
}
