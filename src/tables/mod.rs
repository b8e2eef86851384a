//! Files as tables: registered under a name, or referenced by path or URL in a query.
//!
//! ```text
//! --data DIR, register_path ─────────▶ local ──┐
//! FROM 'path', CREATE EXTERNAL TABLE ─▶ named ──┼─▶ listing ─▶ DataFusion's ListingTable
//! FROM 's3://...', 'https://...' ─────▶ remote ─┘
//! ```

mod csv_value;
mod external;
mod folder;
mod format;
mod glob;
mod listing;
mod local;
mod named;
#[cfg(feature = "remote")]
mod remote;
#[cfg(not(feature = "remote"))]
#[path = "no_remote.rs"]
mod remote;

pub use crate::tables::csv_value::{locate as locate_csv_value, locate_of as locate_csv_value_of};
pub use crate::tables::folder::DataFolder;
pub use crate::tables::named::{NamedFiles, missing_file};

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{DynamicFileCatalog, MemoryCatalogProviderList};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionContext;

use crate::tables::external::ExternalTables;
use crate::tables::format::extension;

/// Makes the object stores of `s3://` and `http(s)://` paths available to a session.
pub fn with_stores(environment: RuntimeEnvBuilder) -> RuntimeEnvBuilder {
    remote::install(environment)
}

/// Lets queries reference files by path. The session that is built must be passed to [`NamedFiles::serve`].
pub fn with_named_files(builder: SessionStateBuilder) -> (SessionStateBuilder, Arc<NamedFiles>) {
    let files = Arc::new(NamedFiles::default());
    let catalogs = DynamicFileCatalog::new(Arc::new(MemoryCatalogProviderList::new()), Arc::clone(&files) as _);
    let mut builder = builder.with_catalog_list(Arc::new(catalogs));
    for factory in builder.table_factories().iter_mut().flat_map(|factories| factories.values_mut()) {
        *factory = Arc::new(ExternalTables::new(Arc::clone(factory)));
    }
    (builder, files)
}

/// Registers a file (.parquet, .csv, .tsv, .arrow, or .json with one object per line), or a folder of files of one format, as
/// table `name`. Subfolders named `key=value` become partition columns.
///
/// # Errors
/// If the path does not exist, has an unknown format, contains no data or several formats, or cannot be read. The message
/// names the path, or the file in the folder.
pub async fn register_path(ctx: &SessionContext, name: &str, path: &Path) -> Result<()> {
    let table = local::open(&ctx.state(), path).await?;
    ctx.register_table(name, Arc::new(table)).map(drop)
}

/// Registers each table file in `dir`, and each folder of such files, as a table named by [`table_name`]. Skips entries that start
/// with `.` or `_` and those without table files. Returns the names, sorted.
///
/// # Errors
/// Those of [`register_path`], and if two entries have the same table name.
pub async fn register_dir(ctx: &SessionContext, dir: &Path) -> Result<Vec<String>> {
    DataFolder::new(dir).refresh(ctx).await.map(|changes| changes.added)
}

