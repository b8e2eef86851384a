//! Lowers the math functions whose results are exact: rounding, `abs`, `gcd`, `lcm`, `factorial`, and tests for NaN and
//! zero.

use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::columnar::range::Range;
use crate::error::{SUBQUERY_HAS_ROWS, decimal_out_of_range, integer_out_of_range};
use crate::expr::ir::{ArithmeticOp, ExactMath};
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{I64, Int, Limbs, power_of_ten, type_range};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::wide::Wide;
use crate::program::ElementType::{S32, S64, U64};

impl Tracer {
    pub fn exact_function(
        &mut self,
        function: ExactMath,
        args: &[TracedColumn],
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        let operand = &args[0];
        let mut valid = operand.valid;
        for arg in &args[1..] {
            valid = and_valid(&mut self.builder, valid, arg.valid)?;
        }
        if let Values::Float(x) = operand.values {
            let values = match function {
                ExactMath::Abs => Values::Float(self.builder.abs(x)?),
                ExactMath::IsNan => Values::Pred(self.is_nan(x)?),
                ExactMath::IsZero => Values::Pred(self.is_zero(x)?),
                ExactMath::CanonicalFloat => Values::Float(self.canonical_float(x)?),
                ExactMath::RoundFloat(places) => return self.round_float(operand, places, false),
                ExactMath::TruncFloat(places) => return self.round_float(operand, places, true),
                _ => return datafusion::common::internal_err!("{function:?} of floats"),
            };
            return Ok(TracedColumn { values, valid, data_type: data_type.clone(), dictionary: None });
        }
        let int = *operand.int()?;
        let zero = self.constant_int(0);
        let scale = match &operand.data_type {
            DataType::Decimal128(_, scale) => i32::from(*scale),
            _ => 0,
        };
        let value = match function {
            ExactMath::Abs => self.absolute(&int, &operand.data_type, valid)?,
            ExactMath::IsNan => return Ok(TracedColumn::boolean(self.builder.constant(Scalar::Pred(false)), valid)),
            ExactMath::IsZero => {
                let value = self.compare_int(&int, &zero, Comparison::Eq)?;
                return Ok(TracedColumn::boolean(value, valid));
            }
            ExactMath::Ceil | ExactMath::Floor if scale <= 0 => int,
            ExactMath::Ceil | ExactMath::Floor => {
                let factor = power_of_ten(scale as u32)?;
                let (quotient, rest) = self.floor_divide(&int, factor)?;
                let mut value = self.times(&quotient, factor)?;
                if function == ExactMath::Ceil {
                    let up = self.plus_constant(&value, factor)?;
                    let whole = self.compare_int(&rest, &zero, Comparison::Eq)?;
                    value = self.select_int(whole, &value, &up)?;
                }
                self.within_precision(&value, data_type, valid)?
            }
            ExactMath::Round(places) => self.round_exact(&int, places, scale, operand, data_type)?,
            ExactMath::Trunc(places) => match scale - places {
                ..=0 => int,
                38.. => zero,
                digits => {
                    let factor = power_of_ten(digits as u32)?;
                    let quotient = self.cut(&int, factor)?;
                    self.times(&quotient, factor)?
                }
            },
            ExactMath::Gcd => self.gcd_checked(&int, args[1].int()?, valid)?,
            ExactMath::Lcm => self.lcm(&int, args[1].int()?, valid)?,
            ExactMath::Factorial => self.factorial(&int, valid)?,
            ExactMath::SingleRow => {
                let error = ExpressionError::execution(SUBQUERY_HAS_ROWS);
                self.confine_or_fail(&int, &Range::new(0, 1), valid, error)?
            }
            ExactMath::Checked(op) => self.checked(op, &int, args[1].int()?, data_type, valid)?,
            ExactMath::CheckedNegate => self.checked(ArithmeticOp::Subtract, &zero, &int, data_type, valid)?,
            ExactMath::WithinPrecision => {
                let error = ExpressionError::execution(decimal_out_of_range(data_type));
                self.confine_to_precision(&int, data_type, valid, error)?
            }
            ExactMath::RoundFloat(_) | ExactMath::TruncFloat(_) | ExactMath::CanonicalFloat => {
                return datafusion::common::internal_err!("{function:?} of integers");
            }
        };
        Ok(TracedColumn { values: Values::Int(value), valid, data_type: data_type.clone(), dictionary: None })
    }

