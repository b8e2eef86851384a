//! Lowers `+ - * / %` and negation with DataFusion's semantics (arrow-arith `numeric.rs`). Integers wrap on `+ - *` and
//! fail on division by zero and MIN / -1. Decimals fail if 128 bits overflow, whatever their precision. Floats follow IEEE.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::range::Range;
use crate::columnar::representation::Kind;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs, power_of_ten, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, Scalar, Value};
use crate::kernels::wide::Wide;
use crate::program::ElementType::{S8, S16, S32, S64, U8, U16, U32, U64};

impl Tracer {
    pub fn arithmetic(
        &mut self,
        op: ArithmeticOp,
        lhs: &TracedColumn,
        rhs: &TracedColumn,
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        let valid = and_valid(&mut self.builder, lhs.valid, rhs.valid)?;
        let values = match Kind::of(data_type) {
            Some(Kind::Float(_)) => Values::Float(self.float_arithmetic(op, lhs.float()?, rhs.float()?)?),
            _ => {
                let (l, r) = (*lhs.int()?, *rhs.int()?);
                let by_zero = matches!(op, ArithmeticOp::Divide | ArithmeticOp::Remainder);
                if by_zero && r.range.min <= 0 && r.range.max >= 0 {
                    let zero = self.constant_int(0);
                    let flag = self.compare_int(&r, &zero, Comparison::Eq)?;
                    self.fail(flag, valid, ExpressionError::DivideByZero)?;
                }
                Values::Int(match (&lhs.data_type, &rhs.data_type) {
                    (DataType::Decimal128(_, s1), DataType::Decimal128(_, s2)) => {
                        self.decimal(op, l, r, *s1, *s2, data_type, valid)?
                    }
                    _ => self.integer(op, l, r, data_type, valid)?,
                })
            }
        };
        Ok(TracedColumn { values, valid, data_type: data_type.clone(), dictionary: None })
    }

    /// Negates a column. The minimum wraps, as in arrow's `neg_wrapping`.
    pub fn negate_column(&mut self, operand: &TracedColumn) -> Result<TracedColumn> {
        let values = match &operand.values {
            Values::Float(v) => Values::Float(self.builder.negate(*v)?),
            _ => {
                let zero = self.constant_int(0);
                Values::Int(self.wrapping(ArithmeticOp::Subtract, zero, *operand.int()?, &operand.data_type)?)
            }
        };
        Ok(TracedColumn { values, ..operand.clone() })
    }

    fn integer(
        &mut self,
        op: ArithmeticOp,
        lhs: Int,
        rhs: Int,
        data_type: &DataType,
        valid: Option<Value>,
    ) -> Result<Int> {
        match op {
            ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Multiply => {
                self.wrapping(op, lhs, rhs, data_type)
            }
            ArithmeticOp::Divide | ArithmeticOp::Remainder => {
                let limits = type_range(data_type)?;
                let may_overflow =
                    limits.min < 0 && lhs.range.min == limits.min && rhs.range.min <= -1 && rhs.range.max >= -1;
                if may_overflow && op == ArithmeticOp::Divide {
                    let minimum = self.constant_int(limits.min);
                    let minus_one = self.constant_int(-1);
                    let at_minimum = self.compare_int(&lhs, &minimum, Comparison::Eq)?;
                    let by_minus_one = self.compare_int(&rhs, &minus_one, Comparison::Eq)?;
                    let flag = self.builder.and(at_minimum, by_minus_one)?;
                    let message = format!("Overflow happened on: {} / -1", limits.min);
                    self.fail(flag, valid, ExpressionError::overflow(message))?;
                }
                // Only MIN / -1 does not fit, and it is an error, so the other quotients stay narrow.
                let lhs =
                    if may_overflow { Int { range: Range::new(limits.min + 1, lhs.range.max), ..lhs } } else { lhs };
                Ok(self.exact(op, &lhs, &rhs)?.int)
            }
        }
    }

