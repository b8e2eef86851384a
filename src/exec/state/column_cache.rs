//! Columns that stay on the device between queries. A column is found again by what it was made of: the very Arrow
//! arrays of an in-memory table, or a file's path, size, modification time and etag. When device memory runs short the
//! least recently used column goes first; the columns of a table that CACHE TABLE has named stay.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::columnar::encode::StringEncoding;
use crate::columnar::layout::Layout;
use crate::columnar::table::DeviceColumn;

/// What a resident column was made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnSource {
    /// Addresses of the column's arrays, in order. An entry holds weak references to them, which keep the addresses
    /// from being used again.
    Arrays(Vec<usize>),
    /// Files in order, and the column's name and type.
    Files { set: Arc<FileSet>, column: String },
}

/// Files that are one table.
#[derive(Clone, Debug)]
pub struct FileSet {
    pub files: Vec<FileIdentity>,
    /// The schema object of the table that reads them, where the format has options (the delimiter of a CSV file) that
    /// belong to the table: another table may read the same files otherwise.
    pub reader: Option<SchemaRef>,
}

impl FileSet {
    fn reader_address(&self) -> Option<usize> {
        self.reader.as_ref().map(|schema| Arc::as_ptr(schema) as usize)
    }

    /// Whether `other` is another version of these files.
    fn is_other_version_of(&self, other: &Self) -> bool {
        let names = |set: &Self| set.files.iter().map(|f| (f.store.clone(), f.path.clone())).collect::<Vec<_>>();
        self.reader_address() == other.reader_address() && self.files != other.files && names(self) == names(other)
    }
}

impl PartialEq for FileSet {
    fn eq(&self, other: &Self) -> bool {
        self.reader_address() == other.reader_address() && self.files == other.files
    }
}

impl Eq for FileSet {}

impl Hash for FileSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reader_address().hash(state);
        self.files.hash(state);
    }
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    pub store: String,
    pub path: String,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i64,
    pub etag: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: ColumnSource,
    layout: Layout,
    strings: StringEncoding,
}

struct Entry {
    column: Arc<DeviceColumn>,
    arrays: Vec<Weak<dyn Array>>,
    used_at: u64,
    hits: u64,
}

impl Entry {
    /// Whether the in-memory table that it was made of still has its rows.
    fn is_alive(&self) -> bool {
        self.arrays.iter().all(|array| array.strong_count() > 0)
    }
}

/// A column in the cache, for `SHOW CACHE`.
pub struct CachedColumn {
    pub source: ColumnSource,
    /// Of the table.
    pub rows: usize,
    pub column: Arc<DeviceColumn>,
    /// Queries that have found it here.
    pub hits: u64,
    /// Kept by `CACHE TABLE` until `UNCACHE TABLE`.
    pub pinned: bool,
}

/// What the cache may hold on the host, and who is to know.
pub struct HostBudget<'a> {
    /// `xla.host_memory_limit`: bytes of dictionaries and strings.
    pub limit: Option<usize>,
    /// DataFusion's account of the process's memory.
    pub pool: &'a Arc<dyn MemoryPool>,
    /// Whether device memory is memory of the host, so that the pool counts it.
    pub device_is_host: bool,
}

/// The cache, one a session.
#[derive(Default)]
pub struct ColumnCache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Total rows of file sets, known once they have been read.
    file_rows: HashMap<Arc<FileSet>, usize>,
    /// Rows of columns of files that were read for one query alone.
    pruned_rows: HashMap<ColumnSource, usize>,
    /// The columns of tables that CACHE TABLE has named.
    pins: HashMap<String, Vec<ColumnSource>>,
    clock: u64,
    /// What the pool has been told.
    reservation: Option<MemoryReservation>,
    device_is_host: bool,
}

/// Address of an array, the identity of an in-memory column.
pub fn array_address(array: &ArrayRef) -> usize {
    Arc::as_ptr(array) as *const () as usize
}

impl State {
    fn is_pinned(&self, source: &ColumnSource) -> bool {
        self.pins.values().flatten().any(|pinned| pinned == source)
    }

    /// The least recently used column that no one has pinned; where `unused`, that no query holds.
    fn oldest(&self, unused: bool) -> Option<Key> {
        let is_used = |e: &Entry| unused && Arc::strong_count(&e.column) > 1;
        let candidates = self.entries.iter().filter(|(key, e)| !is_used(e) && !self.is_pinned(&key.source));
        candidates.min_by_key(|(_, e)| e.used_at).map(|(key, _)| key.clone())
    }

    /// Bytes of dictionaries and strings.
    fn host_bytes(&self) -> usize {
        self.entries.values().map(|e| e.column.host_bytes()).sum()
    }

    fn device_bytes(&self) -> usize {
        self.entries.values().map(|e| e.column.size_bytes()).sum()
    }

    /// Tells the pool what is here; false if it has no room for it.
    fn account(&self) -> bool {
        let on_device = if self.device_is_host { self.device_bytes() } else { 0 };
        match &self.reservation {
            Some(reservation) => reservation.try_resize(self.host_bytes() + on_device).is_ok(),
            None => true,
        }
    }

    /// Forgets columns of in-memory tables that are gone.
    fn sweep(&mut self) {
        let before = self.entries.len();
        self.entries.retain(|_, e| e.is_alive());
        if self.entries.len() < before {
            self.account();
        }
    }
}

