//! Traces a relation: its source, then its steps in order, with live rows counted after each operator where that is asked for.

use std::sync::Arc;

use datafusion::common::internal_err;
use datafusion::error::Result;

use crate::exec::fallback_error::name_operator;
use crate::exec::trace::accumulate::trace_accumulated;
use crate::exec::trace::program::{Trace, source_relation};
use crate::exec::trace::relation::{Relation, Source};
use crate::exec::trace::step::Step;
use crate::expr::tracer::TracedRelation;

/// The rows of `relation`. Its source must be one chunk if a step needs all rows.
pub fn trace_relation(trace: &mut Trace, relation: &Relation) -> Result<TracedRelation> {
    if relation.needs_all_rows() && !relation.is_single() {
        return internal_err!("{} would run chunk by chunk over rows that it needs together", relation.program_name());
    }
    let mut rows = match &relation.source {
        Source::Table(table) => source_relation(&mut trace.t, table, None)?,
        Source::Selected(table, selection) => source_relation(&mut trace.t, table, Some(selection))?,
        Source::Accumulated(accumulated) => {
            let rows = trace_accumulated(trace, accumulated)?;
            trace.count(Some(accumulated.metrics()), &rows)?;
            rows
        }
    };
    let counted = relation.selection().map_or(0, |selection| selection.counted_steps);
    for (number, step) in relation.steps.iter().enumerate() {
        rows = trace_step(trace, step, rows)?;
        if number >= counted {
            trace.count(step.metrics(), &rows)?;
        }
    }
    Ok(rows)
}

/// The rows that a step leaves. What makes it fall back at run time is reported as the step's own.
pub fn trace_step(trace: &mut Trace, step: &Arc<dyn Step>, rows: TracedRelation) -> Result<TracedRelation> {
    step.trace(trace, rows).map_err(|error| name_operator(error, step.operator()))
}
