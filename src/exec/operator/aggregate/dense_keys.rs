//! Dense group keys: the range of each key is known from the column's statistics, so a group is a slot of an array.
//!
//! A nullable key has one more offset, the last, for NULL. Strides, extents and minima are run-time parameters; only
//! the number of slots (a power of two) is part of the program.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::dictionary::Dictionary;
use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::{Comparison, Value};
use crate::kernels::dense_group::{DenseKey, group_ids, slot_offset};
use crate::kernels::wide::{self, Wide};
use crate::program::ElementType::{S32, S64, U64};

/// What is known of one key once its column has been traced.
#[derive(Clone, Debug)]
pub struct GroupKey {
    data_type: DataType,
    dictionary: Option<Arc<Dictionary>>,
    boolean: bool,
    /// Of the values that are not NULL.
    range: Range,
    nullable: bool,
    /// Offsets: the extent of the range, and one for NULL.
    extent: i128,
    stride: i128,
}

/// The keys of a GROUP BY and the slots that they span.
#[derive(Clone, Debug)]
pub struct GroupKeys {
    pub keys: Vec<GroupKey>,
    /// Slots that stand for groups.
    pub groups: usize,
    /// Capacity of the accumulators, a power of two; the last slot takes rows that do not count.
    pub slots: usize,
}

impl GroupKeys {
    /// Plans dense ids for `columns`; `None` where their ranges span more than `max_groups` or are unknown (floats).
    pub fn plan(columns: &[TracedColumn], max_groups: usize) -> Result<Option<Self>> {
        let mut keys = Vec::with_capacity(columns.len());
        for column in columns {
            column.check_ordered()?;
            let (boolean, range) = match &column.values {
                Values::Pred(_) => (true, Range::new(0, 1)),
                Values::Int(int) => (false, int.range),
                Values::Float(_) => return Ok(None),
            };
            let nullable = column.valid.is_some();
            keys.push(GroupKey {
                data_type: column.data_type.clone(),
                dictionary: column.dictionary.clone(),
                boolean,
                range,
                nullable,
                extent: range.extent().saturating_add(i128::from(nullable)),
                stride: 1,
            });
        }
        let mut groups: i128 = 1;
        for key in keys.iter_mut().rev() {
            key.stride = groups;
            groups = groups.saturating_mul(key.extent);
        }
        if groups > max_groups as i128 {
            return Ok(None);
        }
        let groups = groups as usize;
        Ok(Some(Self { keys, groups, slots: (groups + 1).next_power_of_two().max(8) }))
    }

    /// The group of each row, `[capacity]` s32; rows outside `mask` get the last slot.
    pub fn ids(&self, t: &mut Tracer, columns: &[TracedColumn], mask: Option<Value>, capacity: usize) -> Result<Value> {
        let dense = self.dense_keys(t, columns, capacity)?;
        let trash = t.builder.constant_of(S32, self.slots as i128 - 1)?;
        Ok(group_ids(&mut t.builder, &dense, mask, trash)?)
    }

    /// The offset of each row in each key.
    fn dense_keys(&self, t: &mut Tracer, columns: &[TracedColumn], capacity: usize) -> Result<Vec<DenseKey>> {
        let mut out = Vec::with_capacity(self.keys.len());
        for (key, column) in self.keys.iter().zip(columns) {
            let mut offset = match &column.values {
                Values::Pred(v) => t.builder.convert(*v, S32)?,
                Values::Float(v) => *v,
                Values::Int(int) => key.offset(t, int)?,
            };
            if let Some(valid) = column.valid {
                let null = t.scalar_parameter(S32, key.extent - 1);
                offset = t.builder.select(valid, offset, null)?;
            }
            let offset = t.broadcast(offset, capacity)?;
            let stride = t.scalar_parameter(S32, key.stride);
            out.push(DenseKey { offset, stride });
        }
        Ok(out)
    }

    /// The key columns of the groups, `[slots]` each, computed back from the slot number.
    pub fn columns(&self, t: &mut Tracer) -> Result<Vec<TracedColumn>> {
        let mut out = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let stride = t.scalar_parameter(S32, key.stride);
            let extent = t.scalar_parameter(S32, key.extent);
            let offset = slot_offset(&mut t.builder, self.slots, stride, extent)?;
            let valid = if key.nullable {
                let null = t.scalar_parameter(S32, key.extent - 1);
                Some(t.builder.compare(offset, null, Comparison::Ne)?)
            } else {
                None
            };
            let values = if key.boolean {
                let zero = t.builder.constant_of(S32, 0)?;
                Values::Pred(t.builder.compare(offset, zero, Comparison::Ne)?)
            } else {
                Values::Int(key.value(t, offset)?)
            };
            out.push(TracedColumn {
                values,
                valid,
                data_type: key.data_type.clone(),
                dictionary: key.dictionary.clone(),
            });
        }
        Ok(out)
    }
}

impl GroupKey {
    /// `value - min` in s32.
    fn offset(&self, t: &mut Tracer, int: &Int) -> Result<Value> {
        match int.limbs {
            Limbs::Narrow(v) => {
                let element_type = if t.builder.element_type(v).size_bytes() == 8 { S64 } else { S32 };
                let v = t.builder.convert(v, element_type)?;
                let min = t.scalar_parameter(element_type, self.range.min);
                let offset = t.builder.subtract(v, min)?;
                Ok(t.builder.convert(offset, S32)?)
            }
            Limbs::Wide(w) => {
                let min = t.scalar_parameter(U64, i128::from(self.range.min as u64));
                let offset = t.builder.subtract(w.lo, min)?;
                Ok(t.builder.convert(offset, S32)?)
            }
        }
    }

    /// `min + offset` in the representation that the range asks for.
    fn value(&self, t: &mut Tracer, offset: Value) -> Result<Int> {
        let limbs = match self.range.storage() {
            Some(element_type) => {
                let wide_enough = if element_type.size_bytes() == 8 { S64 } else { S32 };
                let offset = t.builder.convert(offset, wide_enough)?;
                let min = t.scalar_parameter(wide_enough, self.range.min);
                Limbs::Narrow(t.builder.add(offset, min)?)
            }
            None => {
                let offset = wide::from_narrow(&mut t.builder, offset)?;
                let hi = t.scalar_parameter(S64, self.range.min >> 64);
                let lo = t.scalar_parameter(U64, i128::from(self.range.min as u64));
                Limbs::Wide(wide::add(&mut t.builder, offset, Wide { hi, lo })?.0)
            }
        };
        // The NULL slot lies one past the range.
        Ok(Int { limbs, range: self.range })
    }
}
