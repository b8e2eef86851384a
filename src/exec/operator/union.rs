//! `XlaUnionExec`: UNION ALL. The rows of each input are collected, and one program puts them one after another with common
//! dictionaries and widths.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::exec::device_node::{device_execution_plan, device_properties};
use crate::exec::run::engine::Engine;
use crate::exec::trace::program::{LiveRows, Trace};
use crate::exec::trace::relation::{Relation, Source};

#[derive(Debug)]
pub struct XlaUnionExec {
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaUnionExec {
    /// Converts UNION ALL, over `inputs` instead of its own.
    pub fn convert(host: &UnionExec, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Self {
        Self::new(inputs, host.schema())
    }

    fn new(inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Self {
        let properties = device_properties(schema.clone(), EmissionType::Final);
        Self { inputs, schema, properties, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn inputs(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn with_inputs(&self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Self> {
        Ok(Self::new(inputs, self.schema.clone()))
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        Vec::new()
    }
}

impl Engine {
    pub fn union(&self, union: &XlaUnionExec) -> Result<Relation> {
        let mut tables = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let relation = self.open(input)?;
            tables.push(self.collect(&relation, None)?);
        }
        let mut trace = Trace::new("union", &self.options, 1, self.lowering());
        let mut parts = Vec::with_capacity(tables.len());
        for table in &tables {
            parts.push(self.read_side(&mut trace, table)?);
        }
        let mut rows = trace.t.concatenate(&parts)?;
        for (column, field) in rows.columns.iter_mut().zip(union.schema.fields()) {
            column.data_type = field.data_type().clone();
        }
        trace.count(Some(&union.metrics), &rows)?;
        let result = trace.finish_rows(rows, LiveRows::Prefix)?;
        let table = self.run_on_sides(&result, result.capacity)?;
        Ok(Relation { source: Source::Table(table), steps: Vec::new() })
    }
}

impl DisplayAs for XlaUnionExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return Ok(());
        }
        f.write_str("XlaUnionExec")
    }
}

device_execution_plan!(XlaUnionExec, "XlaUnionExec", several);
