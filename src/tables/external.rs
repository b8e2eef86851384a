//! `CREATE EXTERNAL TABLE`: as DataFusion has it, with `OPTIONS ('aws.region' ...)` for the store and better errors.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::error::Result;
use datafusion::logical_expr::CreateExternalTable;

use crate::tables::{glob, local, remote};

/// Options that begin so are for the store and not for the format.
const STORE_OPTIONS: &str = "aws.";

/// DataFusion's factory with the store of the location made ready.
#[derive(Debug)]
pub struct ExternalTables {
    inner: Arc<dyn TableProviderFactory>,
}

impl ExternalTables {
    /// Creates the tables with `inner`.
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
