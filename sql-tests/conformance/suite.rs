//! The published files in a folder of their own, laid out as in DataFusion's repository, because they name their data by
//! relative paths and write beside themselves.

use std::fs;
use std::path::{Path, PathBuf};

use parallax::cache_dir::cache_dir;
use tempfile::TempDir;

use crate::conformance::standin;

/// What `scripts/fetch-conformance` unpacks.
const CRATE: &str = "datafusion-sqllogictest-55.2.0";

/// The folder of a run; gone when it is dropped.
pub struct Suite {
    root: TempDir,
}

impl Suite {
    /// A copy of the published crate's files, with stand-ins for the data that it does not bring. Changes the process's
    /// working folder, as the files ask for it.
    pub fn unpack() -> Result<Self, String> {
        let published = cache_dir().map_err(|e| e.to_string())?.join(CRATE);
        if !published.join("test_files").is_dir() {
            return Err(format!("{} is not there; run scripts/fetch-conformance", published.display()));
        }
        let suite = Self { root: tempfile::tempdir().map_err(|e| e.to_string())? };
        for folder in ["test_files", "data"] {
            copy(&published.join(folder), &suite.folder().join(folder)).map_err(|e| format!("{folder}: {e}"))?;
        }
        standin::write(suite.root.path()).map_err(|e| e.to_string())?;
        std::env::set_current_dir(suite.folder()).map_err(|e| e.to_string())?;
        Ok(suite)
    }

    /// A suite of the files in one folder.
    pub fn of_folder(files: &Path) -> Result<Self, String> {
        let suite = Self { root: tempfile::tempdir().map_err(|e| e.to_string())? };
        copy(files, &suite.folder().join("test_files")).map_err(|e| format!("{}: {e}", files.display()))?;
        Ok(suite)
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("datafusion/sqllogictest")
    }

    /// The file's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join("test_files").join(name)
    }

    /// What the expectations call `WORKSPACE_ROOT`.
    pub fn workspace_root(&self) -> String {
        self.root.path().to_string_lossy().trim_start_matches('/').to_string()
    }

    /// Empties the folder that the file may write to.
    pub fn clear_scratch(&self, name: &str) -> Result<(), String> {
        let stem = Path::new(name).file_stem().unwrap_or_default();
        let folder = self.folder().join("test_files/scratch").join(stem);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))
    }

    /// Every .slt file but those of `spark/`, which need the functions of another crate, longest first.
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
