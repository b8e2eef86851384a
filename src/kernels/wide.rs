//! 128-bit two's complement integers as two limbs, for decimals and sums that do not fit 64 bits.
//!
//! Element types: `hi` is s64, `lo` is u64, both of the same dimensions (or scalars). The value is `hi * 2^64 + lo`.
//! Overflow flags are `pred` arrays that the caller masks by its live rows.

use crate::hlo::{Builder, Comparison, HloError, Scalar, Value};
use crate::program::ElementType::{self, F64, S64, U64};

/// A 128-bit integer: `hi * 2^64 + lo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wide {
    /// High limb, s64.
    pub hi: Value,
    /// Low limb, u64.
    pub lo: Value,
}

type Result<T> = std::result::Result<T, HloError>;

/// Returns the constant `value`.
pub fn constant(b: &mut Builder, value: i128) -> Wide {
    Wide { hi: b.constant(Scalar::S64((value >> 64) as i64)), lo: b.constant(Scalar::U64(value as u64)) }
}

/// Sign-extends a signed integer of any width.
pub fn from_narrow(b: &mut Builder, value: Value) -> Result<Wide> {
    let value = b.convert(value, S64)?;
    let sign_shift = b.constant(Scalar::S64(63));
    let hi = b.shift_right_arithmetic(value, sign_shift)?;
    let lo = b.bitcast_convert(value, U64)?;
    Ok(Wide { hi, lo })
}

/// Returns the low 64 bits as s64, which is the value itself if it fits.
pub fn to_narrow(b: &mut Builder, value: Wide) -> Result<Value> {
    b.bitcast_convert(value.lo, S64)
}

/// Returns `on_true` where `pred` holds, and `on_false` elsewhere.
pub fn select(b: &mut Builder, pred: Value, on_true: Wide, on_false: Wide) -> Result<Wide> {
    Ok(Wide { hi: b.select(pred, on_true.hi, on_false.hi)?, lo: b.select(pred, on_true.lo, on_false.lo)? })
}

/// Returns `lhs + rhs`, and whether it exceeds the signed 128-bit range.
pub fn add(b: &mut Builder, lhs: Wide, rhs: Wide) -> Result<(Wide, Value)> {
    let lo = b.add(lhs.lo, rhs.lo)?;
    let carry = b.compare(lo, lhs.lo, Comparison::Lt)?;
    let carry = b.convert(carry, S64)?;
    let hi = b.add(lhs.hi, rhs.hi)?;
    let hi = b.add(hi, carry)?;
    let from_lhs = b.xor(lhs.hi, hi)?;
    let from_rhs = b.xor(rhs.hi, hi)?;
    let both = b.and(from_lhs, from_rhs)?;
    let overflow = is_negative(b, both)?;
    Ok((Wide { hi, lo }, overflow))
}

/// Returns `lhs - rhs`, and whether it exceeds the signed 128-bit range.
pub fn subtract(b: &mut Builder, lhs: Wide, rhs: Wide) -> Result<(Wide, Value)> {
    let lo = b.subtract(lhs.lo, rhs.lo)?;
    let borrow = b.compare(lhs.lo, rhs.lo, Comparison::Lt)?;
    let borrow = b.convert(borrow, S64)?;
    let hi = b.subtract(lhs.hi, rhs.hi)?;
    let hi = b.subtract(hi, borrow)?;
    let signs = b.xor(lhs.hi, rhs.hi)?;
    let changed = b.xor(lhs.hi, hi)?;
    let both = b.and(signs, changed)?;
    let overflow = is_negative(b, both)?;
    Ok((Wide { hi, lo }, overflow))
}

/// Returns `-value`, which wraps for the minimum.
pub fn negate(b: &mut Builder, value: Wide) -> Result<Wide> {
    let zero = constant(b, 0);
    Ok(subtract(b, zero, value)?.0)
}

