//! The tables that are being loaded, for progress displays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The tables that a session is loading.
#[derive(Default)]
pub struct LoadTracker(Mutex<Vec<Weak<Load>>>);

/// One table that is being loaded, until it is dropped.
pub struct Load {
    table: String,
    /// Bytes of its columns in files, and how many of them are done.
    total: u64,
    done: AtomicU64,
    /// The column that was worked on last.
    column: Mutex<String>,
}

/// How far tables are that are being loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadProgress {
    /// The largest, and its column that was worked on last: `lineitem.l_comment`.
    pub what: String,
    /// Bytes of all tables that are done.
    pub done: u64,
    /// Bytes of all tables.
    pub total: u64,
}

impl LoadTracker {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Load>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to load `total` bytes of a table.
    pub fn begin(&self, table: String, total: u64) -> Arc<Load> {
        let load = Arc::new(Load { table, total, done: AtomicU64::new(0), column: Mutex::default() });
        self.lock().push(Arc::downgrade(&load));
        load
    }

    /// How far everything is; `None` if nothing is being loaded.
    pub fn now(&self) -> Option<LoadProgress> {
        let mut loads = self.lock();
        loads.retain(|load| load.strong_count() > 0);
        let loads: Vec<Arc<Load>> = loads.iter().filter_map(Weak::upgrade).collect();
        let largest = loads.iter().max_by_key(|load| load.total)?;
        let column = largest.column.lock().unwrap_or_else(PoisonError::into_inner);
        Some(LoadProgress {
            what: format!("{}{}{column}", largest.table, if column.is_empty() { "" } else { "." }),
            done: loads.iter().map(|load| load.done.load(Ordering::Relaxed).min(load.total)).sum(),
            total: loads.iter().map(|load| load.total).sum(),
        })
    }
}

impl Load {
    /// `bytes` of a column are done.
    pub fn advance(&self, column: &str, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        let mut last = self.column.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != column {
            *last = column.to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::exec::state::load_progress::{LoadProgress, LoadTracker};

    #[test]
    fn tables_in_progress_are_added_up() {
        let loads = LoadTracker::default();
        assert_eq!(loads.now(), None);
        let small = loads.begin("nation".into(), 10);
        let large = loads.begin("lineitem".into(), 90);
        large.advance("l_tax", 30);
        small.advance("n_name", 20);
        assert_eq!(loads.now(), Some(LoadProgress { what: "lineitem.l_tax".into(), done: 40, total: 100 }));
        drop(large);
        assert_eq!(loads.now(), Some(LoadProgress { what: "nation.n_name".into(), done: 10, total: 10 }));
        drop(small);
        assert_eq!(loads.now(), None);
    }
}
