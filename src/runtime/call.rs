//! Views of the operands and results of a custom call as slices, which are never longer than XLA's buffers.

use std::ffi::c_int;

use crate::runtime::ffi::{Buffer, Buffers, CallFrame};

/// One call. The first operand of most is an `s64` array of sizes, which determine the lengths of the others.
pub struct Call<'a> {
    frame: &'a CallFrame,
}

impl<'a> Call<'a> {
    pub fn new(frame: &'a CallFrame) -> Self {
        Self { frame }
    }

    /// Returns the first `N` sizes.
    ///
    /// # Safety
    ///
    /// As for [`Self::input`]; the elements are `s64`.
    pub unsafe fn sizes<const N: usize>(&self) -> [usize; N] {
        // SAFETY: guaranteed by the caller.
        let sizes = unsafe { self.input::<i64>(0, N) };
        std::array::from_fn(|i| sizes[i] as usize)
    }

    /// Returns operand `index`.
    ///
    /// # Panics
    ///
    /// If there is no such operand, or it has less than `len` elements.
    ///
    /// # Safety
    ///
    /// Every bit pattern of the operand must be a valid `T`.
    pub unsafe fn input<T>(&self, index: usize, len: usize) -> &'a [T] {
        let buffer = buffer::<T>(&self.frame.operands, index, len);
        // SAFETY: the buffer has room for `len`. XLA aligns buffers to at least 16 bytes and does not write to operands.
        unsafe { std::slice::from_raw_parts(buffer.data.cast(), len) }
    }

    /// Returns `count` operands of `len` 64-bit words each, starting with operand `first`.
    ///
    /// # Safety
    ///
    /// As for [`Self::input`].
    pub unsafe fn words(&self, first: usize, count: usize, len: usize) -> Vec<&'a [u64]> {
        // SAFETY: guaranteed by the caller.
        (first..first + count).map(|index| unsafe { self.input(index, len) }).collect()
    }

    /// Returns result `index`.
    ///
    /// # Panics
    ///
    /// As [`Self::input`].
    ///
    /// # Safety
    ///
    /// As for [`Self::input`]. Each result must be requested only once.
    #[allow(clippy::mut_from_ref, reason = "the memory is the program's, and the caller asks once for each result")]
    pub unsafe fn output<T>(&self, index: usize, len: usize) -> &'a mut [T] {
        let buffer = buffer::<T>(&self.frame.results, index, len);
        // SAFETY: the buffer has room for `len`, and results are not shared with anything else.
        unsafe { std::slice::from_raw_parts_mut(buffer.data.cast(), len) }
    }
}

/// Buffer `index`, which has room for `len` elements of `T`.
fn buffer<T>(buffers: &Buffers, index: usize, len: usize) -> &Buffer {
    assert!(index < buffers.size as usize, "a native function asked for buffer {index} of {}", buffers.size);
    // SAFETY: XLA passes as many buffers as it says, each with as many dimensions.
    let (buffer, elements) = unsafe {
        let buffer = &**buffers.buffers.add(index);
        let dims: &[i64] = match buffer.rank {
            0 => &[],
            rank => std::slice::from_raw_parts(buffer.dims, rank as usize),
        };
        (buffer, dims.iter().map(|dim| *dim as usize).product::<usize>())
    };
    let bytes = elements * element_bytes(buffer.data_type);
    assert!(
        len * size_of::<T>() <= bytes,
        "a native function asked for {} bytes of buffer {index}, which has {bytes}",
        len * size_of::<T>()
    );
    buffer
}

/// Bytes of an element of an `XLA_FFI_DataType`; 0 for types that no program here has.
fn element_bytes(data_type: c_int) -> usize {
    match data_type {
        // PRED, S8, U8
        1 | 2 | 6 => 1,
        // S16, U16, F16
        3 | 7 | 10 => 2,
        // S32, U32, F32
        4 | 8 | 11 => 4,
        // S64, U64, F64
        5 | 9 | 12 => 8,
        _ => 0,
    }
}
