//! `CREATE EXTERNAL TABLE`: DataFusion's, extended by `OPTIONS ('aws.region' ...)` for the object store, with better errors.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::error::Result;
use datafusion::logical_expr::CreateExternalTable;

use crate::tables::{glob, local, remote};

/// Prefix of options for the object store. All others are for the file format.
const STORE_OPTIONS: &str = "aws.";

/// DataFusion's factory, preceded by the registration of the location's object store.
#[derive(Debug)]
pub struct ExternalTables {
    inner: Arc<dyn TableProviderFactory>,
}

impl ExternalTables {
    /// Wraps `inner`, which creates the tables.
    pub const fn new(inner: Arc<dyn TableProviderFactory>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl TableProviderFactory for ExternalTables {
    async fn create(&self, state: &dyn Session, command: &CreateExternalTable) -> Result<Arc<dyn TableProvider>> {
        let mut command = command.clone();
        let (store, format) = command.options.into_iter().partition(|(key, _)| key.starts_with(STORE_OPTIONS));
        command.options = format;
        remote::prepare(state.runtime_env(), &command.locations, &store)?;
        let created = self.inner.create(state, &command).await;
        created.map_err(|error| {
            if let Some(location) = command.locations.iter().find(|location| remote::is_url(location)) {
                return remote::explain(location, error);
            }
            let missing = |location: &&String| !glob::is_pattern(location) && !Path::new(plain(location)).exists();
            command.locations.iter().find(missing).map_or(error, |location| local::no_such_file(location))
        })
    }
}

fn plain(location: &str) -> &str {
    location.strip_prefix("file://").unwrap_or(location)
}
