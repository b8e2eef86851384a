//! The Python process with DuckDB and Polars (benches/worker.py). Requests and responses are JSON, one per line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::ipc::reader::FileReader;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use serde_json::{Value, json};

/// The process, which is killed on drop.
pub struct Worker {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Worker {
    /// Creates the Python environment if necessary (scripts/bench-python) and starts the process in it.
    ///
    /// # Errors
    ///
    /// Fails if the environment cannot be created, after printing the reason to stderr.
    pub fn start(threads: usize) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = Command::new(root.join("scripts/bench-python")).stderr(Stdio::inherit()).output()?;
        if !made.status.success() {
            return Err(exec_datafusion_err!("scripts/bench-python failed"));
        }
        let python = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim());
        let mut process = Command::new(python)
            .arg("-B")
            .arg(root.join("benches/worker.py"))
            .env("POLARS_MAX_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(exec_datafusion_err!("the worker has no pipes"));
        };
        Ok(Self { process, requests, answers: BufReader::new(answers), folder: tempfile::tempdir()? })
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the versions of Python and the libraries, by name.
    pub fn versions(&mut self) -> Result<Value> {
        self.ask(&json!({"do": "versions"}))
    }

    /// Loads tables into an engine, and returns the seconds that it took.
    pub fn load(&mut self, engine: &str, threads: usize, files: &[(&str, PathBuf)]) -> Result<f64> {
        let tables: serde_json::Map<_, _> =
            files.iter().map(|(name, path)| (name.to_string(), json!(path.to_string_lossy()))).collect();
        let answer = self.ask(&json!({"do": "load", "engine": engine, "threads": threads, "tables": tables}))?;
        Ok(answer["seconds"].as_f64().unwrap_or_default())
    }

    /// Runs a query, and returns its seconds and, if `keep`, its rows.
    pub fn run(&mut self, engine: &str, sql: &str, keep: bool) -> Result<(f64, Vec<RecordBatch>)> {
        let path = self.folder.path().join("rows.arrow");
        let rows = keep.then(|| path.to_string_lossy());
        let answer = self.ask(&json!({"do": "run", "engine": engine, "sql": sql, "rows": rows}))?;
        let mut batches = Vec::new();
        if keep {
            for batch in FileReader::try_new(File::open(&path)?, None)? {
                batches.push(batch?);
            }
        }
        Ok((answer["seconds"].as_f64().unwrap_or_default(), batches))
    }

    /// Draws the chart of the results in the JSON file.
    pub fn chart(&mut self, results: &Path, svg: &Path) -> Result<()> {
        self.ask(&json!({"do": "chart", "results": results.to_string_lossy(), "svg": svg.to_string_lossy()}))?;
        Ok(())
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(exec_datafusion_err!("the worker ended ({})", self.process.wait()?));
        }
        let answer: Value = serde_json::from_str(&line).map_err(|e| exec_datafusion_err!("{e}: {line}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(exec_datafusion_err!("{error}")),
            None => Ok(answer),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The process may be in the middle of a query, and has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
