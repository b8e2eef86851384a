//! How a query deals with device memory. It starts with the first mode. When an operator asks for more than `xla.memory_limit`
//! allows, and no row was sent yet, it starts again with the next.

/// From fast to frugal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryMode {
    /// Tables are on the device as far as three quarters of the limit allow.
    Resident,
    /// Tables of several chunks wait on the host, and operators that need rows together run in passes where these do not fit.
    Streamed,
    /// The results of joins and aggregations wait on the host, too, so that one operator at a time holds device memory.
    Spooled,
}

impl MemoryMode {
    /// The next more frugal mode.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Resident => Some(Self::Streamed),
            Self::Streamed => Some(Self::Spooled),
            Self::Spooled => None,
        }
    }

    /// As it is shown in EXPLAIN ANALYZE.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Streamed => "streamed",
            Self::Spooled => "spooled",
        }
    }
}
