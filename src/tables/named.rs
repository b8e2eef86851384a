//! Paths as tables: `SELECT * FROM 'sales/*.parquet'`. The catalog calls this factory for names that are not tables.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::catalog::{TableProvider, UrlTableFactory};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;

use crate::tables::format::extension;
use crate::tables::{glob, local, remote};

/// Opens paths as tables.
#[derive(Default)]
pub struct NamedFiles {
    /// Returns a copy of the session's state. Set later, because the session is created after the catalog.
    state: OnceLock<Box<dyn Fn() -> Option<SessionState> + Send + Sync>>,
}

impl fmt::Debug for NamedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamedFiles")
    }
}

impl NamedFiles {
    /// Uses this session's options for reading files from now on.
    pub fn serve(&self, ctx: &SessionContext) {
        let state = ctx.state_weak_ref();
        let _is_served_already = self.state.set(Box::new(move || state.upgrade().map(|state| state.read().clone())));
    }
}

#[async_trait]
impl UrlTableFactory for NamedFiles {
    /// Returns `None` for a name that is not a path, and for a path that does not exist, because a statement may create a
    /// table of that name.
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !is_path(name) {
            return Ok(None);
        }
        let Some(state) = self.state.get().and_then(|state| state()) else { return Ok(None) };
        if remote::is_url(name) {
            return Ok(Some(Arc::new(remote::open(&state, name).await?)));
        }
        let path = local_path(name);
        let opened = if path.exists() {
            local::open(&state, &path).await?
        } else if glob::is_pattern(name) {
            local::open_pattern(&state, &path.to_string_lossy()).await?
        } else {
            return Ok(None);
        };
        Ok(Some(Arc::new(opened)))
    }
}

/// Returns whether a name that is not a table looks like a path: it has a slash, a wildcard or the extension of a table file, or
/// it contains a dot and the file exists.
fn is_path(name: &str) -> bool {
    let is_written_as_one = name.contains('/') || glob::is_pattern(name) || extension(name).is_some();
    is_written_as_one || (name.contains('.') && Path::new(name).is_file())
}

/// Expands `~` to the home folder and removes `file://`.
fn local_path(name: &str) -> PathBuf {
    let name = name.strip_prefix("file://").unwrap_or(name);
    match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(name),
    }
}

/// Turns the error for a missing table into one for a missing file if the table name is a path.
pub fn missing_file(error: DataFusionError, ctx: &SessionContext) -> DataFusionError {
    let text = error.strip_backtrace();
    let Some(name) = missing_table(&text) else { return error };
    let defaults = ctx.copied_config();
    let defaults = &defaults.options().catalog;
    let prefix = format!("{}.{}.", defaults.default_catalog, defaults.default_schema);
    let name = name.strip_prefix(&prefix).unwrap_or(name);
    // `FROM sales.csv` without quotes is table csv of schema sales, even if such a file exists.
    let is_qualified = name.starts_with(&format!("{}.", defaults.default_catalog)) || Path::new(name).exists();
    if is_path(name) && !is_qualified { local::no_such_file(name) } else { error }
}

/// Extracts the name from `... table 'datafusion.public.nope' not found` or `No table named 'nope'`.
fn missing_table(text: &str) -> Option<&str> {
    let end = |rest: &'_ str, end: &str| rest.find(end);
    if let Some((_, rest)) = text.split_once("table '") {
        return rest.get(..end(rest, "' not found")?);
    }
    let (_, rest) = text.split_once("No table named '")?;
    rest.get(..end(rest, "'")?)
}
