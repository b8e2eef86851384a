//! Scalar constants and their text. XLA's parser reads back the same value, bit for bit, except for NaN payloads.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::hlo::error::{HloError, Result};
use crate::program::ElementType;

/// A constant of one element. Floats are equal if their bits are, so 0.0 differs from -0.0.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    Pred(bool),
    S8(i8),
    S16(i16),
    S32(i32),
    S64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    /// The bits of an IEEE 754 half, because Rust has no stable `f16`.
    F16(u16),
    F32(f32),
    F64(f64),
}

impl Scalar {
    /// Returns the element type.
    pub fn element_type(self) -> ElementType {
        match self {
            Self::Pred(_) => ElementType::Pred,
            Self::S8(_) => ElementType::S8,
            Self::S16(_) => ElementType::S16,
            Self::S32(_) => ElementType::S32,
            Self::S64(_) => ElementType::S64,
            Self::U8(_) => ElementType::U8,
            Self::U16(_) => ElementType::U16,
            Self::U32(_) => ElementType::U32,
            Self::U64(_) => ElementType::U64,
            Self::F16(_) => ElementType::F16,
            Self::F32(_) => ElementType::F32,
            Self::F64(_) => ElementType::F64,
        }
    }

    /// Converts an integer to a constant of `element_type`; `pred` takes 0 or 1.
    ///
    /// # Errors
    ///
    /// Fails if the type cannot represent `value` exactly. This includes floats: 2^53 + 1 is not an `f64`.
    pub fn try_from_integer(element_type: ElementType, value: i128) -> Result<Self> {
        let scalar = match element_type {
            ElementType::Pred => u8::try_from(value).ok().filter(|v| *v < 2).map(|v| Self::Pred(v == 1)),
            ElementType::S8 => value.try_into().ok().map(Self::S8),
            ElementType::S16 => value.try_into().ok().map(Self::S16),
            ElementType::S32 => value.try_into().ok().map(Self::S32),
            ElementType::S64 => value.try_into().ok().map(Self::S64),
            ElementType::U8 => value.try_into().ok().map(Self::U8),
            ElementType::U16 => value.try_into().ok().map(Self::U16),
            ElementType::U32 => value.try_into().ok().map(Self::U32),
            ElementType::U64 => value.try_into().ok().map(Self::U64),
            ElementType::F16 => f16_bits(value).map(Self::F16),
            ElementType::F32 => Some(value as f32).filter(|v| is_exact(f64::from(*v), value)).map(Self::F32),
            ElementType::F64 => Some(value as f64).filter(|v| is_exact(*v, value)).map(Self::F64),
        };
        scalar.ok_or(HloError::Constant { element_type, value })
    }

    /// Returns type and bits, which together identify a constant.
    fn bits(self) -> (ElementType, u64) {
        let bits = match self {
            Self::Pred(v) => u64::from(v),
            Self::S8(v) => v as u64,
            Self::S16(v) => v as u64,
            Self::S32(v) => v as u64,
            Self::S64(v) => v as u64,
            Self::U8(v) => u64::from(v),
            Self::U16(v) => u64::from(v),
            Self::U32(v) => u64::from(v),
            Self::U64(v) => v,
            Self::F16(v) => u64::from(v),
            Self::F32(v) => u64::from(v.to_bits()),
            Self::F64(v) => v.to_bits(),
        };
        (self.element_type(), bits)
    }
}

/// Rejects magnitudes from 2^126 on: `i128::MAX as f64` rounds up to 2^127, which saturates on the way back.
fn is_exact(float: f64, value: i128) -> bool {
    float.abs() < 2f64.powi(126) && float as i128 == value
}

/// Returns the bits of the half that equals `value`, which has at most 11 significant bits and a magnitude up to 65504.
fn f16_bits(value: i128) -> Option<u16> {
    let sign = if value < 0 { 0x8000 } else { 0 };
    let magnitude = u32::try_from(value.unsigned_abs()).ok().filter(|v| *v <= 65504)?;
    if magnitude == 0 {
        return Some(0);
    }
    let exponent = magnitude.ilog2();
    // Shift the leading one to bit 10. Bits that are shifted out must be zero.
    let mantissa = if exponent <= 10 {
        magnitude << (10 - exponent)
    } else {
        let shift = exponent - 10;
        if magnitude.trailing_zeros() < shift {
            return None;
        }
        magnitude >> shift
    };
    u16::try_from(((exponent + 15) << 10) | (mantissa & 0x3ff)).ok().map(|bits| sign | bits)
}

