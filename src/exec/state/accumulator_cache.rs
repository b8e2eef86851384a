//! Aggregations that one query asks for twice run once: a view that is read in a subquery, too, is two equal subplans in
//! DataFusion's plan (Q15 of TPC-H). What is remembered is of no use to other queries, and goes when the next one starts; so
//! that little memory is held until then, only small accumulators are remembered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::error::Result;
use datafusion::execution::TaskContext;

use crate::columnar::table::{DeviceColumn, DeviceTable};
use crate::exec::run::chunk_loop::Totals;
use crate::exec::trace::program::TracedProgram;
use crate::expr::tracer::Input;
use crate::program::Shape;

/// Accumulators of a worker that are worth remembering have at most this many bytes.
const MOST_BYTES: usize = 2 << 20;

/// Accumulators, once they are there. Whoever computes them holds the lock.
type Slot = Arc<Mutex<Option<Arc<Totals>>>>;

/// What queries under way have aggregated.
#[derive(Default)]
pub struct Memo(Mutex<Vec<Entry>>);

struct Entry {
    query: Weak<TaskContext>,
    key: Key,
    slot: Slot,
}

/// An update program with all that it reads.
struct Key {
    text: String,
    constants: Vec<Vec<u8>>,
    /// Weak references keep the addresses from being used again.
    columns: Vec<Weak<DeviceColumn>>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let columns = || self.columns.iter().zip(&other.columns).all(|(a, b)| Weak::ptr_eq(a, b));
        self.columns.len() == other.columns.len()
            && columns()
            && self.constants == other.constants
            && self.text == other.text
    }
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what queries have left that have ended.
    pub fn sweep(&self) {
        self.lock().retain(|entry| entry.query.strong_count() > 0);
    }

    /// Forgets what a query has aggregated, for a run of it that is to be timed.
    pub fn forget(&self, query: &Arc<TaskContext>) {
        self.lock().retain(|entry| entry.query.as_ptr() != Arc::as_ptr(query));
    }

    /// What `update` leaves after all rows of `table`: computed, or found. A program that reads more than the table is always
    /// computed.
    pub fn totals(
        &self,
        query: &Arc<TaskContext>,
        update: &TracedProgram,
        table: &DeviceTable,
        compute: impl FnOnce() -> Result<Totals>,
    ) -> Result<Arc<Totals>> {
        let bytes: usize = update.program.outputs.iter().map(Shape::size_bytes).sum();
        if !update.sides.is_empty() || bytes > MOST_BYTES {
            return compute().map(Arc::new);
        }
        let constants = update.inputs.iter().filter_map(|input| match input {
            Input::Constant { bytes, .. } => Some(bytes.clone()),
            _ => None,
        });
        let key = Key {
            text: update.program.text.clone(),
            constants: constants.collect(),
            columns: table.columns.iter().map(Arc::downgrade).collect(),
        };
        let slot = {
            let mut entries = self.lock();
            let mine = |entry: &&Entry| entry.query.as_ptr() == Arc::as_ptr(query) && entry.key == key;
            match entries.iter().find(mine) {
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
