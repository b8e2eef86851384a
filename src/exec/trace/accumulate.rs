//! Programs that add to accumulators: one runs over every chunk and updates accumulators in place, the next merges those of all
//! workers and devices and goes on. Aggregations and key bitmaps are such programs.
//!
//! ```text
//! update   chunk, accumulators of the worker ──▶ the same accumulators, updated (donated, not copied)
//! merge    accumulators of all workers ──▶ totals; all-reduce over devices
//! ```

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::trace::output::OutputLayout;
use crate::exec::trace::program::{Trace, TracedProgram};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::{Input, TracedRelation, Tracer};
use crate::hlo::{Comparison, ReduceKind, Value};
use crate::kernels::reduce::{combine, identity};
use crate::program::ElementType::{self, S32, S64};
use crate::program::Shape;
use crate::runtime::Buffer;

/// Accumulators that have seen every row, `[device][worker][index]`.
pub type Totals = Vec<Vec<Vec<Buffer>>>;

/// One accumulator.
#[derive(Clone, Debug)]
pub struct AccumulatorSpec {
    pub shape: Shape,
    pub kind: ReduceKind,
    /// The value of every slot before the first chunk; floats begin with 0.0.
    pub initial: i128,
    /// The accumulator that this one refines, which comes before it: only contributions that reach its final value count.
    pub refines: Option<usize>,
}

impl AccumulatorSpec {
    /// An accumulator that begins with 0.
    pub fn from_zero(shape: Shape, kind: ReduceKind) -> Self {
        Self { shape, kind, initial: 0, refines: None }
    }
}

/// The program that adds a chunk to the accumulators.
pub struct AccumulatingProgram {
    pub traced: TracedProgram,
    pub plan: AccumulatorPlan,
}

/// All accumulators of a program: the operator's own, then the error code, then a row count for each operator that is counted.
#[derive(Clone)]
pub struct AccumulatorPlan {
    pub specs: Vec<AccumulatorSpec>,
    own: usize,
    /// Messages of the error code, if there is one.
    errors: Option<Vec<ExpressionError>>,
    counted: Vec<ExecutionPlanMetricsSet>,
}

/// An accumulating program under construction: its running accumulators are parameters.
pub struct Accumulating {
    specs: Vec<AccumulatorSpec>,
    /// The accumulators as they are before the chunk.
    pub running: Vec<Value>,
    first_parameter: usize,
}

impl Accumulating {
    /// Makes the accumulators parameters of the program.
    pub fn begin(t: &mut Tracer, specs: Vec<AccumulatorSpec>) -> Self {
        let first_parameter = t.inputs.len();
        let parameter = |(index, spec): (usize, &AccumulatorSpec)| {
            t.parameter(spec.shape.clone(), Input::Accumulator { worker: 0, index })
        };
        let running = specs.iter().enumerate().map(parameter).collect();
        Self { specs, running, first_parameter }
    }

    /// The program that gives the updated accumulators, and accumulates its error code and row counts beside them.
    pub fn finish(self, mut trace: Trace, updated: Vec<Value>) -> Result<AccumulatingProgram> {
        let Self { mut specs, first_parameter, .. } = self;
        let (own, mut outputs) = (specs.len(), updated);
        let mut aliases: Vec<(usize, usize)> = (0..outputs.len()).map(|i| (i, first_parameter + i)).collect();
        let error = trace.t.error_code()?;
        let errors = error.map(|_| trace.t.errors.clone());
        let (counted, counts): (Vec<_>, Vec<_>) = trace.counts.drain(..).unzip();
        let error = error.map(|code| (code, S32, ReduceKind::Maximum));
        let counts = counts.into_iter().map(|count| (count, S64, ReduceKind::Add));
        for (value, element_type, kind) in error.into_iter().chain(counts).collect::<Vec<_>>() {
            let spec = AccumulatorSpec::from_zero(Shape::scalar(element_type), kind);
            aliases.push((outputs.len(), trace.t.inputs.len()));
            let input = Input::Accumulator { worker: 0, index: outputs.len() };
            let running = trace.t.parameter(spec.shape.clone(), input);
            outputs.push(combine(&mut trace.t.builder, kind, running, value)?);
            specs.push(spec);
        }
        let layout = OutputLayout::of_arrays(outputs.len());
        let traced = trace.finish_as(&outputs, &aliases, layout)?;
        Ok(AccumulatingProgram { traced, plan: AccumulatorPlan { specs, own, errors, counted } })
    }
}

