//! Accounting of device memory: what buffers hold, the most they held, and a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Bytes that the buffers of a runtime hold, on all its devices together. Clones share the account.
///
/// XLA's temporaries inside a running program are not counted: chunks bound them.
#[derive(Clone, Debug)]
pub struct DeviceMemory(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicU64,
    peak: AtomicU64,
    /// `u64::MAX` stands for no limit.
    limit: AtomicU64,
}

impl DeviceMemory {
    pub(super) fn unlimited() -> Self {
        Self(Arc::new(Account { used: 0.into(), peak: 0.into(), limit: u64::MAX.into() }))
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were in use at once since the start or the last `reset_peak`.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Starts a new measurement of `peak`.
    pub fn reset_peak(&self) {
        self.0.peak.store(self.used(), Ordering::Relaxed);
    }

    /// Bytes allowed, if there is a limit.
    pub fn limit(&self) -> Option<u64> {
        Some(self.0.limit.load(Ordering::Relaxed)).filter(|&limit| limit != u64::MAX)
    }

    /// Sets or lifts the limit. What is in use stays; a lower limit only refuses what comes next.
    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        self.0.limit.store(limit.map_or(u64::MAX, |limit| limit as u64), Ordering::Relaxed);
    }

    /// Takes `bytes` into the account, for `operator`, until the reservation is dropped.
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

/// Bytes taken from a [`DeviceMemory`]; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    memory: DeviceMemory,
    bytes: u64,
}

impl Reservation {
    /// Bytes reserved.
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
    fn reservations_count_until_they_are_dropped() {
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
    fn what_exceeds_the_limit_is_an_error_that_says_what_to_change() {
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
