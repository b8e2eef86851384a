//! GROUPING SETS, ROLLUP and CUBE: every row once for each set, with NULL for the keys that the set leaves out and a number that
//! tells the sets apart.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::Scalar;
use crate::program::ElementType::S32;

/// The rows of `input` once for each of `sets` (true: the key is left out), and their keys with the grouping id behind them.
pub fn expand(
    t: &mut Tracer,
    input: &TracedRelation,
    keys: &[TracedColumn],
    sets: &[Vec<bool>],
    id_type: &DataType,
) -> Result<(TracedRelation, Vec<TracedColumn>)> {
    let copies: Vec<TracedRelation> = sets.iter().map(|_| input.clone()).collect();
    let capacities = vec![input.capacity; sets.len()];
    let rows = t.concatenate(&copies)?;
    let mut columns = Vec::with_capacity(keys.len() + 1);
    for (index, key) in keys.iter().enumerate() {
        let mut parts = Vec::with_capacity(sets.len());
        for set in sets {
            let mut part = key.clone();
            if set[index] {
                let never = t.builder.constant(Scalar::Pred(false));
                part.valid = Some(t.broadcast(never, input.capacity)?);
            }
            parts.push(part);
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
    let mut parts = Vec::with_capacity(ids.len());
    for id in ids {
        let id = t.builder.constant_of(element_type, id)?;
        parts.push(t.broadcast(id, input.capacity)?);
    }
    let id = t.builder.concatenate(&parts, 0)?;
    let values = Values::Int(Int { limbs: Limbs::Narrow(id), range });
    columns.push(TracedColumn { values, valid: None, data_type: id_type.clone(), dictionary: None });
    Ok((rows, columns))
}
