//! Dense aggregation: the update program runs over every chunk and adds to accumulators in place; what it leaves is the source of
//! the program that merges them (of all workers, and of all devices by all-reduce) and goes on.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::aggregate::{AggregateState, XlaAggregateExec, keep_where_equal};
use crate::exec::aggregate_lowering::Accumulator;
use crate::exec::relation::Relation;
use crate::exec::run::{Initial, Totals};
use crate::exec::trace::{Trace, TracedProgram};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::{Input, TracedRelation};
use crate::hlo::{ReduceKind, Value};
use crate::kernels::reduce::combine;
use crate::program::ElementType::{S32, S64};
use crate::program::Shape;

/// Accumulators that have seen every row.
pub struct Groups {
    pub plan: GroupsPlan,
    pub accumulators: Arc<Totals>,
    /// Of the aggregate.
    pub metrics: ExecutionPlanMetricsSet,
    /// The errors of the error codes of the update program.
    pub errors: Vec<ExpressionError>,
}

/// What the accumulators are: those of the aggregate, then the error code, then a row count for each operator that is counted.
pub struct GroupsPlan {
    pub state: AggregateState,
    shapes: Vec<Shape>,
    has_error: bool,
    counted: Vec<ExecutionPlanMetricsSet>,
}

impl GroupsPlan {
    /// Slots of the groups; 1 without keys.
    pub fn slots(&self) -> usize {
        self.state.keys.as_ref().map_or(1, |keys| keys.slots)
    }
}

/// The program that adds a chunk to the accumulators: outputs are the accumulators.
pub struct UpdateProgram {
    pub traced: TracedProgram,
    pub initial: Vec<Initial>,
    pub plan: GroupsPlan,
}

/// Traces the update of `aggregate` over the chunks of `relation`, which have `max_rows` rows in all; `None` where its keys have
/// no dense ids.
pub fn trace_update(
    mut trace: Trace,
    relation: &Relation,
    aggregate: &XlaAggregateExec,
    max_rows: usize,
) -> Result<Option<UpdateProgram>> {
    let rows = trace.relation(relation)?;
    let mut first_parameter = 0;
    let options = trace.options.clone();
    let traced = aggregate.trace_update(&mut trace.t, &rows, max_rows, &options, |t, state| {
        first_parameter = t.inputs.len();
        let shapes: Vec<Shape> = state.accumulators.iter().map(|a| state.shape(a)).collect();
        let parameter = |(index, shape)| t.parameter(shape, Input::Accumulator { worker: 0, index });
        Ok(shapes.into_iter().enumerate().map(parameter).collect())
    })?;
    let Some((state, mut outputs)) = traced else { return Ok(None) };
    let mut initial: Vec<Initial> =
        state.accumulators.iter().map(|a| Initial { shape: state.shape(a), value: identity_of(a) }).collect();
    let mut aliases: Vec<(usize, usize)> = (0..outputs.len()).map(|i| (i, first_parameter + i)).collect();
    let error = trace.t.error_code()?;
    let (counted, counts): (Vec<_>, Vec<_>) = trace.counts.drain(..).unzip();
    let extras = error.map(|e| (e, S32, ReduceKind::Maximum)).into_iter();
    let extras = extras.chain(counts.into_iter().map(|c| (c, S64, ReduceKind::Add)));
    for (value, element_type, kind) in extras.collect::<Vec<_>>() {
        let shape = Shape::scalar(element_type);
        aliases.push((outputs.len(), trace.t.inputs.len()));
        let running = trace.t.parameter(shape.clone(), Input::Accumulator { worker: 0, index: outputs.len() });
        outputs.push(combine(&mut trace.t.builder, kind, running, value)?);
        initial.push(Initial { shape, value: 0 });
    }
    let shapes = initial.iter().map(|initial| initial.shape.clone()).collect();
    let plan = GroupsPlan { state, shapes, has_error: error.is_some(), counted };
    Ok(Some(UpdateProgram { traced: trace.finish(&outputs, &aliases)?, initial, plan }))
}

/// Merges the accumulators of all workers and of `devices`, and gives the groups.
pub fn trace_groups(trace: &mut Trace, groups: &Groups, devices: usize) -> Result<TracedRelation> {
    let plan = &groups.plan;
    let workers = groups.accumulators[0].len();
    let mut accumulators = plan.state.accumulators.clone();
    let scalar = |element_type, kind| Accumulator { element_type, kind, refines: None };
    accumulators.extend(plan.has_error.then_some(scalar(S32, ReduceKind::Maximum)));
    accumulators.extend(std::iter::repeat_n(scalar(S64, ReduceKind::Add), plan.counted.len()));
    let t = &mut trace.t;
    let mut parts: Vec<Vec<Value>> = Vec::with_capacity(accumulators.len());
    for (index, shape) in plan.shapes.iter().enumerate() {
        let of_worker = |worker| t.parameter(shape.clone(), Input::Accumulator { worker, index });
        parts.push((0..workers).map(of_worker).collect());
    }
    let mut totals: Vec<Value> = Vec::with_capacity(accumulators.len());
    for (index, accumulator) in accumulators.iter().enumerate() {
        let mut total: Option<Value> = None;
        for (worker, part) in parts[index].iter().enumerate() {
            let mut part = *part;
            if let Some(refined) = accumulator.refines {
                part = keep_where_equal(t, accumulator, parts[refined][worker], totals[refined], part)?;
            }
            total = Some(match total {
                Some(sum) => combine(&mut t.builder, accumulator.kind, sum, part)?,
                None => part,
            });
        }
        let mut total = total.ok_or_else(|| DataFusionError::Internal("an aggregation without workers".into()))?;
        if devices > 1 {
            total = t.builder.all_reduce(total, accumulator.kind)?;
        }
        totals.push(total);
    }
    let n_aggregate = plan.state.accumulators.len();
    trace.source_error = plan.has_error.then(|| totals[n_aggregate]);
    let counts = &totals[n_aggregate + usize::from(plan.has_error)..];
    trace.counts.extend(plan.counted.iter().cloned().zip(counts.iter().copied()));
    XlaAggregateExec::trace_finish(&mut trace.t, &plan.state, &totals[..n_aggregate])
}

/// The identity of an accumulator's kind.
fn identity_of(accumulator: &Accumulator) -> i128 {
    let bits = accumulator.element_type.size_bytes() as u32 * 8;
    match accumulator.kind {
        ReduceKind::Minimum => (1i128 << (bits - 1)) - 1,
        ReduceKind::Maximum => -(1i128 << (bits - 1)),
        ReduceKind::And => -1,
        _ => 0,
    }
}
