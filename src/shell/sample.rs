//! The data that is there without `--data`: TPC-H in the cache directory, written the first time with a progress bar.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use datafusion::error::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cache_dir::cache_dir;
use crate::tpch::{self, Table};

/// The folder of the TPC-H tables at `scale`, which is written if it is not there.
///
/// # Errors
/// When there is no cache directory or it cannot be written; the message names PARALLAX_CACHE.
pub fn sample(scale: f64) -> Result<PathBuf> {
    let dir = cache_dir()?.join("tpch").join(format!("sf{scale}"));
    if tpch::is_complete(&dir) {
        return Ok(dir);
    }
    let rows: u64 = Table::ALL.iter().map(|table| table.rows(scale)).sum();
    let title = format!("Writing TPC-H at scale factor {scale} to {}", dir.display());
    let written = if stderr().is_terminal() {
        let bar = ProgressBar::new(rows).with_message(title);
        if let Ok(style) = ProgressStyle::with_template("{msg}\n[{bar:40}] {percent:>3}% {elapsed:>4}") {
            bar.set_style(style.progress_chars("=> "));
        }
        // The text that comments are cut from is made first, which takes a while and gives no rows.
        bar.enable_steady_tick(Duration::from_millis(100));
        let written = tpch::ensure(&dir, scale, &|rows| bar.inc(rows));
        bar.finish_and_clear();
        written
    } else {
        // Once there is something to write: an unwritable folder is one line, the error.
        let said = Once::new();
        tpch::ensure(&dir, scale, &|_| said.call_once(|| eprintln!("{title}")))
    };
    written.map_err(|error| {
        error.context(
            "the TPC-H data has no place (set PARALLAX_CACHE to a directory that can be written, or give --data DIR)",
        )
    })?;
    Ok(dir)
}
