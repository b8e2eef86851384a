//! Runs SQLite's own sqllogictest corpus, a folder of `.test` files that is not part of this project, on `never` and on
//! `always`.
//!
//! ```text
//! make sqlite DIR=../sqllogictest/test                              all queries: millions, so for days
//! make sqlite DIR=../sqllogictest/test PARALLAX_SQLITE_SAMPLE=1500  so many queries, evenly spread over the files
//! ```
//!
//! A query is right if its values are those of the file. Otherwise it is wrong, and printed, or refused: on the device
//! alone, or by the front end on every placement. Refusals are counted by reason. Statements that are refused make the
//! rest of their file meaningless, and its queries are counted as refused, too.
//!
//! Each file has its own process, which is started again behind a query that ends it.

mod corpus;
mod report;
mod run;
mod values;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::sqlite::report::Report;
use crate::sqlite::run::{Outcome, Outcomes, PLACEMENTS};

/// How many queries of the corpus run; all if it is not set.
const SAMPLE: &str = "PARALLAX_SQLITE_SAMPLE";

/// Number of files that run at the same time.
const PARALLEL: usize = 2;

/// Which queries of a file run: those at which the sample of the whole corpus grows.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The number of queries in the files before this one.
    before: usize,
    total: usize,
    wanted: usize,
}

impl Sample {
    const ALL: Self = Self { before: 0, total: 1, wanted: 1 };

    /// Returns whether the query of this number in the file runs.
    fn has(self, query: usize) -> bool {
        let so_far = |query: usize| (self.before + query) * self.wanted / self.total;
        so_far(query + 1) > so_far(query)
    }
}

/// A file and the number of its queries.
struct File {
    path: PathBuf,
    name: String,
    sample: Sample,
}

/// Runs the corpus in the folder that the first argument names.
pub fn run(arguments: &[String]) -> ExitCode {
    let Some(folder) = arguments.first() else {
        eprintln!("error: name the folder of the .test files: make sqlite DIR=..");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let files = match files(Path::new(folder)) {
        Ok(files) => files,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let (report, next) = (Mutex::new(Report::default()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let outcomes = run_processes(file);
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    for outcome in &outcomes {
                        report.add(&file.name, outcome);
                    }
                    eprintln!(
                        "{:6} queries in {:6.1} s  {}",
                        outcomes.len(),
                        started.elapsed().as_secs_f64(),
                        file.name
                    );
                }
            });
        }
    });
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{}", report.text());
    println!("{} files in {} s", files.len(), started.elapsed().as_secs());
    if report.wrong() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Returns the files of a folder in which a query of the sample is, sorted by name.
fn files(folder: &Path) -> Result<Vec<File>, String> {
    let wanted = match std::env::var(SAMPLE) {
        Ok(text) => Some(text.parse::<usize>().map_err(|_| format!("{SAMPLE}: '{text}' is not a number"))?),
        Err(_) => None,
    };
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "test") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut counts = Vec::new();
    for path in &paths {
        let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        counts.push(corpus::count(&String::from_utf8_lossy(&text)));
    }
    let total: usize = counts.iter().sum();
    if total == 0 {
        return Err(format!("{} has no .test file with a query", folder.display()));
    }
    let mut before = 0;
    let mut files = Vec::new();
    for (path, n) in paths.into_iter().zip(counts) {
        let sample = Sample { before, total, wanted: wanted.unwrap_or(total) };
        before += n;
        if (0..n).any(|query| sample.has(query)) {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(File { path, name, sample });
        }
    }
    Ok(files)
}

/// Runs a file, and goes on behind each query that ends the process.
fn run_processes(file: &File) -> Vec<Outcomes> {
    let mut outcomes = Vec::new();
    let mut after = 0;
    loop {
        match run_process(file, after, &mut outcomes) {
            Ok(()) => return outcomes,
            Err((line, how)) => {
                let wrong = PLACEMENTS.map(|_| Outcome::Wrong(how.clone()));
                outcomes.push(Outcomes { line, sql: String::new(), outcomes: wrong });
                if line <= after {
                    return outcomes;
                }
                after = line;
            }
        }
    }
}

