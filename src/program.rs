//! A compiled unit's source: HLO text and its signature. The one type that `hlo` (which writes programs) and
//! `runtime` (which compiles and runs them) share; neither imports the other.

use std::fmt;

/// Element type of an array in a program, named as HLO text names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ElementType {
    /// A truth value, in one byte.
    Pred,
    /// A signed integer of 8 bits.
    S8,
    /// A signed integer of 16 bits.
    S16,
    /// A signed integer of 32 bits.
    S32,
    /// A signed integer of 64 bits.
    S64,
    /// An unsigned integer of 8 bits.
    U8,
    /// An unsigned integer of 16 bits.
    U16,
    /// An unsigned integer of 32 bits.
    U32,
    /// An unsigned integer of 64 bits.
    U64,
    /// A float of 16 bits.
    F16,
    /// A float of 32 bits.
    F32,
    /// A float of 64 bits.
    F64,
}

impl ElementType {
    /// The name in HLO text, e.g. `s32`.
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

    /// Bytes of one element in device memory (a `pred` takes one).
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Pred | Self::S8 | Self::U8 => 1,
            Self::S16 | Self::U16 | Self::F16 => 2,
            Self::S32 | Self::U32 | Self::F32 => 4,
            Self::S64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Whether it is a signed integer.
    pub const fn is_signed_integer(self) -> bool {
        matches!(self, Self::S8 | Self::S16 | Self::S32 | Self::S64)
    }

    /// Whether it is an unsigned integer.
    pub const fn is_unsigned_integer(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    /// Whether it is an integer, signed or not.
    pub const fn is_integer(self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    /// Whether it is a float.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Shape of a dense array: element type and dimensions (row-major layout; rank 0 is a scalar).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Type of each element.
    pub element_type: ElementType,
    /// Size of each dimension, the slowest first; none for a scalar.
    pub dims: Vec<usize>,
}

impl Shape {
    /// An array with these dimensions.
    pub fn new(element_type: ElementType, dims: impl Into<Vec<usize>>) -> Self {
        Self { element_type, dims: dims.into() }
    }

    /// A scalar.
    pub fn scalar(element_type: ElementType) -> Self {
        Self { element_type, dims: Vec::new() }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements; 1 for a scalar.
    pub fn element_count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Bytes in device memory, padding of the allocator aside.
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

/// HLO text with its signature. The text is the golden of tests, the key of the compile cache and what `\hlo` shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Module name, for people: it says which operators the program fuses.
    pub name: String,
    /// HLO module text; the entry computation returns a tuple of `outputs`.
    pub text: String,
    /// Entry parameters in order.
    pub parameters: Vec<Shape>,
    /// Entry results in order.
    pub outputs: Vec<Shape>,
    /// `(output, parameter)`: the output reuses the parameter's buffer, which is donated by the call.
    pub aliases: Vec<(usize, usize)>,
}
