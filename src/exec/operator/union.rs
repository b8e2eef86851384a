//! `XlaUnionExec`: UNION ALL. The rows of each input are materialized, and one program puts them one after another with common
//! dictionaries and widths.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_exec::device_properties;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::{Conversion, Inputs};
use crate::exec::required_encodings::RequiredEncodings;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::{materialize, table_of};
use crate::exec::shape_hash::hash_value;
use crate::exec::trace::output::LiveRows;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;

#[derive(Debug)]
pub struct Union {
    schema: SchemaRef,
    inputs: usize,
}

/// Converts a `UnionExec`.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let host = plan.downcast_ref::<UnionExec>()?;
    let union = Union { schema: host.schema(), inputs: host.inputs().len() };
    let inputs = inputs.all(&host.inputs().iter().collect::<Vec<_>>());
    Some(inputs.map(|inputs| (Arc::new(union) as Arc<dyn DeviceOperator>, inputs)))
}

impl DeviceOperator for Union {
    fn name(&self) -> &'static str {
        "XlaUnionExec"
    }

    fn label(&self) -> &'static str {
        "union"
    }

    fn row_scope(&self) -> RowScope {
        RowScope::All
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Replaces
    }

    // The inputs come to one dictionary.
    fn required_encodings(&self, _output: &[StringEncoding], widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        widths.iter().map(|width| RequiredEncodings::ordered(*width)).collect()
    }

    fn sources_of(&self, _column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        Vec::new()
    }

    fn weight(&self) -> usize {
        1
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
        hash_value(self.inputs, state);
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn properties(&self, _inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        device_properties(self.schema.clone(), EmissionType::Final)
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return Ok(());
        }
        f.write_str("XlaUnionExec")
    }

    fn open(
        self: Arc<Self>,
        engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        let mut trace = engine.trace("union", 1);
        let mut parts = Vec::with_capacity(inputs.len());
        for input in &inputs {
            let table = materialize(engine, input, None)?;
            parts.push(trace.whole_table(&table)?);
        }
        let mut rows = trace.t.concatenate(&parts)?;
        for (column, field) in rows.columns.iter_mut().zip(self.schema.fields()) {
            column.data_type = field.data_type().clone();
        }
        trace.count(Some(metrics), &rows)?;
        let result = trace.finish_rows(rows, LiveRows::Prefix)?;
        let outputs = engine.run_once(&result.traced)?;
        Ok(Opened::Relation(Relation::on(table_of(engine, &result, outputs, result.capacity)?)))
    }
}
