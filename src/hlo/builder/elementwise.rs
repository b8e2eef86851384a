//! Elementwise operations. Scalars beside arrays are broadcast; element types must be equal.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::Result;
use crate::hlo::operation::{BinaryOp, Comparison, Operation, UnaryOp};
use crate::hlo::scalar::Scalar;
use crate::hlo::shape_inference::elementwise::{
    infer_binary, infer_bitcast_convert, infer_clamp, infer_compare, infer_convert, infer_select, infer_unary,
};
use crate::program::ElementType;

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $method:ident $op:ident;)*) => {
        impl Builder {
            $($(#[$doc])* pub fn $method(&mut self, operand: Value) -> Result<Value> {
                self.unary(UnaryOp::$op, operand)
            })*
        }
    };
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident $op:ident;)*) => {
        impl Builder {
            $($(#[$doc])* pub fn $method(&mut self, lhs: Value, rhs: Value) -> Result<Value> {
                self.binary(BinaryOp::$op, lhs, rhs)
            })*
        }
    };
}

unary_methods! {
    /// Absolute value of signed integers (the minimum stays itself) and floats.
    abs Abs;
    /// Negation of numbers; integers wrap.
    negate Negate;
    /// Logical not of `pred`, bitwise of integers.
    not Not;
    /// Sign of signed integers and floats: -1, 0 or 1. A zero keeps its sign, and NaN stays NaN.
    sign Sign;
    /// Largest integer not above a float.
    floor Floor;
    /// Smallest integer not below a float.
    ceil Ceil;
    /// Nearest integer to a float, halves away from zero.
    round_nearest_afz RoundNearestAfz;
    /// Nearest integer to a float, halves to even.
    round_nearest_even RoundNearestEven;
    /// Square root of floats.
    sqrt Sqrt;
    /// Reciprocal square root of floats.
    rsqrt Rsqrt;
    /// Cube root of floats.
    cbrt Cbrt;
    /// e^x of floats.
    exponential Exponential;
    /// e^x - 1 of floats, accurate near zero.
    exponential_minus_one ExponentialMinusOne;
    /// Natural logarithm of floats.
    log Log;
    /// ln(1 + x) of floats, accurate near zero.
    log_plus_one LogPlusOne;
    /// Sine of floats, in radians.
    sine Sine;
    /// Cosine of floats, in radians.
    cosine Cosine;
    /// Tangent of floats, in radians.
    tan Tan;
    /// Hyperbolic tangent of floats.
    tanh Tanh;
    /// Whether a float is neither infinite nor NaN, as `pred`.
    is_finite IsFinite;
    /// Number of set bits of integers.
    popcnt Popcnt;
    /// Number of leading zero bits of integers, which is the width for zero.
    count_leading_zeros CountLeadingZeros;
}

binary_methods! {
    /// Sum of numbers; integers wrap.
    add Add;
    /// Difference of numbers; integers wrap.
    subtract Subtract;
    /// Product of numbers; integers wrap.
    multiply Multiply;
    /// Quotient of numbers; integers truncate towards zero. Division by zero gives -1 for signed integers and the
    /// maximum for unsigned ones; minimum / -1 is the minimum.
    divide Divide;
    /// Remainder with the sign of the dividend. The remainder by zero is the dividend; minimum % -1 is 0.
    remainder Remainder;
    /// The larger operand, or NaN if either is NaN.
    maximum Maximum;
    /// The smaller operand, or NaN if either is NaN.
    minimum Minimum;
    /// `lhs` to the power of `rhs`. Integer exponents must be from 0 to 63, and products wrap.
    power Power;
    /// Angle of the point (`rhs`, `lhs`) of floats, in radians.
    atan2 Atan2;
    /// Logical and of `pred`, bitwise and of integers.
    and And;
    /// Logical or of `pred`, bitwise or of integers.
    or Or;
    /// Logical exclusive or of `pred`, bitwise exclusive or of integers.
    xor Xor;
    /// Shifts integers left by `rhs` bits; 0 if `rhs` is the width or more.
    shift_left ShiftLeft;
    /// Shifts integers right by `rhs` bits, copying the sign bit in.
    shift_right_arithmetic ShiftRightArithmetic;
    /// Shifts integers right by `rhs` bits, filling with zeros; 0 if `rhs` is the width or more.
    shift_right_logical ShiftRightLogical;
}

impl Builder {
    /// Returns `lhs <direction> rhs` as `pred`. Floats compare by IEEE 754: NaN differs from everything, and -0.0
    /// equals 0.0.
    pub fn compare(&mut self, lhs: Value, rhs: Value, direction: Comparison) -> Result<Value> {
        self.compare_as(lhs, rhs, direction, false)
    }

    /// Compares floats in IEEE 754's total order: -NaN < -inf < .. < -0.0 < 0.0 < .. < inf < NaN.
    pub fn compare_total_order(&mut self, lhs: Value, rhs: Value, direction: Comparison) -> Result<Value> {
        self.compare_as(lhs, rhs, direction, true)
    }

