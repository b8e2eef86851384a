//! Mapping between Rust types, program element types and the element types of the `xla` crate.

use crate::error::Result;
use crate::program::ElementType;
use crate::runtime::Buffer;

/// A Rust type whose slices are transferred to and from devices without conversion.
pub trait Element: Copy + Default + sealed::Sealed + 'static {
    /// The corresponding element type in a program.
    const TYPE: ElementType;

    /// Returns the bytes of a slice in the layout that devices use.
    fn bytes_of(values: &[Self]) -> &[u8] {
        // SAFETY: implemented only for types without padding, so that every byte is initialised.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }

    /// Fills `out` with the first elements of a buffer, which must be of `TYPE` and have at least as many elements.
    #[doc(hidden)]
    fn read(buffer: &Buffer, out: &mut [Self]) -> Result<()>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($rust:ty => $variant:ident),* $(,)?) => {$(
        impl sealed::Sealed for $rust {}
        impl Element for $rust {
            const TYPE: ElementType = ElementType::$variant;

            fn read(buffer: &Buffer, out: &mut [Self]) -> Result<()> {
                // SAFETY: every bit pattern is a value of this type, and `u8` needs no alignment.
                let bytes = unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast(), size_of_val(out)) };
                buffer.download_into(bytes)
            }
        }
    )*};
}

elements!(
    i8 => S8, i16 => S16, i32 => S32, i64 => S64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f32 => F32, f64 => F64,
);

impl sealed::Sealed for bool {}
impl Element for bool {
    const TYPE: ElementType = ElementType::Pred;

    fn read(buffer: &Buffer, out: &mut [Self]) -> Result<()> {
        let mut bytes = vec![0u8; out.len()];
        buffer.download_into(&mut bytes)?;
        for (value, byte) in out.iter_mut().zip(bytes) {
            *value = byte != 0;
        }
        Ok(())
    }
}

/// Returns the `xla` crate's name of an element type.
pub(super) fn to_xla(element_type: ElementType) -> xla::ElementType {
    match element_type {
        ElementType::Pred => xla::ElementType::Pred,
        ElementType::S8 => xla::ElementType::S8,
        ElementType::S16 => xla::ElementType::S16,
        ElementType::S32 => xla::ElementType::S32,
        ElementType::S64 => xla::ElementType::S64,
        ElementType::U8 => xla::ElementType::U8,
        ElementType::U16 => xla::ElementType::U16,
        ElementType::U32 => xla::ElementType::U32,
        ElementType::U64 => xla::ElementType::U64,
        ElementType::F16 => xla::ElementType::F16,
        ElementType::F32 => xla::ElementType::F32,
        ElementType::F64 => xla::ElementType::F64,
    }
}

/// Copies the first `out.len()` bytes of a buffer of `element_type` to the host. `out` must hold whole elements.
pub(super) fn copy_out(buffer: &xla::PjRtBuffer, element_type: ElementType, out: &mut [u8]) -> xla::Result<()> {
    /// Copies through elements made of bytes, because `out` need not be aligned and because the `xla` crate, which
    /// needs a Rust type for each element type, has none for `pred` and `f16`.
    macro_rules! copy_as {
        ($variant:ident, $size:literal) => {{
            #[derive(Clone, Copy)]
            #[repr(transparent)]
            struct Bytes([u8; $size]);
            impl xla::ArrayElement for Bytes {
                const TY: xla::ElementType = xla::ElementType::$variant;
                const ELEMENT_SIZE_IN_BYTES: usize = $size;
                const ZERO: Self = Self([0; $size]);
            }
            let (elements, _) = out.as_chunks_mut::<$size>();
            // SAFETY: `Bytes` is `repr(transparent)` over the array.
            let elements = unsafe { &mut *(elements as *mut [[u8; $size]] as *mut [Bytes]) };
            buffer.copy_raw_to_host_sync(elements, 0)
        }};
    }
    match element_type {
        ElementType::Pred => copy_as!(Pred, 1),
        ElementType::S8 => copy_as!(S8, 1),
        ElementType::S16 => copy_as!(S16, 2),
        ElementType::S32 => copy_as!(S32, 4),
        ElementType::S64 => copy_as!(S64, 8),
        ElementType::U8 => copy_as!(U8, 1),
        ElementType::U16 => copy_as!(U16, 2),
        ElementType::U32 => copy_as!(U32, 4),
        ElementType::U64 => copy_as!(U64, 8),
        ElementType::F16 => copy_as!(F16, 2),
        ElementType::F32 => copy_as!(F32, 4),
        ElementType::F64 => copy_as!(F64, 8),
    }
}
