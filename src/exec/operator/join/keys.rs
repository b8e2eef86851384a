//! How the keys of a join become numbers. The build side's statistics decide:
//!
//! ```text
//! dense    slot = (key0 - min0) * stride0 + (key1 - min1) * stride1 + ...     few values, or not many more than rows
//! packed   the same number in 64 bits, hashed (or sorted) to an id
//! words    the bits of each key, one or two words, hashed to an id             floats, ranges that span too much
//! ```
//!
//! Strings are codes of the build side's dictionary; the probe side's codes are translated by a table. What the build side
//! does not have matches nothing.

use std::sync::Arc;

use datafusion::error::Result;

use crate::columnar::dictionary::Dictionary;
use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Value};
use crate::kernels::order_key;
use crate::program::ElementType::{self, S32, S64, U64};

/// Slots that are always few enough.
const FEW_SLOTS: i128 = 1 << 16;

/// Slots a row of the build side up to which a table of slots is better than a hash table: hashing a row takes as long as
/// clearing some 50 slots.
const SLOTS_A_ROW: i128 = 32;

/// Slots a row of the probe side: a probe of slots saves as much as clearing some 8 slots takes.
const SLOTS_A_PROBE: i128 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    Dense { slots: usize },
    Packed,
    Words,
}

#[derive(Clone, Debug)]
struct JoinKey {
    dictionary: Option<Arc<Dictionary>>,
    /// `None` for floats.
    range: Option<Range>,
    /// NULL is a value like any other, of the last offset.
    null_offset: Option<i128>,
    stride: i128,
}

/// The keys of a join as the build side has them.
#[derive(Clone, Debug)]
pub struct JoinKeys {
    keys: Vec<JoinKey>,
    pub form: KeyForm,
}

/// The keys of every row as numbers.
pub struct KeyNumbers {
    /// Dense: one s32 in `0..slots`; else u64 words.
    pub values: Vec<Value>,
    /// Rows that can match: live, no NULL that equals nothing, within the build side's ranges.
    pub live: Option<Value>,
}

impl JoinKeys {
    /// Plans the keys of a build side of so many rows, which so many rows will ask.
    pub fn plan(
        columns: &[TracedColumn],
        (rows, probes): (usize, usize),
        max_slots: usize,
        null_equals_null: bool,
    ) -> Self {
        let mut keys = Vec::with_capacity(columns.len());
        let mut total: i128 = 1;
        for column in columns {
            let range = match &column.values {
                Values::Pred(_) => Some(Range::new(0, 1)),
                Values::Int(int) => Some(int.range),
                Values::Float(_) => None,
            };
            let null = null_equals_null && column.valid.is_some();
            let extent = range.map_or(i128::MAX, |r| r.extent().saturating_add(i128::from(null)));
            keys.push(JoinKey {
                dictionary: column.dictionary.clone(),
                range,
                null_offset: null.then(|| extent - 1),
                stride: total,
            });
            total = total.saturating_mul(extent);
        }
        let few = FEW_SLOTS.max(rows as i128 * SLOTS_A_ROW).max(probes as i128 * SLOTS_A_PROBE).min(max_slots as i128);
        let form = if total <= few {
            KeyForm::Dense { slots: (total as usize).next_power_of_two().max(8) }
        } else if total < i128::from(i64::MAX) {
            KeyForm::Packed
        } else {
            KeyForm::Words
        };
        Self { keys, form }
    }

    /// The numbers of the keys in `columns`, of either side.
    pub fn numbers(
        &self,
        t: &mut Tracer,
        columns: &[TracedColumn],
        mask: Option<Value>,
        capacity: usize,
    ) -> Result<KeyNumbers> {
        let mut live = mask;
        let mut translated = Vec::with_capacity(columns.len());
        for (key, column) in self.keys.iter().zip(columns) {
            let column = key.translate(t, column)?;
            if key.null_offset.is_none() {
                live = and_valid(&mut t.builder, live, column.valid)?;
            }
            let mut within = key.within_range(t, &column)?;
            if let (Some(within), Some(valid), Some(_)) = (&mut within, column.valid, key.null_offset) {
                let null = t.builder.not(valid)?;
                *within = t.builder.or(*within, null)?;
            }
            live = and_valid(&mut t.builder, live, within)?;
            translated.push(column);
        }
        let values = match self.form {
            KeyForm::Dense { .. } => vec![self.mixed_radix(t, &translated, S32)?],
            KeyForm::Packed => {
                let number = self.mixed_radix(t, &translated, S64)?;
                vec![t.builder.bitcast_convert(number, U64)?]
            }
            KeyForm::Words => self.words(t, &translated)?,
        };
        let values = values.into_iter().map(|v| t.broadcast(v, capacity)).collect::<Result<Vec<_>>>()?;
        let live = match live {
            Some(live) => Some(t.broadcast(live, capacity)?),
            None => None,
        };
        Ok(KeyNumbers { values, live })
    }

