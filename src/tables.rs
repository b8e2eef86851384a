//! Files as tables: what format a path holds, what its table is called, and what is wrong with it when it cannot be read.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::exec_datafusion_err;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;

/// Registers a .parquet, .csv or .json file (one JSON object a line), or a folder of files of one of these formats, as
/// table `name`. Folders named `key=value` in it become columns.
///
/// # Errors
/// When the path does not exist, is not of these formats, holds no data or mixed formats, or cannot be read; the message
/// names the path, and in a folder the file.
pub async fn register_path(ctx: &SessionContext, name: &str, path: &Path) -> Result<()> {
    let is_dir = fs::metadata(path).map_err(|error| cannot_read(path, error))?.is_dir();
    let files = if is_dir { data_files(path)? } else { vec![path.to_path_buf()] };
    let extension = common_extension(path, &files)?;
    let mut options = ListingOptions::new(file_format(ctx, extension)).with_file_extension(extension);
    let url = file_url(path, is_dir)?;
    if is_dir {
        let keys = options.infer_partitions(&ctx.state(), &ListingTableUrl::parse(&url)?).await?;
        let text = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        options = options.with_table_partition_cols(keys.into_iter().map(|key| (key, text.clone())).collect());
    }
    let schema = match schema_of(ctx, &options, &url).await {
        Ok(schema) => schema,
        Err(error) => return Err(name_the_file(ctx, &options, path, &files, error).await),
    };
    if schema.fields().is_empty() {
        return Err(exec_datafusion_err!("{} is empty: it has no columns", path.display()));
    }
    ctx.register_listing_table(name, &url, options, Some(schema), None).await
}

/// Registers each .parquet, .csv and .json file in `dir`, and each folder of them, as a table with the name that
/// [`table_name`] gives. Entries that start with `.` or `_` are skipped, and so is what holds no data files. Returns the
/// names in order.
///
/// # Errors
/// Those of [`register_path`]; also when there is nothing to register, or two entries would have the same name.
pub async fn register_dir(ctx: &SessionContext, dir: &Path) -> Result<Vec<String>> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for path in entries(dir)? {
        let hidden = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(['.', '_']));
        let holds_data = if path.is_dir() { !data_files(&path)?.is_empty() } else { extension(&path).is_some() };
        if holds_data && !hidden {
            found.push((table_name(&path), path));
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(exec_datafusion_err!(
            "{} holds no tables: no .parquet, .csv or .json file, and no folder of them",
            dir.display()
        ));
    }
    for ((name, path), (next_name, next_path)) in found.iter().zip(found.iter().skip(1)) {
        if name == next_name {
            return Err(exec_datafusion_err!(
                "{} and {} would both be table {name}; rename one of them",
                path.display(),
                next_path.display()
            ));
        }
    }
    for (name, path) in &found {
        register_path(ctx, name, path).await?;
    }
    Ok(found.into_iter().map(|(name, _)| name).collect())
}

/// The table name of a path: its stem in lower case, with `_` for what an identifier cannot hold. `Sales 2024.csv` gives
/// `sales_2024`, and `2024.csv` gives `_2024`.
pub fn table_name(path: &Path) -> String {
    let stem = if extension(path).is_some() { path.file_stem() } else { path.file_name() };
    let stem = stem.unwrap_or_default().to_string_lossy().to_lowercase();
    let identifier = |c: char| if c.is_alphabetic() || c.is_ascii_digit() { c } else { '_' };
    let mut name: String = stem.chars().map(identifier).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The extension as it is written, if it is one of a table file.
fn extension(path: &Path) -> Option<&str> {
    let extension = path.extension()?.to_str()?;
    ["parquet", "csv", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)).then_some(extension)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
        .map_err(|error| cannot_read(dir, error))?;
    paths.sort();
    Ok(paths)
}

/// The files that a table of folder `dir` reads: those in it and in its `key=value` folders.
fn data_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains('=')) {
                files.extend(data_files(&path)?);
            }
        } else if extension(&path).is_some() {
            files.push(path);
        }
    }
    Ok(files)
}

fn common_extension<'a>(path: &Path, files: &'a [PathBuf]) -> Result<&'a str> {
    let Some(first) = files.first() else {
        return Err(exec_datafusion_err!("{} holds no .parquet, .csv or .json file", path.display()));
    };
    let Some(common) = extension(first) else {
        return Err(exec_datafusion_err!(
            "{} is not a table: its name must end in .parquet, .csv or .json",
            path.display()
        ));
    };
    match files.iter().filter_map(|file| extension(file)).find(|other| *other != common) {
        Some(other) => Err(exec_datafusion_err!(
            "{} holds both .{common} and .{other} files; put each format into a folder of its own",
            path.display()
        )),
        None => Ok(common),
    }
}

