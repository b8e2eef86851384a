//! Operators whose rows do not fit device memory run in passes over partitions of their inputs, which wait on the host and are streamed
//! for each pass. What the operator must see together decides the partitions: equal keys by a hash, an order by ranges.
//!
//! ```text
//! rows with equal keys    pass = hash(keys) * passes >> 24      equal keys, of any input, are in one pass
//! rows in order           pass = number of bounds below or at the first word of the key; passes come out in order
//! all rows                one pass
//! ```

use datafusion::arrow::compute::SortOptions;
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::layout::capacity_bucket;
use crate::exec::device_operator::{DeviceOperator, RowScope};
use crate::exec::run::chunk_loop::run_chunks;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::{for_each_host_chunk, materialize, materialize_padded};
use crate::exec::spill::pass_step::{Partition, PassStep, first_word, pass_of};
use crate::exec::spill::spill_buffer::{SpillBuffer, spill};
use crate::exec::strategy::{add_strategy, count};
use crate::exec::trace::output::OutputLayout;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::RowEffect;
use crate::exec::trace::trace_relation::trace_relation;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedRelation, Tracer};
use crate::hlo::Value;
use crate::program::ElementType::S32;
use crate::runtime::Buffer;

/// Most passes; more means that the rows of one key alone do not fit.
const MOST_PASSES: usize = 256;

/// How many times more passes are tried after a failure.
const MORE_PASSES: usize = 4;

/// Keys of a sample that bounds are chosen from.
const SAMPLE: usize = 1 << 16;

/// Computes an operator over the rows of a pass, or over all.
type Compute<'a> = &'a dyn Fn(&Engine, Vec<Relation>) -> Result<Relation>;

/// An operator that runs in passes.
struct MultiPass<'a> {
    engine: &'a Engine,
    operator: &'a dyn DeviceOperator,
    metrics: &'a ExecutionPlanMetricsSet,
    held: usize,
    compute: Compute<'a>,
}

/// The rows of an operator whose input `held` must be there together, in as many passes as device memory asks for.
pub fn compute_in_passes(
    engine: &Engine,
    operator: &dyn DeviceOperator,
    metrics: &ExecutionPlanMetricsSet,
    mut inputs: Vec<Relation>,
    held: usize,
    compute: Compute<'_>,
) -> Result<Relation> {
    let multi_pass = MultiPass { engine, operator, metrics, held, compute };
    match operator.row_scope() {
        RowScope::Chunk | RowScope::All => compute(engine, inputs),
        RowScope::Keys(keys) => {
            inputs[held] = spill(engine, &inputs[held])?;
            let passes = first_passes(engine, &inputs[held]);
            if keys.get(held).is_none_or(Vec::is_empty) || inputs.len() == 1 && passes <= 1 && inputs[held].is_single()
            {
                return multi_pass.once(inputs);
            }
            multi_pass
                .with_enough_passes(passes, |passes| Ok((multi_pass.by_keys(&mut inputs, &keys, passes)?, passes)))
        }
        RowScope::Order { keys, limit } => {
            inputs[held] = spill(engine, &inputs[held])?;
            if inputs[held].is_single() {
                return compute(engine, inputs);
            }
            let sample = sample_keys(engine, &inputs[held], &keys)?;
            let passes = first_passes(engine, &inputs[held]).max(2);
            multi_pass.with_enough_passes(passes, |passes| {
                let bounds = bounds(&sample, passes);
                Ok((multi_pass.by_ranges(&inputs, &keys, limit, &bounds)?, bounds.len() + 1))
            })
        }
    }
}

