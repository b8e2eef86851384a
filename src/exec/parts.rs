//! Operators whose rows do not fit device memory run in parts: once for each part of the rows, which wait on the host and are
//! streamed for each. A hash of the keys decides the part of a row, or where its sort key lies.
//!
//! ```text
//! aggregate, join    part = hash(keys) * parts >> 24      equal keys, of either side of a join, are in one part
//! sort               part = number of bounds below or at the first word of the key; parts come out in order
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::layout::capacity_bucket;
use crate::exec::device_node::DeviceNode;
use crate::exec::engine::Engine;
use crate::exec::join::XlaJoinExec;
use crate::exec::relation::{Relation, Step};
use crate::exec::run::run_chunks;
use crate::exec::spool::Spool;
use crate::exec::trace::Trace;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::integer::Limbs;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Value};
use crate::kernels::order_key;
use crate::program::ElementType::{S32, S64, U64};
use crate::runtime::Buffer;

/// Most parts; more means that the rows of one key alone do not fit.
const MOST_PARTS: usize = 256;

/// How many times more parts are tried after a failure.
const MORE_PARTS: usize = 4;

/// Keys of a sample that bounds are chosen from.
const SAMPLE: usize = 1 << 16;

/// Bits of a hash that decide.
const HASH_BITS: i128 = 24;

/// One part of the rows of a relation.
pub enum Part {
    Hash {
        keys: Vec<DeviceExpr>,
        part: usize,
        parts: usize,
    },
    /// First words of sort keys, `from` included and `to` not.
    Range {
        sort: Arc<dyn ExecutionPlan>,
        from: Option<u64>,
        to: Option<u64>,
    },
}

impl Part {
    /// Narrows the mask to the rows of the part.
    pub fn trace(&self, t: &mut Tracer, mut rows: TracedRelation) -> Result<TracedRelation> {
        let inside = match self {
            Self::Hash { keys, part, parts } => {
                let of_row = part_of(t, keys, &rows, *parts)?;
                let part = t.scalar_parameter(S32, *part as i128);
                Some(t.builder.compare(of_row, part, Comparison::Eq)?)
            }
            Self::Range { sort, from, to } => {
                let word = first_word(t, sort, &rows)?;
                let mut inside = None;
                for (bound, direction) in [(from, Comparison::Ge), (to, Comparison::Lt)] {
                    if let Some(bound) = bound {
                        let bound = t.scalar_parameter(U64, i128::from(*bound));
                        let within = t.builder.compare(word, bound, direction)?;
                        inside = and_valid(&mut t.builder, inside, Some(within))?;
                    }
                }
                inside
            }
        };
        rows.mask = and_valid(&mut t.builder, rows.mask, inside)?;
        Ok(rows)
    }
}

/// The part of each row, s32[capacity].
fn part_of(t: &mut Tracer, keys: &[DeviceExpr], rows: &TracedRelation, parts: usize) -> Result<Value> {
    let mut hash = t.builder.constant_of(U64, 0)?;
    for key in keys {
        let column = t.with_active(rows.mask, |t| key.trace(t, rows))?;
        let word = word_of(t, &column, rows.capacity)?;
        hash = t.builder.xor(hash, word)?;
        hash = mix(t, hash)?;
    }
    let shift = t.builder.constant_of(U64, 64 - HASH_BITS)?;
    let top = t.builder.shift_right_logical(hash, shift)?;
    let parts = t.scalar_parameter(U64, parts as i128);
    let scaled = t.builder.multiply(top, parts)?;
    let shift = t.builder.constant_of(U64, HASH_BITS)?;
    let part = t.builder.shift_right_logical(scaled, shift)?;
    let part = t.builder.convert(part, S32)?;
    t.broadcast(part, rows.capacity)
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014), half of it: the high bits depend on all.
fn mix(t: &mut Tracer, hash: Value) -> Result<Value> {
    let (factor, shift) = (t.builder.constant_of(U64, 0xbf58_476d_1ce4_e5b9)?, t.builder.constant_of(U64, 31)?);
    let hash = t.builder.multiply(hash, factor)?;
    let high = t.builder.shift_right_logical(hash, shift)?;
    let hash = t.builder.xor(hash, high)?;
    let factor = t.builder.constant_of(U64, 0x94d0_49bb_1331_11eb)?;
    Ok(t.builder.multiply(hash, factor)?)
}

