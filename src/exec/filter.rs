//! `XlaFilterExec`: narrows the live-row mask; no row moves.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::Strings;
use crate::exec::device_node::{TraceNode, device_execution_plan, device_properties};
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedRelation, Tracer, and_valid};

#[derive(Debug)]
pub struct XlaFilterExec {
    pub input: Arc<dyn ExecutionPlan>,
    host_predicate: Arc<dyn PhysicalExpr>,
    pub predicate: DeviceExpr,
    /// Input columns of the output, in order; `None` is all.
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    pub metrics: ExecutionPlanMetricsSet,
}

impl XlaFilterExec {
    /// Converts a host filter, over `input` instead of its own.
    pub fn try_convert(host: &FilterExec, input: Arc<dyn ExecutionPlan>) -> Result<Self, FallbackReason> {
        if host.fetch().is_some() {
            return Err(FallbackReason::RowLimitInOperator { operator: host.name().to_string() });
        }
        let predicate = try_convert(host.predicate(), &host.input().schema())?;
        let schema = host.schema();
        Ok(Self {
            input,
            host_predicate: host.predicate().clone(),
            predicate,
            projection: host.projection().as_ref().map(|p| p.to_vec()),
            properties: device_properties(schema.clone(), EmissionType::Incremental),
            schema,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            host_predicate: self.host_predicate.clone(),
            predicate: self.predicate.clone(),
            projection: self.projection.clone(),
            schema: self.schema.clone(),
            properties: self.properties.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The output columns out of those of the input.
    pub fn project<T: Clone>(&self, columns: Vec<T>) -> Vec<T> {
        match &self.projection {
            Some(projection) => projection.iter().map(|column| columns[*column].clone()).collect(),
            None => columns,
        }
    }

    /// What is asked of the output columns, asked of the `width` input columns.
    pub fn unproject(&self, output: &[Strings], width: usize) -> Vec<Strings> {
        let Some(projection) = &self.projection else { return output.to_vec() };
        let mut input = vec![Strings::Rows; width];
        projection.iter().zip(output).for_each(|(column, asked)| input[*column] = input[*column].max(*asked));
        input
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        vec![self.host_predicate.clone()]
    }
}

impl TraceNode for XlaFilterExec {
    fn trace(&self, t: &mut Tracer, mut input: TracedRelation) -> Result<TracedRelation> {
        let predicate = t.with_active(input.mask, |t| self.predicate.trace(t, &input))?;
        let mut keep = predicate.pred()?;
        if let Some(valid) = predicate.valid {
            keep = t.builder.and(keep, valid)?;
        }
        let keep = t.broadcast(keep, input.capacity)?;
        input.mask = and_valid(&mut t.builder, input.mask, Some(keep))?;
        if let Some(projection) = &self.projection {
            input.columns = projection.iter().map(|i| input.columns[*i].clone()).collect();
        }
        Ok(input)
    }
}

impl DisplayAs for XlaFilterExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return write!(f, "predicate={}", self.host_predicate);
        }
        write!(f, "XlaFilterExec: {}", self.host_predicate)?;
        if self.projection.is_some() {
            let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
            write!(f, ", projection=[{}]", names.join(", "))?;
        }
        Ok(())
    }
}

device_execution_plan!(XlaFilterExec, "XlaFilterExec");
