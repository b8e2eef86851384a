//! The directory for data that Parallax can recreate: generated TPC-H tables and the shell's history.

use std::ffi::OsString;
use std::path::PathBuf;

use datafusion::error::{DataFusionError, Result};

/// Returns `$PARALLAX_CACHE`, else `$XDG_CACHE_HOME/parallax`, else `$HOME/.cache/parallax`. The directory need not
/// exist.
///
/// # Errors
///
/// Fails if none of the three variables is set.
pub fn cache_dir() -> Result<PathBuf> {
    choose(|name| std::env::var_os(name))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("PARALLAX_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("parallax")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache").join("parallax")))
        .ok_or_else(|| {
            DataFusionError::Configuration(
                "there is no cache directory, because HOME is not set; set PARALLAX_CACHE to a directory".to_string(),
            )
        })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use crate::cache_dir::choose;

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let with = |set: &'static [(&str, &str)]| {
            choose(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(with(&[("PARALLAX_CACHE", "/a"), ("XDG_CACHE_HOME", "/b")]).unwrap(), Path::new("/a"));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")]).unwrap(), Path::new("/b/parallax"));
        assert_eq!(with(&[("PARALLAX_CACHE", ""), ("HOME", "/c")]).unwrap(), Path::new("/c/.cache/parallax"));
        assert!(with(&[]).unwrap_err().to_string().contains("PARALLAX_CACHE"));
    }
}
