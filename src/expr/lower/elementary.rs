//! The formulas of `crate::elementary` over columns of a program: their numbers are values, their operations instructions.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

use datafusion::error::Result;

use crate::elementary::Real;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::Tracer;
use crate::hlo::{Comparison, Scalar, Value};
use crate::program::ElementType::{F64, S32, S64};

/// The program that a formula is written into, and the first error. After it nothing more is written.
struct Formula<'p> {
    tracer: RefCell<&'p mut Tracer>,
    outcome: RefCell<Result<()>>,
}

/// A column of doubles.
#[derive(Clone, Copy)]
pub(super) struct Column<'f, 'p> {
    formula: &'f Formula<'p>,
    value: Value,
}

impl Tracer {
    /// Writes a formula of one column.
    pub(super) fn formula(
        &mut self,
        x: Value,
        write: impl for<'f, 'p> FnOnce(Column<'f, 'p>) -> Column<'f, 'p>,
    ) -> Result<Value> {
        self.formula_of_two(x, x, |x, _| write(x))
    }

    /// Writes a formula of two columns.
    pub(super) fn formula_of_two(
        &mut self,
        x: Value,
        y: Value,
        write: impl for<'f, 'p> FnOnce(Column<'f, 'p>, Column<'f, 'p>) -> Column<'f, 'p>,
    ) -> Result<Value> {
        let formula = Formula { tracer: RefCell::new(self), outcome: RefCell::new(Ok(())) };
        let result = write(Column { formula: &formula, value: x }, Column { formula: &formula, value: y }).value;
        formula.outcome.into_inner().map(|()| result)
    }
}

impl Formula<'_> {
    /// What `write` gives, or `otherwise` if that or something before failed.
    fn write<T>(&self, otherwise: T, write: impl FnOnce(&mut Tracer) -> Result<T>) -> T {
        let mut outcome = self.outcome.borrow_mut();
        if outcome.is_err() {
            return otherwise;
        }
        match write(&mut self.tracer.borrow_mut()) {
            Ok(value) => value,
            Err(error) => {
                *outcome = Err(error);
                otherwise
            }
        }
    }
}

impl Column<'_, '_> {
    fn map(self, write: impl FnOnce(&mut Tracer, Value) -> Result<Value>) -> Self {
        let value = self.formula.write(self.value, |t| write(t, self.value));
        Self { value, ..self }
    }

    fn arithmetic(self, op: ArithmeticOp, other: Self) -> Self {
        self.map(|t, x| t.float_arithmetic(op, x, other.value))
    }

    fn flag(self, write: impl FnOnce(&mut Tracer, Value) -> Result<Value>) -> Value {
        self.map(write).value
    }
}

impl Neg for Column<'_, '_> {
    type Output = Self;

    fn neg(self) -> Self {
        self.map(|t, x| Ok(t.builder.negate(x)?))
    }
}

macro_rules! arithmetic {
    ($($operator:ident $method:ident $op:ident;)*) => {
        $(
            impl $operator for Column<'_, '_> {
                type Output = Self;

                fn $method(self, other: Self) -> Self {
                    self.arithmetic(ArithmeticOp::$op, other)
                }
            }

            impl $operator<f64> for Column<'_, '_> {
                type Output = Self;

                fn $method(self, other: f64) -> Self {
                    self.arithmetic(ArithmeticOp::$op, self.number(other))
                }
            }
        )*
    };
}

arithmetic! {
    Add add Add;
    Sub sub Subtract;
    Mul mul Multiply;
    Div div Divide;
}

impl Real for Column<'_, '_> {
    type Flag = Value;

    fn number(self, value: f64) -> Self {
        self.map(|t, _| Ok(t.builder.constant(Scalar::F64(value))))
    }

    fn hidden(self) -> Self {
        self.map(|t, x| t.hide(x))
    }

