//! Replaces `remote` in a build without the cargo feature: every URL is an error that names the feature.

use std::collections::HashMap;

use datafusion::common::plan_datafusion_err;
use datafusion::datasource::listing::ListingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

/// Does not change the session's object stores.
pub fn install(builder: RuntimeEnvBuilder) -> RuntimeEnvBuilder {
    builder
}

/// Returns whether a path is a URL of another machine.
pub fn is_url(path: &str) -> bool {
    path.contains("://") && !path.starts_with("file://")
}

/// # Errors
/// If a location is a URL.
pub fn prepare(_: &RuntimeEnv, locations: &[String], _: &HashMap<String, String>) -> Result<()> {
    match locations.iter().find(|location| is_url(location)) {
        Some(location) => Err(no_such_feature(location)),
        None => Ok(()),
    }
}

/// # Errors
/// Always.
pub async fn open(_: &SessionState, name: &str) -> Result<ListingTable> {
    Err(no_such_feature(name))
}

/// Returns the error unchanged.
pub fn explain(_: &str, error: DataFusionError) -> DataFusionError {
    error
}

fn no_such_feature(name: &str) -> DataFusionError {
    plan_datafusion_err!(
        "{name} cannot be read: Parallax was built without its cargo feature `remote`, which http:// and s3:// need"
    )
}
