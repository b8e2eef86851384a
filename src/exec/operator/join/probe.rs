//! The gather join as a step of the probe side: each probe row finds at most one build row.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::operator::join::build::BuildSide;
use crate::exec::operator::join::spec::{JoinKind, JoinSpec};
use crate::exec::trace::program::Trace;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::program::ElementType::S32;

/// A join whose build side is ready.
pub struct Probe {
    spec: JoinSpec,
    kind: JoinKind,
    /// Keys of the rows that pass by.
    keys: Vec<DeviceExpr>,
    built: Arc<BuildSide>,
    /// `None` for what is no operator of the plan.
    pub metrics: Option<ExecutionPlanMetricsSet>,
}

impl Probe {
    /// The step of a join.
    pub fn new(spec: &JoinSpec, built: BuildSide, metrics: &ExecutionPlanMetricsSet) -> Self {
        let (kind, probe_is_left) = spec.kind();
        let keys = spec.side_keys(probe_is_left).into_iter().cloned().collect();
        Self { spec: spec.clone(), kind, keys, built: Arc::new(built), metrics: Some(metrics.clone()) }
    }

    /// Lets through the rows whose `keys` are among those of a bitmap.
    pub fn of_keys(keys: Vec<DeviceExpr>, bitmap: Arc<BuildSide>) -> Self {
        Self { spec: JoinSpec::existence(), kind: JoinKind::Semi, keys, built: bitmap, metrics: None }
    }

    /// Of the probe rows that have a row of the build side (`exists`), those whose pair passes the residual.
    fn passes(&self, trace: &mut Trace, rows: &TracedRelation, build: &[TracedColumn], exists: Value) -> Result<Value> {
        if self.spec.residual.is_none() {
            return Ok(exists);
        }
        let t = &mut trace.t;
        let pass = residual_passes(t, &self.spec, &rows.columns, build, Some(exists), rows.capacity)?;
        Ok(t.builder.and(exists, pass)?)
    }

    /// NOT IN: with a NULL among the values nothing passes; a NULL passes only where there are no values.
    fn without_unknown(&self, t: &mut Tracer, kept: Value, keys: &[TracedColumn]) -> Result<Value> {
        let no_null = t.scalar_parameter(S32, i128::from(!self.built.has_null_key));
        let zero = t.builder.constant_of(S32, 0)?;
        let no_null = t.builder.compare(no_null, zero, Comparison::Ne)?;
        let mut kept = t.builder.and(kept, no_null)?;
        let is_empty = t.scalar_parameter(S32, i128::from(self.built.is_empty));
        let is_empty = t.builder.compare(is_empty, zero, Comparison::Ne)?;
        for valid in keys.iter().filter_map(|key| key.valid) {
            let known = t.builder.or(valid, is_empty)?;
            kept = t.builder.and(kept, known)?;
        }
        Ok(kept)
    }
}

