//! The operands and results of a custom call as slices.

use std::ffi::c_void;
use std::marker::PhantomData;

/// One call. The first operand is an `s64` array of sizes, which says how long the others are.
pub(super) struct Call<'a> {
    output: *mut c_void,
    inputs: *const *const c_void,
    memory: PhantomData<&'a mut u8>,
}

impl<'a> Call<'a> {
    /// # Safety
    ///
    /// The pointers are what XLA passed to a function that has not returned, and `'a` ends before it does.
    pub(super) unsafe fn new(output: *mut c_void, inputs: *const *const c_void) -> Self {
        Self { output, inputs, memory: PhantomData }
    }

    /// The first `N` sizes.
    ///
    /// # Safety
    ///
    /// The program passes at least `N` of them.
    pub(super) unsafe fn sizes<const N: usize>(&self) -> [usize; N] {
        // SAFETY: the caller's promise.
        let sizes = unsafe { self.input::<i64>(0, N) };
        std::array::from_fn(|i| sizes[i] as usize)
    }

    /// Operand `index`.
    ///
    /// # Safety
    ///
    /// The program passes an array of `len` elements of `T`, every bit pattern of which is a value.
    pub(super) unsafe fn input<T>(&self, index: usize, len: usize) -> &'a [T] {
        // SAFETY: the caller's promise; XLA aligns buffers to at least 16 bytes and does not write to operands.
        unsafe { std::slice::from_raw_parts((*self.inputs.add(index)).cast(), len) }
    }

    /// `count` operands of `len` 64-bit words each, from operand `first` on.
    ///
    /// # Safety
    ///
    /// As for [`Self::input`].
    pub(super) unsafe fn words(&self, first: usize, count: usize, len: usize) -> Vec<&'a [u64]> {
        // SAFETY: the caller's promise.
        (first..first + count).map(|index| unsafe { self.input(index, len) }).collect()
    }

    /// Result `index` of a call that has several.
    ///
    /// # Safety
    ///
    /// As for [`Self::input`]; and each result is asked for once.
    pub(super) unsafe fn output<T>(&self, index: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise; results are not shared with anything else.
        unsafe { std::slice::from_raw_parts_mut((*self.output.cast::<*mut c_void>().add(index)).cast(), len) }
    }

    /// The result of a call that has one.
    ///
    /// # Safety
    ///
    /// As for [`Self::output`].
    pub(super) unsafe fn only_output<T>(&self, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.output.cast(), len) }
    }
}