/// Converts a half to a double, which is always exact.
fn f16_to_f64(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    magnitude.copysign(sign)
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

/// Prints the text inside `constant(...)`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Pred(v) => write!(f, "{v}"),
            Self::S8(v) => write!(f, "{v}"),
            Self::S16(v) => write!(f, "{v}"),
            Self::S32(v) => write!(f, "{v}"),
            Self::S64(v) => write!(f, "{v}"),
            Self::U8(v) => write!(f, "{v}"),
            Self::U16(v) => write!(f, "{v}"),
            Self::U32(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
            Self::F16(v) => write_float(f, f16_to_f64(v)),
            Self::F32(v) => write_float(f, f64::from(v)),
            Self::F64(v) => write_float(f, v),
        }
    }
}

/// Prints narrow floats as the double that they equal. XLA parses every float as a double and narrows it, so the
/// shortest digits of the narrow type could be rounded twice.
fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        f.write_str(if value.is_sign_negative() { "-nan" } else { "nan" })
    } else {
        // `Debug` prints `inf`, and the shortest digits that read back as the same double.
        write!(f, "{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use crate::hlo::scalar::{Scalar, f16_to_f64};
    use crate::program::ElementType;

    #[test]
    fn text_keeps_every_bit() {
        for (scalar, text) in [
            (Scalar::Pred(true), "true"),
            (Scalar::S64(i64::MIN), "-9223372036854775808"),
            (Scalar::U64(u64::MAX), "18446744073709551615"),
            (Scalar::F64(0.1), "0.1"),
            (Scalar::F64(-0.0), "-0.0"),
            (Scalar::F64(1e300), "1e300"),
            (Scalar::F64(5e-324), "5e-324"),
            (Scalar::F64(f64::INFINITY), "inf"),
            (Scalar::F64(f64::NEG_INFINITY), "-inf"),
            (Scalar::F64(f64::NAN), "nan"),
            (Scalar::F64(-f64::NAN), "-nan"),
            (Scalar::F32(0.1), "0.10000000149011612"),
            (Scalar::F32(3.0), "3.0"),
            (Scalar::F16(0x3c00), "1.0"),
            (Scalar::F16(0x8001), "-5.960464477539063e-8"),
            (Scalar::F16(0xfbff), "-65504.0"),
        ] {
            assert_eq!(scalar.to_string(), text);
        }
    }

    #[test]
    fn integers_of_every_type() {
        for (element_type, value, text) in [
            (ElementType::Pred, 1, "true"),
            (ElementType::S8, -128, "-128"),
            (ElementType::U64, i128::from(u64::MAX), "18446744073709551615"),
            (ElementType::F16, 65504, "65504.0"),
            (ElementType::F16, -3, "-3.0"),
            (ElementType::F16, 4098, "4098.0"),
            (ElementType::F32, 1 << 24, "16777216.0"),
            (ElementType::F64, -(1 << 53), "-9007199254740992.0"),
        ] {
            let scalar = Scalar::try_from_integer(element_type, value);
            if value == 4098 {
                // 4098 = 2 * 2049 has 12 significant bits.
                assert!(scalar.is_err());
                continue;
            }
            assert_eq!(scalar.map(|s| s.to_string()).as_deref(), Ok(text));
        }
        for (element_type, value) in [
            (ElementType::Pred, 2),
            (ElementType::S8, 128),
            (ElementType::U8, -1),
            (ElementType::F16, 65505),
            (ElementType::F32, (1 << 24) + 1),
            (ElementType::F64, (1 << 53) + 1),
            (ElementType::F64, i128::MAX),
        ] {
            let message = Scalar::try_from_integer(element_type, value).unwrap_err().to_string();
            assert_eq!(message, format!("constant: {value} is not exactly representable as {element_type}"));
        }
    }

    #[test]
    fn small_integers_convert_to_halves_exactly() {
        for value in -2048i128..=2048 {
            let Ok(Scalar::F16(bits)) = Scalar::try_from_integer(ElementType::F16, value) else {
                panic!("{value} is a half");
            };
            assert_eq!(f16_to_f64(bits), value as f64);
        }
    }

    #[test]
    fn zeros_of_different_sign_are_different_constants() {
        assert_ne!(Scalar::F64(0.0), Scalar::F64(-0.0));
        assert_eq!(Scalar::F64(f64::NAN), Scalar::F64(f64::NAN));
        assert_ne!(Scalar::S32(1), Scalar::S64(1));
    }
}
