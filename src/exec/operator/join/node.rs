//! `XlaJoinExec`: every join of the device, and the choice of its strategy.
//!
//! | strategy | when |
//! |---|---|
//! | gather | each key occurs once on the build side: a step of the probe side (`probe`) |
//! | existence | SEMI, ANTI and MARK without a filter: a bitmap of keys is made chunk by chunk, no row is materialized (`existence`) |
//! | expansion | a probe row has several matches: counted first, then written out (`expansion`) |
//!
//! The side whose rows need not all appear is built. Inner and full joins build the left, as DataFusion orders them; inner joins
//! without keys build a right side of one batch.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_exec::device_properties;
use crate::exec::device_operator::{DeviceOperator, InputColumn, KeyFilter, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::{Conversion, Inputs};
use crate::exec::operator::join::build::build_side;
use crate::exec::operator::join::existence::{BITMAP_WEIGHT, key_bitmap};
use crate::exec::operator::join::expansion::expand;
use crate::exec::operator::join::key_filter::{filter_build, prefilter_probe, selective_bitmap};
use crate::exec::operator::join::probe::Probe;
use crate::exec::operator::join::spec::{JoinKind, JoinSpec};
use crate::exec::required_encodings::RequiredEncodings;
use crate::exec::run::compaction::compact;
use crate::exec::run::engine::Engine;
use crate::exec::run::few_rows::with_few_rows;
use crate::exec::run::materialize::materialize;
use crate::exec::shape_hash::{hash_expr, hash_exprs, hash_value};
use crate::exec::strategy::add_strategy;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;
use crate::expr::ir::{DeviceExpr, Node};

/// Rows of the left side from which on an inner join may give its rows in any order: DataFusion's own depends on its partitions.
const UNORDERED_ROWS: usize = 1 << 16;

/// A right side with this many rows for each row of the left is too large to be built instead.
const TURNED_RATIO: usize = 16;

/// A build side whose keys alone count is filtered, too, if it has this many rows, and so many for each probe row.
const LARGE_BUILD: usize = 1 << 21;
const LARGE_RATIO: usize = 32;

#[derive(Debug)]
pub struct Join {
    spec: JoinSpec,
    schema: SchemaRef,
}

/// Converts a host join of any kind.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let spec = JoinSpec::of(plan)?;
    let join = || {
        let inputs = inputs.all(&plan.children())?;
        let join = Join { spec: spec?, schema: plan.schema() };
        Ok((Arc::new(join) as Arc<dyn DeviceOperator>, inputs))
    };
    Some(join())
}

/// Whether to build the right side of an inner join, because no two of its rows have the same key while rows of the left may: a
/// gather then does what would be an expansion.
fn should_turn(engine: &Engine, spec: &JoinSpec, left: &Relation, right: &Relation) -> bool {
    let [(left_key, right_key)] = spec.keys.as_slice() else { return false };
    if spec.join_type != JoinType::Inner || spec.left_first || left.source_rows() < UNORDERED_ROWS {
        return false;
    }
    // Exchanges of the plan say which side moves.
    if engine.device.mesh.len() > 1 {
        return false;
    }
    let is_unique =
        |relation: &Relation, key: &DeviceExpr| matches!(key.node, Node::Column(column) if relation.is_unique(column));
    let small = right.source_rows() <= TURNED_RATIO * left.source_rows();
    small && is_unique(right, right_key) && !is_unique(left, left_key)
}

/// Joins the rows of the side that is built with those of the other.
fn join_rows(
    engine: &Engine,
    spec: &JoinSpec,
    metrics: &ExecutionPlanMetricsSet,
    mut build: Relation,
    mut probe: Relation,
) -> Result<Relation> {
    let (kind, probe_is_left) = spec.kind();
    let exists = spec.asks_existence();
    if exists && !spec.keys.is_empty() {
        if !build.is_chunked() {
            build = Relation::on(materialize(engine, &build, None)?);
        }
        if !spec.null_aware && build.source_rows() >= LARGE_BUILD {
            probe = with_few_rows(engine, probe, build.source_rows() / LARGE_RATIO)?;
            if probe.as_table().is_some_and(|table| table.is_single()) {
                build = filter_build(engine, spec, build, &probe)?;
            }
        }
        // Whether as a bitmap or, where the keys are not dense, as rows.
        build = compact(engine, build, BITMAP_WEIGHT)?;
        let keys = spec.side_keys(!probe_is_left);
        if let Some(bitmap) = key_bitmap(engine, &build, &keys, 0, spec.null_equals_null)? {
            add_strategy(metrics, format!("existence join, {}", bitmap.keys.describe()));
            return Ok(probe.with(Arc::new(Probe::new(spec, bitmap, metrics))));
        }
    }
    if spec.residual.is_some() && matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark) {
        probe = Relation::on(materialize(engine, &probe, None)?);
        build = filter_build(engine, spec, build, &probe)?;
    }
    let build = build_side(engine, spec, &build, !probe_is_left, probe.source_rows())?;
    probe = prefilter_probe(engine, spec, &build, probe)?;
    let gathers = !spec.keys.is_empty() && kind != JoinKind::Full && (build.unique || exists);
    if gathers {
        let strategy = if build.unique { "gather join" } else { "existence join" };
        add_strategy(metrics, format!("{strategy}, {}", build.keys.describe()));
        return Ok(probe.with(Arc::new(Probe::new(spec, build, metrics))));
    }
    expand(engine, spec, metrics, build, probe)
}