/// Returns the table name of a path: its stem in lower case, with `_` in place of characters that an identifier cannot contain.
/// `Sales 2024.csv` becomes `sales_2024`, and `2024.csv` becomes `_2024`.
pub fn table_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = extension(&file).and_then(|extension| file.strip_suffix(extension)?.strip_suffix('.')).unwrap_or(&file);
    let identifier = |c: char| if c.is_alphabetic() || c.is_ascii_digit() { c } else { '_' };
    let mut name: String = stem.to_lowercase().chars().map(identifier).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use datafusion::prelude::SessionContext;
    use tempfile::TempDir;

    use crate::tables::{register_dir, register_path, table_name};

    fn dir_of(files: &[(&str, &str)]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    async fn error_of(files: &[(&str, &str)], path: &str) -> String {
        let dir = dir_of(files);
        let error = register_path(&SessionContext::new(), "t", &dir.path().join(path)).await.unwrap_err();
        error.to_string().replace(&*dir.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn names_are_identifiers() {
        let cases = [
            ("Lineitem.parquet", "lineitem"),
            ("Sales 2024-01.csv", "sales_2024_01"),
            ("2024.csv", "_2024"),
            ("a.b.json", "a_b"),
            ("folder.d", "folder_d"),
            ("größe.csv", "größe"),
            ("a.csv.gz", "a"),
            ("notes.txt", "notes_txt"),
        ];
        for (path, name) in cases {
            assert_eq!(table_name(Path::new(path)), name);
        }
    }

    #[tokio::test]
    async fn a_folder_becomes_its_tables() {
        let dir = dir_of(&[
            ("Odd [name]* 100%.csv", "a,b\n1,\"x\ny\"\n"),
            ("rows.json", "{\"n\": 1}\n{\"n\": 2}\n"),
            ("parts/1.csv", "v\n1\n"),
            ("parts/2.csv", "v\n2\n"),
            ("hive/day=1/x.csv", "v\n7\n"),
            ("UPPER.CSV", "v\n1\n"),
            ("README.md", "not a table"),
            ("_temporary/x.csv", "v\n1\n"),
            ("docs/notes.txt", "not a table"),
        ]);
        let ctx = SessionContext::new();
        let names = register_dir(&ctx, dir.path()).await.unwrap();
        assert_eq!(names, ["hive", "odd__name___100_", "parts", "rows", "upper"]);
        for (sql, expected) in [
            ("SELECT sum(n) FROM rows", "3"),
            ("SELECT sum(v) FROM parts", "3"),
            ("SELECT count(*) FROM odd__name___100_ WHERE b = 'x\ny'", "1"),
            ("SELECT sum(v) FROM hive WHERE day = '1'", "7"),
        ] {
            let batches = ctx.sql(sql).await.unwrap().collect().await.unwrap();
            let value = datafusion::arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
            assert_eq!(value, expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn errors_name_the_path_and_say_what_is_wrong() {
        assert_eq!(error_of(&[], "nope.csv").await, "Execution error: there is no file or folder DIR/nope.csv");
        assert_eq!(
            error_of(&[("x.txt", "")], "x.txt").await,
            "Execution error: DIR/x.txt is not a table: its name must end in .parquet, .csv, .json or .arrow"
        );
        assert_eq!(error_of(&[("x.csv", "")], "x.csv").await, "Execution error: DIR/x.csv is empty: it has no columns");
        assert_eq!(
            error_of(&[("d/x.txt", "")], "d").await,
            "Execution error: DIR/d contains no .parquet, .csv, .json or .arrow files"
        );
        assert_eq!(
            error_of(&[("d/x.csv", "a\n1\n"), ("d/y.json", "{}")], "d").await,
            "Execution error: DIR/d contains both .csv and .json files; move each format to a separate folder"
        );
        let corrupt = error_of(&[("d/x.parquet", "this is not a Parquet file")], "d").await;
        assert!(corrupt.starts_with("DIR/d/x.parquet is not a valid Parquet file"), "{corrupt}");
        let array = error_of(&[("x.json", "[{\"a\": 1}]")], "x.json").await;
        assert!(array.starts_with("DIR/x.json is a JSON array; write one object per line instead"), "{array}");
    }

    #[tokio::test]
    async fn a_folder_may_be_empty_but_not_have_two_tables_of_the_same_name() {
        let ctx = SessionContext::new();
        let empty = dir_of(&[]);
        assert_eq!(register_dir(&ctx, empty.path()).await.unwrap(), [""; 0]);
        let twice = dir_of(&[("a.csv", "v\n1\n"), ("a.json", "{\"v\": 1}\n")]);
        let error = register_dir(&ctx, twice.path()).await.unwrap_err().to_string();
        assert!(error.contains("a.csv") && error.contains("a.json have the same table name a"), "{error}");
    }
}