impl MultiPass<'_> {
    /// All rows in one pass. A step that needs all rows is computed now, so that running out of memory shows here.
    fn once(&self, inputs: Vec<Relation>) -> Result<Relation> {
        let relation = (self.compute)(self.engine, inputs)?;
        if !relation.needs_all_rows() {
            return Ok(relation);
        }
        Ok(Relation::on(materialize(self.engine, &relation, None)?))
    }

    fn by_keys(&self, inputs: &mut [Relation], keys: &[Vec<DeviceExpr>], passes: usize) -> Result<Relation> {
        if passes <= 1 {
            return self.once(inputs.to_vec());
        }
        for input in inputs.iter_mut() {
            *input = spill(self.engine, input)?;
        }
        // The groups of all passes have one capacity, so that their results have one encoding.
        let capacity = match (&*inputs, self.operator.row_effect()) {
            ([input], RowEffect::Replaces) => {
                Some(capacity_bucket(largest_pass(self.engine, input, &keys[self.held], passes)?))
            }
            _ => None,
        };
        self.all_passes(passes, None, |pass| {
            let partition = |(input, keys): (&Relation, &Vec<DeviceExpr>)| -> Result<Relation> {
                let rows = input.clone().with(PassStep::of(Partition::Hash { keys: keys.clone(), pass, passes }));
                match capacity {
                    Some(capacity) => Ok(Relation::on(materialize_padded(self.engine, &rows, capacity)?)),
                    None => Ok(rows),
                }
            };
            let inputs = inputs.iter().zip(keys).map(partition).collect::<Result<_>>()?;
            (self.compute)(self.engine, inputs)
        })
    }

    fn by_ranges(
        &self,
        inputs: &[Relation],
        keys: &[(DeviceExpr, SortOptions)],
        limit: Option<usize>,
        bounds: &[u64],
    ) -> Result<Relation> {
        self.all_passes(bounds.len() + 1, limit, |pass| {
            let from = pass.checked_sub(1).map(|before| bounds[before]);
            let range = Partition::Range { keys: keys.to_vec(), from, to: bounds.get(pass).copied() };
            let rows = inputs[self.held].clone().with(PassStep::of(range));
            let table = materialize(self.engine, &rows, None)?;
            (self.compute)(self.engine, vec![Relation::on(table)])
        })
    }

    /// The rows of all passes, one pass after another, at most `limit`.
    fn all_passes(
        &self,
        passes: usize,
        limit: Option<usize>,
        run: impl Fn(usize) -> Result<Relation>,
    ) -> Result<Relation> {
        let mut buffer = SpillBuffer::new(self.engine, limit);
        for pass in 0..passes {
            self.engine.cancelled.check()?;
            let mut more = true;
            for_each_host_chunk(self.engine, &run(pass)?, |columns, chunk| {
                more = buffer.push(columns, &chunk)?;
                Ok(more)
            })?;
            if !more {
                break;
            }
        }
        buffer.finish(self.engine)
    }

    /// Runs with ever more passes until each fits; `run` gives the rows and in how many passes they were made.
    fn with_enough_passes(
        &self,
        mut passes: usize,
        mut run: impl FnMut(usize) -> Result<(Relation, usize)>,
    ) -> Result<Relation> {
        loop {
            match run(passes) {
                Ok((relation, ran)) => {
                    if ran > 1 {
                        add_strategy(self.metrics, "several passes");
                        count(self.metrics, "passes", ran);
                    }
                    return Ok(relation);
                }
                Err(DataFusionError::ResourcesExhausted(_)) if passes < MOST_PASSES => {
                    passes = (passes * MORE_PASSES).min(MOST_PASSES);
                }
                Err(DataFusionError::ResourcesExhausted(message)) => {
                    return Err(DataFusionError::ResourcesExhausted(format!(
                        "{} does not fit even in {passes} passes, so too many rows have the same key: {message}",
                        self.operator.name()
                    )));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many passes over a relation's rows fit, by a rough estimate: an operator takes some three times its input.
fn first_passes(engine: &Engine, input: &Relation) -> usize {
    let (Some(table), Some(left)) = (input.table(), engine.memory_left()) else { return 1 };
    let row: usize = table.columns.iter().map(|c| c.representation.row_bytes() + usize::from(c.has_nulls)).sum();
    let needed = table.layout.rows * (3 * row + 16);
    needed.div_ceil((left / 2).max(1)).clamp(1, MOST_PASSES)
}

/// Rows of the largest pass.
fn largest_pass(engine: &Engine, input: &Relation, keys: &[DeviceExpr], passes: usize) -> Result<usize> {
    let mut counts = vec![0usize; passes];
    read_numbers(
        engine,
        input,
        "pass_sizes",
        |t, rows| {
            let pass = pass_of(t, keys, rows, passes)?;
            let none = t.builder.constant_of(S32, -1)?;
            let mask = t.mask_of(rows)?;
            Ok(t.builder.select(mask, pass, none)?)
        },
        |buffer| {
            let passes = buffer.to_vec::<i32>()?;
            passes.into_iter().filter(|pass| *pass >= 0).for_each(|pass| counts[pass as usize] += 1);
            Ok(())
        },
    )?;
    Ok(counts.into_iter().max().unwrap_or(0))
}

/// Some first words of the sort keys of live rows, in order.
fn sample_keys(engine: &Engine, input: &Relation, keys: &[(DeviceExpr, SortOptions)]) -> Result<Vec<u64>> {
    let rows = input.table().map_or(0, |table| table.layout.rows);
    let stride = (rows / SAMPLE).max(1);
    let mut sample = Vec::new();
    read_numbers(
        engine,
        input,
        "sort_sample",
        |t, rows| {
            let word = first_word(t, keys, rows)?;
            Ok(t.builder.slice(word, &[0], &[rows.capacity], &[stride.min(rows.capacity)])?)
        },
        |buffer| {
            sample.extend(buffer.to_vec::<u64>()?);
            Ok(())
        },
    )?;
    sample.sort_unstable();
    Ok(sample)
}

/// Runs a program that gives one array over every chunk of a table.
fn read_numbers(
    engine: &Engine,
    input: &Relation,
    name: &str,
    make: impl Fn(&mut Tracer, &TracedRelation) -> Result<Value>,
    mut read: impl FnMut(Buffer) -> Result<()>,
) -> Result<()> {
    let Some(table) = input.table() else { return internal_err!("passes over what is no table") };
    let mut trace = engine.trace(name, engine.devices_of(input));
    let rows = trace_relation(&mut trace, input)?;
    let numbers = make(&mut trace.t, &rows)?;
    let traced = trace.finish_as(&[numbers], &[], OutputLayout::of_arrays(1))?;
    let bound = engine.bind(&traced, input)?;
    run_chunks(
        &bound,
        engine.chunks(table, input),
        |outputs, _| Ok(outputs),
        |outputs| {
            outputs.into_iter().try_for_each(&mut read)?;
            Ok(true)
        },
    )
}

/// Words that split a sorted sample into `passes` of like size, ascending, each once.
fn bounds(sample: &[u64], passes: usize) -> Vec<u64> {
    let mut bounds: Vec<u64> =
        (1..passes).filter_map(|pass| sample.get(pass * sample.len() / passes).copied()).collect();
    bounds.dedup();
    // Nothing is below the least.
    if !bounds.is_empty() && bounds.first() == sample.first() {
        bounds.remove(0);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use crate::exec::spill::multi_pass::bounds;

    #[test]
    fn bounds_split_a_sample_and_are_distinct() {
        assert_eq!(bounds(&(0..100).collect::<Vec<_>>(), 4), [25, 50, 75]);
        assert_eq!(bounds(&[7, 7, 7, 7, 9], 4), [0u64; 0]);
        assert_eq!(bounds(&[1, 7, 7, 7, 9], 4), [7]);
        assert_eq!(bounds(&[], 4), [0u64; 0]);
    }
}