impl ColumnCache {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Self::get`] would find the column.
    pub fn holds(&self, source: &ColumnSource, layout: &Layout, strings: StringEncoding) -> bool {
        let state = self.lock();
        let forms = [StringEncoding::OrderedDictionary, StringEncoding::LookupCodes, StringEncoding::RowIds]
            .into_iter()
            .filter(|form| *form >= strings);
        let mut keys = forms.map(|strings| Key { source: source.clone(), layout: layout.clone(), strings });
        keys.any(|key| state.entries.contains_key(&key))
    }

    /// The column made of `source` in `layout`, if it is here; ordered strings serve where rows were asked for.
    pub fn get(&self, source: &ColumnSource, layout: &Layout, strings: StringEncoding) -> Option<Arc<DeviceColumn>> {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        let key = |strings| Key { source: source.clone(), layout: layout.clone(), strings };
        // What serves more serves less.
        let serving =
            [StringEncoding::OrderedDictionary, StringEncoding::LookupCodes].into_iter().filter(|form| *form > strings);
        let key = serving.map(key).find(|key| state.entries.contains_key(key)).unwrap_or_else(|| key(strings));
        let entry = state.entries.get_mut(&key)?;
        entry.used_at = now;
        entry.hits += 1;
        Some(entry.column.clone())
    }

    /// Keeps a column, unless the host has no room for its strings. `arrays` are what it was made of, for in-memory sources.
    /// Without a budget nothing is accounted.
    pub fn insert(
        &self,
        source: ColumnSource,
        layout: Layout,
        strings: StringEncoding,
        column: Arc<DeviceColumn>,
        arrays: &[ArrayRef],
        host: Option<&HostBudget<'_>>,
    ) {
        let arrays = match source {
            ColumnSource::Arrays(_) => arrays.iter().map(Arc::downgrade).collect(),
            ColumnSource::Files { .. } => Vec::new(),
        };
        let mut state = self.lock();
        state.clock += 1;
        let used_at = state.clock;
        // Every insertion also removes dead entries.
        state.sweep();
        if let (None, Some(host)) = (&state.reservation, host) {
            state.reservation = Some(MemoryConsumer::new("columns on the device").register(host.pool));
            state.device_is_host = host.device_is_host;
        }
        state.entries.insert(Key { source, layout, strings }, Entry { column, arrays, used_at, hits: 0 });
        let limit = host.and_then(|host| host.limit);
        while limit.is_some_and(|limit| state.host_bytes() > limit) || !state.account() {
            let Some(oldest) = state.oldest(false) else { break };
            state.entries.remove(&oldest);
        }
    }

    /// Rows of a set of files that has been read before.
    pub fn file_rows(&self, set: &FileSet) -> Option<usize> {
        self.lock().file_rows.get(set).copied()
    }

    /// Remembers the rows of files. What is here of other versions of the same files goes.
    pub fn set_file_rows(&self, set: &Arc<FileSet>, rows: usize) {
        let mut state = self.lock();
        let is_current = |source: &ColumnSource| match source {
            ColumnSource::Files { set: other, .. } => !other.is_other_version_of(set),
            ColumnSource::Arrays(_) => true,
        };
        state.file_rows.retain(|other, _| !other.is_other_version_of(set));
        state.entries.retain(|key, _| is_current(&key.source));
        state.pruned_rows.retain(|source, _| is_current(source));
        state.file_rows.insert(Arc::clone(set), rows);
        state.account();
    }

    /// Whether to read `rows` of the rows of columns for one query, and not all `of_table` to keep them: as long as that reads no
    /// more than keeping them from the beginning would have, and no more than half at once. Counts them as read.
    pub fn read_pruned(&self, columns: &[ColumnSource], rows: usize, of_table: usize) -> bool {
        let mut state = self.lock();
        let before = columns.iter().filter_map(|column| state.pruned_rows.get(column)).max().copied().unwrap_or(0);
        if rows > of_table / 2 || before + rows > of_table {
            return false;
        }
        for column in columns {
            *state.pruned_rows.entry(column.clone()).or_default() += rows;
        }
        true
    }

    /// Drops the least recently used column that no query holds and no CACHE TABLE keeps; false if there is none.
    pub fn evict_one(&self) -> bool {
        let mut state = self.lock();
        let Some(oldest) = state.oldest(true) else { return false };
        let evicted = state.entries.remove(&oldest).is_some();
        state.account();
        evicted
    }

    /// Keeps the columns of table `name` until they are released; columns that were pinned for it before are not kept longer.
    pub fn pin(&self, name: &str, columns: Vec<ColumnSource>) {
        self.lock().pins.insert(name.to_string(), columns);
    }

    /// Ends what `pin` began, and drops these columns and those that were pinned; false if there was nothing to end or drop.
    pub fn release(&self, name: &str, columns: &[ColumnSource]) -> bool {
        let mut state = self.lock();
        let pinned = state.pins.remove(name);
        let (was_pinned, before) = (pinned.is_some(), state.entries.len());
        let mut gone = pinned.unwrap_or_default();
        gone.extend_from_slice(columns);
        state.entries.retain(|key, _| !gone.contains(&key.source));
        state.account();
        was_pinned || state.entries.len() < before
    }

    /// Everything that is here.
    pub fn inventory(&self) -> Vec<CachedColumn> {
        let mut state = self.lock();
        state.sweep();
        let columns = state.entries.iter().map(|(key, entry)| CachedColumn {
            source: key.source.clone(),
            rows: key.layout.rows,
            column: entry.column.clone(),
            hits: entry.hits,
            pinned: state.is_pinned(&key.source),
        });
        columns.collect()
    }
}
