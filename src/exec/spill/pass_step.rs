//! The step that lets only the rows of one pass through.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::exec::trace::program::Trace;
use crate::exec::trace::sort_keys::sort_words;
use crate::exec::trace::step::{RowEffect, Step};
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::integer::Limbs;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Value};
use crate::kernels::order_key;
use crate::program::ElementType::{S32, S64, U64};

/// Bits of a hash that decide.
const HASH_BITS: i128 = 24;

/// The rows of one pass.
pub enum Partition {
    /// Rows whose keys have a hash of this pass.
    Hash { keys: Vec<DeviceExpr>, pass: usize, passes: usize },
    /// Rows whose sort keys have a first word between `from`, included, and `to`, excluded.
    Range { keys: Vec<(DeviceExpr, SortOptions)>, from: Option<u64>, to: Option<u64> },
}

/// Lets only the rows of a partition through.
pub struct PassStep(Partition);

impl PassStep {
    pub fn of(partition: Partition) -> Arc<dyn Step> {
        Arc::new(Self(partition))
    }
}

impl Step for PassStep {
    fn operator(&self) -> &'static str {
        "a pass over a partition"
    }

    fn label(&self) -> &'static str {
        "pass"
    }

    fn metrics(&self) -> Option<&ExecutionPlanMetricsSet> {
        None
    }

    fn needs_all_rows(&self) -> bool {
        false
    }

    fn row_effect(&self) -> RowEffect {
        RowEffect::Narrows
    }

    fn weight(&self) -> usize {
        0
    }

    fn source_of(&self, column: usize) -> Option<usize> {
        Some(column)
    }

    fn trace(&self, trace: &mut Trace, mut rows: TracedRelation) -> Result<TracedRelation> {
        let t = &mut trace.t;
        let inside = match &self.0 {
            Partition::Hash { keys, pass, passes } => {
                let of_row = pass_of(t, keys, &rows, *passes)?;
                let pass = t.scalar_parameter(S32, *pass as i128);
                Some(t.builder.compare(of_row, pass, Comparison::Eq)?)
            }
            Partition::Range { keys, from, to } => {
                let word = first_word(t, keys, &rows)?;
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

/// The pass of each row, s32[capacity].
pub fn pass_of(t: &mut Tracer, keys: &[DeviceExpr], rows: &TracedRelation, passes: usize) -> Result<Value> {
    let mut hash = t.builder.constant_of(U64, 0)?;
    for key in keys {
        let column = t.with_active(rows.mask, |t| key.trace(t, rows))?;
        let word = word_of(t, &column, rows.capacity)?;
        hash = t.builder.xor(hash, word)?;
        hash = mix(t, hash)?;
    }
    let shift = t.builder.constant_of(U64, 64 - HASH_BITS)?;
    let top = t.builder.shift_right_logical(hash, shift)?;
    let passes = t.scalar_parameter(U64, passes as i128);
    let scaled = t.builder.multiply(top, passes)?;
    let shift = t.builder.constant_of(U64, HASH_BITS)?;
    let pass = t.builder.shift_right_logical(scaled, shift)?;
    let pass = t.builder.convert(pass, S32)?;
    t.broadcast(pass, rows.capacity)
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
pub fn first_word(t: &mut Tracer, keys: &[(DeviceExpr, SortOptions)], rows: &TracedRelation) -> Result<Value> {
    let words = sort_words(t, keys, rows, None)?;
    let Some(word) = words.first() else { return internal_err!("a sort without keys") };
    let word = t.builder.convert(word.value, U64)?;
    t.broadcast(word, rows.capacity)
}
