//! Order-preserving keys: every column as unsigned fields of known width, the fields packed into as few words as they need. Sorts
//! and hashed groups work on words and know nothing of types.
//!
//! ```text
//! value, ascending    value - min                 float      bits, negative ones turned, sign bit turned
//! value, descending   max - value                 string     its code
//! NULL                one bit before the value: 0 sorts first
//! ```

use datafusion::arrow::compute::SortOptions;
use datafusion::error::Result;

use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Scalar, Value};
use crate::kernels::order_key;
use crate::kernels::radix_sort::SortKey;
use crate::program::ElementType::{self, S64, U8, U32, U64};

/// What the keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// Floats in total order, -0.0 before 0.0.
    Sort,
    /// One zero: -0.0 is 0.0.
    Group,
}

/// A field of a key: `value` `[n]` of an unsigned type, below `2^bits`.
struct Field {
    value: Value,
    bits: u32,
}

/// Collects the fields of several key columns, most significant first.
pub struct KeyWords {
    fields: Vec<Field>,
    capacity: usize,
}

impl KeyWords {
    pub fn new(capacity: usize) -> Self {
        Self { fields: Vec::new(), capacity }
    }

    /// A field that puts rows outside `mask` last.
    pub fn add_dead(&mut self, t: &mut Tracer, mask: Value) -> Result<()> {
        let dead = t.builder.not(mask)?;
        let value = t.builder.convert(dead, U8)?;
        self.add_field(t, value, 1)
    }

    /// A field of numbers below `n`, `[capacity]` s32.
    pub fn add_id(&mut self, t: &mut Tracer, ids: Value, n: usize) -> Result<()> {
        let value = t.builder.convert(ids, U32)?;
        self.add_field(t, value, usize::BITS - n.saturating_sub(1).leading_zeros())
    }

    fn add_field(&mut self, t: &mut Tracer, value: Value, bits: u32) -> Result<()> {
        if bits > 0 {
            let value = t.broadcast(value, self.capacity)?;
            self.fields.push(Field { value, bits });
        }
        Ok(())
    }

    /// The fields of a column.
    pub fn add(&mut self, t: &mut Tracer, column: &TracedColumn, options: SortOptions, purpose: KeyUse) -> Result<()> {
        column.check_ordered()?;
        if let Some(valid) = column.valid {
            let flag = if options.nulls_first { valid } else { t.builder.not(valid)? };
            let flag = t.builder.convert(flag, U8)?;
            self.add_field(t, flag, 1)?;
        }
        for Field { value, bits } in value_fields(t, column, options.descending, purpose)? {
            // Under a NULL the value is unspecified; equal keys leave ties to the row order.
            let value = match column.valid {
                Some(valid) => {
                    let element_type = t.builder.element_type(value);
                    let zero = t.builder.constant_of(element_type, 0)?;
                    let value = t.broadcast(value, self.capacity)?;
                    let valid = t.broadcast(valid, self.capacity)?;
                    t.builder.select(valid, value, zero)?
                }
                None => value,
            };
            self.add_field(t, value, bits)?;
        }
        Ok(())
    }

    /// The fields packed into words of at most 64 bits, most significant first.
    pub fn pack(self, t: &mut Tracer) -> Result<Vec<SortKey>> {
        let mut words: Vec<Vec<Field>> = Vec::new();
        let mut room = 0;
        for field in self.fields {
            match words.last_mut() {
                Some(word) if field.bits <= room => {
                    room -= field.bits;
                    word.push(field);
                }
                _ => {
                    room = 64 - field.bits;
                    words.push(vec![field]);
                }
            }
        }
        let mut out = Vec::with_capacity(words.len());
        for fields in words {
            let bits: u32 = fields.iter().map(|f| f.bits).sum();
            let element_type = word_type(bits);
            let mut word: Option<Value> = None;
            for field in fields {
                let value = t.builder.convert(field.value, element_type)?;
                word = Some(match word {
                    Some(word) => {
                        let shift = t.builder.constant_of(element_type, i128::from(field.bits))?;
                        let shifted = t.builder.shift_left(word, shift)?;
                        t.builder.or(shifted, value)?
                    }
                    None => value,
                });
            }
            out.extend(word.map(|value| SortKey { value, bits }));
        }
        Ok(out)
    }
}

