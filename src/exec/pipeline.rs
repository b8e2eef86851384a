//! Traces a chain of device operators into programs.
//!
//! A chain without an aggregate is one **stream program**, run over every chunk: columns in, columns and a mask out.
//! With an aggregate it is two: the **update program**, run over every chunk by every worker, adds to accumulators in
//! place; the **finish program** merges the accumulators of all workers (and of all devices, by all-reduce), computes
//! the results and traces whatever operators follow.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;

use crate::columnar::decode::ColumnSpec;
use crate::columnar::range::Range;
use crate::columnar::representation::Representation;
use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::exec::aggregate::{AggregateState, XlaAggregateExec, keep_where_equal};
use crate::exec::aggregate_lowering::Accumulator;
use crate::exec::device_node::{DeviceNode, TraceNode};
use crate::exec::host_to_device::HostToDeviceExec;
use crate::expr::integer::{Int, Limbs};
use crate::expr::tracer::{Input, TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::reduce::{Reduction, combine, reduce_all};
use crate::kernels::wide::Wide;
use crate::program::ElementType::{Pred, S32, S64};
use crate::program::{Program, Shape};

/// A chain of operators from a source up.
pub struct Pipeline<'a> {
    pub source: &'a HostToDeviceExec,
    /// The operator next to the source first.
    pub nodes: Vec<DeviceNode<'a>>,
}

/// A program and where its arguments come from.
pub struct TracedProgram {
    pub program: Program,
    pub inputs: Vec<Input>,
    /// Message of error code i + 1.
    pub errors: Vec<String>,
}

/// The program that adds a chunk to the accumulators: outputs are the accumulators.
pub struct UpdateProgram {
    pub traced: TracedProgram,
    /// Shape and initial bytes of each accumulator.
    pub initial: Vec<(Shape, Vec<u8>)>,
    /// Those of the aggregate, then the error code, then a row count for each operator that is counted.
    state: AggregateState,
    extra: Extra,
}

/// Accumulators beside those of the aggregate.
#[derive(Clone, Copy, Default)]
struct Extra {
    error: bool,
    row_counts: usize,
}

/// The program whose outputs go to the host.
pub struct ResultProgram {
    pub traced: TracedProgram,
    /// What the first outputs are, column after column.
    pub columns: Vec<ColumnSpec>,
    /// Whether a `pred` of live rows follows.
    pub has_mask: bool,
    /// Whether an error code follows, of `errors` here, and then one of the update program.
    pub has_error: bool,
    pub has_update_error: bool,
    /// Row counts that follow, one an operator from the source up.
    pub row_counts: usize,
}

impl<'a> Pipeline<'a> {
    /// The chain that ends in `top`.
    pub fn of(top: &'a Arc<dyn ExecutionPlan>) -> Result<Self> {
        let mut nodes = Vec::new();
        let mut plan = top;
        loop {
            if let Some(source) = plan.downcast_ref::<HostToDeviceExec>() {
                nodes.reverse();
                return Ok(Self { source, nodes });
            }
            let node = DeviceNode::of(plan)
                .ok_or_else(|| DataFusionError::Internal(format!("{} inside a device pipeline", plan.name())))?;
            nodes.push(node);
            plan = plan
                .children()
                .into_iter()
                .next()
                .ok_or_else(|| DataFusionError::Internal("a device pipeline without a source".to_string()))?;
        }
    }

    /// Index of the aggregate that ends the update program, if there is one.
    pub fn aggregate_at(&self) -> Option<usize> {
        self.nodes.iter().position(|n| matches!(n, DeviceNode::Aggregate(_)))
    }

    /// Names of the programs that this chain becomes, for EXPLAIN.
    pub fn program_names(&self) -> Vec<String> {
        match self.aggregate_at() {
            None => vec![Self::name(&self.nodes)],
            Some(at) => vec![
                format!("{}_update", Self::name(&self.nodes[..=at])),
                format!("{}_finish", Self::name(&self.nodes[at..])),
            ],
        }
    }