    /// Returns `on_true` where `pred` holds, and `on_false` elsewhere. Any operand may be a scalar.
    pub fn select(&mut self, pred: Value, on_true: Value, on_false: Value) -> Result<Value> {
        let shape = infer_select(
            self.operand("select", pred)?,
            self.operand("select", on_true)?,
            self.operand("select", on_false)?,
        )?;
        match self.as_constant(pred) {
            Some(Scalar::Pred(true)) => return Ok(self.broadcast_scalar(on_true, &shape.dims)),
            Some(Scalar::Pred(false)) => return Ok(self.broadcast_scalar(on_false, &shape.dims)),
            _ if on_true == on_false => return Ok(self.broadcast_scalar(on_true, &shape.dims)),
            _ => {}
        }
        let operands = [pred, on_true, on_false].map(|operand| self.broadcast_scalar(operand, &shape.dims));
        Ok(self.result(Operation::Select, &operands, shape))
    }

    /// Limits `operand` to `min..=max`: min(max(operand, min), max). Any operand may be a scalar.
    pub fn clamp(&mut self, min: Value, operand: Value, max: Value) -> Result<Value> {
        let shape =
            infer_clamp(self.operand("clamp", min)?, self.operand("clamp", operand)?, self.operand("clamp", max)?)?;
        let operands = [min, operand, max].map(|operand| self.broadcast_scalar(operand, &shape.dims));
        Ok(self.result(Operation::Clamp, &operands, shape))
    }

    /// Converts values to another element type. Integers wrap to narrower ones. Floats are truncated towards zero and
    /// saturate, and NaN becomes 0. Conversion to `pred` tests for nonzero. Conversion to the operand's own type
    /// returns the operand.
    pub fn convert(&mut self, operand: Value, element_type: ElementType) -> Result<Value> {
        let shape = infer_convert(self.operand("convert", operand)?, element_type);
        if self.element_type(operand) == element_type {
            return Ok(operand);
        }
        Ok(self.result(Operation::Convert, &[operand], shape))
    }

    /// Reinterprets the bits as another element type. With half the width, `[..]` becomes `[.., 2]`, low bits first;
    /// with twice the width, `[.., 2]` becomes `[..]`. Factors of 4 and 8 work likewise. `pred` is not supported.
    pub fn bitcast_convert(&mut self, operand: Value, element_type: ElementType) -> Result<Value> {
        let shape = infer_bitcast_convert(self.operand("bitcast_convert", operand)?, element_type)?;
        if self.element_type(operand) == element_type {
            return Ok(operand);
        }
        Ok(self.result(Operation::BitcastConvert, &[operand], shape))
    }

    pub(in crate::hlo) fn unary(&mut self, op: UnaryOp, operand: Value) -> Result<Value> {
        let shape = infer_unary(op, self.operand(op.name(), operand)?)?;
        if op == UnaryOp::Not
            && self.operation(operand) == Some(&Operation::Unary(UnaryOp::Not))
            && let Some(inner) = self.operand_of(operand, 0)
        {
            return Ok(inner);
        }
        Ok(self.result(Operation::Unary(op), &[operand], shape))
    }

    pub(in crate::hlo) fn binary(&mut self, op: BinaryOp, lhs: Value, rhs: Value) -> Result<Value> {
        let shape = infer_binary(op, self.operand(op.name(), lhs)?, self.operand(op.name(), rhs)?)?;
        let folded = self.fold_logical(op, lhs, rhs).or_else(|| self.fold_logical(op, rhs, lhs));
        if let Some(folded) = folded {
            return Ok(self.broadcast_scalar(folded, &shape.dims));
        }
        let operands = [lhs, rhs].map(|operand| self.broadcast_scalar(operand, &shape.dims));
        Ok(self.result(Operation::Binary(op), &operands, shape))
    }

    /// Folds and/or with itself or with a constant `pred`, which masks and validities produce all the time.
    fn fold_logical(&self, op: BinaryOp, one: Value, other: Value) -> Option<Value> {
        let constant = match self.as_constant(one) {
            Some(Scalar::Pred(value)) => Some(value),
            _ => None,
        };
        match (op, constant) {
            (BinaryOp::And | BinaryOp::Or, None) => (one == other).then_some(one),
            (BinaryOp::And, Some(true)) | (BinaryOp::Or, Some(false)) => Some(other),
            // The other operand may be the array that gives the result its dimensions, so that a scalar must be
            // broadcast.
            (BinaryOp::And, Some(false)) | (BinaryOp::Or, Some(true)) => Some(self.scalar_of(one)),
            _ => None,
        }
    }

    /// Returns the scalar that a value is a broadcast of, or the value itself.
    fn scalar_of(&self, value: Value) -> Value {
        match self.operation(value) {
            Some(Operation::Broadcast { .. }) => self.operand_of(value, 0).unwrap_or(value),
            _ => value,
        }
    }

    fn compare_as(&mut self, lhs: Value, rhs: Value, direction: Comparison, total_order: bool) -> Result<Value> {
        let shape = infer_compare(self.operand("compare", lhs)?, self.operand("compare", rhs)?, total_order)?;
        let operands = [lhs, rhs].map(|operand| self.broadcast_scalar(operand, &shape.dims));
        Ok(self.result(Operation::Compare { direction, total_order }, &operands, shape))
    }
}
