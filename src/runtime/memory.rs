//! Accounting of device memory: bytes in use, their peak, and a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Accounts for the bytes that a runtime's buffers hold on all its devices together. Clones share the account.
///
/// Temporaries that XLA allocates inside a running program are not counted; the chunk size bounds them.
#[derive(Clone, Debug)]
pub struct DeviceMemory(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicU64,
    peak: AtomicU64,
    /// `u64::MAX` means no limit.
    limit: AtomicU64,
}

impl DeviceMemory {
    pub(super) fn unlimited() -> Self {
        Self(Arc::new(Account { used: 0.into(), peak: 0.into(), limit: u64::MAX.into() }))
    }

    /// Returns the bytes in use.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Returns the largest number of bytes in use at once, since the start or the last [`Self::reset_peak`].
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Sets the peak to the bytes in use now.
    pub fn reset_peak(&self) {
        self.0.peak.store(self.used(), Ordering::Relaxed);
    }

    /// Returns the limit in bytes, if there is one.
    pub fn limit(&self) -> Option<u64> {
        Some(self.0.limit.load(Ordering::Relaxed)).filter(|&limit| limit != u64::MAX)
    }

    /// Sets the limit in bytes, or removes it. A lower limit leaves existing reservations alone and only refuses new
    /// ones.
    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        self.0.limit.store(limit.map_or(u64::MAX, |limit| limit as u64), Ordering::Relaxed);
    }

    /// Reserves `bytes` until the reservation is dropped. `operator` is named in the error.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceMemory`] if the limit would be exceeded.
    pub(crate) fn try_reserve(&self, bytes: usize, operator: &str) -> Result<Reservation> {
        let bytes = bytes as u64;
        let limit = self.0.limit.load(Ordering::Relaxed);
        let fits = |used: u64| used.checked_add(bytes).filter(|&total| total <= limit);
        match self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(before) => {
                self.0.peak.fetch_max(before + bytes, Ordering::Relaxed);
                Ok(Reservation { memory: self.clone(), bytes })
            }
            Err(used) => Err(Error::DeviceMemory { operator: operator.into(), requested: bytes, used, limit }),
        }
    }
}

/// Bytes reserved in a [`DeviceMemory`]; returned on drop.
#[derive(Debug)]
pub struct Reservation {
    memory: DeviceMemory,
    bytes: u64,
}

impl Reservation {
    /// Returns the number of bytes reserved.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::memory::DeviceMemory;

    #[test]
    fn reservations_count_until_dropped() {
        let memory = DeviceMemory::unlimited();
        let first = memory.try_reserve(100, "test").unwrap();
        let second = memory.try_reserve(50, "test").unwrap();
        assert_eq!((memory.used(), memory.peak(), memory.limit()), (150, 150, None));
        drop(first);
        assert_eq!((memory.used(), memory.peak()), (50, 150));
        memory.reset_peak();
        assert_eq!((memory.peak(), second.bytes()), (50, 50));
    }

    #[test]
    fn the_error_for_exceeding_the_limit_names_the_option_to_change() {
        let memory = DeviceMemory::unlimited();
        let _held = memory.try_reserve(100, "test").unwrap();
        memory.set_limit(Some(128));
        let error = memory.try_reserve(29, "XlaSortExec").unwrap_err();
        assert_eq!(
            error.to_string(),
            "XlaSortExec asked for 29 bytes of device memory; 100 of the 128 bytes allowed are in use \
             (raise the option xla.memory_limit, or read fewer columns or rows)"
        );
        memory.try_reserve(28, "test").unwrap();
        memory.try_reserve(usize::MAX, "test").unwrap_err();
        memory.set_limit(None);
        memory.try_reserve(29, "test").unwrap();
        assert_eq!(memory.used(), 100);
    }
}