/// Returns `lhs * rhs`, and whether it exceeds the signed 128-bit range.
pub fn multiply(b: &mut Builder, lhs: Wide, rhs: Wide) -> Result<(Wide, Value)> {
    let signs = b.xor(lhs.hi, rhs.hi)?;
    let negative = is_negative(b, signs)?;
    let (x, y) = (magnitude(b, lhs)?, magnitude(b, rhs)?);
    let (x_hi, y_hi) = (b.bitcast_convert(x.hi, U64)?, b.bitcast_convert(y.hi, U64)?);
    let zero = b.constant(Scalar::U64(0));

    let low = multiply_u64(b, x.lo, y.lo)?;
    let cross_x = multiply_u64(b, x_hi, y.lo)?;
    let cross_y = multiply_u64(b, x.lo, y_hi)?;
    let hi = b.add(low.1, cross_x.0)?;
    let carry_x = b.compare(hi, low.1, Comparison::Lt)?;
    let hi_sum = b.add(hi, cross_y.0)?;
    let carry_y = b.compare(hi_sum, hi, Comparison::Lt)?;

    let mut overflow = b.or(carry_x, carry_y)?;
    for high_part in [cross_x.1, cross_y.1] {
        let non_zero = b.compare(high_part, zero, Comparison::Ne)?;
        overflow = b.or(overflow, non_zero)?;
    }
    let x_wide = b.compare(x_hi, zero, Comparison::Ne)?;
    let y_wide = b.compare(y_hi, zero, Comparison::Ne)?;
    let both_wide = b.and(x_wide, y_wide)?;
    overflow = b.or(overflow, both_wide)?;

    // A magnitude of 2^127 is in range only for a negative product.
    let hi_signed = b.bitcast_convert(hi_sum, S64)?;
    let top_bit = is_negative(b, hi_signed)?;
    let minimum_hi = b.constant(Scalar::S64(i64::MIN));
    let at_minimum = b.compare(hi_signed, minimum_hi, Comparison::Eq)?;
    let lo_zero = b.compare(low.0, zero, Comparison::Eq)?;
    let at_minimum = b.and(at_minimum, lo_zero)?;
    let allowed = b.and(negative, at_minimum)?;
    let not_allowed = b.not(allowed)?;
    let too_large = b.and(top_bit, not_allowed)?;
    overflow = b.or(overflow, too_large)?;

    let product = Wide { hi: hi_signed, lo: low.0 };
    let negated = negate(b, product)?;
    Ok((select(b, negative, negated, product)?, overflow))
}

/// Returns truncated quotient and remainder (with the sign of `lhs`), like Rust's `/` and `%`. The quotient of the
/// minimum by
pub fn divide(b: &mut Builder, lhs: Wide, rhs: Wide) -> Result<(Wide, Wide)> {
    let signs = b.xor(lhs.hi, rhs.hi)?;
    let quotient_negative = is_negative(b, signs)?;
    let remainder_negative = is_negative(b, lhs.hi)?;
    let dims = {
        let (l, r) = (b.shape(lhs.hi).dims.clone(), b.shape(rhs.hi).dims.clone());
        if l.is_empty() { r } else { l }
    };
    let dividend = magnitude(b, lhs)?;
    let divisor = magnitude(b, rhs)?;
    let mut init = Vec::with_capacity(7);
    let zero_s32 = b.constant(Scalar::S32(0));
    init.push(zero_s32);
    let zero = constant(b, 0);
    for v in [dividend.hi, dividend.lo, zero.hi, zero.lo, divisor.hi, divisor.lo] {
        let v = if b.shape(v).dims == dims { v } else { b.broadcast(v, &dims)? };
        init.push(v);
    }
    let out = b.while_loop(
        &init,
        |b, state| {
            let steps = b.constant(Scalar::S32(128));
            b.compare(state[0], steps, Comparison::Lt)
        },
        |b, state| {
            let one_s32 = b.constant(Scalar::S32(1));
            let one = b.constant(Scalar::U64(1));
            let next = b.add(state[0], one_s32)?;
            let n = Wide { hi: state[1], lo: state[2] };
            let r = Wide { hi: state[3], lo: state[4] };
            let d = Wide { hi: state[5], lo: state[6] };
            let (n_shifted, n_top) = shift_left_one(b, n)?;
            let (r_shifted, _) = shift_left_one(b, r)?;
            let r_next = Wide { hi: r_shifted.hi, lo: b.or(r_shifted.lo, n_top)? };
            let fits = less_unsigned(b, r_next, d)?;
            let fits = b.not(fits)?;
            let (reduced, _) = subtract(b, r_next, d)?;
            let r_out = select(b, fits, reduced, r_next)?;
            let with_bit = b.or(n_shifted.lo, one)?;
            let n_lo = b.select(fits, with_bit, n_shifted.lo)?;
            Ok(vec![next, n_shifted.hi, n_lo, r_out.hi, r_out.lo, d.hi, d.lo])
        },
    )?;
    let quotient = Wide { hi: out[1], lo: out[2] };
    let remainder = Wide { hi: out[3], lo: out[4] };
    let (q_negated, r_negated) = (negate(b, quotient)?, negate(b, remainder)?);
    Ok((select(b, quotient_negative, q_negated, quotient)?, select(b, remainder_negative, r_negated, remainder)?))
}