/// On failure, returns the line of the query that was running, and how the process ended.
fn run_process(file: &File, after: usize, outcomes: &mut Vec<Outcomes>) -> Result<(), (usize, String)> {
    let Sample { before, total, wanted } = file.sample;
    let fail = |e: std::io::Error| (after, e.to_string());
    let mut process = Command::new(std::env::current_exe().map_err(fail)?);
    process.arg("--sqlite-file").arg(&file.path).args([before, total, wanted, after].map(|n| n.to_string()));
    let mut process = process.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(fail)?;
    let mut running = after;
    for line in process.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let message: Value = serde_json::from_str(&line.map_err(fail)?).unwrap_or_default();
        if let Some(line) = message["begin"].as_u64() {
            running = line as usize;
        } else if let Some(read) = decode(&message) {
            outcomes.push(read);
        }
    }
    let status = process.wait().map_err(fail)?;
    if status.success() { Ok(()) } else { Err((running, format!("the process ended: {status}"))) }
}

/// Runs one file in this process, and prints a line before and after each query. The arguments are those of
/// `run_process`.
pub fn run_file(arguments: &[String]) -> Result<(), String> {
    let [path, numbers @ ..] = arguments else { return Err("no file".to_string()) };
    let numbers: Vec<usize> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
    let [before, total, wanted, after] = numbers[..] else { return Err(format!("not four numbers: {numbers:?}")) };
    let sample = Sample { before, total, wanted };
    // DataFusion recurses over deep expressions, and debug frames are large.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(32 << 20)
        .build()
        .map_err(|e| e.to_string())?;
    let path = PathBuf::from(path);
    let print = |message: Value| {
        println!("{message}");
        let _ = std::io::stdout().flush();
    };
    let begin = move |line| print(json!({ "begin": line }));
    let done = move |outcomes| print(encode(&outcomes));
    let run = async move { tokio::spawn(async move { run::run(&path, sample, after, begin, done).await }).await };
    runtime.block_on(run).map_err(|e| e.to_string())?
}

fn encode(outcomes: &Outcomes) -> Value {
    let outcome = |outcome: &Outcome| match outcome {
        Outcome::Right => json!(["right", ""]),
        Outcome::Wrong(how) => json!(["wrong", how]),
        Outcome::RefusedOnDevice(why) => json!(["device", why]),
        Outcome::RefusedByFrontEnd(why) => json!(["front end", why]),
    };
    json!({ "line": outcomes.line, "sql": outcomes.sql, "outcomes": outcomes.outcomes.each_ref().map(outcome) })
}

fn decode(message: &Value) -> Option<Outcomes> {
    let outcome = |at: usize| {
        let text = message["outcomes"][at][1].as_str()?.to_string();
        Some(match message["outcomes"][at][0].as_str()? {
            "right" => Outcome::Right,
            "wrong" => Outcome::Wrong(text),
            "device" => Outcome::RefusedOnDevice(text),
            _ => Outcome::RefusedByFrontEnd(text),
        })
    };
    let line = message["line"].as_u64()? as usize;
    let sql = message["sql"].as_str()?.to_string();
    Some(Outcomes { line, sql, outcomes: [outcome(0)?, outcome(1)?] })
}

/// Runs a file of our own for `cargo test`, which has right, wrong and refused queries.
pub async fn smoke() -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql-tests/sqlite/smoke/records.test");
    let mut report = Report::default();
    let mut begun = 0;
    let done = |outcomes: Outcomes| match decode(&encode(&outcomes)) {
        Some(read) => report.add("records.test", &read),
        None => report.add("unreadable", &outcomes),
    };
    run::run(&path, Sample::ALL, 0, |_| begun += 1, done).await?;
    let found = report.totals();
    let expected = [[10, 2, 0, 3], [9, 2, 1, 3]];
    if begun == 15 && found == expected {
        Ok(())
    } else {
        Err(format!("{begun} queries: {found:?}\n{}", report.text()))
    }
}
