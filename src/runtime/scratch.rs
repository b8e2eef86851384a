//! Host memory that is used again, of native functions and of downloaded columns: fresh pages cost more than the work on them
//! (an argsort of 10M keys takes 15 ns/row in fresh memory and 6 in kept memory).

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::runtime::Element;

/// Unit of memory: aligned for every record.
type Unit = MaybeUninit<u128>;

/// Blocks that nobody uses, oldest first.
static KEPT: Mutex<Vec<Vec<Unit>>> = Mutex::new(Vec::new());

/// Most bytes that are kept.
const MOST_KEPT: usize = 1 << 30;

/// Smaller blocks are left to the allocator, which keeps them itself.
const LEAST_KEPT: usize = 1 << 20;

/// An array of `T`, empty at first, in memory that goes back to the pool.
pub struct Scratch<T: Copy> {
    /// Only its capacity counts; its length is 0.
    block: Vec<Unit>,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Copy> Scratch<T> {
    pub(super) fn with_capacity(n: usize) -> Self {
        const { assert!(align_of::<T>() <= align_of::<Unit>()) };
        let units = (n * size_of::<T>()).div_ceil(size_of::<Unit>());
        let found = {
            let mut kept = kept();
            // Not one that is much too large: another call may need it.
            let fits = |block: &Vec<Unit>| (units..=units.saturating_mul(4)).contains(&block.capacity());
            let smallest = (0..kept.len()).filter(|i| fits(&kept[*i])).min_by_key(|i| kept[*i].capacity());
            smallest.map(|i| kept.remove(i))
        };
        Self { block: found.unwrap_or_else(|| Vec::with_capacity(units)), len: 0, elements: PhantomData }
    }

    /// `n` times `value`.
    pub fn filled(n: usize, value: T) -> Self {
        let mut scratch = Self::with_capacity(n);
        for i in 0..n {
            // SAFETY: the capacity is at least n.
            unsafe { scratch.as_mut_ptr().add(i).write(value) };
        }
        scratch.len = n;
        scratch
    }

    /// The first `n` places, to be written; n is at most the capacity that was asked for.
    pub(super) fn spare(&mut self, n: usize) -> &mut [MaybeUninit<T>] {
        assert!(n * size_of::<T>() <= self.block.capacity() * size_of::<Unit>());
        // SAFETY: the block is as large and aligned; its elements may be uninitialised.
        unsafe { std::slice::from_raw_parts_mut(self.block.as_mut_ptr().cast(), n) }
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut T {
        self.block.as_mut_ptr().cast()
    }

    /// # Safety
    ///
    /// `len` is at most the capacity that was asked for, and so many elements have been written.
    pub(super) unsafe fn set_len(&mut self, len: usize) {
        self.len = len;
    }
}

impl<T: Element + Send + Sync> Scratch<T> {
    /// Its bytes, for an Arrow buffer; the memory goes back to the pool with the last of its owners.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(Owner(self))
    }
}

struct Owner<T: Element>(Scratch<T>);

impl<T: Element> AsRef<[u8]> for Owner<T> {
    fn as_ref(&self) -> &[u8] {
        T::bytes_of(&self.0)
    }
}

impl<T: Copy> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many elements have been written, and the block is aligned for them.
        unsafe { std::slice::from_raw_parts(self.block.as_ptr().cast(), self.len) }
    }
}

impl<T: Copy> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for Scratch<T> {
    fn drop(&mut self) {
        let bytes = |block: &Vec<Unit>| block.capacity() * size_of::<Unit>();
        if !(LEAST_KEPT..=MOST_KEPT).contains(&bytes(&self.block)) {
            return;
        }
        let mut kept = kept();
        kept.push(std::mem::take(&mut self.block));
        let mut total: usize = kept.iter().map(bytes).sum();
        let mut dropped = 0;
        while total > MOST_KEPT {
            total -= bytes(&kept[dropped]);
            dropped += 1;
        }
        let dropped: Vec<_> = kept.drain(..dropped).collect();
        // Freeing takes a while: others need not wait for it.
        std::mem::drop(kept);
        std::mem::drop(dropped);
    }
}

fn kept() -> MutexGuard<'static, Vec<Vec<Unit>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}
