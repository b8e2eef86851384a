//! The accumulators of a query's aggregations, for the other pipelines of the same query: a view that is read in a subquery, too, is
//! two equal sub-plans in DataFusion's plan (Q15 of TPC-H), and is aggregated once. An entry is of no use to other queries and goes
//! when the next one starts; only small accumulators are kept until then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::error::Result;
use datafusion::execution::TaskContext;

use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::runtime::Buffer;

/// Accumulators of a worker that are worth keeping have at most this many bytes.
pub const MOST_BYTES: usize = 2 << 20;

/// `[device][worker][index]`
type Totals = Vec<Vec<Vec<Buffer>>>;

/// Accumulators, once they are computed. The thread that computes them holds the lock.
type Slot = Arc<Mutex<Option<Arc<Totals>>>>;

/// Accumulators of the queries that are running.
#[derive(Default)]
pub struct AccumulatorCache(Mutex<Vec<Entry>>);

struct Entry {
    query: Weak<TaskContext>,
    key: AccumulatorKey,
    slot: Slot,
}

/// A program that updates accumulators, with everything that it reads.
pub struct AccumulatorKey {
    text: String,
    constants: Vec<Vec<u8>>,
    /// Weak references keep the addresses from being used again.
    columns: Vec<Weak<DeviceColumn>>,
}

impl AccumulatorKey {
    /// The program `text` over all rows of `table`; it reads nothing else but `constants`.
    pub fn new(text: &str, constants: Vec<Vec<u8>>, table: &DeviceTable) -> Self {
        Self { text: text.to_string(), constants, columns: table.columns.iter().map(Arc::downgrade).collect() }
    }
}

impl PartialEq for AccumulatorKey {
    fn eq(&self, other: &Self) -> bool {
        let columns = || self.columns.iter().zip(&other.columns).all(|(a, b)| Weak::ptr_eq(a, b));
        self.columns.len() == other.columns.len()
            && columns()
            && self.constants == other.constants
            && self.text == other.text
    }
}

impl AccumulatorCache {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the entries of queries that have ended.
    pub fn sweep(&self) {
        self.lock().retain(|entry| entry.query.strong_count() > 0);
    }

    /// Drops the entries of a query, so that its next run can be timed.
    pub fn forget(&self, query: &Arc<TaskContext>) {
        self.lock().retain(|entry| entry.query.as_ptr() != Arc::as_ptr(query));
    }

    /// The accumulators of `key` in a query: found, or computed.
    pub fn totals(
        &self,
        query: &Arc<TaskContext>,
        key: AccumulatorKey,
        compute: impl FnOnce() -> Result<Totals>,
    ) -> Result<Arc<Totals>> {
        let slot = {
            let mut entries = self.lock();
            let same = |entry: &&Entry| entry.query.as_ptr() == Arc::as_ptr(query) && entry.key == key;
            match entries.iter().find(same) {
                Some(entry) => Arc::clone(&entry.slot),
                None => {
                    let slot = Slot::default();
                    entries.push(Entry { query: Arc::downgrade(query), key, slot: Arc::clone(&slot) });
                    slot
                }
            }
        };
        let mut totals = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(totals) = &*totals {
            return Ok(Arc::clone(totals));
        }
        let computed = Arc::new(compute()?);
        *totals = Some(Arc::clone(&computed));
        Ok(computed)
    }
}