/// 64 bits of a key column, the same for equal keys whatever their encoding; 0 for NULL.
fn word_of(t: &mut Tracer, column: &TracedColumn, capacity: usize) -> Result<Value> {
    let word = match (&column.values, &column.dictionary) {
        (Values::Int(int), Some(dictionary)) => {
            let Limbs::Narrow(code) = int.limbs else { return internal_err!("a code of two limbs") };
            let mut bytes = Vec::with_capacity(dictionary.len() * 8);
            for text in dictionary.values().iter() {
                let mut hasher = DefaultHasher::new();
                text.hash(&mut hasher);
                bytes.extend_from_slice(&hasher.finish().to_le_bytes());
            }
            let hashes = t.table_parameter(U64, bytes);
            let code = t.builder.convert(code, S32)?;
            t.builder.take(hashes, code)?
        }
        (Values::Int(int), None) => match int.limbs {
            Limbs::Narrow(value) => {
                let value = t.builder.convert(value, S64)?;
                t.builder.bitcast_convert(value, U64)?
            }
            Limbs::Wide(wide) => wide.lo,
        },
        (Values::Float(value), _) => {
            let key = order_key::from_float_one_zero(&mut t.builder, *value)?;
            let key = t.builder.convert(key, S64)?;
            t.builder.bitcast_convert(key, U64)?
        }
        (Values::Pred(value), _) => t.builder.convert(*value, U64)?,
    };
    let Some(valid) = column.valid else { return Ok(word) };
    let zero = t.builder.constant_of(U64, 0)?;
    let (valid, word) = (t.broadcast(valid, capacity)?, t.broadcast(word, capacity)?);
    Ok(t.builder.select(valid, word, zero)?)
}

/// The first word of the sort key, u64[capacity].
fn first_word(t: &mut Tracer, sort: &Arc<dyn ExecutionPlan>, rows: &TracedRelation) -> Result<Value> {
    let DeviceNode::Sort(sort) = Step::node(sort)? else { return internal_err!("a sort was expected") };
    let words = sort.words(t, rows, None)?;
    let Some(word) = words.first() else { return internal_err!("a sort without keys") };
    let word = t.builder.convert(word.value, U64)?;
    t.broadcast(word, rows.capacity)
}

impl Engine {
    /// The rows of all parts, one part after another, at most `limit`; `run(part)` gives the relation of one.
    fn all_parts(
        &self,
        parts: usize,
        limit: Option<usize>,
        run: impl Fn(usize) -> Result<Relation>,
    ) -> Result<Relation> {
        let mut spool = Spool::new(self, limit);
        for part in 0..parts {
            self.cancelled.check()?;
            let mut more = true;
            self.pieces(&run(part)?, |columns, piece| {
                more = spool.push(columns, &piece)?;
                Ok(more)
            })?;
            if !more {
                break;
            }
        }
        spool.finish(self)
    }

    /// An aggregation over all rows at once, or over all rows of a part of its groups.
    pub fn aggregate_in_parts(&self, plan: &Arc<dyn ExecutionPlan>, input: Relation) -> Result<Relation> {
        let DeviceNode::Aggregate(aggregate) = Step::node(plan)? else {
            return internal_err!("an aggregation was expected");
        };
        let input = self.spool(&input)?;
        let keys = aggregate.plain_keys();
        let run = |part: usize, parts: usize, capacity: usize| -> Result<Relation> {
            let mut rows = input.clone();
            if parts > 1 {
                rows = rows.with(hash_part(&keys, part, parts));
            }
            let table = self.collect_padded(&rows, None, capacity)?;
            let whole = Relation::on(table).with(Step::Node(Arc::clone(plan)));
            Ok(Relation::on(self.collect(&whole, None)?))
        };
        let start = self.first_parts(&input);
        if keys.is_empty() || start <= 1 && input.is_single() {
            return run(0, 1, 0);
        }
        self.with_enough_parts("XlaAggregateExec", &aggregate.metrics, start, |parts| {
            if parts <= 1 {
                return run(0, 1, 0).map(|relation| (relation, 1));
            }
            // All parts have one capacity, so that their results have one encoding.
            let capacity = capacity_bucket(self.largest_part(&input, &keys, parts)?);
            Ok((self.all_parts(parts, None, |part| run(part, parts, capacity))?, parts))
        })
    }