/// Returns `lhs OP rhs` of signed 128-bit integers.
pub fn compare(b: &mut Builder, lhs: Wide, rhs: Wide, direction: Comparison) -> Result<Value> {
    let hi_equal = b.compare(lhs.hi, rhs.hi, Comparison::Eq)?;
    match direction {
        Comparison::Eq | Comparison::Ne => {
            let lo_equal = b.compare(lhs.lo, rhs.lo, Comparison::Eq)?;
            let equal = b.and(hi_equal, lo_equal)?;
            if direction == Comparison::Eq { Ok(equal) } else { b.not(equal) }
        }
        _ => {
            let strict = match direction {
                Comparison::Lt | Comparison::Le => Comparison::Lt,
                _ => Comparison::Gt,
            };
            let hi_ordered = b.compare(lhs.hi, rhs.hi, strict)?;
            let lo_ordered = b.compare(lhs.lo, rhs.lo, direction)?;
            let by_lo = b.and(hi_equal, lo_ordered)?;
            b.or(hi_ordered, by_lo)
        }
    }
}

/// Converts to the nearest `F32` or `F64`, ties to even.
pub fn to_float(b: &mut Builder, value: Wide, element_type: ElementType) -> Result<Value> {
    let negative = is_negative(b, value.hi)?;
    let magnitude = magnitude(b, value)?;
    let hi = b.bitcast_convert(magnitude.hi, U64)?;
    // Take the topmost 64 bits, starting at the first set bit. A float has fewer significant bits, so the last one can
    // also stand for all bits that are dropped; then the conversion rounds only once. (Shifts by 64 give 0.)
    let zeros = b.count_leading_zeros(hi)?;
    let width = b.constant(Scalar::U64(64));
    let zero = b.constant(Scalar::U64(0));
    let below = b.subtract(width, zeros)?;
    let from_hi = b.shift_left(hi, zeros)?;
    let from_lo = b.shift_right_logical(magnitude.lo, below)?;
    let top = b.or(from_hi, from_lo)?;
    let away = b.shift_left(magnitude.lo, zeros)?;
    let lost = b.compare(below, zero, Comparison::Gt)?;
    let inexact = b.compare(away, zero, Comparison::Ne)?;
    let inexact = b.and(lost, inexact)?;
    let sticky = b.convert(inexact, U64)?;
    let top = b.or(top, sticky)?;
    let top = b.convert(top, element_type)?;
    // Build 2^below from its exponent bits.
    let bias = b.constant(Scalar::U64(1023));
    let mantissa_bits = b.constant(Scalar::U64(52));
    let exponent = b.add(below, bias)?;
    let exponent = b.shift_left(exponent, mantissa_bits)?;
    let power = b.bitcast_convert(exponent, F64)?;
    let power = b.convert(power, element_type)?;
    let absolute = b.multiply(top, power)?;
    let negated = b.negate(absolute)?;
    b.select(negative, negated, absolute)
}

