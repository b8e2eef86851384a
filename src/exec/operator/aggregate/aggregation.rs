//! `XlaAggregateExec`: a whole aggregation (both DataFusion's Partial/Final pair and Single).
//!
//! On dense group ids an update program runs over every chunk and adds to accumulators in place; what follows starts from the merged
//! accumulators. Other keys, and functions of all rows, are aggregated over rows that lie together.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, PhysicalGroupBy};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::columnar::table::DeviceTable;
use crate::exec::device_exec::device_properties;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::aggregate::call::AggregateCall;
use crate::exec::operator::aggregate::lowering::{AggregateLowering, AggregateState, GroupingSets};
use crate::exec::operator::convert::{Conversion, Inputs, only_relation};
use crate::exec::operator::host_plan::first_aggregate;
use crate::exec::required_encodings::RequiredEncodings;
use crate::exec::run::chunk_loop::run_update;
use crate::exec::run::compaction::compact;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::single;
use crate::exec::shape_hash::{hash_expr, hash_exprs, hash_value};
use crate::exec::state::accumulator_cache::{AccumulatorKey, MOST_BYTES};
use crate::exec::step_operator::{StepOperator, step_of};
use crate::exec::strategy::add_strategy;
use crate::exec::trace::accumulate::{Accumulated, Accumulating, AccumulatingProgram, Finish};
use crate::exec::trace::program::{Trace, TracedProgram};
use crate::exec::trace::relation::{Relation, Source};
use crate::exec::trace::step::RowEffect;
use crate::exec::trace::trace_relation::trace_relation;
use crate::expr::convert::try_convert;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::tracer::{Input, TracedRelation, Tracer};
use crate::hlo::Value;
use crate::program::Shape;

#[derive(Debug)]
pub struct Aggregation {
    group_by: PhysicalGroupBy,
    host_calls: Vec<Arc<AggregateFunctionExpr>>,
    host_filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
    lowering: AggregateLowering,
    schema: SchemaRef,
}

/// Converts the last node of an aggregation (Final or Single), together with the one that reads its rows.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let last = plan.downcast_ref::<AggregateExec>()?;
    let aggregation = || {
        let first = first_aggregate(last)?;
        let input = inputs.only(first.input())?;
        let schema = first.input().schema();
        let group_by = first.group_expr().clone();
        let keys = group_by.expr().iter().map(|(e, _)| try_convert(e, &schema)).collect::<Result<Vec<_>, _>>()?;
        let calls = first.aggr_expr().iter().zip(first.filter_expr());
        let calls = calls.map(|(call, filter)| AggregateCall::try_convert(call, filter.as_ref(), &schema));
        let calls = calls.collect::<Result<Vec<_>, _>>()?;
        let sets = group_by.has_grouping_set().then(|| GroupingSets {
            omitted: group_by.groups().to_vec(),
            id_type: last.schema().field(keys.len()).data_type().clone(),
        });
        let aggregation = Aggregation {
            host_calls: first.aggr_expr().to_vec(),
            host_filters: first.filter_expr().to_vec(),
            lowering: AggregateLowering { keys, sets, calls },
            group_by,
            schema: last.schema(),
        };
        Ok((Arc::new(aggregation) as Arc<dyn DeviceOperator>, vec![input]))
    };
    Some(aggregation())
}

impl Aggregation {
    /// Keys that decide a row's group; none where a row is in several groups, or there is but one.
    fn plain_keys(&self) -> &[DeviceExpr] {
        if self.lowering.sets.is_some() { &[] } else { &self.lowering.keys }
    }

    /// The program that adds a chunk of `input` to accumulators; `None` where the keys have no dense ids.
    fn update(&self, engine: &Engine, input: &Relation, table: &DeviceTable) -> Result<Option<Update>> {
        let name = format!("{}_aggregate_update", input.program_name());
        let mut trace = engine.trace(name.trim_start_matches("scan_"), engine.devices_of(input));
        let rows = trace_relation(&mut trace, input)?;
        let pending = self.lowering.trace_update(&mut trace.t, &rows, table.layout.rows, &engine.options)?;
        let Some(pending) = pending else { return Ok(None) };
        let accumulating = Accumulating::begin(&mut trace.t, pending.specs());
        let (state, updated) = pending.trace(&mut trace.t, &accumulating.running)?;
        Ok(Some(Update { state, program: accumulating.finish(trace, updated)? }))
    }

    /// Aggregates on dense ids, chunk by chunk; `None` where the keys or functions do not allow it, or memory has no room.
    /// `is_shared`: another aggregation of the query may have the same accumulators.
    fn open_dense(
        &self,
        engine: &Engine,
        input: &Relation,
        is_shared: bool,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Option<Relation>> {
        let Some(table) = input.table() else { return Ok(None) };
        let Some(update) = self.update(engine, input, table)? else { return Ok(None) };
        if !engine.has_room_for(&update.program.plan) {
            return Ok(None);
        }
        let mut compacted = None;
        let mut run = || {
            let before = input.selection().is_some();
            let input = if is_shared { compact(engine, input.clone(), self.weight())? } else { input.clone() };
            if input.selection().is_some() && !before {
                compacted = self.update(engine, &input, table)?;
            }
            let program = &compacted.as_ref().unwrap_or(&update).program;
            let bound = engine.bind(&program.traced, &input)?;
            let start = Instant::now();
            let totals = run_update(&bound, &program.plan, engine.chunks(table, &input))?;
            MetricBuilder::new(metrics).subset_time("kernel_time", 0).add_duration(start.elapsed());
            Ok(totals)
        };
        let traced = &update.program.traced;
        let totals = match &input.source {
            Source::Table(table) if is_shared && traced.sides.is_empty() && output_bytes(traced) <= MOST_BYTES => {
                let constants = traced.inputs.iter().filter_map(|input| match input {
                    Input::Constant { bytes, .. } => Some(bytes.clone()),
                    _ => None,
                });
                let key = AccumulatorKey::new(&traced.program.text, constants.collect(), table);
                engine.device.accumulators.totals(&engine.query, key, run)?
            }
            _ => Arc::new(run()?),
        };
        add_strategy(metrics, "dense groups");
        let Update { state, program } = compacted.unwrap_or(update);
        let accumulated = Accumulated::new(program.plan, totals, Box::new(state), metrics.clone());
        Ok(Some(Relation::of(Source::Accumulated(Arc::new(accumulated)))))
    }
}

/// The update program, and what its finish needs to know.
struct Update {
    state: AggregateState,
    program: AccumulatingProgram,
}

fn output_bytes(traced: &TracedProgram) -> usize {
    traced.program.outputs.iter().map(Shape::size_bytes).sum()
}

impl Finish for AggregateState {
    fn label(&self) -> &'static str {
        "aggregate"
    }