/// The sort keys of every row, the most significant word first; rows outside `live` come last.
pub fn sort_words(
    t: &mut Tracer,
    keys: &[(DeviceExpr, SortOptions)],
    input: &TracedRelation,
    live: Option<Value>,
) -> Result<Vec<SortKey>> {
    let mut words = KeyWords::new(input.capacity);
    if let Some(live) = live {
        words.add_dead(t, live)?;
    }
    for (expr, options) in keys {
        let column = t.with_active(input.mask, |t| expr.trace(t, input))?;
        words.add(t, &column, *options, KeyUse::Sort)?;
    }
    words.pack(t)
}

fn word_type(bits: u32) -> ElementType {
    match bits {
        0..=8 => U8,
        9..=32 => U32,
        _ => U64,
    }
}

/// A column's values as fields, validity aside.
fn value_fields(t: &mut Tracer, column: &TracedColumn, descending: bool, purpose: KeyUse) -> Result<Vec<Field>> {
    let flip =
        |t: &mut Tracer, value: Value| -> Result<Value> { Ok(if descending { t.builder.not(value)? } else { value }) };
    Ok(match &column.values {
        Values::Pred(v) => {
            let value = flip(t, *v)?;
            vec![Field { value: t.builder.convert(value, U8)?, bits: 1 }]
        }
        Values::Float(v) => {
            let key = match purpose {
                KeyUse::Sort => order_key::from_float(&mut t.builder, *v)?,
                KeyUse::Group => order_key::from_float_one_zero(&mut t.builder, *v)?,
            };
            let (unsigned, bits) = if t.builder.element_type(key) == S64 { (U64, 64) } else { (U32, 32) };
            let key = t.builder.bitcast_convert(key, unsigned)?;
            let top = t.builder.constant_of(unsigned, 1i128 << (bits - 1))?;
            let key = t.builder.xor(key, top)?;
            vec![Field { value: flip(t, key)?, bits }]
        }
        Values::Int(int) => {
            let extent = int.range.max.wrapping_sub(int.range.min) as u128;
            let bits = 128 - extent.leading_zeros();
            match int.limbs {
                _ if bits <= 64 => {
                    let offset = t.offset_word(int, descending)?;
                    vec![Field { value: offset, bits }]
                }
                Limbs::Wide(w) => {
                    let hi = t.builder.bitcast_convert(w.hi, U64)?;
                    let top = t.builder.constant(Scalar::U64(1 << 63));
                    let hi = t.builder.xor(hi, top)?;
                    let (hi, lo) = (flip(t, hi)?, flip(t, w.lo)?);
                    vec![Field { value: hi, bits: 64 }, Field { value: lo, bits: 64 }]
                }
                Limbs::Narrow(_) => {
                    let offset = t.offset_word(int, descending)?;
                    vec![Field { value: offset, bits: 64 }]
                }
            }
        }
    })
}

impl Tracer {
    /// `value - min`, or `max - value`, as u64; right wherever the range spans at most 2^64 values.
    fn offset_word(&mut self, int: &Int, descending: bool) -> Result<Value> {
        let value = match int.limbs {
            Limbs::Narrow(v) => {
                let v = self.builder.convert(v, S64)?;
                self.builder.bitcast_convert(v, U64)?
            }
            Limbs::Wide(w) => w.lo,
        };
        let end = if descending { int.range.max } else { int.range.min };
        let end = self.scalar_parameter(U64, i128::from(end as u64));
        let end = self.broadcast_like(end, value)?;
        let (l, r) = if descending { (end, value) } else { (value, end) };
        Ok(self.builder.subtract(l, r)?)
    }
}