/// Truncates an f64 whose magnitude is below 2^127. Other values give an unspecified result.
pub fn from_f64(b: &mut Builder, value: Value) -> Result<Wide> {
    let zero = b.constant(Scalar::F64(0.0));
    let negative = b.compare(value, zero, Comparison::Lt)?;
    // Both limbs are exact: neither has more significant bits than the float.
    let magnitude = b.abs(value)?;
    let magnitude = b.floor(magnitude)?;
    let scale = b.constant(Scalar::F64(18446744073709551616.0));
    let quotient = b.divide(magnitude, scale)?;
    let hi = b.floor(quotient)?;
    let hi_scaled = b.multiply(hi, scale)?;
    let lo = b.subtract(magnitude, hi_scaled)?;
    let absolute = Wide { hi: b.convert(hi, S64)?, lo: b.convert(lo, U64)? };
    let negated = negate(b, absolute)?;
    select(b, negative, negated, absolute)
}

/// Splits a value into four s64 lanes of 32 bits each, of which only the topmost is signed. Lanes of up to 2^31 rows
/// can be summed in any order without overflow, by scatter, reduce or all-reduce. [`from_lanes`] combines the sums.
pub fn to_lanes(b: &mut Builder, value: Wide) -> Result<[Value; 4]> {
    let mask = b.constant(Scalar::U64(0xffff_ffff));
    let shift = b.constant(Scalar::U64(32));
    let lo0 = b.and(value.lo, mask)?;
    let lo1 = b.shift_right_logical(value.lo, shift)?;
    let hi_mask = b.constant(Scalar::S64(0xffff_ffff));
    let hi_shift = b.constant(Scalar::S64(32));
    let hi0 = b.and(value.hi, hi_mask)?;
    let hi1 = b.shift_right_arithmetic(value.hi, hi_shift)?;
    Ok([b.convert(lo0, S64)?, b.convert(lo1, S64)?, hi0, hi1])
}

/// Splits a 64-bit value into two lanes: the low 32 bits, unsigned, and the high 32 bits, signed.
pub fn narrow_to_lanes(b: &mut Builder, value: Value) -> Result<[Value; 2]> {
    let value = b.convert(value, S64)?;
    let mask = b.constant(Scalar::S64(0xffff_ffff));
    let shift = b.constant(Scalar::S64(32));
    Ok([b.and(value, mask)?, b.shift_right_arithmetic(value, shift)?])
}

/// Combines one to four summed lanes, 32 bits apart and least significant first, and returns whether the value exceeds
/// the 128-bit range. The lanes must be sums of lanes of [`to_lanes`] or [`narrow_to_lanes`]. Sums that exceed the
/// range only in between are exact.
pub fn from_lanes(b: &mut Builder, lanes: &[Value]) -> Result<(Wide, Value)> {
    if lanes.is_empty() || lanes.len() > 4 {
        return Err(HloError::operands("from_lanes", format!("{} lanes", lanes.len()), &[]));
    }
    let mask = b.constant(Scalar::S64(0xffff_ffff));
    let shift = b.constant(Scalar::S64(32));
    // Bits of a lane above 32 carry into the next lane. The last carry is the sign.
    let mut limbs = Vec::with_capacity(4);
    let mut carry: Option<Value> = None;
    for i in 0..4 {
        let lane = match (lanes.get(i).copied(), carry) {
            (Some(lane), Some(carry)) => b.add(lane, carry)?,
            (Some(lane), None) | (None, Some(lane)) => lane,
            (None, None) => b.constant(Scalar::S64(0)),
        };
        limbs.push(b.and(lane, mask)?);
        carry = Some(b.shift_right_arithmetic(lane, shift)?);
    }
    let lo_high = b.shift_left(limbs[1], shift)?;
    let lo = b.or(limbs[0], lo_high)?;
    let hi_high = b.shift_left(limbs[3], shift)?;
    let hi = b.or(limbs[2], hi_high)?;
    let sign_shift = b.constant(Scalar::S64(63));
    let sign = b.shift_right_arithmetic(hi, sign_shift)?;
    let overflow = b.compare(carry.unwrap_or(sign), sign, Comparison::Ne)?;
    Ok((Wide { hi, lo: b.bitcast_convert(lo, U64)? }, overflow))
}

