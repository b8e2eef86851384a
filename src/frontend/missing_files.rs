//! `missing_files`: a query of a table whose file has been deleted is an error that names the file. DataFusion reads it as a table
//! without rows. Folders and patterns may match nothing, which is a notice.

use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{TableReference, exec_err};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::object_store::{Error, ObjectStoreExt};
use futures::StreamExt;

use crate::frontend::notices::Notices;

/// Its name in `xla.frontend_rules`.
pub const NAME: &str = "missing_files";

/// The paths of a table.
struct Paths {
    table: TableReference,
    urls: Vec<ListingTableUrl>,
    extension: String,
}

/// Checks the files that a plan reads, one request each, and gives notice of tables that are folders without files.
///
/// # Errors
/// If one is not there.
pub async fn check(plan: &LogicalPlan, state: &dyn Session) -> Result<()> {
    let mut tables = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.downcast_ref::<ListingTable>()
        {
            let (urls, extension) = (table.table_paths().clone(), table.options().file_extension.clone());
            tables.push(Paths { table: scan.table_name.clone(), urls, extension });
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for table in tables {
        let mut files = 0;
        for url in table.urls.iter().filter(|url| is_file(url)) {
            if !exists(url, state).await? {
                return exec_err!(
                    "the file {} of table {} is not there any more; restore it, or remove the table by DROP TABLE",
                    path(url),
                    table.table.table()
                );
            }
            files += 1;
        }
        if files == 0 && !table.has_files(state).await {
            let paths: Vec<String> = table.urls.iter().map(path).collect();
            let text = format!("table {} has no rows: no file matches {}", table.table.table(), paths.join(", "));
            if let Some(notices) = Notices::of(state.config()) {
                notices.add(text);
            }
        }
    }
    Ok(())
}

fn is_file(url: &ListingTableUrl) -> bool {
    !url.is_collection() && url.get_glob().is_none()
}

fn path(url: &ListingTableUrl) -> String {
    let path = url.as_str().strip_prefix("file://").unwrap_or(url.as_str());
    let glob = url.get_glob().as_ref().map(|glob| glob.as_str()).unwrap_or_default();
    format!("{path}{glob}")
}

impl Paths {
    /// Whether there is a file. What goes wrong on the way is told by who reads the table.
    async fn has_files(&self, state: &dyn Session) -> bool {
        for url in &self.urls {
            let Ok(store) = state.runtime_env().object_store(url) else { return true };
            let Ok(mut files) = url.list_all_files(state, store.as_ref(), &self.extension).await else { return true };
            if files.next().await.is_some() {
                return true;
            }
        }
        false
    }
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