    /// A sort of all rows, or of the rows between bounds, in order.
    pub fn sort_in_parts(&self, plan: &Arc<dyn ExecutionPlan>, input: Relation) -> Result<Relation> {
        let DeviceNode::Sort(sort) = Step::node(plan)? else { return internal_err!("a sort was expected") };
        let input = self.spool(&input)?;
        let whole = |rows: &Relation| -> Result<Relation> {
            let table = self.collect(rows, None)?;
            Ok(Relation::on(table).with(Step::Node(Arc::clone(plan))))
        };
        if input.is_single() {
            return whole(&input);
        }
        let sample = self.sample_keys(&input, plan)?;
        self.with_enough_parts("XlaSortExec", &sort.metrics, self.first_parts(&input).max(2), |parts| {
            let bounds = bounds(&sample, parts);
            let parts = bounds.len() + 1;
            let sorted = self.all_parts(parts, sort.rows_kept(), |part| {
                let from = part.checked_sub(1).map(|before| bounds[before]);
                let range = Part::Range { sort: Arc::clone(plan), from, to: bounds.get(part).copied() };
                whole(&input.clone().with(Step::Part(Arc::new(range))))
            });
            Ok((sorted?, parts))
        })
    }

    /// A join of all rows, or of the rows of each part of its keys; `run` joins a build and a probe side.
    pub fn join_in_parts(
        &self,
        join: &XlaJoinExec,
        build: Relation,
        probe: Relation,
        run: impl Fn(Relation, Relation) -> Result<Relation>,
    ) -> Result<Relation> {
        let (_, probe_is_left) = join.spec.kind();
        let keys = |left: bool| join.spec.side_keys(left).into_iter().cloned().collect::<Vec<_>>();
        let (build_keys, probe_keys) = (keys(!probe_is_left), keys(probe_is_left));
        let build = self.spool(&build)?;
        let mut spooled = None;
        self.with_enough_parts("XlaJoinExec", &join.metrics, self.first_parts(&build), |parts| {
            if parts == 1 {
                return run(build.clone(), probe.clone()).map(|relation| (relation, 1));
            }
            let probe: &Relation = match &mut spooled {
                Some(probe) => probe,
                none => none.insert(self.spool(&probe)?),
            };
            let joined = self.all_parts(parts, None, |part| {
                let build = build.clone().with(hash_part(&build_keys, part, parts));
                run(build, probe.clone().with(hash_part(&probe_keys, part, parts)))
            });
            Ok((joined?, parts))
        })
    }

