//! Integer arithmetic with tight ranges: sums, products, division that truncates or rounds down, and values confined to
//! limits.

use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::Tracer;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::hlo::{Comparison, Value};
use crate::kernels::wide;
use crate::program::ElementType::{self, S32, S64};

impl Tracer {
    pub fn plus(&mut self, lhs: &Int, rhs: &Int) -> Result<Int> {
        Ok(self.exact(ArithmeticOp::Add, lhs, rhs)?.int)
    }

    pub fn minus(&mut self, lhs: &Int, rhs: &Int) -> Result<Int> {
        Ok(self.exact(ArithmeticOp::Subtract, lhs, rhs)?.int)
    }

    pub fn plus_constant(&mut self, int: &Int, constant: i128) -> Result<Int> {
        if constant == 0 {
            return Ok(*int);
        }
        let constant = self.constant_int(constant);
        self.plus(int, &constant)
    }

    pub fn times(&mut self, int: &Int, factor: i128) -> Result<Int> {
        if factor == 1 {
            return Ok(*int);
        }
        let factor = self.constant_int(factor);
        Ok(self.exact(ArithmeticOp::Multiply, int, &factor)?.int)
    }

    /// `int / divisor`, rounded towards zero. The divisor must be positive.
    pub fn cut(&mut self, int: &Int, divisor: i128) -> Result<Int> {
        if divisor == 1 {
            return Ok(*int);
        }
        let by = self.constant_int(divisor);
        let quotient = self.exact(ArithmeticOp::Divide, int, &by)?.int;
        self.bounded(&quotient, Range::new(int.range.min / divisor, int.range.max / divisor))
    }

    /// `int / divisor`, rounded down, and the remainder, from 0 to `divisor - 1`. The divisor must be positive.
    pub fn floor_divide(&mut self, int: &Int, divisor: i128) -> Result<(Int, Int)> {
        let quotients = Range::new(int.range.min.div_euclid(divisor), int.range.max.div_euclid(divisor));
        let rests = match quotients.min == quotients.max {
            true => Range::new(int.range.min.rem_euclid(divisor), int.range.max.rem_euclid(divisor)),
            false => Range::new(0, divisor - 1),
        };
        let by = self.constant_int(divisor);
        let (quotient, rest) = match (int.limbs, by.limbs) {
            (Limbs::Narrow(value), Limbs::Narrow(_)) => {
                let widest = |types: &[ElementType]| types.iter().copied().max_by_key(|t| t.size_bytes());
                let own = self.builder.element_type(value);
                let element_type = widest(&[own, S32, by.range.storage().unwrap_or(S64)]).unwrap_or(S64);
                let (value, by) = (self.to_element(int, element_type)?, self.to_element(&by, element_type)?);
                let quotient = self.builder.divide(value, by)?;
                let rest = self.builder.remainder(value, by)?;
                if int.range.min >= 0 {
                    (Limbs::Narrow(quotient), Limbs::Narrow(rest))
                } else {
                    let zero = self.builder.constant_of(element_type, 0)?;
                    let below = self.builder.compare(rest, zero, Comparison::Lt)?;
                    let down = self.builder.convert(below, element_type)?;
                    let quotient = self.builder.subtract(quotient, down)?;
                    let up = self.builder.select(below, by, zero)?;
                    let rest = self.builder.add(rest, up)?;
                    (Limbs::Narrow(quotient), Limbs::Narrow(rest))
                }
            }
            _ => {
                let (value, by) = (self.to_wide(int)?, self.to_wide(&by)?);
                let b = &mut self.builder;
                let (quotient, rest) = wide::divide(b, value, by)?;
                let zero = wide::constant(b, 0);
                let minus_one = wide::constant(b, -1);
                let below = wide::compare(b, rest, zero, Comparison::Lt)?;
                let (one_less, _) = wide::add(b, quotient, minus_one)?;
                let (lifted, _) = wide::add(b, rest, by)?;
                let quotient = wide::select(b, below, one_less, quotient)?;
                (Limbs::Wide(quotient), Limbs::Wide(wide::select(b, below, lifted, rest)?))
            }
        };
        let quotient = self.bounded(&Int { limbs: quotient, range: Range::FULL }, quotients)?;
        let rest = self.bounded(&Int { limbs: rest, range: Range::FULL }, rests)?;
        Ok((quotient, rest))
    }

    /// The same values with a narrower range, in the narrowest width of at least 32 bits that holds it. The caller knows
    /// that the values are within `range`.
    pub fn bounded(&mut self, int: &Int, range: Range) -> Result<Int> {
        let range = int.range.intersection(&range).unwrap_or(range);
        let limbs = match (range.storage(), int.limbs) {
            (Some(S64), Limbs::Narrow(_)) | (None, _) => int.limbs,
            (Some(S64), Limbs::Wide(_)) => Limbs::Narrow(self.to_element(int, S64)?),
            (Some(_), Limbs::Narrow(value)) if self.builder.element_type(value).size_bytes() <= 4 => int.limbs,
            (Some(_), _) => Limbs::Narrow(self.to_element(int, S32)?),
        };
        Ok(Int { limbs, range })
    }

    /// Flags the rows outside `limits`, and narrows the others to the width that `limits` need.
    pub fn confine(&mut self, int: &Int, limits: &Range) -> Result<(Int, Option<Value>)> {
        let outside = self.outside(int, limits)?;
        let range = int.range.intersection(limits).unwrap_or(Range::new(limits.min, limits.min));
        Ok((self.bounded(&Int { limbs: int.limbs, range: Range::FULL }, range)?, outside))
    }

    /// Like [`Tracer::confine`], but the rows outside `limits` fail with `error`.
    pub fn confine_or_fail(
        &mut self,
        int: &Int,
        limits: &Range,
        valid: Option<Value>,
        error: ExpressionError,
    ) -> Result<Int> {
        let (int, outside) = self.confine(int, limits)?;
        if let Some(outside) = outside {
            self.fail(outside, valid, error)?;
        }
        Ok(int)
    }

    /// The smaller of two integers, row by row.
    pub fn least(&mut self, lhs: &Int, rhs: &Int) -> Result<Int> {
        let less = self.compare_int(lhs, rhs, Comparison::Lt)?;
        let int = self.select_int(less, lhs, rhs)?;
        self.bounded(&int, Range::new(lhs.range.min.min(rhs.range.min), lhs.range.max.min(rhs.range.max)))
    }

    /// 1 where the flag is set, else 0.
    pub fn int_of(&mut self, flag: Value) -> Result<Int> {
        Ok(Int { limbs: Limbs::Narrow(self.builder.convert(flag, S32)?), range: Range::new(0, 1) })
    }
}
