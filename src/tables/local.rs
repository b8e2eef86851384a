//! Tables of this machine's files: a file, a folder of files of one format, or a pattern; and what is wrong with them.

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

/// The table of a file, or of a folder of files of one format.
///
/// # Errors
/// When the path does not exist, is of no known format, holds no data or mixed formats, or cannot be read; the message names
/// the path, and in a folder the file.
pub async fn open(state: &SessionState, path: &Path) -> Result<ListingTable> {
    let is_folder = fs::metadata(path).map_err(|error| cannot_read(path, error))?.is_dir();
    let files = if is_folder { data_files(path)? } else { vec![path.to_path_buf()] };
    if !is_folder && extension_of(path).is_none() {
        return Err(exec_datafusion_err!("{} is not a table: its name must end in {FORMATS}", path.display()));
    }
    let urls = vec![file_url(path, is_folder)?];
    open_files(state, &path.display().to_string(), &files, urls, is_folder).await
}

/// The table of the files that a pattern means.
///
/// # Errors
/// When it means none, and those of [`open`].
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

/// Says which of `files` is at fault for `error`, the failure to open them.
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
    if all_are_well { error.context(format!("the files of {} do not make one table", found.name)) } else { error }
}

/// The files that a table of a folder reads: those in it and in its `key=value` folders.
///
/// # Errors
/// When a folder cannot be read.
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

/// What is in a folder, in order.
///
/// # Errors
/// When it cannot be read.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
        .map_err(|error| cannot_read(dir, error))?;
    paths.sort();
    Ok(paths)
}

/// A `file://` URL in which no character of the path is taken for a glob or an escape.
fn file_url(path: &Path, is_folder: bool) -> Result<ListingTableUrl> {
    let path = fs::canonicalize(path).map_err(|error| cannot_read(path, error))?;
    let text = path.to_str().ok_or_else(|| exec_datafusion_err!("the path {} is not UTF-8", path.display()))?;
    let mut url = format!("file://{}", escaped(text));
    if is_folder && !url.ends_with('/') {
        url.push('/');
    }
    ListingTableUrl::parse(url)
}

/// A path as it stands in a URL.
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

/// The error of a path that cannot be read.
pub fn cannot_read(path: &Path, error: io::Error) -> DataFusionError {
    if error.kind() == io::ErrorKind::NotFound {
        return no_such_file(&path.display().to_string());
    }
    DataFusionError::IoError(error).context(format!("cannot read {}", path.display()))
}

/// The error of a path that is not there.
pub fn no_such_file(path: &str) -> DataFusionError {
    exec_datafusion_err!("there is no file or folder {path}")
}
