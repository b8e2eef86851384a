//! Exact integer arithmetic: one narrow array where 64 bits hold the range, two limbs where they do not. All arithmetic on
//! integers, dates, decimals and codes of strings goes through here. Ranges prove where no overflow check is needed and
//! where narrow arithmetic is enough.

use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::Tracer;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::hlo::{Comparison, Value};
use crate::kernels::wide;
use crate::kernels::wide::Wide;
use crate::program::ElementType::{self, S32, S64};

/// An exact result. If it may overflow 128 bits, `overflow` flags the rows where it did.
pub struct Exact {
    pub int: Int,
    pub overflow: Option<Value>,
}

impl Tracer {
    /// The element type of a narrow integer; `None` for two limbs.
    fn narrow_type(&self, limbs: &Limbs) -> Option<ElementType> {
        match limbs {
            Limbs::Narrow(v) => Some(self.builder.element_type(*v)),
            Limbs::Wide(_) => None,
        }
    }

    pub fn to_wide(&mut self, int: &Int) -> Result<Wide> {
        Ok(match int.limbs {
            Limbs::Wide(w) => w,
            Limbs::Narrow(v) => wide::from_narrow(&mut self.builder, v)?,
        })
    }

    /// The low bits of an integer, in `element_type`.
    pub fn to_element(&mut self, int: &Int, element_type: ElementType) -> Result<Value> {
        Ok(match int.limbs {
            Limbs::Narrow(v) => self.builder.convert(v, element_type)?,
            Limbs::Wide(w) => {
                let low = wide::to_narrow(&mut self.builder, w)?;
                self.builder.convert(low, element_type)?
            }
        })
    }

    /// Narrows two limbs to one array if the range allows it.
    pub fn fit(&mut self, int: &Int) -> Result<Int> {
        let limbs = match (int.range.storage(), &int.limbs) {
            (Some(element_type), Limbs::Wide(_)) => Limbs::Narrow(self.to_element(int, element_type)?),
            _ => int.limbs,
        };
        Ok(Int { limbs, range: int.range })
    }

    /// Brings both operands to one representation that also holds `result`.
    fn align(&mut self, lhs: &Int, rhs: &Int, result: Option<Range>) -> Result<(Limbs, Limbs)> {
        let wanted = result.and_then(|r| r.storage());
        match (self.narrow_type(&lhs.limbs), self.narrow_type(&rhs.limbs), wanted) {
            (Some(l), Some(r), Some(wanted)) => {
                // Arithmetic below 32 bits is no faster, and every step would need a conversion.
                let element_type = [l, r, wanted, S32].into_iter().max_by_key(|t| t.size_bytes()).unwrap_or(S64);
                let l = self.to_element(lhs, element_type)?;
                let r = self.to_element(rhs, element_type)?;
                Ok((Limbs::Narrow(l), Limbs::Narrow(r)))
            }
            _ => Ok((Limbs::Wide(self.to_wide(lhs)?), Limbs::Wide(self.to_wide(rhs)?))),
        }
    }

    /// `lhs OP rhs` in exact arithmetic. Division truncates, and the caller must flag a zero divisor.
    pub fn exact(&mut self, op: ArithmeticOp, lhs: &Int, rhs: &Int) -> Result<Exact> {
        let range = match op {
            ArithmeticOp::Add => lhs.range.add(&rhs.range),
            ArithmeticOp::Subtract => lhs.range.subtract(&rhs.range),
            ArithmeticOp::Multiply => lhs.range.multiply(&rhs.range),
            ArithmeticOp::Divide => lhs.range.divide(&rhs.range),
            ArithmeticOp::Remainder => lhs.range.remainder(&rhs.range),
        };
        let (l, r) = self.align(lhs, rhs, range)?;
        let b = &mut self.builder;
        let (limbs, overflow) = match (l, r) {
            (Limbs::Narrow(l), Limbs::Narrow(r)) => {
                let value = match op {
                    ArithmeticOp::Add => b.add(l, r)?,
                    ArithmeticOp::Subtract => b.subtract(l, r)?,
                    ArithmeticOp::Multiply => b.multiply(l, r)?,
                    ArithmeticOp::Divide => b.divide(l, r)?,
                    ArithmeticOp::Remainder => b.remainder(l, r)?,
                };
                (Limbs::Narrow(value), None)
            }
            (Limbs::Wide(l), Limbs::Wide(r)) => {
                let (value, overflow) = match op {
                    ArithmeticOp::Add => wide::add(b, l, r)?,
                    ArithmeticOp::Subtract => wide::subtract(b, l, r)?,
                    ArithmeticOp::Multiply => wide::multiply(b, l, r)?,
                    ArithmeticOp::Divide | ArithmeticOp::Remainder => {
                        let (quotient, remainder) = wide::divide(b, l, r)?;
                        let minimum = wide::constant(b, i128::MIN);
                        let minus_one = wide::constant(b, -1);
                        let at_minimum = wide::compare(b, l, minimum, Comparison::Eq)?;
                        let by_minus_one = wide::compare(b, r, minus_one, Comparison::Eq)?;
                        let overflow = b.and(at_minimum, by_minus_one)?;
                        (if op == ArithmeticOp::Divide { quotient } else { remainder }, overflow)
                    }
                };
                (Limbs::Wide(value), range.is_none().then_some(overflow))
            }
            _ => unreachable_alignment()?,
        };
        let int = self.fit(&Int { limbs, range: range.unwrap_or(Range::FULL) })?;
        Ok(Exact { int, overflow })
    }

