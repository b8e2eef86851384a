//! `missing_files`: a query of a table whose file has been deleted is an error that names the file. DataFusion reads it as a table
//! without rows. Folders and patterns may match nothing.

use datafusion::catalog::Session;
use datafusion::common::exec_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::object_store::{Error, ObjectStoreExt};
use futures::StreamExt;

/// Its name in `xla.frontend_rules`.
pub const NAME: &str = "missing_files";

/// Checks the files that a plan reads, one request each.
///
/// # Errors
/// If one is not there.
pub async fn check(plan: &LogicalPlan, state: &dyn Session) -> Result<()> {
    let mut files = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<ListingTable>()
        {
            let is_file = |url: &&ListingTableUrl| !url.is_collection() && url.get_glob().is_none();
            files.extend(table.table_paths().iter().filter(is_file).map(|url| (scan.table_name.clone(), url.clone())));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for (table, url) in files {
        if !exists(&url, state).await? {
            let path = url.as_str().strip_prefix("file://").unwrap_or(url.as_str());
            return exec_err!(
                "the file {path} of table {} is not there any more; restore it, or remove the table by DROP TABLE",
                table.table()
            );
        }
    }
    Ok(())
}

/// Whether there is a file, or files below a folder that was named without its slash.
async fn exists(url: &ListingTableUrl, state: &dyn Session) -> Result<bool> {
    let store = state.runtime_env().object_store(url)?;
    match store.head(url.prefix()).await {
        Err(Error::NotFound { .. }) => Ok(store.list(Some(url.prefix())).next().await.is_some()),
        // What else can go wrong is told by who reads the file.
        _ => Ok(true),
    }
}
