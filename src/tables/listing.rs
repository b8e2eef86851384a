//! A listing table over files that have been found: one file, a folder, or the files of a pattern, in any store.

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
    /// What messages call it.
    pub name: &'a str,
    /// The folder, or each of the files.
    pub urls: Vec<ListingTableUrl>,
    /// The extension of all files, as it is written.
    pub extension: &'a str,
    /// Whether it is a folder, whose `key=value` folders become columns.
    pub is_folder: bool,
}

impl Found<'_> {
    /// How the files are read, with the columns that folders stand for.
    pub async fn options(&self, state: &SessionState) -> Result<ListingOptions> {
        let options =
            ListingOptions::new(file_format(state, self.extension)?).with_file_extension(self.extension.to_string());
        let Some(folder) = self.urls.first().filter(|_| self.is_folder) else { return Ok(options) };
        let keys = options.infer_partitions(state, folder).await?;
        let text = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        Ok(options.with_table_partition_cols(keys.into_iter().map(|key| (key, text.clone())).collect()))
    }

    /// The table.
    ///
    /// # Errors
    /// When a file cannot be read, or the files have no columns.
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

/// Schemas that are remembered; all are forgotten when there are more.
const MOST_SCHEMAS: usize = 1024;

impl Found<'_> {
    /// The schema object that an earlier table of these files has, if it is the same. Columns on the device belong to it where
    /// the format has options, so that a file that is opened for each query finds its columns again.
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

/// The schema of the files at all `urls` together. The reader of a damaged file may panic; in a task of its own that is an error.
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
        // An empty file has no columns, and a reader may take offence at it.
        files.retain(|file| file.size > 0);
        options.format.infer_schema(&state, &store, &files).await
    };
    let inferred = SpawnedTask::spawn(infer).join().await;
    inferred.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

/// The extension that all files have, given those that they have.
///
/// # Errors
/// When there are none, or they differ.
pub fn common_extension<'a>(name: &str, extensions: impl IntoIterator<Item = &'a str>) -> Result<&'a str> {
    let mut extensions = extensions.into_iter();
    let Some(common) = extensions.next() else {
        return Err(exec_datafusion_err!("{name} holds no {FORMATS} file"));
    };
    match extensions.find(|other| *other != common) {
        Some(other) => Err(exec_datafusion_err!(
            "{name} holds both .{common} and .{other} files; put each format into a folder of its own"
        )),
        None => Ok(common),
    }
}