    /// `lhs OP rhs` as booleans.
    pub fn compare_int(&mut self, lhs: &Int, rhs: &Int, direction: Comparison) -> Result<Value> {
        match (self.narrow_type(&lhs.limbs), self.narrow_type(&rhs.limbs)) {
            (Some(l), Some(r)) => {
                let element_type = if l.size_bytes() >= r.size_bytes() { l } else { r };
                let (l, r) = (self.to_element(lhs, element_type)?, self.to_element(rhs, element_type)?);
                Ok(self.builder.compare(l, r, direction)?)
            }
            _ => {
                let (l, r) = (self.to_wide(lhs)?, self.to_wide(rhs)?);
                Ok(wide::compare(&mut self.builder, l, r, direction)?)
            }
        }
    }

    /// Flags the rows outside `allowed`; `None` if the range proves that there are none.
    pub fn outside(&mut self, int: &Int, allowed: &Range) -> Result<Option<Value>> {
        let mut flags = Vec::new();
        if int.range.min < allowed.min {
            let limit = self.constant_int(allowed.min);
            flags.push(self.compare_int(int, &limit, Comparison::Lt)?);
        }
        if int.range.max > allowed.max {
            let limit = self.constant_int(allowed.max);
            flags.push(self.compare_int(int, &limit, Comparison::Gt)?);
        }
        Ok(match flags.as_slice() {
            [] => None,
            [flag] => Some(*flag),
            [low, high, ..] => Some(self.builder.or(*low, *high)?),
        })
    }

    /// A constant in the program's text, for values that do not depend on the query: powers of ten, limits of types.
    pub fn constant_int(&mut self, value: i128) -> Int {
        let range = Range::new(value, value);
        let narrow = range.storage().and_then(|t| self.builder.constant_of(t, value).ok());
        let limbs = match narrow {
            Some(v) => Limbs::Narrow(v),
            None => Limbs::Wide(wide::constant(&mut self.builder, value)),
        };
        Int { limbs, range }
    }

    /// Takes `on_true` in rows where `pred` is set, else `on_false`.
    pub fn select_int(&mut self, pred: Value, on_true: &Int, on_false: &Int) -> Result<Int> {
        let range = on_true.range.union(&on_false.range);
        let narrow = (self.narrow_type(&on_true.limbs), self.narrow_type(&on_false.limbs));
        let limbs = match narrow {
            (Some(t), Some(f)) => {
                let element_type = if t.size_bytes() >= f.size_bytes() { t } else { f };
                let t = self.to_element(on_true, element_type)?;
                let f = self.to_element(on_false, element_type)?;
                Limbs::Narrow(self.builder.select(pred, t, f)?)
            }
            _ => {
                let (t, f) = (self.to_wide(on_true)?, self.to_wide(on_false)?);
                Limbs::Wide(wide::select(&mut self.builder, pred, t, f)?)
            }
        };
        Ok(Int { limbs, range })
    }

    /// The nearest `F32` or `F64`, rounded once.
    pub fn int_to_float(&mut self, int: &Int, element_type: ElementType) -> Result<Value> {
        Ok(match int.limbs {
            Limbs::Narrow(v) => self.builder.convert(v, element_type)?,
            Limbs::Wide(w) => wide::to_float(&mut self.builder, w, element_type)?,
        })
    }
}

fn unreachable_alignment<T>() -> Result<T> {
    Err(datafusion::error::DataFusionError::Internal("operands of one operation in two representations".into()))
}