    /// Runs an operator with ever more parts, from `parts` on, until each fits; `run` gives its rows and in how many parts they
    /// were made.
    fn with_enough_parts(
        &self,
        operator: &str,
        metrics: &ExecutionPlanMetricsSet,
        mut parts: usize,
        mut run: impl FnMut(usize) -> Result<(Relation, usize)>,
    ) -> Result<Relation> {
        loop {
            match run(parts) {
                Ok((relation, ran)) => {
                    if ran > 1 {
                        self.chose(metrics, format!("ran in {ran} parts"));
                    }
                    return Ok(relation);
                }
                Err(DataFusionError::ResourcesExhausted(_)) if parts < MOST_PARTS => {
                    parts = (parts * MORE_PARTS).min(MOST_PARTS);
                }
                Err(DataFusionError::ResourcesExhausted(message)) => {
                    return Err(DataFusionError::ResourcesExhausted(format!(
                        "{operator} does not fit even in {parts} parts, so too many rows have the same key: {message}"
                    )));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How many parts of a relation's rows fit, by a rough estimate: an operator takes some three times its input.
    fn first_parts(&self, input: &Relation) -> usize {
        let (Some(table), Some(left)) = (input.table(), self.memory_left()) else { return 1 };
        let row: usize = table.columns.iter().map(|c| c.representation.row_bytes() + usize::from(c.has_nulls)).sum();
        let needed = table.layout.rows * (3 * row + 16);
        needed.div_ceil((left / 2).max(1)).clamp(1, MOST_PARTS)
    }

    /// Rows of the largest part.
    fn largest_part(&self, input: &Relation, keys: &[DeviceExpr], parts: usize) -> Result<usize> {
        let mut counts = vec![0usize; parts];
        self.read_numbers(
            input,
            "part_sizes",
            |t, rows| {
                let part = part_of(t, keys, rows, parts)?;
                let none = t.builder.constant_of(S32, -1)?;
                let mask = t.mask_of(rows)?;
                Ok(t.builder.select(mask, part, none)?)
            },
            |buffer| {
                let parts = buffer.to_vec::<i32>()?;
                parts.into_iter().filter(|part| *part >= 0).for_each(|part| counts[part as usize] += 1);
                Ok(())
            },
        )?;
        Ok(counts.into_iter().max().unwrap_or(0))
    }

    /// Some first words of the sort keys of live rows, in order.
    fn sample_keys(&self, input: &Relation, sort: &Arc<dyn ExecutionPlan>) -> Result<Vec<u64>> {
        let rows = input.table().map_or(0, |table| table.layout.rows);
        let stride = (rows / SAMPLE).max(1);
        let mut sample = Vec::new();
        self.read_numbers(
            input,
            "sort_sample",
            |t, rows| {
                let word = first_word(t, sort, rows)?;
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
        &self,
        input: &Relation,
        name: &str,
        make: impl Fn(&mut Tracer, &TracedRelation) -> Result<Value>,
        mut read: impl FnMut(Buffer) -> Result<()>,
    ) -> Result<()> {
        let Some(table) = input.table() else { return internal_err!("parts of what is no table") };
        let mut trace = Trace::new(name, &self.options, self.devices_of(input), self.lowering());
        let rows = trace.relation(input)?;
        let numbers = make(&mut trace.t, &rows)?;
        let ready = self.ready(&trace.finish(&[numbers], &[])?, input)?;
        run_chunks(
            &ready,
            self.chunks(table, input),
            |buffers, _| Ok(buffers),
            |buffers| {
                buffers.into_iter().try_for_each(&mut read)?;
                Ok(true)
            },
        )
    }
}

fn hash_part(keys: &[DeviceExpr], part: usize, parts: usize) -> Step {
    Step::Part(Arc::new(Part::Hash { keys: keys.to_vec(), part, parts }))
}

/// Words that split a sorted sample into `parts` of like size, ascending, each once.
fn bounds(sample: &[u64], parts: usize) -> Vec<u64> {
    let mut bounds: Vec<u64> = (1..parts).filter_map(|part| sample.get(part * sample.len() / parts).copied()).collect();
    bounds.dedup();
    // Nothing is below the least.
    if !bounds.is_empty() && bounds.first() == sample.first() {
        bounds.remove(0);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use crate::exec::parts::bounds;

    #[test]
    fn bounds_split_a_sample_and_are_distinct() {
        assert_eq!(bounds(&(0..100).collect::<Vec<_>>(), 4), [25, 50, 75]);
        assert_eq!(bounds(&[7, 7, 7, 7, 9], 4), [0u64; 0]);
        assert_eq!(bounds(&[1, 7, 7, 7, 9], 4), [7]);
        assert_eq!(bounds(&[], 4), [0u64; 0]);
    }
}
