//! GROUPING SETS, ROLLUP and CUBE: every row once for each set, with NULL for the keys that the set leaves out and a number that
//! tells the sets apart.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Comparison, Scalar, Value};
use crate::program::ElementType::S32;
use crate::program::Shape;

/// Rows of which the first stands for the group of a set without keys.
const STAND_IN_CAPACITY: usize = 8;

/// Rows for GROUPING SETS.
pub struct Expanded {
    pub rows: TracedRelation,
    /// The keys, and the grouping id behind them.
    pub keys: Vec<TracedColumn>,
    /// Rows that are no stand-ins; `None` where there are none of those.
    pub real: Option<Value>,
}

/// The rows of `input` once for each of `sets` (true: the key is left out). A set without keys has a group even where there
/// are no rows: a row stands in for it, which no function sees.
pub fn expand(
    t: &mut Tracer,
    input: &TracedRelation,
    keys: &[TracedColumn],
    sets: &[Vec<bool>],
    id_type: &DataType,
) -> Result<Expanded> {
    let without_keys = |set: &[bool]| set.iter().all(|omitted| *omitted);
    let stand_ins = sets.iter().filter(|set| without_keys(set)).count();
    let mut copies: Vec<TracedRelation> = sets.iter().map(|_| input.clone()).collect();
    let mut capacities = vec![input.capacity; sets.len()];
    let mut real = None;
    if stand_ins > 0 {
        let first_rows = t.builder.iota(Shape::new(S32, [STAND_IN_CAPACITY]), 0)?;
        let one = t.builder.constant_of(S32, 1)?;
        let mut stand_in = t.take_rows(input, first_rows, STAND_IN_CAPACITY)?;
        stand_in.mask = Some(t.builder.compare(first_rows, one, Comparison::Lt)?);
        copies.extend((0..stand_ins).map(|_| stand_in.clone()));
        capacities.extend((0..stand_ins).map(|_| STAND_IN_CAPACITY));
        let row = t.builder.iota(Shape::new(S32, [capacities.iter().sum()]), 0)?;
        let end = t.builder.constant_of(S32, (input.capacity * sets.len()) as i128)?;
        real = Some(t.builder.compare(row, end, Comparison::Lt)?);
    }
    let rows = t.concatenate(&copies)?;
    let mut columns = Vec::with_capacity(keys.len() + 1);
    for (index, key) in keys.iter().enumerate() {
        let mut parts = Vec::with_capacity(capacities.len());
        for set in sets {
            let mut part = key.clone();
            if set[index] {
                let never = t.builder.constant(Scalar::Pred(false));
                part.valid = Some(t.broadcast(never, input.capacity)?);
            }
            parts.push(part);
        }
        for _ in 0..stand_ins {
            parts.push(t.nulls_like(key, STAND_IN_CAPACITY)?);
        }
        columns.push(t.concatenate_column(&parts, &capacities)?);
    }
    // Bits say which keys are left out, the first key's bit the highest; a set that is there again has a higher number.
    let mut seen: HashMap<&[bool], i128> = HashMap::new();
    let mut ids = Vec::with_capacity(sets.len());
    for set in sets {
        let ordinal = seen.entry(set).and_modify(|n| *n += 1).or_insert(0);
        let omitted = set.iter().fold(0i128, |bits, omitted| bits << 1 | i128::from(*omitted));
        ids.push(omitted | *ordinal << set.len());
    }
    let range = Range::new(ids.iter().copied().min().unwrap_or(0), ids.iter().copied().max().unwrap_or(0));
    let element_type = range.storage().unwrap_or(S32);
    let own: Vec<i128> = sets.iter().zip(&ids).filter(|(set, _)| without_keys(set)).map(|(_, id)| *id).collect();
    let mut parts = Vec::with_capacity(capacities.len());
    for (id, capacity) in ids.into_iter().chain(own).zip(&capacities) {
        let id = t.builder.constant_of(element_type, id)?;
        parts.push(t.broadcast(id, *capacity)?);
    }
    let id = t.builder.concatenate(&parts, 0)?;
    let values = Values::Int(Int { limbs: Limbs::Narrow(id), range });
    columns.push(TracedColumn { values, valid: None, data_type: id_type.clone(), dictionary: None });
    Ok(Expanded { rows, keys: columns, real })
}