    fn abs(self) -> Self {
        self.map(|t, x| Ok(t.builder.abs(x)?))
    }

    fn sqrt(self) -> Self {
        self.map(|t, x| Ok(t.builder.sqrt(x)?))
    }

    fn approximate_cube_root(self) -> Self {
        self.map(|t, x| Ok(t.builder.cbrt(x)?))
    }

    fn nearest_integer(self) -> Self {
        self.map(|t, x| Ok(t.builder.round_nearest_even(x)?))
    }

    fn with_sign_of(self, other: Self) -> Self {
        self.map(|t, x| t.copy_sign(x, other.value))
    }

    fn upper_half(self) -> Self {
        self.map(|t, x| t.upper_half(x))
    }

    fn mantissa_and_exponent(self) -> (Self, Self) {
        let mantissa = self.map(|t, x| {
            let b = &mut t.builder;
            let bits = b.bitcast_convert(x, S64)?;
            let mantissa = b.constant(Scalar::S64((1 << 52) - 1));
            let one = b.constant(Scalar::S64(1023 << 52));
            let bits = b.and(bits, mantissa)?;
            let bits = b.or(bits, one)?;
            Ok(b.bitcast_convert(bits, F64)?)
        });
        let exponent = self.map(|t, x| {
            let b = &mut t.builder;
            let bits = b.bitcast_convert(x, S64)?;
            let width = b.constant(Scalar::S64(52));
            let exponent = b.shift_right_logical(bits, width)?;
            let exponent = b.convert(exponent, S32)?;
            let bias = b.constant(Scalar::S32(1023));
            let exponent = b.subtract(exponent, bias)?;
            Ok(b.convert(exponent, F64)?)
        });
        (mantissa, exponent)
    }

    fn normal(self) -> (Self, Value) {
        let (value, subnormal) = self.formula.write((self.value, self.value), |t| t.normal(self.value));
        (Self { value, ..self }, subnormal)
    }

    fn power_of_two(self) -> Self {
        self.map(|t, x| {
            let b = &mut t.builder;
            let power = b.convert(x, S32)?;
            let power = b.convert(power, S64)?;
            let (bias, width) = (b.constant(Scalar::S64(1023)), b.constant(Scalar::S64(52)));
            let biased = b.add(power, bias)?;
            let bits = b.shift_left(biased, width)?;
            Ok(b.bitcast_convert(bits, F64)?)
        })
    }

    fn is_less(self, other: Self) -> Value {
        self.flag(|t, x| Ok(t.builder.compare(x, other.value, Comparison::Lt)?))
    }

    fn is_zero(self) -> Value {
        self.flag(|t, x| t.is_zero(x))
    }

    fn is_negative(self) -> Value {
        self.flag(|t, x| t.is_below_zero(x))
    }

    fn is_nan(self) -> Value {
        self.flag(|t, x| t.is_nan(x))
    }

    fn entries<const N: usize>(self, table: &[f64]) -> [Self; N] {
        let values = self.formula.write([self.value; N], |t| {
            let last = table.len().saturating_sub(N) as i32;
            let parameter = t.table_parameter(F64, table.iter().flat_map(|entry| entry.to_le_bytes()).collect());
            let first = t.builder.convert(self.value, S32)?;
            let (zero, last) = (t.builder.constant(Scalar::S32(0)), t.builder.constant(Scalar::S32(last)));
            let first = t.builder.clamp(zero, first, last)?;
            let mut values = [self.value; N];
            for (i, value) in (0..).zip(&mut values) {
                let place = t.builder.constant(Scalar::S32(i));
                let index = t.builder.add(first, place)?;
                *value = t.gather(parameter, index)?;
            }
            Ok(values)
        });
        values.map(|value| Self { value, ..self })
    }

    fn pick(flag: Value, yes: Self, no: Self) -> Self {
        yes.map(|t, yes| Ok(t.builder.select(flag, yes, no.value)?))
    }
}
