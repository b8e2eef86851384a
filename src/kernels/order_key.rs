//! Order-preserving integer keys: floats compare by IEEE 754 totalOrder (as arrow does: -NaN < -inf < -0.0 < 0.0 <
//! inf < NaN) through integers of their own width.

use crate::hlo::{Builder, Comparison, HloError, Value};
use crate::program::ElementType;

/// `f32 -> s32`, `f64 -> s64`, such that the integers compare as the floats do in total order.
pub fn from_float(b: &mut Builder, value: Value) -> Result<Value, HloError> {
    let bits_type = match b.element_type(value) {
        ElementType::F32 => ElementType::S32,
        _ => ElementType::S64,
    };
    let bits = b.bitcast_convert(value, bits_type)?;
    flip_negative(b, bits)
}

/// As [`from_float`], with one zero: -0.0 gets the key of 0.0, as DataFusion compares them. All in integers, since
/// XLA:CPU's float operations take subnormal numbers for zero.
pub fn from_float_one_zero(b: &mut Builder, value: Value) -> Result<Value, HloError> {
    let key = from_float(b, value)?;
    let element_type = b.element_type(key);
    let negative_zero = b.constant_of(element_type, -1)?;
    let zero = b.constant_of(element_type, 0)?;
    let is_negative_zero = b.compare(key, negative_zero, Comparison::Eq)?;
    b.select(is_negative_zero, zero, key)
}

/// The inverse of [`from_float`].
pub fn to_float(b: &mut Builder, key: Value) -> Result<Value, HloError> {
    let float_type = match b.element_type(key) {
        ElementType::S32 => ElementType::F32,
        _ => ElementType::F64,
    };
    let bits = flip_negative(b, key)?;
    b.bitcast_convert(bits, float_type)
}

/// Inverts every bit but the sign of a negative number; its own inverse.
fn flip_negative(b: &mut Builder, bits: Value) -> Result<Value, HloError> {
    let element_type = b.element_type(bits);
    let width = element_type.size_bytes() as i128 * 8;
    let sign_shift = b.constant_of(element_type, width - 1)?;
    let one = b.constant_of(element_type, 1)?;
    let all_ones = b.shift_right_arithmetic(bits, sign_shift)?;
    let low_ones = b.shift_right_logical(all_ones, one)?;
    b.xor(bits, low_ones)
}
