//! Programs: HLO text with a signature. `hlo` writes them, and `runtime` compiles and runs them. These types are all
//! that the two modules share; neither imports the other.

use std::fmt;

/// The element type of an array in a program. The names follow HLO text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ElementType {
    /// Boolean; one byte, 0 or 1.
    Pred,
    /// Signed 8-bit integer.
    S8,
    /// Signed 16-bit integer.
    S16,
    /// Signed 32-bit integer.
    S32,
    /// Signed 64-bit integer.
    S64,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// IEEE 754 half-precision float.
    F16,
    /// IEEE 754 single-precision float.
    F32,
    /// IEEE 754 double-precision float.
    F64,
}

impl ElementType {
    /// Returns the name in HLO text, e.g. `s32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pred => "pred",
            Self::S8 => "s8",
            Self::S16 => "s16",
            Self::S32 => "s32",
            Self::S64 => "s64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Returns the size of one element in device memory, in bytes. A `pred` takes one byte.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Pred | Self::S8 | Self::U8 => 1,
            Self::S16 | Self::U16 | Self::F16 => 2,
            Self::S32 | Self::U32 | Self::F32 => 4,
            Self::S64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Returns whether this is `s8`, `s16`, `s32` or `s64`.
    pub const fn is_signed_integer(self) -> bool {
        matches!(self, Self::S8 | Self::S16 | Self::S32 | Self::S64)
    }

    /// Returns whether this is `u8`, `u16`, `u32` or `u64`.
    pub const fn is_unsigned_integer(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    /// Returns whether this is a signed or an unsigned integer; `pred` is not.
    pub const fn is_integer(self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    /// Returns whether this is `f16`, `f32` or `f64`.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The shape of a dense, row-major array: element type and dimensions. A scalar has rank 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Type of the elements.
    pub element_type: ElementType,
    /// Size of each axis, slowest first.
    pub dims: Vec<usize>,
}

impl Shape {
    /// Creates the shape of an array.
    pub fn new(element_type: ElementType, dims: impl Into<Vec<usize>>) -> Self {
        Self { element_type, dims: dims.into() }
    }

    /// Creates the shape of a scalar.
    pub fn scalar(element_type: ElementType) -> Self {
        Self { element_type, dims: Vec::new() }
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Returns the number of elements, which is 1 for a scalar.
    pub fn element_count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Returns the size in device memory in bytes, without the allocator's padding.
    pub fn size_bytes(&self) -> usize {
        self.element_count() * self.element_type.size_bytes()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.element_type)?;
        for (i, dim) in self.dims.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// HLO text with its signature. The text is the golden in tests, the key of the compile cache, and what `\hlo` shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Module name. It tells people which operators the program fuses.
    pub name: String,
    /// HLO module text. The entry computation returns a tuple of `outputs`.
    pub text: String,
    /// Shapes of the entry parameters, in order.
    pub parameters: Vec<Shape>,
    /// Shapes of the entry results, in order.
    pub outputs: Vec<Shape>,
    /// Pairs `(output, parameter)`: the output reuses the parameter's buffer, which the call must donate.
    pub aliases: Vec<(usize, usize)>,
}