impl AccumulatorPlan {
    /// Bytes of the accumulators of one worker.
    pub fn size_bytes(&self) -> usize {
        self.specs.iter().map(|spec| spec.shape.size_bytes()).sum()
    }

    /// The totals of the operator's own accumulators over `workers` and the devices of the trace; the error code and the row counts
    /// join those of the program.
    pub fn merge(&self, trace: &mut Trace, workers: usize) -> Result<Vec<Value>> {
        let devices = trace.devices;
        let t = &mut trace.t;
        let mut parts: Vec<Vec<Value>> = Vec::with_capacity(self.specs.len());
        for (index, spec) in self.specs.iter().enumerate() {
            let of_worker = |worker| t.parameter(spec.shape.clone(), Input::Accumulator { worker, index });
            parts.push((0..workers).map(of_worker).collect());
        }
        let mut totals: Vec<Value> = Vec::with_capacity(self.specs.len());
        for (index, spec) in self.specs.iter().enumerate() {
            let mut total: Option<Value> = None;
            for (worker, part) in parts[index].iter().enumerate() {
                let mut part = *part;
                if let Some(refined) = spec.refines {
                    part = keep_where_equal(
                        t,
                        spec.kind,
                        spec.shape.element_type,
                        parts[refined][worker],
                        totals[refined],
                        part,
                    )?;
                }
                total = Some(match total {
                    Some(sum) => combine(&mut t.builder, spec.kind, sum, part)?,
                    None => part,
                });
            }
            let missing = || DataFusionError::Internal("accumulators without workers".into());
            let mut total = total.ok_or_else(missing)?;
            if devices > 1 {
                total = t.builder.all_reduce(total, spec.kind)?;
            }
            totals.push(total);
        }
        let mut extra = totals.split_off(self.own).into_iter();
        if let Some(errors) = &self.errors {
            trace.source_error = extra.next().map(|code| (code, errors.clone()));
        }
        trace.counts.extend(self.counted.iter().cloned().zip(extra));
        Ok(totals)
    }
}

/// `value` where `refined == wanted`, the identity elsewhere.
pub fn keep_where_equal(
    t: &mut Tracer,
    kind: ReduceKind,
    element_type: ElementType,
    refined: Value,
    wanted: Value,
    value: Value,
) -> Result<Value> {
    let reaches = t.builder.compare(refined, wanted, Comparison::Eq)?;
    let identity = identity(&mut t.builder, kind, element_type)?;
    Ok(t.builder.select(reaches, value, identity)?)
}

/// What follows the merged totals: the groups of an aggregation.
pub trait Finish: Send + Sync {
    /// The first part of the program's name.
    fn label(&self) -> &'static str;

    /// Rows of the result, padded.
    fn capacity(&self) -> usize;

    /// The result relation.
    fn trace(&self, t: &mut Tracer, totals: &[Value]) -> Result<TracedRelation>;
}

/// Accumulators that have seen every row, and what makes a relation of them.
pub struct Accumulated {
    plan: AccumulatorPlan,
    pub totals: Arc<Totals>,
    finish: Box<dyn Finish>,
    metrics: ExecutionPlanMetricsSet,
}

impl Accumulated {
    /// `metrics` are those of the operator.
    pub fn new(
        plan: AccumulatorPlan,
        totals: Arc<Totals>,
        finish: Box<dyn Finish>,
        metrics: ExecutionPlanMetricsSet,
    ) -> Self {
        Self { plan, totals, finish, metrics }
    }

    pub fn label(&self) -> &'static str {
        self.finish.label()
    }

    pub fn capacity(&self) -> usize {
        self.finish.capacity()
    }

    pub fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }
}

/// Merges accumulators and gives the relation that is made of them.
pub fn trace_accumulated(trace: &mut Trace, accumulated: &Accumulated) -> Result<TracedRelation> {
    let totals = accumulated.plan.merge(trace, accumulated.totals[0].len())?;
    accumulated.finish.trace(&mut trace.t, &totals)
}
