//! An operator that only this test has: a file that implements `DeviceOperator` is all that the engine needs of one.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{
    DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties, collect, displayable, replace_children_if_necessary,
};
use parallax::columnar::encode::Strings;
use parallax::exec::boundary::device_to_host::DeviceToHostExec;
use parallax::exec::device_exec::DeviceExec;
use parallax::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use parallax::exec::operator::convert::only_relation;
use parallax::exec::run::engine::Engine;
use parallax::exec::step_operator::{StepOperator, step_of};
use parallax::exec::trace::program::Trace;
use parallax::exec::trace::relation::Relation;
use parallax::exec::trace::step::RowEffect;
use parallax::expr::tracer::{TracedRelation, and_valid};
use parallax::hlo::Comparison;
use parallax::program::ElementType::S32;
use parallax::program::Shape;

use crate::{Db, texts};

/// Keeps every second row of each chunk.
#[derive(Debug)]
struct EverySecond;

impl DeviceOperator for EverySecond {
    fn name(&self) -> &'static str {
        "XlaEverySecondExec"
    }

    fn label(&self) -> &'static str {
        "every_second"
    }

    fn row_scope(&self) -> RowScope {
        RowScope::Chunk
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Narrows
    }

    fn required_encodings(&self, output: &[Strings], _widths: &[usize]) -> Vec<Vec<Strings>> {
        vec![output.to_vec()]
    }

    fn sources_of(&self, _column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        Vec::new()
    }

    fn weight(&self) -> usize {
        0
    }

    fn held_input(&self) -> Option<usize> {
        None
    }

    fn runtime_filters(&self) -> Option<&dyn RuntimeFilterSource> {
        None
    }

    fn accumulates(&self) -> bool {
        false
    }

    fn hash_shape(&self, _state: &mut dyn Hasher) {}

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn properties(&self, inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        inputs[0].properties().clone()
    }

    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }

    fn open(
        self: Arc<Self>,
        _engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        Ok(Opened::Relation(only_relation(inputs)?.with(step_of(self, metrics))))
    }
}

impl StepOperator for EverySecond {
    fn source_of(&self, column: usize) -> Option<usize> {
        Some(column)
    }

    fn trace(&self, trace: &mut Trace, mut rows: TracedRelation) -> Result<TracedRelation> {
        let t = &mut trace.t;
        let row = t.builder.iota(Shape::new(S32, [rows.capacity]), 0)?;
        let one = t.builder.constant_of(S32, 1)?;
        let odd = t.builder.and(row, one)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let even = t.builder.compare(odd, zero, Comparison::Eq)?;
        rows.mask = and_valid(&mut t.builder, rows.mask, Some(even))?;
        Ok(rows)
    }
}

#[test]
fn an_operator_of_one_file_runs_between_the_others() {
    let db = Db::new(&[("xla.placement", "always")]);
    db.run("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 10)");
    let plan = db.tokio.block_on(async {
        let frame = db.session.sql("SELECT sum(a) AS s, count(*) AS n FROM t WHERE a > 2").await.unwrap();
        frame.create_physical_plan().await.unwrap()
    });
    // Below the filter.
    let insert = |node: Arc<dyn ExecutionPlan>| {
        Ok(match DeviceExec::of(&node).filter(|device| device.operator().name() == "XlaFilterExec") {
            Some(filter) => {
                let every_second = DeviceExec::new(Arc::new(EverySecond), filter.inputs().to_vec());
                Transformed::yes(replace_children_if_necessary(Arc::clone(&node), vec![Arc::new(every_second)])?)
            }
            None => Transformed::no(node),
        })
    };
    let plan = plan.transform_up(insert).data().unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(shown.contains("programs=[every_second_filter_aggregate_update, aggregate_"), "{shown}");
    assert!(plan.is::<DeviceToHostExec>(), "{shown}");
    let rows = db.tokio.block_on(collect(plan, db.session.context().task_ctx())).unwrap();
    // 1, 3, 5, 7 and 9, of which the filter keeps four.
    assert_eq!(texts(&rows), ["24 | 4"]);
}
