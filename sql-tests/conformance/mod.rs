//! DataFusion's published suite, run three times: a record that passes as plain DataFusion must pass with device nodes.
//!
//! ```text
//! make conformance                                              all files, and writes docs/conformance.md
//! cargo test --release --test slt -- --conformance joins order  the files whose names contain one of the words
//! ```
//!
//! | run | session |
//! |---|---|
//! | `never` | `xla.placement = never`: plain DataFusion |
//! | `auto` | one device, the defaults |
//! | `device` | two devices, chunks of 1024 rows (the smallest there are) |
//!
//! `auto` places every operator that converts, however small its input, so `device` places the same ones; what it adds
//! is shards and many chunks. A record's rows or error in the second and third run are compared with those of the first,
//! too, so that records whose expected rows need data that is not published still count.
//!
//! Modules in reading order: `suite` (the files, unpacked), `standin` (made-up data for what is not published), `tables`
//! (what DataFusion's own runner registers), `engine`, `cells` (values as text), `file` (one file, three runs), `verdict`
//! (what two runs say of a record), `report`.

mod cells;
mod engine;
mod file;
mod report;
mod standin;
mod suite;
mod tables;
mod verdict;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::StreamExt;

pub use crate::conformance::engine::class as reason_class;
use crate::conformance::file::FileOutcome;
use crate::conformance::suite::Suite;

/// Files that run at the same time.
const PARALLEL: usize = 2;

/// Runs the files whose names hold one of `filters`; a run of all of them writes the report.
pub fn run(filters: &[String]) -> ExitCode {
    let started = Instant::now();
    let suite = match Suite::unpack() {
        Ok(suite) => Arc::new(suite),
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let files: Vec<_> = suite
        .files()
        .into_iter()
        .filter(|f| filters.is_empty() || filters.iter().any(|w| f.contains(w.as_str())))
        .collect();
    let details = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance-failures.txt");
    let outcomes = match run_files(&suite, &files, &details) {
        Ok(outcomes) => outcomes,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(101);
        }
    };

    let seconds = started.elapsed().as_secs();
    let open = report::regressions(&outcomes);
    if filters.is_empty() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
        if let Err(error) = std::fs::write(&path, report::markdown(&outcomes)) {
            eprintln!("error: {}: {error}", path.display());
            return ExitCode::from(101);
        }
        println!("wrote {}", path.display());
    } else {
        println!("{}", report::table(&outcomes));
    }
    println!("{} files in {seconds} s; {open} records fail that pass with `never`: {}", files.len(), details.display());
    if open == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Runs the files; `details` grows with every file that has failures.
fn run_files(suite: &Arc<Suite>, files: &[String], details: &Path) -> Result<Vec<FileOutcome>, String> {
    let mut log = std::fs::File::create(details).map_err(|e| format!("{}: {e}", details.display()))?;
    // DataFusion recurses over deep expressions, and debug frames are large.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(32 << 20)
        .build()
        .map_err(|e| e.to_string())?;
    let done = Arc::new(AtomicUsize::new(0));
    let total = files.len();
    runtime.block_on(async {
        let runs = files.iter().cloned().map(|name| {
            let (suite, done) = (suite.clone(), done.clone());
            tokio::spawn(async move {
                let started = Instant::now();
                let outcome = file::run(&suite, &name).await;
                let n = done.fetch_add(1, Ordering::Relaxed) + 1;
                eprintln!("{n:3}/{total} {:6.1} s  {name}", started.elapsed().as_secs_f64());
                outcome
            })
        });
        let mut outcomes = Vec::new();
        let mut runs = futures::stream::iter(runs).buffer_unordered(PARALLEL);
        while let Some(outcome) = runs.next().await {
            let outcome = outcome.map_err(|e| e.to_string())??;
            let failures = report::failures(std::slice::from_ref(&outcome));
            log.write_all(failures.as_bytes()).map_err(|e| format!("{}: {e}", details.display()))?;
            outcomes.push(outcome);
        }
        outcomes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(outcomes)
    })
}

/// Two small files of our own, for `cargo test`: the runner works, and finds what it should.
pub async fn smoke() -> Result<(), String> {
    let suite = Suite::of_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql-tests/conformance/smoke"))?;
    let mut outcomes = Vec::new();
    for name in suite.files() {
        outcomes.push(file::run(&suite, &name).await?);
    }
    if report::regressions(&outcomes) != 0 {
        return Err(report::failures(&outcomes));
    }
    report::check_smoke(&outcomes)
}
