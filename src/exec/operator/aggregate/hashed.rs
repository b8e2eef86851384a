//! The groups of rows that are all at hand: dense ids where the key ranges allow them, else ids by first appearance from hashing
//! (or sorting) the packed keys. Any key types, any number of keys, NULL is a group.

use datafusion::arrow::compute::SortOptions;
use datafusion::error::Result;

use crate::exec::operator::aggregate::dense_keys::GroupKeys;
use crate::exec::trace::sort_keys::{KeyUse, KeyWords};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Comparison, Value};
use crate::kernels::group::{Groups, group_rows};
use crate::kernels::order_key;
use crate::program::ElementType::S32;
use crate::program::Shape;

/// Capacity of the relation that an aggregate without GROUP BY gives: one row, padded.
pub const SINGLE_ROW_CAPACITY: usize = 8;

/// Slots behind the groups of hashed keys; the last takes rows that do not count.
const SPARE_SLOTS: usize = 8;

/// Groups of the rows of one relation.
pub struct RowGrouping {
    /// `[rows]` s32: the slot of each row; rows that are not live have the last.
    pub ids: Value,
    pub slots: usize,
    pub dense: Option<GroupKeys>,
    pub hashed: Option<Groups>,
    /// Rows of the relation.
    rows: usize,
}

impl RowGrouping {
    pub fn new(t: &mut Tracer, keys: &[TracedColumn], input: &TracedRelation, max_slots: usize) -> Result<Self> {
        let rows = input.capacity;
        if keys.is_empty() {
            let (zero, trash) = (t.builder.constant_of(S32, 0)?, t.builder.constant_of(S32, 7)?);
            let mask = t.mask_of(input)?;
            let ids = t.builder.select(mask, zero, trash)?;
            return Ok(Self { ids, slots: SINGLE_ROW_CAPACITY, dense: None, hashed: None, rows });
        }
        if let Some(dense) = GroupKeys::plan(keys, max_slots)? {
            let ids = dense.ids(t, keys, input.mask, rows)?;
            return Ok(Self { ids, slots: dense.slots, dense: Some(dense), hashed: None, rows });
        }
        let mut words = KeyWords::new(rows);
        for key in keys {
            words.add(t, key, SortOptions::default(), KeyUse::Group)?;
        }
        let words = words.pack(t)?;
        let groups = group_rows(&mut t.builder, t.lowering, &words, input.mask, rows)?;
        let slots = rows + SPARE_SLOTS;
        let trash = t.builder.constant_of(S32, slots as i128 - 1)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let live = t.builder.compare(groups.ids, zero, Comparison::Ge)?;
        let ids = t.builder.select(live, groups.ids, trash)?;
        Ok(Self { ids, slots, dense: None, hashed: Some(groups), rows })
    }

    /// Whether there are keys.
    pub fn grouped(&self) -> bool {
        self.dense.is_some() || self.hashed.is_some()
    }

    /// Rows of the relation, padded.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of the result, padded.
    pub fn capacity(&self) -> usize {
        self.slots
    }

    /// The key columns of hashed groups, from the first row of each.
    pub fn hashed_columns(&self, t: &mut Tracer, keys: &[TracedColumn], groups: &Groups) -> Result<Vec<TracedColumn>> {
        let zero = t.builder.constant_of(S32, 0)?;
        let spare = t.broadcast(zero, SPARE_SLOTS)?;
        let rows = t.builder.concatenate(&[groups.first_rows, spare], 0)?;
        let columns = keys.iter().map(|key| {
            let mut column = t.take_column(key, rows, self.rows)?;
            if let Values::Float(value) = &mut column.values {
                // The group of both zeros shows as 0.0, as DataFusion's does.
                let bits = order_key::from_float_one_zero(&mut t.builder, *value)?;
                *value = order_key::to_float(&mut t.builder, bits)?;
            }
            Ok(column)
        });
        columns.collect()
    }

    /// Which slots are hashed groups.
    pub fn hashed_mask(&self, t: &mut Tracer, groups: &Groups) -> Result<Value> {
        let slot = t.builder.iota(Shape::new(S32, [self.slots]), 0)?;
        Ok(t.builder.compare(slot, groups.count, Comparison::Lt)?)
    }

    /// `pred[rows]`: live rows that are the first of their group with their value of `column`.
    pub fn first_of_each(&self, t: &mut Tracer, column: &TracedColumn, live: Option<Value>) -> Result<Value> {
        let mut words = KeyWords::new(self.rows);
        words.add_id(t, self.ids, self.slots)?;
        // DataFusion keeps the distinct floats of a function by their bits: -0.0 is not 0.0 here.
        words.add(t, column, SortOptions::default(), KeyUse::Sort)?;
        let keys = words.pack(t)?;
        let live = match live {
            Some(live) => Some(t.broadcast(live, self.rows)?),
            None => None,
        };
        let values = group_rows(&mut t.builder, t.lowering, &keys, live, self.rows)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let id = t.builder.maximum(values.ids, zero)?;
        let first = t.builder.take(values.first_rows, id)?;
        let row = t.builder.iota(Shape::new(S32, [self.rows]), 0)?;
        let is_first = t.builder.compare(first, row, Comparison::Eq)?;
        let counts = t.builder.compare(values.ids, zero, Comparison::Ge)?;
        Ok(t.builder.and(is_first, counts)?)
    }
}