impl RuntimeFilterSource for Join {
    fn filter_keys(&self, target: usize) -> Vec<(&DeviceExpr, &DeviceExpr)> {
        let target_is_left = target == 0;
        if !self.spec.drops_unmatched(target_is_left) {
            return Vec::new();
        }
        let keys = self.spec.keys.iter();
        keys.map(|(left, right)| if target_is_left { (left, right) } else { (right, left) }).collect()
    }

    fn key_filter(
        &self,
        engine: &Engine,
        source: &Relation,
        key: &DeviceExpr,
        rows: usize,
    ) -> Result<Option<Arc<dyn KeyFilter>>> {
        let of_source = source.source_rows();
        Ok(selective_bitmap(engine, source, key, rows, of_source)?.map(|keys| Arc::new(keys) as Arc<dyn KeyFilter>))
    }
}

impl DeviceOperator for Join {
    fn name(&self) -> &'static str {
        "XlaJoinExec"
    }

    fn label(&self) -> &'static str {
        "join"
    }

    fn row_scope(&self) -> RowScope {
        if !self.spec.is_keyed() {
            return RowScope::All;
        }
        let keys = |left| self.spec.side_keys(left).into_iter().cloned().collect();
        RowScope::Keys(vec![keys(true), keys(false)])
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Replaces
    }

    fn required_encodings(&self, output: &[StringEncoding], widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        let mut inputs = [RequiredEncodings::none(widths[0]), RequiredEncodings::none(widths[1])];
        for (source, encoding) in self.spec.project(self.spec.input_columns(widths)).into_iter().zip(output) {
            if let Some(InputColumn { input, column }) = source {
                inputs[input].require(column, *encoding);
            }
        }
        for (left, right) in &self.spec.keys {
            inputs[0].require_for(left);
            inputs[1].require_for(right);
        }
        for (is_left, column) in self.spec.residual.iter().flat_map(|residual| &residual.columns) {
            inputs[usize::from(!is_left)].require(*column, StringEncoding::OrderedDictionary);
        }
        inputs.map(RequiredEncodings::into_columns).to_vec()
    }

    fn sources_of(&self, column: usize, widths: &[usize]) -> Vec<InputColumn> {
        self.spec.sources_of(column, widths)
    }

    fn weight(&self) -> usize {
        1 + self.schema.fields().len()
    }

    fn held_input(&self) -> Option<usize> {
        Some(usize::from(!self.spec.builds_left()))
    }

    fn runtime_filters(&self) -> Option<&dyn RuntimeFilterSource> {
        Some(self)
    }

    fn accumulates(&self) -> bool {
        false
    }

    fn hash_shape(&self, state: &mut dyn Hasher) {
        let spec = &self.spec;
        hash_value((spec.join_type, spec.null_equals_null, spec.null_aware, &spec.projection), state);
        hash_exprs(spec.keys.iter().flat_map(|(left, right)| [left, right]), state);
        if let Some(residual) = &spec.residual {
            hash_expr(&residual.predicate, state);
            hash_value(&residual.columns, state);
        }
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let keys = self.spec.on.iter().flat_map(|(l, r)| [l.clone(), r.clone()]);
        keys.chain(self.spec.residual.as_ref().map(|residual| residual.host.clone())).collect()
    }

    fn properties(&self, _inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        device_properties(self.schema.clone(), EmissionType::Final)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        let on: Vec<String> = spec.on.iter().map(|(l, r)| format!("({l}, {r})")).collect();
        if format == DisplayFormatType::TreeRender {
            return write!(f, "join_type={:?}\non={}", spec.join_type, on.join(", "));
        }
        write!(f, "XlaJoinExec: join_type={:?}, on=[{}]", spec.join_type, on.join(", "))?;
        if let Some(residual) = &spec.residual {
            write!(f, ", filter={}", residual.host)?;
        }
        if spec.projection.is_some() {
            let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
            write!(f, ", projection=[{}]", names.join(", "))?;
        }
        if spec.null_aware {
            f.write_str(", null_aware")?;
        }
        if spec.null_equals_null {
            f.write_str(", null_equals_null")?;
        }
        Ok(())
    }

    fn open(
        self: Arc<Self>,
        engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        let [left, right] = inputs.as_slice() else { return datafusion::common::internal_err!("a join of two inputs") };
        let turned = should_turn(engine, &self.spec, left, right);
        let spec = if turned { JoinSpec { left_first: true, ..self.spec.clone() } } else { self.spec.clone() };
        let held = usize::from(!spec.builds_left());
        let metrics = metrics.clone();
        let compute = move |engine: &Engine, mut inputs: Vec<Relation>| {
            let build = inputs.remove(held);
            match inputs.pop() {
                Some(probe) => join_rows(engine, &spec, &metrics, build, probe),
                None => datafusion::common::internal_err!("a join without a probe side"),
            }
        };
        Ok(Opened::Together { inputs, held, compute: Box::new(compute) })
    }
}
