//! The published files in their own directory, laid out as in DataFusion's repository, because they use relative paths
//! for data and write files next to themselves.

use std::fs;
use std::path::{Path, PathBuf};

use parallax::cache_dir::cache_dir;
use tempfile::TempDir;

use crate::conformance::standin;

/// The directory that `scripts/fetch-conformance` unpacks.
const CRATE: &str = "datafusion-sqllogictest-55.2.0";

/// The directory of a run, removed on drop.
pub struct Suite {
    root: PathBuf,
    /// Removes the directory on drop. `None` in a process that uses another process's directory.
    _folder: Option<TempDir>,
}

impl Suite {
    /// Copies the published files, and adds synthetic data for what the crate does not contain.
    pub fn unpack() -> Result<Self, String> {
        let published = cache_dir().map_err(|e| e.to_string())?.join(CRATE);
        if !published.join("test_files").is_dir() {
            return Err(format!("{} does not exist; run scripts/fetch-conformance", published.display()));
        }
        let suite = Self::new()?;
        for folder in ["test_files", "data"] {
            copy(&published.join(folder), &suite.folder().join(folder)).map_err(|e| format!("{folder}: {e}"))?;
        }
        standin::write(&suite.root).map_err(|e| e.to_string())?;
        Ok(suite)
    }

    fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        Ok(Self { root: folder.path().to_path_buf(), _folder: Some(folder) })
    }

    /// Opens a suite that another process has unpacked. Changes the working directory, as the files require.
    pub fn lent(root: &Path) -> Result<Self, String> {
        let suite = Self { root: root.to_path_buf(), _folder: None };
        std::env::set_current_dir(suite.folder()).map_err(|e| e.to_string())?;
        Ok(suite)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Creates a suite of the files in one folder.
    pub fn of_folder(files: &Path) -> Result<Self, String> {
        let suite = Self::new()?;
        copy(files, &suite.folder().join("test_files")).map_err(|e| format!("{}: {e}", files.display()))?;
        Ok(suite)
    }

    fn folder(&self) -> PathBuf {
        self.root.join("datafusion/sqllogictest")
    }

    /// Returns the file's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join("test_files").join(name)
    }

    /// Returns what the expectations call `WORKSPACE_ROOT`.
    pub fn workspace_root(&self) -> String {
        self.root.to_string_lossy().trim_start_matches('/').to_string()
    }

    /// Empties the folder that the file may write to.
    pub fn clear_scratch(&self, name: &str) -> Result<(), String> {
        let stem = Path::new(name).file_stem().unwrap_or_default();
        let folder = self.folder().join("test_files/scratch").join(stem);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))
    }

    /// Returns every .slt file, longest first, except those in `spark/`, which need the functions of another crate.
    pub fn files(&self) -> Vec<String> {
        let root = self.folder().join("test_files");
        let mut found: Vec<(u64, String)> = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "slt") {
                    let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
                    found.push((entry.metadata().map_or(0, |m| m.len()), name));
                }
            }
        }
        found.retain(|(_, name)| !name.starts_with("spark/"));
        found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        found.into_iter().map(|(_, name)| name).collect()
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target)? } else { fs::copy(entry.path(), target).map(drop)? }
    }
    Ok(())
}