impl Step for Probe {
    fn operator(&self) -> &'static str {
        "XlaJoinExec"
    }

    fn label(&self) -> &'static str {
        "join"
    }

    fn metrics(&self) -> Option<&ExecutionPlanMetricsSet> {
        self.metrics.as_ref()
    }

    fn needs_all_rows(&self) -> bool {
        false
    }

    fn row_effect(&self) -> RowEffect {
        if matches!(self.kind, JoinKind::Outer | JoinKind::Mark) { RowEffect::Keeps } else { RowEffect::Narrows }
    }

    // The lookup, and a gather for each column that a match brings along.
    fn weight(&self) -> usize {
        let gathers = matches!(self.kind, JoinKind::Inner | JoinKind::Outer);
        1 + if gathers { self.built.columns.len() } else { 0 }
    }

    // Each probe row comes at most once.
    fn source_of(&self, column: usize) -> Option<usize> {
        let (_, probe_is_left) = self.spec.kind();
        let width = self.spec.widths[usize::from(!probe_is_left)];
        let column =
            self.spec.projection.as_ref().map_or(Some(column), |projection| projection.get(column).copied())?;
        match self.kind {
            JoinKind::Inner | JoinKind::Outer | JoinKind::Full => {
                let before = if probe_is_left { 0 } else { self.built.columns.len() };
                let column = column.checked_sub(before)?;
                (column < width).then_some(column)
            }
            JoinKind::Mark => (column < width).then_some(column),
            JoinKind::Semi | JoinKind::Anti => Some(column),
        }
    }

    fn trace(&self, trace: &mut Trace, mut rows: TracedRelation) -> Result<TracedRelation> {
        let (kind, (_, probe_is_left)) = (self.kind, self.spec.kind());
        let (capacity, mask) = (rows.capacity, rows.mask);
        let keys = trace
            .t
            .with_active(mask, |t| self.keys.iter().map(|key| key.trace(t, &rows)).collect::<Result<Vec<_>>>())?;
        let numbers = self.built.keys.numbers(&mut trace.t, &keys, mask, capacity)?;
        let slots = self.built.slots_of(trace, &numbers)?;
        let (mut build, mut found) = (Vec::new(), None);
        if let Some(exists) = self.built.exists(trace, slots)? {
            found = Some(self.passes(trace, &rows, &build, exists)?);
        } else {
            for row in self.built.rows_of(trace, slots)? {
                let zero = trace.t.builder.constant_of(S32, 0)?;
                let exists = trace.t.builder.compare(row, zero, Comparison::Ge)?;
                let row = trace.t.builder.maximum(row, zero)?;
                if matches!(kind, JoinKind::Inner | JoinKind::Outer) || self.spec.residual.is_some() {
                    let columns = 0..self.built.columns.len();
                    build = columns.map(|index| self.built.gather(trace, index, row)).collect::<Result<_>>()?;
                }
                let passes = self.passes(trace, &rows, &build, exists)?;
                found = Some(match found {
                    Some(found) => trace.t.builder.or(found, passes)?,
                    None => passes,
                });
            }
        }
        let t = &mut trace.t;
        let Some(found) = found else { return datafusion::common::internal_err!("a join that asks for no row") };
        match kind {
            JoinKind::Inner | JoinKind::Full => {
                rows.mask = and_valid(&mut t.builder, mask, Some(found))?;
                rows.columns = in_order(probe_is_left, rows.columns, build);
            }
            JoinKind::Outer => {
                for column in &mut build {
                    column.valid = and_valid(&mut t.builder, column.valid, Some(found))?;
                }
                rows.columns = in_order(probe_is_left, rows.columns, build);
            }
            JoinKind::Semi => rows.mask = and_valid(&mut t.builder, mask, Some(found))?,
            JoinKind::Anti => {
                let mut kept = t.builder.not(found)?;
                if self.spec.null_aware {
                    kept = self.without_unknown(t, kept, &keys)?;
                }
                rows.mask = and_valid(&mut t.builder, mask, Some(kept))?;
            }
            JoinKind::Mark => rows.columns.push(TracedColumn::boolean(found, None)),
        }
        rows.columns = self.spec.project(rows.columns);
        Ok(rows)
    }
}

/// The columns of both sides, left first.
pub fn in_order<T: Clone>(probe_is_left: bool, probe: Vec<T>, build: Vec<T>) -> Vec<T> {
    if probe_is_left { [probe, build].concat() } else { [build, probe].concat() }
}

/// Pairs of rows that pass the residual filter, `pred[capacity]`; errors count where `pairs` is set.
pub fn residual_passes(
    t: &mut Tracer,
    spec: &JoinSpec,
    probe: &[TracedColumn],
    build: &[TracedColumn],
    pairs: Option<Value>,
    capacity: usize,
) -> Result<Value> {
    let Some(residual) = &spec.residual else {
        let always = t.builder.constant(Scalar::Pred(true));
        return t.broadcast(always, capacity);
    };
    let (_, probe_is_left) = spec.kind();
    let column =
        |(of_left, index): &(bool, usize)| if *of_left == probe_is_left { &probe[*index] } else { &build[*index] };
    let columns = residual.columns.iter().map(|c| column(c).clone()).collect();
    let rows = TracedRelation { columns, mask: pairs, capacity };
    let predicate = t.with_active(pairs, |t| residual.predicate.trace(t, &rows))?;
    let value = predicate.pred()?;
    let pass = and_valid(&mut t.builder, predicate.valid, Some(value))?;
    match pass {
        Some(pass) => t.broadcast(pass, capacity),
        None => datafusion::common::internal_err!("a predicate was expected"),
    }
}
