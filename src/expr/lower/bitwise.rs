//! Lowers `& | # << >>` on integers. Shift counts are taken modulo the width of the type, as in arrow.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::expr::ir::BitwiseOp;
use crate::expr::tracer::integer::{Int, Limbs, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Scalar, Value};
use crate::kernels::wide::Wide;
use crate::program::ElementType::{S32, S64, U64};

impl Tracer {
    pub fn bitwise(
        &mut self,
        op: BitwiseOp,
        lhs: &TracedColumn,
        rhs: &TracedColumn,
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        let valid = and_valid(&mut self.builder, lhs.valid, rhs.valid)?;
        let (l, r) = (*lhs.int()?, *rhs.int()?);
        let value = match op {
            BitwiseOp::ShiftLeft | BitwiseOp::ShiftRight => self.bit_shift(op, &l, &r, data_type)?,
            _ => self.bit_combine(op, &l, &r)?,
        };
        Ok(TracedColumn { values: Values::Int(value), valid, data_type: data_type.clone(), dictionary: None })
    }

    fn apply_bits(&mut self, op: BitwiseOp, l: Value, r: Value) -> Result<Value> {
        Ok(match op {
            BitwiseOp::And => self.builder.and(l, r)?,
            BitwiseOp::Or => self.builder.or(l, r)?,
            _ => self.builder.xor(l, r)?,
        })
    }

    fn bit_combine(&mut self, op: BitwiseOp, l: &Int, r: &Int) -> Result<Int> {
        let both = l.range.union(&r.range);
        let range = match both.storage() {
            // The result may have every bit of the wider operand. If neither is negative, it has none above their highest bit.
            Some(_) if both.min >= 0 => Range::new(0, (both.max as u128 + 1).next_power_of_two() as i128 - 1),
            Some(element_type) => Range::of_element(element_type).unwrap_or(both),
            None => type_range(&DataType::UInt64)?,
        };
        if both.storage().is_none() {
            let (l, r) = (self.to_wide(l)?, self.to_wide(r)?);
            let (hi, lo) = (self.apply_bits(op, l.hi, r.hi)?, self.apply_bits(op, l.lo, r.lo)?);
            return Ok(Int { limbs: Limbs::Wide(Wide { hi, lo }), range });
        }
        let element_type = range.storage().unwrap_or(S64);
        let (l, r) = (self.to_element(l, element_type)?, self.to_element(r, element_type)?);
        Ok(Int { limbs: Limbs::Narrow(self.apply_bits(op, l, r)?), range })
    }

    fn bit_shift(&mut self, op: BitwiseOp, l: &Int, r: &Int, data_type: &DataType) -> Result<Int> {
        let limits = type_range(data_type)?;
        let unsigned = limits.min == 0;
        let bits = data_type.primitive_width().unwrap_or(8) as i64 * 8;
        let count = self.to_element(r, S64)?;
        let mask = self.builder.constant(Scalar::S64(bits - 1));
        let count = self.builder.and(count, mask)?;
        let value = self.to_element(l, S64)?;
        if *data_type == DataType::UInt64 {
            let value = self.builder.bitcast_convert(value, U64)?;
            let count = self.builder.bitcast_convert(count, U64)?;
            let lo = match op {
                BitwiseOp::ShiftLeft => self.builder.shift_left(value, count)?,
                _ => self.builder.shift_right_logical(value, count)?,
            };
            let zero = self.builder.constant(Scalar::S64(0));
            let hi = self.broadcast_like(zero, lo)?;
            return Ok(Int { limbs: Limbs::Wide(Wide { hi, lo }), range: limits });
        }
        let shifted = match op {
            BitwiseOp::ShiftLeft => self.builder.shift_left(value, count)?,
            _ => self.builder.shift_right_arithmetic(value, count)?,
        };
        let shifted = if unsigned {
            let mask = self.builder.constant_of(S64, limits.max)?;
            self.builder.and(shifted, mask)?
        } else {
            let element_type = limits.storage().unwrap_or(S32);
            self.builder.convert(shifted, element_type)?
        };
        Ok(Int { limbs: Limbs::Narrow(shifted), range: limits })
    }
}
