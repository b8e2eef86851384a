//! Creates a listing table from files that were found: one file, a folder, or the matches of a pattern, in any object store.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::exec_datafusion_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use futures::TryStreamExt;

use crate::tables::format::{FORMATS, file_format};

/// The files of a table.
pub struct Found<'a> {
    /// The table's name in messages.
    pub name: &'a str,
    /// The URL of the folder, or of each file.
    pub urls: Vec<ListingTableUrl>,
    /// The common extension of the files, in its original case.
    pub extension: &'a str,
    /// Whether the URL is a folder, whose `key=value` subfolders become partition columns.
    pub is_folder: bool,
}

impl Found<'_> {
    /// Returns the options for reading the files, including partition columns.
    pub async fn options(&self, state: &SessionState) -> Result<ListingOptions> {
        let options =
            ListingOptions::new(file_format(state, self.extension)?).with_file_extension(self.extension.to_string());
        let Some(folder) = self.urls.first().filter(|_| self.is_folder) else { return Ok(options) };
        let keys = options.infer_partitions(state, folder).await?;
        let text = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        Ok(options.with_table_partition_cols(keys.into_iter().map(|key| (key, text.clone())).collect()))
    }

    /// Opens the table.
    ///
    /// # Errors
    /// If a file cannot be read, or the files have no columns.
    pub async fn open(&self, state: &SessionState) -> Result<ListingTable> {
        let options = self.options(state).await?;
        let schema = schema_of(state, &options, &self.urls).await?;
        if schema.fields().is_empty() {
            return Err(exec_datafusion_err!("{} is empty: it has no columns", self.name));
        }
        let config = ListingTableConfig::new_with_multi_paths(self.urls.clone())
            .with_listing_options(options)
            .with_schema(self.same_schema(state, schema));
        let statistics = state.runtime_env().cache_manager.get_file_statistic_cache();
        Ok(ListingTable::try_new(config)?.with_cache(statistics))
    }
}

/// Maximum number of remembered schemas. All are dropped when it is exceeded.
const MOST_SCHEMAS: usize = 1024;

impl Found<'_> {
    /// Returns the schema object of an earlier table of these files, if it is equal. Formats with options identify cached
    /// columns by the schema object, so that every query that opens a file finds the columns that an earlier one cached.
    fn same_schema(&self, state: &SessionState, schema: SchemaRef) -> SchemaRef {
        static SCHEMAS: LazyLock<Mutex<HashMap<String, SchemaRef>>> = LazyLock::new(Mutex::default);
        let key = format!("{:?} {} {:?}", self.urls, self.extension, state.default_table_options());
        let mut schemas = SCHEMAS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = schemas.get(&key).filter(|known| **known == schema) {
            return Arc::clone(known);
        }
        if schemas.len() >= MOST_SCHEMAS {
            schemas.clear();
        }
        schemas.insert(key, Arc::clone(&schema));
        schema
    }
}

/// Returns the common schema of the files at `urls`. The reader may panic on a damaged file, so it runs in its own task, where a
/// panic becomes an error.
pub async fn schema_of(state: &SessionState, options: &ListingOptions, urls: &[ListingTableUrl]) -> Result<SchemaRef> {
    let (state, options, urls) = (state.clone(), options.clone(), urls.to_vec());
    let infer = async move {
        let Some(first) = urls.first() else { return Err(exec_datafusion_err!("there are no files")) };
        let store = state.runtime_env().object_store(first)?;
        let mut files = Vec::new();
        for url in &urls {
            let found = url.list_all_files(&state, store.as_ref(), &options.file_extension).await?;
            files.extend(found.try_collect::<Vec<_>>().await?);
        }
        // An empty file has no columns, and some readers reject it.
        files.retain(|file| file.size > 0);
        options.format.infer_schema(&state, &store, &files).await
    };
    let inferred = SpawnedTask::spawn(infer).join().await;
    inferred.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

/// Returns the common extension of all files, given the extension of each.
///
/// # Errors
/// If there are no files, or their extensions differ.
pub fn common_extension<'a>(name: &str, extensions: impl IntoIterator<Item = &'a str>) -> Result<&'a str> {
    let mut extensions = extensions.into_iter();
    let Some(common) = extensions.next() else {
        return Err(exec_datafusion_err!("{name} contains no {FORMATS} files"));
    };
    match extensions.find(|other| *other != common) {
        Some(other) => Err(exec_datafusion_err!(
            "{name} contains both .{common} and .{other} files; move each format to a separate folder"
        )),
        None => Ok(common),
    }
}
