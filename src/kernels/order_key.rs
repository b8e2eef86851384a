//! Order-preserving integer keys for floats. Integers of the same width represent IEEE 754 totalOrder, which arrow
//! uses: -NaN < -inf < -0.0 < 0.0 < inf < NaN.

use crate::hlo::{Builder, Comparison, HloError, Value};
use crate::program::ElementType;

/// Maps f32 to s32 or f64 to s64 such that the integers compare like the floats in total order.
pub fn from_float(b: &mut Builder, value: Value) -> Result<Value, HloError> {
    let bits_type = match b.element_type(value) {
        ElementType::F32 => ElementType::S32,
        _ => ElementType::S64,
    };
    let bits = b.bitcast_convert(value, bits_type)?;
    flip_negative(b, bits)
}

/// Does the same as [`from_float`], but gives -0.0 the key of 0.0, because DataFusion treats them as equal. It uses
/// integers only, because XLA:CPU's float operations treat subnormal numbers as zero.
pub fn from_float_one_zero(b: &mut Builder, value: Value) -> Result<Value, HloError> {
    let key = from_float(b, value)?;
    let element_type = b.element_type(key);
    let negative_zero = b.constant_of(element_type, -1)?;
    let zero = b.constant_of(element_type, 0)?;
    let is_negative_zero = b.compare(key, negative_zero, Comparison::Eq)?;
    b.select(is_negative_zero, zero, key)
}

/// Inverts [`from_float`].
pub fn to_float(b: &mut Builder, key: Value) -> Result<Value, HloError> {
    let float_type = match b.element_type(key) {
        ElementType::S32 => ElementType::F32,
        _ => ElementType::F64,
    };
    let bits = flip_negative(b, key)?;
    b.bitcast_convert(bits, float_type)
}

/// Inverts all bits but the sign of a negative number. The function is its own inverse.
fn flip_negative(b: &mut Builder, bits: Value) -> Result<Value, HloError> {
    let element_type = b.element_type(bits);
    let width = element_type.size_bytes() as i128 * 8;
    let sign_shift = b.constant_of(element_type, width - 1)?;
    let one = b.constant_of(element_type, 1)?;
    let all_ones = b.shift_right_arithmetic(bits, sign_shift)?;
    let low_ones = b.shift_right_logical(all_ones, one)?;
    b.xor(bits, low_ones)
}
