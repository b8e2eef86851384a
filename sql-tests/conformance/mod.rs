//! Runs DataFusion's published suite four times. A record that passes with DataFusion's operators must pass with device
//! nodes, and what the rules of the frontend change must be meant.
//!
//! ```text
//! make conformance                                              all files, and writes docs/conformance.md
//! cargo test --release --test slt -- --conformance joins order  files whose names contain one of the words
//! ```
//!
//! | run | session |
//! |---|---|
//! | `plain` | `xla.placement = never`, `xla.frontend_rules = none`: DataFusion as it is |
//! | `never` | `xla.placement = never`, with the rules of the frontend |
//! | `auto` | one device, the defaults |
//! | `device` | two devices, chunks of 1024 rows (the minimum) |
//!
//! `auto` is configured with the costs of a slow host, so that it places every operator that converts, however small its
//! input. `device` places the same operators and adds shards and many chunks. Rows and errors of a run are also compared
//! with those of its baseline (`plain` for `never`, `never` for the others), so that records whose expected rows need
//! unpublished data still count.
//!
//! Modules in reading order: `suite` (the files, unpacked), `standin` (synthetic data in place of unpublished data),
//! `tables` (tables that DataFusion's own runner registers), `engine`, `cells` (values as text), `file` (one file, all
//! runs), `verdict` (comparison of two runs), `wire` (transfer between processes), `report`.

mod cells;
mod engine;
mod file;
mod report;
mod standin;
mod suite;
mod tables;
mod verdict;
mod wire;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

pub use crate::conformance::engine::class as reason_class;
use crate::conformance::file::FileOutcome;
use crate::conformance::suite::Suite;

/// Number of files that run at the same time.
const PARALLEL: usize = 2;

/// Runs the files whose names contain one of `filters`. A run of all files writes the report.
pub fn run(filters: &[String]) -> ExitCode {
    let started = Instant::now();
    let suite = match Suite::unpack() {
        Ok(suite) => suite,
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

/// Runs each file in its own process, so that a crash ends only one file. `details` is updated after every file with
/// failures.
fn run_files(suite: &Suite, files: &[String], details: &Path) -> Result<Vec<FileOutcome>, String> {
    let log = std::fs::File::create(details).map_err(|e| format!("{}: {e}", details.display()))?;
    let (log, outcomes, next) = (Mutex::new(log), Mutex::new(Vec::new()), AtomicUsize::new(0));
    let work = || -> Result<(), String> {
        while let Some(name) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            // Try a second time, to distinguish a crash caused by the file from an accidental one.
            let outcome = run_process(suite, name).or_else(|_| run_process(suite, name));
            let outcome = outcome.unwrap_or_else(|crash| FileOutcome::crashed(name, crash));
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let failures = report::failures(std::slice::from_ref(&outcome));
            log.write_all(failures.as_bytes()).map_err(|e| format!("{}: {e}", details.display()))?;
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.push(outcome);
            eprintln!("{:3}/{} {:6.1} s  {name}", outcomes.len(), files.len(), started.elapsed().as_secs_f64());
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err("a worker panicked".to_string())))
    })?;
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(outcomes)
}

fn run_process(suite: &Suite, name: &str) -> Result<FileOutcome, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut process = Command::new(program);
    process.arg("--conformance-file").arg(name).arg(suite.root()).stderr(Stdio::null());
    let output = process.output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    wire::decode(name, &String::from_utf8_lossy(&output.stdout)).ok_or("an outcome that cannot be read".to_string())
}

/// Runs one file of a suite that is unpacked at `root`, and prints its outcome.
pub fn run_file(name: &str, root: &Path) -> Result<(), String> {
    let suite = Suite::lent(root)?;
    // DataFusion recurses over deep expressions, and debug frames are large.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(32 << 20)
        .build()
        .map_err(|e| e.to_string())?;
    let name = name.to_string();
    let outcome = runtime.block_on(async { tokio::spawn(async move { file::run(&suite, &name).await }).await });
    let outcome = outcome.map_err(|e| e.to_string())??;
    print!("{}", wire::encode(&outcome));
    std::io::stdout().flush().map_err(|e| e.to_string())
}

/// Runs two small files of our own for `cargo test`, to check that the runner works and finds what it should.
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