fn file_format(ctx: &SessionContext, extension: &str) -> Arc<dyn FileFormat> {
    let options = ctx.state().default_table_options();
    match extension.to_ascii_lowercase().as_str() {
        "parquet" => Arc::new(ParquetFormat::new().with_options(options.parquet)),
        // A quoted line break must not split a row, though this keeps one file on one thread.
        "csv" => {
            Arc::new(CsvFormat::default().with_options(options.csv).with_has_header(true).with_newlines_in_values(true))
        }
        _ => Arc::new(JsonFormat::default().with_options(options.json)),
    }
}

/// A `file://` URL in which no character of the path is taken for a glob or an escape.
fn file_url(path: &Path, is_dir: bool) -> Result<String> {
    let path = fs::canonicalize(path).map_err(|error| cannot_read(path, error))?;
    let text = path.to_str().ok_or_else(|| exec_datafusion_err!("the path {} is not UTF-8", path.display()))?;
    let mut url = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    if is_dir && !url.ends_with('/') {
        url.push('/');
    }
    Ok(url)
}

/// The schema of what is at `url`. The reader of a damaged file may panic; in a task of its own that is an error.
async fn schema_of(ctx: &SessionContext, options: &ListingOptions, url: &str) -> Result<SchemaRef> {
    let (state, options, url) = (ctx.state(), options.clone(), ListingTableUrl::parse(url)?);
    let inferred = SpawnedTask::spawn(async move { options.infer_schema(&state, &url).await }).join().await;
    inferred.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

/// Says which of `files` is at fault for `error`, the failure to find the schema of `path`.
async fn name_the_file(
    ctx: &SessionContext,
    options: &ListingOptions,
    path: &Path,
    files: &[PathBuf],
    error: DataFusionError,
) -> DataFusionError {
    for file in files {
        let Ok(url) = file_url(file, false) else { continue };
        if let Err(error) = schema_of(ctx, options, &url).await {
            let hint = match extension(file).map(str::to_ascii_lowercase).as_deref() {
                Some("parquet") => "not a Parquet file, or a damaged one",
                Some("json") if starts_with_bracket(file) => "a JSON array; write one object a line instead",
                Some("json") => "not JSON with one object a line",
                _ => "not a CSV file with a header line",
            };
            return error.context(format!("{} is {hint}", file.display()));
        }
    }
    error.context(format!("the files of {} do not make one table", path.display()))
}

fn starts_with_bracket(file: &Path) -> bool {
    let mut start = [0; 64];
    let read = fs::File::open(file).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    start.iter().take(read).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

fn cannot_read(path: &Path, error: io::Error) -> DataFusionError {
    if error.kind() == io::ErrorKind::NotFound {
        return exec_datafusion_err!("there is no file or folder {}", path.display());
    }
    DataFusionError::IoError(error).context(format!("cannot read {}", path.display()))
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
            "Execution error: DIR/x.txt is not a table: its name must end in .parquet, .csv or .json"
        );
        assert_eq!(error_of(&[("x.csv", "")], "x.csv").await, "Execution error: DIR/x.csv is empty: it has no columns");
        assert_eq!(
            error_of(&[("d/x.txt", "")], "d").await,
            "Execution error: DIR/d holds no .parquet, .csv or .json file"
        );
        assert_eq!(
            error_of(&[("d/x.csv", "a\n1\n"), ("d/y.json", "{}")], "d").await,
            "Execution error: DIR/d holds both .csv and .json files; put each format into a folder of its own"
        );
        let corrupt = error_of(&[("d/x.parquet", "this is not a Parquet file")], "d").await;
        assert!(corrupt.starts_with("DIR/d/x.parquet is not a Parquet file, or a damaged one"), "{corrupt}");
        let array = error_of(&[("x.json", "[{\"a\": 1}]")], "x.json").await;
        assert!(array.starts_with("DIR/x.json is a JSON array; write one object a line instead"), "{array}");
    }

    #[tokio::test]
    async fn a_folder_without_tables_or_with_two_of_a_name_is_refused() {
        let ctx = SessionContext::new();
        let empty = dir_of(&[]);
        let error = register_dir(&ctx, empty.path()).await.unwrap_err().to_string();
        assert!(error.contains("holds no tables"), "{error}");
        let twice = dir_of(&[("a.csv", "v\n1\n"), ("a.json", "{\"v\": 1}\n")]);
        let error = register_dir(&ctx, twice.path()).await.unwrap_err().to_string();
        assert!(error.contains("a.csv") && error.contains("a.json would both be table a"), "{error}");
    }
}
