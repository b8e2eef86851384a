//! What exchanges have in common: their rows are those of the input, and they account for what moves.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::only_relation;
use crate::exec::run::engine::Engine;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;

/// A kind of exchange.
pub trait Exchange: fmt::Debug + Send + Sync + 'static {
    /// Name in EXPLAIN.
    const NAME: &'static str;

    /// What EXPLAIN says after the name.
    fn fmt_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// An exchange in a plan. Rows move when the operator above computes them: then `output_rows`, `moved_bytes` and `broadcast_bytes` of
/// the exchange say what moved. An operator that turns out to work on shards moves nothing.
#[derive(Debug)]
pub struct ExchangeNode<E>(pub E);

impl<E: Exchange> DeviceOperator for ExchangeNode<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    // It is no part of a program.
    fn label(&self) -> &'static str {
        ""
    }

    fn row_scope(&self) -> RowScope {
        RowScope::Chunk
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Keeps
    }

    fn required_encodings(&self, output: &[StringEncoding], _widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        vec![output.to_vec()]
    }

    fn sources_of(&self, column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        vec![InputColumn::of_only(column)]
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

    fn hash_shape(&self, state: &mut dyn Hasher) {
        state.write(E::NAME.as_bytes());
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn properties(&self, inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        inputs[0].properties().clone()
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format != DisplayFormatType::TreeRender {
            write!(f, "{}: ", E::NAME)?;
        }
        self.0.fmt_details(f)
    }

    fn open(
        self: Arc<Self>,
        _engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        Ok(Opened::Relation(only_relation(inputs)?.moved_by(metrics.clone())))
    }
}
