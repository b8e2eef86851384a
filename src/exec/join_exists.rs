//! The build side of a join that asks only whether a key exists: dense keys are marked in an array of slots, chunk by chunk on
//! every core, and no row is collected.

use datafusion::error::Result;
use datafusion::physical_plan::metrics::MetricBuilder;

use crate::exec::engine::Engine;
use crate::exec::join_build::{Built, any_null};
use crate::exec::join_keys::{JoinKeys, KeyForm};
use crate::exec::relation::Relation;
use crate::exec::run::{Initial, failure, run_update};
use crate::exec::side::Side;
use crate::exec::trace::Trace;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::Input;
use crate::hlo::{ReduceKind, Value};
use crate::kernels::reduce::{Reduction, combine, reduce_all};
use crate::program::ElementType::{self, S8, S32, S64};
use crate::program::Shape;

impl Engine {
    /// Marks the keys of `build`, chunks of a table, which at most `probes` rows will ask (0: not known); `None` where they have
    /// no dense slots.
    pub fn mark_keys(
        &self,
        build: &Relation,
        exprs: &[&DeviceExpr],
        probes: usize,
        null_equals_null: bool,
    ) -> Result<Option<Built>> {
        let build = &self.select(build.clone(), 2)?;
        let Some(table) = build.table() else { return Ok(None) };
        let devices = self.devices_of(build);
        let name = format!("{}_mark_keys", build.program_name());
        let mut trace = Trace::new(name.trim_start_matches("scan_"), &self.options, devices, self.lowering());
        let rows = trace.relation(build)?;
        let (mask, capacity) = (rows.mask, rows.capacity);
        let columns =
            trace.t.with_active(mask, |t| exprs.iter().map(|key| key.trace(t, &rows)).collect::<Result<Vec<_>>>())?;
        let max_slots = self.most_slots();
        let keys = JoinKeys::plan(&columns, (table.layout.rows, probes), max_slots, null_equals_null);
        let KeyForm::Dense { slots } = keys.form else { return Ok(None) };
        let numbers = keys.numbers(&mut trace.t, &columns, mask, capacity)?;
        let null_key = any_null(&mut trace.t, &columns, mask, capacity)?;
        let t = &mut trace.t;
        let live = t.mask_of(&rows)?;
        let operand = t.builder.convert(live, S32)?;
        let any_row = Reduction { operand, kind: ReduceKind::Maximum, total_type: S32 };
        let any_row = reduce_all(&mut t.builder, &[any_row])?[0];
        let mut values: Vec<(Value, ReduceKind, ElementType)> =
            vec![(null_key, ReduceKind::Maximum, S32), (any_row, ReduceKind::Maximum, S32)];
        values.extend(t.error_code()?.map(|v| (v, ReduceKind::Maximum, S32)));
        let n_flags = values.len();
        // Accumulators: the marks, whether a key is NULL, whether there are rows, the error code if there can be one, and rows
        // of operators that are counted.
        let (counted, counts): (Vec<_>, Vec<_>) = trace.counts.drain(..).unzip();
        values.extend(counts.into_iter().map(|v| (v, ReduceKind::Add, S64)));
        let nowhere = t.builder.constant_of(S32, -1)?;
        let slot = match numbers.live {
            Some(live) => t.builder.select(live, numbers.values[0], nowhere)?,
            None => numbers.values[0],
        };
        let mut shapes = vec![Shape::new(S8, [slots])];
        shapes.extend(values.iter().map(|(_, _, element_type)| Shape::scalar(*element_type)));
        let kinds: Vec<ReduceKind> =
            std::iter::once(ReduceKind::Maximum).chain(values.iter().map(|(_, kind, _)| *kind)).collect();
        let first = t.inputs.len();
        let parameter =
            |(index, shape): (usize, &Shape)| t.parameter(shape.clone(), Input::Accumulator { worker: 0, index });
        let running: Vec<Value> = shapes.iter().enumerate().map(parameter).collect();
        let one = t.builder.constant_of(S8, 1)?;
        let held = t.builder.optimization_barrier(&[slot])?;
        let mut outputs = vec![t.builder.scatter_1d(running[0], held[0], one, ReduceKind::Maximum)?];
        for ((value, kind, _), running) in values.iter().zip(&running[1..]) {
            outputs.push(combine(&mut t.builder, *kind, *running, *value)?);
        }
        let aliases: Vec<(usize, usize)> = (0..outputs.len()).map(|i| (i, first + i)).collect();
        let traced = trace.finish(&outputs, &aliases)?;
        let initial: Vec<_> = shapes.iter().map(|shape| Initial { shape: shape.clone(), value: 0 }).collect();
        let start = std::time::Instant::now();
        let totals = run_update(&self.ready(&traced, build)?, &initial, self.chunks(table, build))?;
        self.kernel_time(start.elapsed());

        let mut trace = Trace::new("merge_marks", &self.options, devices, self.lowering());
        let mut merged = Vec::with_capacity(shapes.len());
        for (index, shape) in shapes.iter().enumerate() {
            let mut total: Option<Value> = None;
            for worker in 0..totals[0].len() {
                let part = trace.t.parameter(shape.clone(), Input::Accumulator { worker, index });
                total = Some(match total {
                    Some(total) => combine(&mut trace.t.builder, kinds[index], total, part)?,
                    None => part,
                });
            }
            let Some(mut total) = total else { return Ok(None) };
            if devices > 1 {
                total = trace.t.builder.all_reduce(total, kinds[index])?;
            }
            merged.push(total);
        }
        let finish = trace.finish(&merged, &[])?;
        let mut buffers = self.ready_on(&finish, devices)?.run_totals(&totals)?.into_iter();
        let Some(hits) = buffers.next() else { return Ok(None) };
        let flags = buffers.by_ref().take(n_flags).map(|b| Ok(b.to_vec::<i32>()?[0])).collect::<Result<Vec<_>>>()?;
        for (metrics, rows) in counted.iter().zip(buffers) {
            MetricBuilder::new(metrics).output_rows(0).add(rows.to_vec::<i64>()?[0] as usize);
        }
        if let Some(code) = flags.get(2).filter(|code| **code > 0) {
            return Err(failure(*code, &traced.errors));
        }
        let hits = Side::replicate(hits, &self.device.mesh)?;
        Ok(Some(Built::of_hits(keys, hits, flags[0] > 0, flags[1] == 0)))
    }
}
