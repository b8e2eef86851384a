//! Concatenates relations. Their strings get one dictionary, and their integers the widest width.

use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Scalar, Value};
use crate::kernels::wide::Wide;

impl Tracer {
    /// The mask of live rows as an array `[capacity]`.
    pub fn mask_of(&mut self, rows: &TracedRelation) -> Result<Value> {
        let always = self.builder.constant(Scalar::Pred(true));
        self.broadcast(rows.mask.unwrap_or(always), rows.capacity)
    }

    /// Concatenates the rows of all parts. A column must have the same type in each.
    pub fn concatenate(&mut self, parts: &[TracedRelation]) -> Result<TracedRelation> {
        let capacities: Vec<usize> = parts.iter().map(|part| part.capacity).collect();
        let n_columns = parts.first().map_or(0, |part| part.columns.len());
        let mut columns = Vec::with_capacity(n_columns);
        for index in 0..n_columns {
            let column: Vec<_> = parts.iter().map(|part| part.columns[index].clone()).collect();
            columns.push(self.concatenate_column(&column, &capacities)?);
        }
        let masks = parts.iter().map(|part| self.mask_of(part)).collect::<Result<Vec<_>>>()?;
        let mask = self.builder.concatenate(&masks, 0)?;
        Ok(TracedRelation { columns, mask: Some(mask), capacity: capacities.iter().sum() })
    }

    /// Concatenates one column of all parts, whose capacities are `capacities`.
    pub fn concatenate_column(&mut self, parts: &[TracedColumn], capacities: &[usize]) -> Result<TracedColumn> {
        let parts = self.unify_dictionaries(parts)?;
        let join = |t: &mut Self, values: &[Value]| -> Result<Value> {
            let arrays = values.iter().zip(capacities).map(|(v, n)| t.broadcast(*v, *n)).collect::<Result<Vec<_>>>()?;
            Ok(t.builder.concatenate(&arrays, 0)?)
        };
        let valid = if parts.iter().any(|part| part.valid.is_some()) {
            let always = self.builder.constant(Scalar::Pred(true));
            let valid: Vec<_> = parts.iter().map(|part| part.valid.unwrap_or(always)).collect();
            Some(join(self, &valid)?)
        } else {
            None
        };
        let values = match &parts[0].values {
            Values::Pred(_) => {
                let values = parts.iter().map(TracedColumn::pred).collect::<Result<Vec<_>>>()?;
                Values::Pred(join(self, &values)?)
            }
            Values::Float(_) => {
                let values = parts.iter().map(TracedColumn::float).collect::<Result<Vec<_>>>()?;
                Values::Float(join(self, &values)?)
            }
            Values::Int(_) => {
                let ints = parts.iter().map(|part| part.int().copied()).collect::<Result<Vec<_>>>()?;
                let range = ints.iter().skip(1).fold(ints[0].range, |range: Range, int| range.union(&int.range));
                let narrow = |t: &Self, int: &Int| match int.limbs {
                    Limbs::Narrow(v) => Some(t.builder.element_type(v)),
                    Limbs::Wide(_) => None,
                };
                let types: Option<Vec<_>> = ints.iter().map(|int| narrow(self, int)).collect();
                let widest = types.and_then(|types| types.into_iter().max_by_key(|t| t.size_bytes()));
                let limbs = match widest {
                    Some(element_type) => {
                        let values = ints.iter().map(|int| self.to_element(int, element_type));
                        let values = values.collect::<Result<Vec<_>>>()?;
                        Limbs::Narrow(join(self, &values)?)
                    }
                    None => {
                        let wide = ints.iter().map(|int| self.to_wide(int)).collect::<Result<Vec<_>>>()?;
                        let hi: Vec<_> = wide.iter().map(|w| w.hi).collect();
                        let lo: Vec<_> = wide.iter().map(|w| w.lo).collect();
                        Limbs::Wide(Wide { hi: join(self, &hi)?, lo: join(self, &lo)? })
                    }
                };
                Values::Int(Int { limbs, range })
            }
        };
        Ok(TracedColumn { values, valid, ..parts[0].clone() })
    }

    /// A column of `n` NULLs with the type of `column`, for rows that an outer join adds.
    pub fn nulls_like(&mut self, column: &TracedColumn, n: usize) -> Result<TracedColumn> {
        let zero = |t: &mut Self, like: Value| -> Result<Value> {
            let element_type = t.builder.element_type(like);
            let zero = match element_type {
                e if e.is_float() => {
                    let zero = t.builder.constant(Scalar::F64(0.0));
                    t.builder.convert(zero, e)?
                }
                e => t.builder.constant_of(e, 0)?,
            };
            t.broadcast(zero, n)
        };
        let values = match &column.values {
            Values::Pred(v) => Values::Pred(zero(self, *v)?),
            Values::Float(v) => Values::Float(zero(self, *v)?),
            Values::Int(int) => {
                let limbs = match int.limbs {
                    Limbs::Narrow(v) => Limbs::Narrow(zero(self, v)?),
                    Limbs::Wide(w) => Limbs::Wide(Wide { hi: zero(self, w.hi)?, lo: zero(self, w.lo)? }),
                };
                Values::Int(Int { limbs, range: int.range })
            }
        };
        let never = self.builder.constant(Scalar::Pred(false));
        Ok(TracedColumn { values, valid: Some(self.broadcast(never, n)?), ..column.clone() })
    }
}