    fn within_precision(&mut self, int: &Int, data_type: &DataType, valid: Option<Value>) -> Result<Int> {
        self.confine_to_precision(int, data_type, valid, ExpressionError::compute("Decimal overflow"))
    }

    fn confine_to_precision(
        &mut self,
        int: &Int,
        data_type: &DataType,
        valid: Option<Value>,
        error: ExpressionError,
    ) -> Result<Int> {
        let DataType::Decimal128(precision, _) = data_type else { return Ok(*int) };
        let most = power_of_ten(u32::from(*precision))? - 1;
        self.confine_or_fail(int, &Range::new(-most, most), valid, error)
    }

    /// `+ - *` of integers; rows whose result the type does not hold fail.
    fn checked(
        &mut self,
        op: ArithmeticOp,
        lhs: &Int,
        rhs: &Int,
        data_type: &DataType,
        valid: Option<Value>,
    ) -> Result<Int> {
        let limits = type_range(data_type)?;
        let error = ExpressionError::execution(integer_out_of_range(data_type, op.symbol()));
        let exact = self.exact(op, lhs, rhs)?;
        if let Some(overflow) = exact.overflow {
            self.fail(overflow, valid, error.clone())?;
        }
        self.confine_or_fail(&exact.int, &limits, valid, error)
    }

    fn absolute(&mut self, int: &Int, data_type: &DataType, valid: Option<Value>) -> Result<Int> {
        if int.range.min >= 0 {
            return Ok(*int);
        }
        let zero = self.constant_int(0);
        let negated = self.minus(&zero, int)?;
        let negative = self.compare_int(int, &zero, Comparison::Lt)?;
        let magnitude = self.select_int(negative, &negated, int)?;
        let most = int.range.magnitude().unwrap_or(i128::MAX);
        let magnitude = self.bounded(&magnitude, Range::new(0, most))?;
        match data_type {
            DataType::Decimal128(_, _) => Ok(magnitude),
            _ => {
                let limits = type_range(data_type)?;
                self.confine_or_fail(&magnitude, &limits, valid, ExpressionError::compute("overflow on abs"))
            }
        }
    }

    /// Rounds integers and decimals, halves away from zero.
    fn round_exact(
        &mut self,
        int: &Int,
        places: i32,
        scale: i32,
        operand: &TracedColumn,
        data_type: &DataType,
    ) -> Result<Int> {
        let digits = scale - places;
        if digits <= 0 {
            return Ok(*int);
        }
        let gone = match &operand.data_type {
            DataType::Decimal128(precision, _) => {
                let whole = i32::from(*precision) - scale;
                places < 0 && (whole <= 0 || -places > whole)
            }
            integer => digits > 38 || power_of_ten(digits as u32)? > type_range(integer)?.max,
        };
        if gone {
            return Ok(self.constant_int(0));
        }
        let factor = power_of_ten(digits as u32)?;
        let divisor = self.constant_int(factor);
        let quotient = self.cut(int, factor)?;
        let rest = self.exact(ArithmeticOp::Remainder, int, &divisor)?.int;
        let (high, low) = (self.constant_int(factor / 2), self.constant_int(-(factor / 2)));
        let (up, down) = (self.plus_constant(&quotient, 1)?, self.plus_constant(&quotient, -1)?);
        let rounds_up = self.compare_int(&rest, &high, Comparison::Ge)?;
        let rounds_down = self.compare_int(&rest, &low, Comparison::Le)?;
        let rounded = self.select_int(rounds_down, &down, &quotient)?;
        let rounded = self.select_int(rounds_up, &up, &rounded)?;
        let overflow = ExpressionError::compute("Overflow while rounding");
        match data_type {
            DataType::Decimal128(precision, out_scale) => {
                let shift = power_of_ten((i32::from(*out_scale) - places).max(0) as u32)?;
                let factor = self.constant_int(shift);
                let exact = self.exact(ArithmeticOp::Multiply, &rounded, &factor)?;
                if let Some(lost) = exact.overflow {
                    self.fail(lost, operand.valid, overflow.clone())?;
                }
                match *precision == 38 && scale == 0 && places < 0 {
                    true => self.within_precision(&exact.int, data_type, operand.valid),
                    false => Ok(exact.int),
                }
            }
            integer => {
                let value = self.times(&rounded, factor)?;
                self.confine_or_fail(&value, &type_range(integer)?, operand.valid, overflow)
            }
        }
    }

