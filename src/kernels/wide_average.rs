//! The average of 128-bit values from the lanes of their sum, which itself may need more than 128 bits.

use crate::hlo::{Builder, Comparison, HloError, Scalar, Value};
use crate::kernels::wide::{self, Wide};
use crate::program::ElementType::U64;

type Result<T> = std::result::Result<T, HloError>;

/// Bits of a limb.
const BITS: i64 = 32;

/// `sum * factor / count`, truncated towards zero, and whether 128 bits do not hold it. `lanes` are summed lanes of [`wide::to_lanes`];
/// `factor` is at most 2^20, and `count`, s64, from 1 to 2^31 - 1.
pub fn average(b: &mut Builder, lanes: [Value; 4], factor: i64, count: Value) -> Result<(Wide, Value)> {
    let zero = b.constant(Scalar::S64(0));
    let (limbs, top) = normalize(b, lanes)?;
    let negative = b.compare(top, zero, Comparison::Lt)?;
    let (negated, negated_top) = negate(b, &limbs, top)?;
    let mut magnitude = Vec::with_capacity(6);
    for (limb, negated) in limbs.into_iter().zip(negated) {
        magnitude.push(b.select(negative, negated, limb)?);
    }
    let top = b.select(negative, negated_top, top)?;
    let factor = b.constant(Scalar::S64(factor));
    let mut carry = zero;
    for limb in &mut magnitude {
        let product = b.multiply(*limb, factor)?;
        let product = b.add(product, carry)?;
        (*limb, carry) = split(b, product)?;
    }
    let top = b.multiply(top, factor)?;
    let top = b.add(top, carry)?;
    let (low, high) = split(b, top)?;
    magnitude.extend([low, high]);
    // Long division: the remainder is below the count, so that two limbs together are below 2^63.
    let (mut quotient, mut remainder) = (magnitude.clone(), zero);
    let shift = b.constant(Scalar::S64(BITS));
    for place in (0..magnitude.len()).rev() {
        let above = b.shift_left(remainder, shift)?;
        let dividend = b.or(above, magnitude[place])?;
        quotient[place] = b.divide(dividend, count)?;
        remainder = b.remainder(dividend, count)?;
    }
    let most = b.constant(Scalar::S64((1 << (BITS - 1)) - 1));
    let mut overflow = b.compare(quotient[3], most, Comparison::Gt)?;
    for limb in &quotient[4..] {
        let above = b.compare(*limb, zero, Comparison::Ne)?;
        overflow = b.or(overflow, above)?;
    }
    let mut halves = Vec::with_capacity(2);
    for pair in quotient[..4].chunks(2) {
        let high = b.shift_left(pair[1], shift)?;
        halves.push(b.or(pair[0], high)?);
    }
    let magnitude = Wide { lo: b.bitcast_convert(halves[0], U64)?, hi: halves[1] };
    let negated = wide::negate(b, magnitude)?;
    Ok((wide::select(b, negative, negated, magnitude)?, overflow))
}

/// The low 32 bits of a value, and the rest, with its sign.
fn split(b: &mut Builder, value: Value) -> Result<(Value, Value)> {
    let (mask, shift) = (b.constant(Scalar::S64((1 << BITS) - 1)), b.constant(Scalar::S64(BITS)));
    Ok((b.and(value, mask)?, b.shift_right_arithmetic(value, shift)?))
}

/// The lanes as limbs of 32 bits, without signs, and what is above them, with the sign.
fn normalize(b: &mut Builder, lanes: [Value; 4]) -> Result<(Vec<Value>, Value)> {
    let mut carry = b.constant(Scalar::S64(0));
    let mut limbs = Vec::with_capacity(4);
    for lane in lanes {
        let lane = b.add(lane, carry)?;
        let (limb, rest) = split(b, lane)?;
        limbs.push(limb);
        carry = rest;
    }
    Ok((limbs, carry))
}

/// Zero minus a value.
fn negate(b: &mut Builder, limbs: &[Value], top: Value) -> Result<(Vec<Value>, Value)> {
    let mut carry = b.constant(Scalar::S64(0));
    let mut negated = Vec::with_capacity(limbs.len());
    for limb in limbs {
        let difference = b.subtract(carry, *limb)?;
        let (limb, rest) = split(b, difference)?;
        negated.push(limb);
        carry = rest;
    }
    Ok((negated, b.subtract(carry, top)?))
}
