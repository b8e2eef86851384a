//! A folder whose files are registered as tables, and which can be rescanned when it has changed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use crate::tables::format::extension_of;
use crate::tables::{local, table_name};

/// A folder, or a single file, and the tables registered from it.
pub struct DataFolder {
    path: PathBuf,
    tables: BTreeMap<String, PathBuf>,
}

/// The tables that a scan of the folder added and removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New tables, sorted by name.
    pub added: Vec<String>,
    /// Tables whose files no longer exist, sorted by name.
    pub removed: Vec<String>,
}

impl DataFolder {
    /// Creates a folder without scanning it.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), tables: BTreeMap::new() }
    }

    /// Returns the path of the folder.
    #[cfg(feature = "shell")]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of its tables, sorted.
    #[cfg(feature = "shell")]
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Scans the folder: registers new files as tables, deregisters those that no longer exist, and updates the schemas of
    /// the others.
    ///
    /// # Errors
    /// If the folder or one of its files cannot be read, or two files have the same table name. The tables before the failed
    /// one stay registered.
    pub async fn refresh(&mut self, ctx: &SessionContext) -> Result<Changes> {
        let found = find(&self.path)?;
        let mut changes = Changes::default();
        let gone: Vec<String> = self.tables.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
        for name in gone {
            ctx.deregister_table(name.as_str())?;
            self.tables.remove(&name);
            changes.removed.push(name);
        }
        for (name, path) in found {
            let is_new = !self.tables.contains_key(&name);
            if is_new && ctx.table_exist(name.as_str())? {
                return Err(exec_datafusion_err!(
                    "{} cannot become table {name}, which already exists; rename the file or drop the table",
                    path.display()
                ));
            }
            let table = local::open(&ctx.state(), &path).await?;
            ctx.deregister_table(name.as_str())?;
            ctx.register_table(name.as_str(), Arc::new(table))?;
            if is_new {
                changes.added.push(name.clone());
            }
            self.tables.insert(name, path);
        }
        Ok(changes)
    }
}

/// Returns the paths of a folder's tables by table name.
fn find(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    if path.is_file() {
        return Ok(BTreeMap::from([(table_name(path), path.to_path_buf())]));
    }
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in local::entries(path)? {
        let hidden = entry.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(['.', '_']));
        let holds_data =
            if entry.is_dir() { !local::data_files(&entry)?.is_empty() } else { extension_of(&entry).is_some() };
        if !holds_data || hidden {
            continue;
        }
        let name = table_name(&entry);
        if let Some(other) = found.get(&name) {
            return Err(exec_datafusion_err!(
                "{} and {} have the same table name {name}; rename one of them",
                other.display(),
                entry.display()
            ));
        }
        found.insert(name, entry);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use datafusion::prelude::SessionContext;

    use crate::tables::DataFolder;

    #[tokio::test]
    async fn files_come_go_and_change() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let ctx = SessionContext::new();
        let mut folder = DataFolder::new(dir.path());
        assert_eq!(folder.refresh(&ctx).await.unwrap().added, [""; 0]);
        write("a.csv", "x\n1\n");
        write("b.csv", "x\n1\n");
        assert_eq!(folder.refresh(&ctx).await.unwrap().added, ["a", "b"]);
        write("a.csv", "x,y\n1,2\n");
        fs::remove_file(dir.path().join("b.csv")).unwrap();
        let changes = folder.refresh(&ctx).await.unwrap();
        assert_eq!((changes.added.len(), changes.removed), (0, vec!["b".to_string()]));
        assert!(ctx.sql("SELECT y FROM a").await.is_ok());
        assert!(ctx.sql("SELECT x FROM b").await.is_err());
        ctx.sql("CREATE TABLE c AS SELECT 1 AS z").await.unwrap();
        write("c.csv", "x\n1\n");
        let error = folder.refresh(&ctx).await.unwrap_err().to_string();
        assert!(error.contains("c.csv cannot become table c, which already exists"), "{error}");
        assert!(ctx.sql("SELECT z FROM c").await.is_ok());
    }
}
