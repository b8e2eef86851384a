//! Columns that stay on the device between queries. A column is found again by what it was made of: the very Arrow
//! arrays of an in-memory table, or a file's path, size, modification time and etag. When device memory runs short the
//! least recently used column goes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::arrow::array::{Array, ArrayRef};

use crate::columnar::encode::Strings;
use crate::columnar::layout::Layout;
use crate::columnar::table::DeviceColumn;

/// What a resident column was made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnSource {
    /// Addresses of the column's arrays, in order. An entry holds weak references to them, which keep the addresses
    /// from being used again.
    Arrays(Vec<usize>),
    /// Files in order, and the column's name.
    Files { files: Vec<FileIdentity>, column: String },
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    pub store: String,
    pub path: String,
    pub size: u64,
    pub modified: i64,
    pub etag: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: ColumnSource,
    layout: Layout,
    strings: Strings,
}

struct Entry {
    column: Arc<DeviceColumn>,
    arrays: Vec<Weak<dyn Array>>,
    used_at: u64,
}

/// The cache, one a session.
#[derive(Default)]
pub struct ResidentColumns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Total rows of file sets, known once they have been read.
    file_rows: HashMap<Vec<FileIdentity>, usize>,
    clock: u64,
}

/// Address of an array, the identity of an in-memory column.
pub fn array_address(array: &ArrayRef) -> usize {
    Arc::as_ptr(array) as *const () as usize
}

impl ResidentColumns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The column made of `source` in `layout`, if it is here; ordered strings serve where rows were asked for.
    pub fn get(&self, source: &ColumnSource, layout: &Layout, strings: Strings) -> Option<Arc<DeviceColumn>> {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        let key = |strings| Key { source: source.clone(), layout: layout.clone(), strings };
        let ordered = key(Strings::Ordered);
        let key = if state.entries.contains_key(&ordered) { ordered } else { key(strings) };
        let entry = state.entries.get_mut(&key)?;
        entry.used_at = now;
        Some(entry.column.clone())
    }

    /// Keeps a column. `arrays` are what it was made of, for in-memory sources.
    pub fn insert(
        &self,
        source: ColumnSource,
        layout: Layout,
        strings: Strings,
        column: Arc<DeviceColumn>,
        arrays: &[ArrayRef],
    ) {
        let arrays = match source {
            ColumnSource::Arrays(_) => arrays.iter().map(Arc::downgrade).collect(),
            ColumnSource::Files { .. } => Vec::new(),
        };
        let mut state = self.lock();
        state.clock += 1;
        let used_at = state.clock;
        // Whoever inserts also sweeps: columns of tables that are gone.
        state.entries.retain(|_, e| e.arrays.iter().all(|a| a.strong_count() > 0));
        state.entries.insert(Key { source, layout, strings }, Entry { column, arrays, used_at });
    }

    /// Rows of a set of files that has been read before.
    pub fn file_rows(&self, files: &[FileIdentity]) -> Option<usize> {
        self.lock().file_rows.get(files).copied()
    }

    pub fn set_file_rows(&self, files: Vec<FileIdentity>, rows: usize) {
        self.lock().file_rows.insert(files, rows);
    }

    /// Drops the least recently used column that no query holds; false if there is none.
    pub fn evict_one(&self) -> bool {
        let mut state = self.lock();
        let oldest = state
            .entries
            .iter()
            .filter(|(_, e)| Arc::strong_count(&e.column) == 1)
            .min_by_key(|(_, e)| e.used_at)
            .map(|(key, _)| key.clone());
        match oldest {
            Some(key) => state.entries.remove(&key).is_some(),
            None => false,
        }
    }

    /// Bytes in device memory.
    pub fn size_bytes(&self) -> usize {
        self.lock().entries.values().map(|e| e.column.size_bytes()).sum()
    }

    /// Columns that are here.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops everything that no query holds.
    pub fn clear(&self) {
        self.lock().entries.retain(|_, e| Arc::strong_count(&e.column) > 1);
    }
}
