//! Path patterns such as `data/2024-*/part-?.parquet`. `**` matches folders at any depth.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::common::plan_datafusion_err;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::Result;

/// Returns whether a path contains wildcards.
pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// A pattern, split at slashes.
pub struct Pattern {
    segments: Vec<Segment>,
}

enum Segment {
    /// A name without wildcards.
    Name(String),
    /// A wildcard, matched by DataFusion's globs, which are only accessible through a URL.
    Wildcard { url: Box<ListingTableUrl>, takes_hidden: bool },
    /// `**`, any number of folders.
    AnyFolders,
}

impl Segment {
    fn parse(text: &str) -> Result<Self> {
        if text == "**" {
            return Ok(Self::AnyFolders);
        }
        if !is_pattern(text) {
            return Ok(Self::Name(text.to_string()));
        }
        let url = ListingTableUrl::parse("file:///")?.with_glob(text);
        let url =
            url.map_err(|error| plan_datafusion_err!("{text} is not a valid pattern: {}", error.strip_backtrace()))?;
        Ok(Self::Wildcard { url: Box::new(url), takes_hidden: text.starts_with('.') })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Wildcard { url, takes_hidden } => {
                (*takes_hidden || !name.starts_with('.'))
                    && url.get_glob().as_ref().is_some_and(|glob| glob.matches(name))
            }
            Self::AnyFolders => !name.starts_with('.'),
        }
    }
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// If the pattern is invalid, for example because a `[` is not closed.
    pub fn parse(text: &str) -> Result<Self> {
        let segments = text.split('/').filter(|segment| !segment.is_empty()).map(Segment::parse);
        Ok(Self { segments: segments.collect::<Result<_>>()? })
    }

    /// Returns whether the pattern matches a path in a bucket, split at slashes.
    #[cfg(any(feature = "remote", test))]
    pub fn matches(&self, path: &[&str]) -> bool {
        matches(&self.segments, path)
    }
}

#[cfg(any(feature = "remote", test))]
fn matches(pattern: &[Segment], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([Segment::AnyFolders, rest @ ..], _) if matches(rest, path) => true,
        ([first, rest @ ..], [name, deeper @ ..]) => {
            first.matches(name) && matches(if matches!(first, Segment::AnyFolders) { pattern } else { rest }, deeper)
        }
        _ => false,
    }
}

/// Returns the files that a pattern matches, sorted. Skips folders that cannot be read.
///
/// # Errors
/// If the pattern is invalid.
pub fn expand(pattern: &str) -> Result<Vec<PathBuf>> {
    let root = if pattern.starts_with('/') { Path::new("/") } else { Path::new("") };
    let mut files = Vec::new();
    walk(root, &Pattern::parse(pattern)?.segments, &mut files);
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(path: &Path, pattern: &[Segment], files: &mut Vec<PathBuf>) {
    let Some((first, rest)) = pattern.split_first() else {
        if path.is_file() {
            files.push(path.to_path_buf());
        }
        return;
    };
    if let Segment::Name(name) = first {
        return walk(&path.join(name), rest, files);
    }
    let any_folders = matches!(first, Segment::AnyFolders);
    if any_folders {
        walk(path, rest, files);
    }
    let folder = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| first.matches(name)) {
            continue;
        }
        let below = path.join(&name);
        if !any_folders {
            walk(&below, rest, files);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // Symbolic links to folders are not followed, because they may form a cycle.
            walk(&below, pattern, files);
        } else if rest.is_empty() {
            walk(&below, rest, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::tables::glob::{Pattern, expand};

    #[test]
    fn patterns_match_segment_by_segment() {
        for (pattern, path, expected) in [
            ("a/*.csv", "a/x.csv", true),
            ("a/*.csv", "a/b/x.csv", false),
            ("a/*.csv", "a/.x.csv", false),
            ("*/*.csv", "a/x.csv", true),
            ("a/**/x.csv", "a/x.csv", true),
            ("a/**/x.csv", "a/b/c/x.csv", true),
            ("a/**", "a/b/c", true),
            ("part-[0-3]?.csv", "part-2x.csv", true),
            ("part-[!0-3].csv", "part-2.csv", false),
        ] {
            let path: Vec<&str> = path.split('/').collect();
            assert_eq!(Pattern::parse(pattern).unwrap().matches(&path), expected, "{pattern} {path:?}");
        }
        assert!(Pattern::parse("a/[b").is_err());
    }

    #[test]
    fn files_are_found_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/2.csv", "b/1.csv", "b/c/3.csv", "b/.hidden.csv", "x.csv"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let root = dir.path().display();
            let files = expand(&format!("{root}/{pattern}")).unwrap();
            files.iter().map(|file| file.strip_prefix(dir.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(found("b/*.csv"), ["b/1.csv", "b/2.csv"]);
        assert_eq!(found("**/*.csv"), ["b/1.csv", "b/2.csv", "b/c/3.csv", "x.csv"]);
        assert_eq!(found("*/c/?.csv"), ["b/c/3.csv"]);
        assert_eq!(found("b/**"), ["b/1.csv", "b/2.csv", "b/c/3.csv"]);
        assert_eq!(found("nope/*.csv"), [""; 0]);
    }
}