    fn capacity(&self) -> usize {
        self.slots()
    }

    fn trace(&self, t: &mut Tracer, totals: &[Value]) -> Result<TracedRelation> {
        self.trace_finish(t, totals)
    }
}

impl DeviceOperator for Aggregation {
    fn name(&self) -> &'static str {
        "XlaAggregateExec"
    }

    fn label(&self) -> &'static str {
        "aggregate"
    }

    fn row_scope(&self) -> RowScope {
        match self.plain_keys() {
            [] => RowScope::All,
            keys => RowScope::Keys(vec![keys.to_vec()]),
        }
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Replaces
    }

    fn required_encodings(&self, _output: &[StringEncoding], widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        let mut input = RequiredEncodings::none(widths[0]);
        self.lowering.inputs_used().into_iter().for_each(|expr| input.require_for(expr));
        vec![input.into_columns()]
    }

    fn sources_of(&self, column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        match self.plain_keys().get(column).map(|key| &key.node) {
            Some(Node::Column(column)) => vec![InputColumn::of_only(*column)],
            _ => Vec::new(),
        }
    }

    // A sum without groups costs next to nothing.
    fn weight(&self) -> usize {
        if self.lowering.keys.is_empty() { 0 } else { self.lowering.calls.len() + 1 }
    }

    fn held_input(&self) -> Option<usize> {
        Some(0)
    }

    fn runtime_filters(&self) -> Option<&dyn RuntimeFilterSource> {
        None
    }

    fn accumulates(&self) -> bool {
        true
    }

    fn hash_shape(&self, state: &mut dyn Hasher) {
        hash_exprs(&self.lowering.keys, state);
        hash_value(self.lowering.sets.as_ref().map(|sets| &sets.omitted), state);
        for call in &self.lowering.calls {
            hash_value((format!("{:?}", call.function), call.distinct, &call.data_type), state);
            hash_exprs(&call.arguments, state);
            call.filter.iter().for_each(|filter| hash_expr(filter, state));
            hash_exprs(call.order.iter().map(|(key, _)| key), state);
        }
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let keys = self.group_by.expr().iter().map(|(e, _)| e.clone());
        let arguments = self.host_calls.iter().flat_map(|c| c.expressions());
        keys.chain(arguments).chain(self.host_filters.iter().flatten().cloned()).collect()
    }

    fn properties(&self, _inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        device_properties(self.schema.clone(), EmissionType::Final)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(e, name): &(Arc<dyn PhysicalExpr>, String)| {
            let text = e.to_string();
            if text == *name { text } else { format!("{text} as {name}") }
        };
        let keys: Vec<String> = self.group_by.expr().iter().map(named).collect();
        let calls: Vec<&str> = self.host_calls.iter().map(|c| c.name()).collect();
        if format == DisplayFormatType::TreeRender {
            return write!(f, "gby={}\naggr={}", keys.join(", "), calls.join(", "));
        }
        write!(f, "XlaAggregateExec: gby=[{}], aggr=[{}]", keys.join(", "), calls.join(", "))
    }

    fn open(
        self: Arc<Self>,
        engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        let mut input = only_relation(inputs)?;
        if input.table().is_none() {
            return Ok(Opened::Relation(input.with(step_of(self, metrics))));
        }
        if input.is_chunked() && !self.lowering.needs_all_rows() {
            let reads_other_tables = input.steps.iter().any(|step| step.weight() > 0);
            let is_shared = engine.shares_accumulators() && !reads_other_tables;
            if !is_shared {
                // For either way. Shared accumulators are found by the program over all rows, so there rows are compacted only
                // when none are found.
                input = compact(engine, input, self.weight())?;
            }
            if let Some(relation) = self.open_dense(engine, &input, is_shared, metrics)? {
                return Ok(Opened::Relation(relation));
            }
        }
        let metrics = metrics.clone();
        Ok(Opened::Together {
            inputs: vec![input],
            held: 0,
            compute: Box::new(move |engine, inputs| {
                add_strategy(&metrics, "rows together");
                let input = single(engine, only_relation(inputs)?, None)?;
                Ok(input.with(step_of(Arc::clone(&self), &metrics)))
            }),
        })
    }
}

impl StepOperator for Aggregation {
    fn source_of(&self, _column: usize) -> Option<usize> {
        None
    }

    fn trace(&self, trace: &mut Trace, rows: TracedRelation) -> Result<TracedRelation> {
        self.lowering.trace_whole(&mut trace.t, &rows, &trace.options)
    }
}
