//! Arrays as tests write them: integers and booleans as `i128`, floats as `f64`.

use std::fmt;

use crate::program::ElementType::{self, F16, F32};
use crate::program::Shape;

#[derive(Clone)]
pub enum Values {
    Ints(Vec<i128>),
    Floats(Vec<f64>),
}

pub fn ints<T: Into<i128>>(values: impl IntoIterator<Item = T>) -> Values {
    Values::Ints(values.into_iter().map(Into::into).collect())
}

pub fn floats(values: impl IntoIterator<Item = f64>) -> Values {
    Values::Floats(values.into_iter().collect())
}

/// Floats are equal if their bits are, so 0.0 differs from -0.0. All NaNs are equal.
impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        match (self, other) {
            (Self::Ints(a), Self::Ints(b)) => a == b,
            (Self::Floats(a), Self::Floats(b)) => a.len() == b.len() && a.iter().zip(b).all(same),
            _ => false,
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ints(values) => values.fmt(f),
            Self::Floats(values) => values.fmt(f),
        }
    }
}

impl Values {
    /// Returns the bytes of the values, rounded or wrapped to `shape`'s element type.
    pub fn bytes(&self, shape: &Shape) -> Vec<u8> {
        let element_type = shape.element_type;
        let bytes: Vec<u8> = match self {
            Self::Ints(values) => {
                values.iter().flat_map(|v| v.to_le_bytes()[..element_type.size_bytes()].to_vec()).collect()
            }
            Self::Floats(values) => values
                .iter()
                .flat_map(|v| match element_type {
                    F16 => half_bits(*v).to_le_bytes().to_vec(),
                    F32 => (*v as f32).to_le_bytes().to_vec(),
                    _ => v.to_le_bytes().to_vec(),
                })
                .collect(),
        };
        assert_eq!((bytes.len(), matches!(self, Self::Floats(_))), (shape.size_bytes(), element_type.is_float()));
        bytes
    }

    pub fn of_bytes(shape: &Shape, bytes: &[u8]) -> Self {
        let element_type = shape.element_type;
        let elements = bytes.chunks(element_type.size_bytes());
        if element_type.is_float() {
            return Self::Floats(elements.map(|e| float_of_bits(element_type, unsigned(e) as u64)).collect());
        }
        Self::Ints(elements.map(|e| wrap(element_type, unsigned(e))).collect())
    }

    pub fn floats(&self) -> &[f64] {
        match self {
            Self::Floats(values) => values,
            Self::Ints(_) => panic!("integers where floats were expected"),
        }
    }
}

fn unsigned(bytes: &[u8]) -> i128 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | i128::from(*byte))
}

/// Returns the low bits of `value`, read as an integer type.
pub fn wrap(element_type: ElementType, value: i128) -> i128 {
    let unused = 128 - 8 * element_type.size_bytes() as u32;
    match element_type.is_signed_integer() {
        true => value << unused >> unused,
        false => ((value as u128) << unused >> unused) as i128,
    }
}

fn float_of_bits(element_type: ElementType, bits: u64) -> f64 {
    match element_type {
        F16 => half(bits as u16),
        F32 => f32::from_bits(bits as u32).into(),
        _ => f64::from_bits(bits),
    }
}

/// Returns `value` rounded to a float type.
pub fn round_to(element_type: ElementType, value: f64) -> f64 {
    match element_type {
        F16 => half(half_bits(value)),
        F32 => (value as f32).into(),
        _ => value,
    }
}

/// Returns the value of an IEEE 754 half.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let mantissa = f64::from(bits & 0x3ff);
    sign * match bits >> 10 & 0x1f {
        0 => mantissa * 2f64.powi(-24),
        0x1f if mantissa == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + mantissa) * 2f64.powi(i32::from(exponent) - 25),
    }
}

/// Returns the nearest half, ties to even, by trying all of them.
fn half_bits(value: f64) -> u16 {
    let sign = u16::from(value.is_sign_negative()) << 15;
    let magnitude = match value.abs() {
        v if v.is_nan() => 0x7e00,
        v if v >= 65520.0 => 0x7c00,
        v => {
            let distance = |bits: &u16| (half(*bits) - v).abs();
            let nearer = |a: &u16, b: &u16| distance(a).total_cmp(&distance(b)).then((a & 1).cmp(&(b & 1)));
            (0..0x7c00).min_by(nearer).unwrap_or(0)
        }
    };
    sign | magnitude
}