    fn mixed_radix(&self, t: &mut Tracer, columns: &[TracedColumn], element_type: ElementType) -> Result<Value> {
        let mut sum: Option<Value> = None;
        for (key, column) in self.keys.iter().zip(columns) {
            let mut offset = match (&column.values, key.range) {
                (Values::Pred(v), _) => t.builder.convert(*v, element_type)?,
                (Values::Int(int), Some(range)) => {
                    let value = t.to_element(int, S64)?;
                    let min = t.scalar_parameter(S64, i128::from(range.min as i64));
                    let offset = t.builder.subtract(value, min)?;
                    t.builder.convert(offset, element_type)?
                }
                _ => return datafusion::common::internal_err!("a float key has no offset"),
            };
            if let (Some(null), Some(valid)) = (key.null_offset, column.valid) {
                let null = t.scalar_parameter(element_type, null);
                let valid = t.broadcast_like(valid, offset)?;
                offset = t.builder.select(valid, offset, null)?;
            }
            let stride = t.scalar_parameter(element_type, key.stride);
            let scaled = t.builder.multiply(offset, stride)?;
            sum = Some(match sum {
                Some(sum) => t.builder.add(sum, scaled)?,
                None => scaled,
            });
        }
        match sum {
            Some(sum) => Ok(sum),
            None => Ok(t.builder.constant_of(element_type, 0)?),
        }
    }

    fn words(&self, t: &mut Tracer, columns: &[TracedColumn]) -> Result<Vec<Value>> {
        let mut words = Vec::new();
        let mut nulls: Option<Value> = None;
        for (key, column) in self.keys.iter().zip(columns) {
            let mut of_key = match &column.values {
                Values::Pred(v) => vec![t.builder.convert(*v, U64)?],
                Values::Float(v) => {
                    let bits = order_key::from_float_one_zero(&mut t.builder, *v)?;
                    let bits = t.builder.convert(bits, S64)?;
                    vec![t.builder.bitcast_convert(bits, U64)?]
                }
                Values::Int(int) if key.width() == 1 => {
                    let value = t.to_element(int, S64)?;
                    vec![t.builder.bitcast_convert(value, U64)?]
                }
                Values::Int(int) => {
                    let wide = t.to_wide(int)?;
                    vec![t.builder.bitcast_convert(wide.hi, U64)?, wide.lo]
                }
            };
            if key.null_offset.is_some() {
                let mut null = t.builder.constant_of(U64, 0)?;
                if let Some(valid) = column.valid {
                    for word in &mut of_key {
                        let zero = t.builder.constant_of(U64, 0)?;
                        let valid = t.broadcast_like(valid, *word)?;
                        *word = t.builder.select(valid, *word, zero)?;
                    }
                    let is_null = t.builder.not(valid)?;
                    null = t.builder.convert(is_null, U64)?;
                }
                nulls = Some(match nulls {
                    Some(before) => {
                        let one = t.builder.constant_of(U64, 1)?;
                        let shifted = t.builder.shift_left(before, one)?;
                        t.builder.or(shifted, null)?
                    }
                    None => null,
                });
            }
            words.extend(of_key);
        }
        words.extend(nulls);
        Ok(words)
    }

    /// For EXPLAIN ANALYZE.
    pub fn describe(&self) -> &'static str {
        match self.form {
            KeyForm::Dense { .. } => "dense keys",
            KeyForm::Packed | KeyForm::Words => "hashed keys",
        }
    }
}

impl JoinKey {
    fn width(&self) -> usize {
        if self.range.is_some_and(|range| range.storage().is_none()) { 2 } else { 1 }
    }

    /// The column in codes of the build side's dictionary; -1 for a string that it does not have.
    fn translate(&self, t: &mut Tracer, column: &TracedColumn) -> Result<TracedColumn> {
        column.check_ordered()?;
        let (Some(theirs), Some(own)) = (&self.dictionary, &column.dictionary) else { return Ok(column.clone()) };
        if Arc::ptr_eq(theirs, own) {
            return Ok(column.clone());
        }
        let codes: Vec<i32> = own.codes_in(theirs);
        let bytes = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
        let table = t.table_parameter(S32, bytes);
        let code = t.to_element(column.int()?, S32)?;
        let code = t.gather(table, code)?;
        let int = Int { limbs: Limbs::Narrow(code), range: Range::new(-1, theirs.len() as i128) };
        Ok(TracedColumn { values: Values::Int(int), dictionary: Some(Arc::clone(theirs)), ..column.clone() })
    }

    /// Rows whose value lies within the build side's range; `None` where all do.
    fn within_range(&self, t: &mut Tracer, column: &TracedColumn) -> Result<Option<Value>> {
        let (Some(range), Values::Int(int)) = (self.range, &column.values) else { return Ok(None) };
        if range.contains(&int.range) {
            return Ok(None);
        }
        let (min, max) = (t.int_parameter(range.min), t.int_parameter(range.max));
        let above = t.compare_int(int, &min, Comparison::Ge)?;
        let below = t.compare_int(int, &max, Comparison::Le)?;
        Ok(Some(t.builder.and(above, below)?))
    }
}
