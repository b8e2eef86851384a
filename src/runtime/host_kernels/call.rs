//! Views of the operands and results of a custom call as slices.

use std::ffi::c_void;
use std::marker::PhantomData;

/// One custom call. Its first operand is an `s64` array of sizes, which determine the lengths of the others.
pub(super) struct Call<'a> {
    output: *mut c_void,
    inputs: *const *const c_void,
    memory: PhantomData<&'a mut u8>,
}

impl<'a> Call<'a> {
    /// Wraps the pointers of a call.
    ///
    /// # Safety
    ///
    /// The pointers must be those that XLA passed to a function that has not returned, and `'a` must end before it
    /// returns.
    pub(super) unsafe fn new(output: *mut c_void, inputs: *const *const c_void) -> Self {
        Self { output, inputs, memory: PhantomData }
    }

    /// Returns the first `N` sizes.
    ///
    /// # Safety
    ///
    /// The program must pass at least `N` of them.
    pub(super) unsafe fn sizes<const N: usize>(&self) -> [usize; N] {
        // SAFETY: guaranteed by the caller.
        let sizes = unsafe { self.input::<i64>(0, N) };
        std::array::from_fn(|i| sizes[i] as usize)
    }

    /// Returns operand `index`.
    ///
    /// # Safety
    ///
    /// The program must pass an array of `len` elements of type `T`, and every bit pattern must be a valid `T`.
    pub(super) unsafe fn input<T>(&self, index: usize, len: usize) -> &'a [T] {
        // SAFETY: guaranteed by the caller. XLA aligns buffers to at least 16 bytes and does not write to operands.
        unsafe { std::slice::from_raw_parts((*self.inputs.add(index)).cast(), len) }
    }

    /// Returns `count` operands of `len` 64-bit words each, starting with operand `first`.
    ///
    /// # Safety
    ///
    /// As for [`Self::input`].
    pub(super) unsafe fn words(&self, first: usize, count: usize, len: usize) -> Vec<&'a [u64]> {
        // SAFETY: guaranteed by the caller.
        (first..first + count).map(|index| unsafe { self.input(index, len) }).collect()
    }

    /// Returns result `index` of a call with several results.
    ///
    /// # Safety
    ///
    /// As for [`Self::input`]. Each result must be requested only once.
    pub(super) unsafe fn output<T>(&self, index: usize, len: usize) -> &'a mut [T] {
        // SAFETY: guaranteed by the caller. Results are not shared with anything else.
        unsafe { std::slice::from_raw_parts_mut((*self.output.cast::<*mut c_void>().add(index)).cast(), len) }
    }

    /// Returns the result of a call with one result.
    ///
    /// # Safety
    ///
    /// As for [`Self::output`].
    pub(super) unsafe fn only_output<T>(&self, len: usize) -> &'a mut [T] {
        // SAFETY: guaranteed by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.output.cast(), len) }
    }
}