    fn name(nodes: &[DeviceNode<'_>]) -> String {
        let names: Vec<_> = nodes.iter().map(DeviceNode::name).collect();
        if names.is_empty() { "scan".to_string() } else { names.join("_") }
    }

    /// The stream program of a chain without an aggregate.
    pub fn trace_stream(&self, table: &DeviceTable, max_groups: usize, count_rows: bool) -> Result<ResultProgram> {
        let mut t = Tracer::new(&Self::name(&self.nodes));
        let mut relation = source_relation(&mut t, table)?;
        let mut counts = Vec::new();
        for node in &self.nodes {
            relation = trace_node(&mut t, node, relation, max_groups)?;
            if count_rows {
                counts.push(count_live(&mut t, &relation)?);
            }
        }
        finish_result(t, relation, counts, None)
    }

    /// The update program of the part up to the first aggregate, which is at `at`.
    pub fn trace_update(
        &self,
        at: usize,
        table: &DeviceTable,
        max_groups: usize,
        count_rows: bool,
    ) -> Result<UpdateProgram> {
        let mut t = Tracer::new(&format!("{}_update", Self::name(&self.nodes[..=at])));
        let mut relation = source_relation(&mut t, table)?;
        let mut counts = Vec::new();
        for node in &self.nodes[..at] {
            relation = trace_node(&mut t, node, relation, max_groups)?;
            if count_rows {
                counts.push(count_live(&mut t, &relation)?);
            }
        }
        let aggregate = self.aggregate(at)?;
        let mut first_parameter = 0;
        let (state, mut outputs) =
            aggregate.trace_update(&mut t, &relation, table.layout.rows, max_groups, |t, state| {
                first_parameter = t.inputs.len();
                Ok(accumulator_parameters(t, state, 0))
            })?;
        let mut initial: Vec<(Shape, Vec<u8>)> =
            state.accumulators.iter().map(|a| (state.shape(a), initial_bytes(a, &state.shape(a)))).collect();
        let mut aliases: Vec<(usize, usize)> = (0..outputs.len()).map(|i| (i, first_parameter + i)).collect();
        let error = t.error_code(&relation)?;
        let extra = Extra { error: error.is_some(), row_counts: counts.len() };
        let extras = error.map(|e| (e, S32, ReduceKind::Maximum)).into_iter();
        let extras = extras.chain(counts.into_iter().map(|c| (c, S64, ReduceKind::Add)));
        for (value, element_type, kind) in extras.collect::<Vec<_>>() {
            let shape = Shape::scalar(element_type);
            aliases.push((outputs.len(), t.inputs.len()));
            let running = t.parameter(shape.clone(), Input::Accumulator { worker: 0, index: outputs.len() });
            outputs.push(combine(&mut t.builder, kind, running, value)?);
            initial.push((shape.clone(), vec![0; shape.size_bytes()]));
        }
        let traced = finish(t, &outputs, &aliases)?;
        Ok(UpdateProgram { traced, initial, state, extra })
    }

    /// The finish program: merges the accumulators of `workers` per device over `devices`, then traces the operators
    /// above the aggregate at `at`.
    pub fn trace_finish(
        &self,
        at: usize,
        update: &UpdateProgram,
        workers: usize,
        devices: usize,
        max_groups: usize,
        count_rows: bool,
    ) -> Result<ResultProgram> {
        let mut t = Tracer::new(&format!("{}_finish", Self::name(&self.nodes[at..])));
        let mut accumulators = update.state.accumulators.clone();
        let scalar = |element_type, kind| Accumulator { element_type, kind, refines: None };
        accumulators.extend(update.extra.error.then_some(scalar(S32, ReduceKind::Maximum)));
        accumulators.extend(std::iter::repeat_n(scalar(S64, ReduceKind::Add), update.extra.row_counts));
        let mut parts: Vec<Vec<Value>> = Vec::with_capacity(accumulators.len());
        for (index, (shape, _)) in update.initial.iter().enumerate() {
            let of_worker = |worker| t.parameter(shape.clone(), Input::Accumulator { worker, index });
            parts.push((0..workers).map(of_worker).collect());
        }
        let mut totals: Vec<Value> = Vec::with_capacity(accumulators.len());
        for (index, accumulator) in accumulators.iter().enumerate() {
            let mut total: Option<Value> = None;
            for (worker, part) in parts[index].iter().enumerate() {
                let mut part = *part;
                if let Some(refined) = accumulator.refines {
                    part = keep_where_equal(&mut t, accumulator, parts[refined][worker], totals[refined], part)?;
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
        let n_aggregate = update.state.accumulators.len();
        let update_error = update.extra.error.then(|| totals[n_aggregate]);
        let mut counts = totals[n_aggregate + usize::from(update.extra.error)..].to_vec();
        let mut relation = XlaAggregateExec::trace_finish(&mut t, &update.state, &totals[..n_aggregate])?;
        if count_rows {
            counts.push(count_live(&mut t, &relation)?);
        }
        for node in &self.nodes[at + 1..] {
            relation = trace_node(&mut t, node, relation, max_groups)?;
            if count_rows {
                counts.push(count_live(&mut t, &relation)?);
            }
        }
        finish_result(t, relation, counts, update_error)
    }

    fn aggregate(&self, at: usize) -> Result<&'a XlaAggregateExec> {
        match self.nodes.get(at) {
            Some(DeviceNode::Aggregate(aggregate)) => Ok(aggregate),
            _ => Err(DataFusionError::Internal("the update program ends in an aggregate".to_string())),
        }
    }
}

fn trace_node(
    t: &mut Tracer,
    node: &DeviceNode<'_>,
    relation: TracedRelation,
    max_groups: usize,
) -> Result<TracedRelation> {
    match node {
        DeviceNode::Filter(node) => node.trace(t, relation),
        DeviceNode::Projection(node) => node.trace(t, relation),
        DeviceNode::Sort(node) => node.trace(t, relation),
        DeviceNode::Aggregate(node) => node.trace_whole(t, &relation, max_groups),
    }
}

/// The chunk as the program sees it: every column a parameter, and a mask of the rows below the row count.
fn source_relation(t: &mut Tracer, table: &DeviceTable) -> Result<TracedRelation> {
    let capacity = table.layout.capacity;
    let mut columns = Vec::with_capacity(table.columns.len());
    for (index, column) in table.columns.iter().enumerate() {
        columns.push(source_column(t, index, column, capacity));
    }
    let rows = t.parameter(Shape::scalar(S32), Input::RowCount);
    let row = t.builder.iota(Shape::new(S32, [capacity]), 0)?;
    let mask = t.builder.compare(row, rows, Comparison::Lt)?;
    Ok(TracedRelation { columns, mask: Some(mask), capacity })
}

fn source_column(t: &mut Tracer, index: usize, column: &DeviceColumn, capacity: usize) -> TracedColumn {
    let arrays: Vec<Value> = column
        .representation
        .element_types()
        .iter()
        .enumerate()
        .map(|(part, e)| t.parameter(Shape::new(*e, [capacity]), Input::Column { column: index, part }))
        .collect();
    let valid = column.has_nulls.then(|| {
        let part = arrays.len();
        t.parameter(Shape::new(Pred, [capacity]), Input::Column { column: index, part })
    });
    let range = column.range.unwrap_or(Range::FULL);
    let values = match column.representation {
        Representation::Pred => Values::Pred(arrays[0]),
        Representation::Float(_) => Values::Float(arrays[0]),
        Representation::Int(_) => Values::Int(Int { limbs: Limbs::Narrow(arrays[0]), range }),
        Representation::Wide => Values::Int(Int { limbs: Limbs::Wide(Wide { hi: arrays[0], lo: arrays[1] }), range }),
    };
    TracedColumn { values, valid, data_type: column.data_type.clone(), dictionary: column.dictionary.clone() }
}

fn accumulator_parameters(t: &mut Tracer, state: &AggregateState, worker: usize) -> Vec<Value> {
    let shapes: Vec<Shape> = state.accumulators.iter().map(|a| state.shape(a)).collect();
    shapes
        .into_iter()
        .enumerate()
        .map(|(index, shape)| t.parameter(shape, Input::Accumulator { worker, index }))
        .collect()
}

/// The identity of an accumulator's kind, for every slot.
fn initial_bytes(accumulator: &Accumulator, shape: &Shape) -> Vec<u8> {
    let width = accumulator.element_type.size_bytes();
    let bits = width as u32 * 8;
    let one: i128 = match accumulator.kind {
        ReduceKind::Minimum => (1i128 << (bits - 1)) - 1,
        ReduceKind::Maximum => -(1i128 << (bits - 1)),
        _ => 0,
    };
    one.to_le_bytes()[..width].repeat(shape.element_count())
}

/// Live rows, a scalar s64.
fn count_live(t: &mut Tracer, relation: &TracedRelation) -> Result<Value> {
    let always = t.builder.constant(Scalar::Pred(true));
    let live = t.broadcast(relation.mask.unwrap_or(always), relation.capacity)?;
    let ones = t.builder.convert(live, S32)?;
    let reduction = Reduction { operand: ones, kind: ReduceKind::Add, total_type: S64 };
    Ok(reduce_all(&mut t.builder, &[reduction])?[0])
}

/// Outputs: columns, mask, error codes, row counts.
fn finish_result(
    mut t: Tracer,
    relation: TracedRelation,
    counts: Vec<Value>,
    update_error: Option<Value>,
) -> Result<ResultProgram> {
    let mut outputs = Vec::new();
    let mut columns = Vec::with_capacity(relation.columns.len());
    for column in &relation.columns {
        let (arrays, spec) = t.output(column, relation.capacity)?;
        outputs.extend(arrays);
        columns.push(spec);
    }
    if let Some(mask) = relation.mask {
        outputs.push(t.broadcast(mask, relation.capacity)?);
    }
    let error = t.error_code(&relation)?;
    outputs.extend(error);
    outputs.extend(update_error);
    let row_counts = counts.len();
    outputs.extend(counts);
    Ok(ResultProgram {
        traced: finish(t, &outputs, &[])?,
        columns,
        has_mask: relation.mask.is_some(),
        has_error: error.is_some(),
        has_update_error: update_error.is_some(),
        row_counts,
    })
}

fn finish(t: Tracer, outputs: &[Value], aliases: &[(usize, usize)]) -> Result<TracedProgram> {
    Ok(TracedProgram { program: t.builder.finish(outputs, aliases)?, inputs: t.inputs, errors: t.errors })
}