    /// Multiplies unsigned, because the product may wrap: XLA assumes that a signed `x * x` is not negative
    /// (`IsNonNegative` in its algebraic simplifier) and folds `x * x >= 0` to true.
    fn wrapping_multiply(&mut self, lhs: Value, rhs: Value) -> Result<Value> {
        let signed = self.builder.element_type(lhs);
        let unsigned = match signed {
            S8 => U8,
            S16 => U16,
            S32 => U32,
            _ => U64,
        };
        let (lhs, rhs) = (self.builder.bitcast_convert(lhs, unsigned)?, self.builder.bitcast_convert(rhs, unsigned)?);
        let product = self.builder.multiply(lhs, rhs)?;
        Ok(self.builder.bitcast_convert(product, signed)?)
    }

    /// `+ - *` modulo the width of `data_type`. Where ranges prove that nothing wraps, the exact result is used.
    fn wrapping(&mut self, op: ArithmeticOp, lhs: Int, rhs: Int, data_type: &DataType) -> Result<Int> {
        let limits = type_range(data_type)?;
        let exact = self.exact(op, &lhs, &rhs)?;
        if exact.overflow.is_none() && limits.contains(&exact.int.range) {
            return Ok(exact.int);
        }
        let apply = |t: &mut Self, l: Value, r: Value| -> Result<Value> {
            Ok(match op {
                ArithmeticOp::Add => t.builder.add(l, r)?,
                ArithmeticOp::Subtract => t.builder.subtract(l, r)?,
                _ => t.wrapping_multiply(l, r)?,
            })
        };
        let limbs = match data_type {
            // Two-limb arithmetic already wraps at 128 bits.
            DataType::Decimal128(_, _) => exact.int.limbs,
            DataType::UInt64 => {
                let (l, r) = (self.to_wide(&lhs)?, self.to_wide(&rhs)?);
                let lo = apply(self, l.lo, r.lo)?;
                let zero = self.builder.constant(Scalar::S64(0));
                let hi = self.broadcast_like(zero, lo)?;
                Limbs::Wide(Wide { hi, lo })
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
                let (l, r) = (self.to_element(&lhs, S64)?, self.to_element(&rhs, S64)?);
                let value = apply(self, l, r)?;
                let mask = self.builder.constant_of(S64, limits.max)?;
                Limbs::Narrow(self.builder.and(value, mask)?)
            }
            _ => {
                let element_type = limits.storage().unwrap_or(S64);
                let (l, r) = (self.to_element(&lhs, element_type)?, self.to_element(&rhs, element_type)?);
                Limbs::Narrow(apply(self, l, r)?)
            }
        };
        Ok(Int { limbs, range: limits })
    }

    #[allow(clippy::too_many_arguments)]
    fn decimal(
        &mut self,
        op: ArithmeticOp,
        lhs: Int,
        rhs: Int,
        s1: i8,
        s2: i8,
        data_type: &DataType,
        valid: Option<Value>,
    ) -> Result<Int> {
        let DataType::Decimal128(_, scale) = data_type else {
            return Err(DataFusionError::Internal(format!("decimal arithmetic of type {data_type}")));
        };
        let (up_l, up_r) = match op {
            ArithmeticOp::Multiply => (0, 0),
            ArithmeticOp::Divide => {
                let power = scale - s1 + s2;
                (power.max(0), (-power).max(0))
            }
            _ => (s1.max(s2) - s1, s1.max(s2) - s2),
        };
        let lhs = self.scale_up(lhs, up_l as u32, valid)?;
        let rhs = self.scale_up(rhs, up_r as u32, valid)?;
        let exact = self.exact(op, &lhs, &rhs)?;
        if let Some(overflow) = exact.overflow {
            self.fail(overflow, valid, decimal_overflow(op.symbol()))?;
        }
        Ok(exact.int)
    }

    /// `int * 10^power`; rows where 128 bits overflow fail.
    pub fn scale_up(&mut self, int: Int, power: u32, valid: Option<Value>) -> Result<Int> {
        if power == 0 {
            return Ok(int);
        }
        let factor = power_of_ten(power)?;
        let factor = self.constant_int(factor);
        let exact = self.exact(ArithmeticOp::Multiply, &int, &factor)?;
        if let Some(overflow) = exact.overflow {
            self.fail(overflow, valid, decimal_overflow("*"))?;
        }
        Ok(exact.int)
    }
}

fn decimal_overflow(symbol: &str) -> ExpressionError {
    ExpressionError::overflow(format!("Overflow happened on a decimal '{symbol}' of 128 bits"))
}