    /// The absolute value as `u64`.
    fn unsigned_magnitude(&mut self, int: &Int) -> Result<Value> {
        let value = self.to_element(int, S64)?;
        let magnitude = self.builder.abs(value)?;
        Ok(self.builder.bitcast_convert(magnitude, U64)?)
    }

    /// Euclid's algorithm on all rows at once; it stops when the last row is done.
    fn gcd(&mut self, lhs: &Int, rhs: &Int) -> Result<Value> {
        let (mut a, mut b) = (self.unsigned_magnitude(lhs)?, self.unsigned_magnitude(rhs)?);
        if self.builder.shape(a).rank() < self.builder.shape(b).rank() {
            a = self.broadcast_like(a, b)?;
        } else {
            b = self.broadcast_like(b, a)?;
        }
        let out = self.builder.while_loop(
            &[a, b],
            |builder, state| {
                let zero = builder.constant(Scalar::U64(0));
                let mut most = state[1];
                if builder.shape(most).rank() > 0 {
                    most = builder.reduce(most, zero, &[0], ReduceKind::Maximum)?;
                }
                builder.compare(most, zero, Comparison::Gt)
            },
            |builder, state| {
                let zero = builder.constant(Scalar::U64(0));
                let done = builder.compare(state[1], zero, Comparison::Eq)?;
                let rest = builder.remainder(state[0], state[1])?;
                let a = builder.select(done, state[0], state[1])?;
                let b = builder.select(done, state[1], rest)?;
                Ok(vec![a, b])
            },
        )?;
        Ok(out[0])
    }

    fn unsigned(&mut self, value: Value) -> Result<Int> {
        let zero = self.builder.constant(Scalar::S64(0));
        let hi = self.broadcast_like(zero, value)?;
        Ok(Int { limbs: Limbs::Wide(Wide { hi, lo: value }), range: Range::new(0, 1 << 63) })
    }

    fn gcd_checked(&mut self, lhs: &Int, rhs: &Int, valid: Option<Value>) -> Result<Int> {
        let gcd = self.gcd(lhs, rhs)?;
        let gcd = self.unsigned(gcd)?;
        self.confine_or_fail(&gcd, &I64, valid, ExpressionError::compute("Signed integer overflow in GCD"))
    }

    fn lcm(&mut self, lhs: &Int, rhs: &Int, valid: Option<Value>) -> Result<Int> {
        let gcd = self.gcd(lhs, rhs)?;
        let (a, b) = (self.unsigned_magnitude(lhs)?, self.unsigned_magnitude(rhs)?);
        let one = self.builder.constant(Scalar::U64(1));
        let divisor = self.builder.maximum(gcd, one)?;
        let quotient = self.builder.divide(a, divisor)?;
        let (quotient, b) = (self.unsigned(quotient)?, self.unsigned(b)?);
        let product = self.exact(ArithmeticOp::Multiply, &quotient, &b)?.int;
        self.confine_or_fail(&product, &I64, valid, ExpressionError::compute("Signed integer overflow in LCM"))
    }

    fn factorial(&mut self, int: &Int, valid: Option<Value>) -> Result<Int> {
        let int = self.confine_or_fail(int, &Range::new(0, 20), valid, ExpressionError::execution("factorial"))?;
        let mut factorials = vec![1i64];
        for n in 1..=20 {
            factorials.push(factorials[factorials.len() - 1] * n);
        }
        let table = self.table_parameter(S64, factorials.iter().flat_map(|f| f.to_le_bytes()).collect());
        let index = self.to_element(&int, S32)?;
        let value = self.gather(table, index)?;
        Ok(Int { limbs: Limbs::Narrow(value), range: Range::new(1, factorials[20].into()) })
    }
}