fn is_negative(b: &mut Builder, value: Value) -> Result<Value> {
    let zero = b.constant(Scalar::S64(0));
    b.compare(value, zero, Comparison::Lt)
}

/// Returns the absolute value as an unsigned 128-bit integer; `hi` holds its bits.
fn magnitude(b: &mut Builder, value: Wide) -> Result<Wide> {
    let negative = is_negative(b, value.hi)?;
    let negated = negate(b, value)?;
    select(b, negative, negated, value)
}

/// Multiplies u64 by u64 in 32-bit halves and returns the low and the high 64 bits.
fn multiply_u64(b: &mut Builder, x: Value, y: Value) -> Result<(Value, Value)> {
    let mask = b.constant(Scalar::U64(0xffff_ffff));
    let shift = b.constant(Scalar::U64(32));
    let (x0, x1) = (b.and(x, mask)?, b.shift_right_logical(x, shift)?);
    let (y0, y1) = (b.and(y, mask)?, b.shift_right_logical(y, shift)?);
    let low = b.multiply(x0, y0)?;
    let mid_a = b.multiply(x1, y0)?;
    let mid_b = b.multiply(x0, y1)?;
    let high = b.multiply(x1, y1)?;
    let low_high = b.shift_right_logical(low, shift)?;
    let mid_a_low = b.and(mid_a, mask)?;
    let mid = b.add(low_high, mid_a_low)?;
    let mid_b_low = b.and(mid_b, mask)?;
    let mid = b.add(mid, mid_b_low)?;
    let product_low = b.multiply(x, y)?;
    let mid_a_high = b.shift_right_logical(mid_a, shift)?;
    let mid_b_high = b.shift_right_logical(mid_b, shift)?;
    let mid_high = b.shift_right_logical(mid, shift)?;
    let sum = b.add(high, mid_a_high)?;
    let sum = b.add(sum, mid_b_high)?;
    Ok((product_low, b.add(sum, mid_high)?))
}

/// Returns `value << 1`, and the bit shifted out as a u64 of 0 or 1.
fn shift_left_one(b: &mut Builder, value: Wide) -> Result<(Wide, Value)> {
    let one = b.constant(Scalar::U64(1));
    let top = b.constant(Scalar::U64(63));
    let hi = b.bitcast_convert(value.hi, U64)?;
    let hi_top = b.shift_right_logical(hi, top)?;
    let lo_top = b.shift_right_logical(value.lo, top)?;
    let hi = b.shift_left(hi, one)?;
    let hi = b.or(hi, lo_top)?;
    let lo = b.shift_left(value.lo, one)?;
    Ok((Wide { hi: b.bitcast_convert(hi, S64)?, lo }, hi_top))
}

fn less_unsigned(b: &mut Builder, lhs: Wide, rhs: Wide) -> Result<Value> {
    let (l, r) = (b.bitcast_convert(lhs.hi, U64)?, b.bitcast_convert(rhs.hi, U64)?);
    let hi_less = b.compare(l, r, Comparison::Lt)?;
    let hi_equal = b.compare(l, r, Comparison::Eq)?;
    let lo_less = b.compare(lhs.lo, rhs.lo, Comparison::Lt)?;
    let by_lo = b.and(hi_equal, lo_less)?;
    b.or(hi_less, by_lo)
}
