//! `XlaFilterExec`: narrows the live-row mask; no row moves.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};

use crate::columnar::encode::StringEncoding;
use crate::exec::device_exec::device_properties;
use crate::exec::device_operator::{DeviceOperator, InputColumn, Opened, RowScope, RuntimeFilterSource};
use crate::exec::operator::convert::{Conversion, Inputs, only_relation};
use crate::exec::required_encodings::RequiredEncodings;
use crate::exec::run::engine::Engine;
use crate::exec::shape_hash::{hash_expr, hash_value};
use crate::exec::step_operator::{StepOperator, step_of};
use crate::exec::trace::program::Trace;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedRelation, and_valid};

#[derive(Debug)]
pub struct Filter {
    host_predicate: Arc<dyn PhysicalExpr>,
    predicate: DeviceExpr,
    /// Input columns of the output, in order; `None` is all.
    projection: Option<Vec<usize>>,
    schema: SchemaRef,
}

/// Converts a `FilterExec`.
pub fn convert(plan: &Arc<dyn ExecutionPlan>, inputs: Inputs<'_>) -> Conversion {
    let host = plan.downcast_ref::<FilterExec>()?;
    let filter = || {
        if host.fetch().is_some() {
            return Err(FallbackReason::RowLimitInOperator { operator: host.name().to_string() });
        }
        let input = inputs.only(host.input())?;
        let filter = Filter {
            host_predicate: host.predicate().clone(),
            predicate: try_convert(host.predicate(), &host.input().schema())?,
            projection: host.projection().as_ref().map(|projection| projection.to_vec()),
            schema: host.schema(),
        };
        Ok((Arc::new(filter) as Arc<dyn DeviceOperator>, vec![input]))
    };
    Some(filter())
}

impl Filter {
    /// The input column of output column `column`.
    fn input_column(&self, column: usize) -> usize {
        self.projection.as_ref().map_or(column, |projection| projection[column])
    }
}

impl DeviceOperator for Filter {
    fn name(&self) -> &'static str {
        "XlaFilterExec"
    }

    fn label(&self) -> &'static str {
        "filter"
    }

    fn row_scope(&self) -> RowScope {
        RowScope::Chunk
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Narrows
    }

    fn required_encodings(&self, output: &[StringEncoding], widths: &[usize]) -> Vec<Vec<StringEncoding>> {
        let mut input = RequiredEncodings::none(widths[0]);
        output.iter().enumerate().for_each(|(column, encoding)| input.require(self.input_column(column), *encoding));
        input.require_for(&self.predicate);
        vec![input.into_columns()]
    }

    fn sources_of(&self, column: usize, _widths: &[usize]) -> Vec<InputColumn> {
        vec![InputColumn::of_only(self.input_column(column))]
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
        hash_expr(&self.predicate, state);
        hash_value(&self.projection, state);
    }

    fn expressions(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        vec![self.host_predicate.clone()]
    }

    fn properties(&self, _inputs: &[Arc<dyn ExecutionPlan>]) -> Arc<PlanProperties> {
        device_properties(self.schema.clone(), EmissionType::Incremental)
    }

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

    fn open(
        self: Arc<Self>,
        _engine: &Engine,
        inputs: Vec<Relation>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Opened> {
        Ok(Opened::Relation(only_relation(inputs)?.with(step_of(self, metrics))))
    }
}

impl StepOperator for Filter {
    fn source_of(&self, column: usize) -> Option<usize> {
        Some(self.input_column(column))
    }

    fn trace(&self, trace: &mut Trace, mut rows: TracedRelation) -> Result<TracedRelation> {
        let t = &mut trace.t;
        let predicate = t.with_active(rows.mask, |t| self.predicate.trace(t, &rows))?;
        let mut keep = predicate.pred()?;
        if let Some(valid) = predicate.valid {
            keep = t.builder.and(keep, valid)?;
        }
        let keep = t.broadcast(keep, rows.capacity)?;
        rows.mask = and_valid(&mut t.builder, rows.mask, Some(keep))?;
        if let Some(projection) = &self.projection {
            rows.columns = projection.iter().map(|column| rows.columns[*column].clone()).collect();
        }
        Ok(rows)
    }
}
