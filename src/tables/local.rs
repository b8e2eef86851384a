//! Tables of local files: a file, a folder of files of one format, or a pattern. Errors name the file at fault.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use datafusion::common::exec_datafusion_err;
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;

use crate::tables::format::{FORMATS, complaint, extension_of};
use crate::tables::glob;
use crate::tables::listing::{Found, common_extension, schema_of};

/// Opens a file, or a folder of files of one format, as a table.
///
/// # Errors
/// If the path does not exist, has an unknown format, contains no data or several formats, or cannot be read. The message
/// names the path, or the file in the folder.
pub async fn open(state: &SessionState, path: &Path) -> Result<ListingTable> {
    let is_folder = fs::metadata(path).map_err(|error| cannot_read(path, error))?.is_dir();
    let files = if is_folder { data_files(path)? } else { vec![path.to_path_buf()] };
    if !is_folder && extension_of(path).is_none() {
        return Err(exec_datafusion_err!("{} is not a table: its name must end in {FORMATS}", path.display()));
    }
    let urls = vec![file_url(path, is_folder)?];
    open_files(state, &path.display().to_string(), &files, urls, is_folder).await
}

/// Opens the files that a pattern matches as a table.
///
/// # Errors
/// If it matches none, and those of [`open`].
pub async fn open_pattern(state: &SessionState, pattern: &str) -> Result<ListingTable> {
    let mut files = glob::expand(pattern)?;
    files.retain(|file| extension_of(file).is_some());
    if files.is_empty() {
        return Err(exec_datafusion_err!("no {FORMATS} file matches {pattern}"));
    }
    let urls = files.iter().map(|file| file_url(file, false)).collect::<Result<_>>()?;
    open_files(state, pattern, &files, urls, false).await
}

async fn open_files(
    state: &SessionState,
    name: &str,
    files: &[PathBuf],
    urls: Vec<ListingTableUrl>,
    is_folder: bool,
) -> Result<ListingTable> {
    let extension = common_extension(name, files.iter().filter_map(|file| extension_of(file)))?;
    let found = Found { name, urls, extension, is_folder };
    match found.open(state).await {
        Ok(table) => Ok(table),
        Err(error) => Err(name_the_file(state, &found, files, error).await),
    }
}

/// Adds the name of the file that caused `error`, the failure to open `files`.
async fn name_the_file(
    state: &SessionState,
    found: &Found<'_>,
    files: &[PathBuf],
    error: DataFusionError,
) -> DataFusionError {
    let Ok(options) = found.options(state).await else { return error };
    let mut all_are_well = true;
    for file in files {
        let Ok(url) = file_url(file, false) else { continue };
        match schema_of(state, &options, &[url]).await {
            Err(error) => return error.context(format!("{} is {}", file.display(), complaint(file))),
            Ok(schema) => all_are_well &= !schema.fields().is_empty(),
        }
    }
    if all_are_well {
        error.context(format!("the files of {} cannot be combined into one table", found.name))
    } else {
        error
    }
}

/// Returns the table files in a folder and in its `key=value` subfolders.
///
/// # Errors
/// If a folder cannot be read.
pub fn data_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains('=')) {
                files.extend(data_files(&path)?);
            }
        } else if extension_of(&path).is_some() {
            files.push(path);
        }
    }
    Ok(files)
}

/// Returns the entries of a folder, sorted.
///
/// # Errors
/// If it cannot be read.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
        .map_err(|error| cannot_read(dir, error))?;
    paths.sort();
    Ok(paths)
}

/// Returns a `file://` URL in which no character of the path is interpreted as a glob or an escape.
fn file_url(path: &Path, is_folder: bool) -> Result<ListingTableUrl> {
    let path = fs::canonicalize(path).map_err(|error| cannot_read(path, error))?;
    let text = path.to_str().ok_or_else(|| exec_datafusion_err!("the path {} is not UTF-8", path.display()))?;
    let mut url = format!("file://{}", escaped(text));
    if is_folder && !url.ends_with('/') {
        url.push('/');
    }
    ListingTableUrl::parse(url)
}

/// Percent-encodes a path for a URL.
pub fn escaped(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Returns the error for a path that cannot be read.
pub fn cannot_read(path: &Path, error: io::Error) -> DataFusionError {
    if error.kind() == io::ErrorKind::NotFound {
        return no_such_file(&path.display().to_string());
    }
    DataFusionError::IoError(error).context(format!("cannot read {}", path.display()))
}

/// Returns the error for a path that does not exist.
pub fn no_such_file(path: &str) -> DataFusionError {
    exec_datafusion_err!("there is no file or folder {path}")
}
