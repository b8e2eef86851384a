//! The SQL conformance runner: every `sql-tests/**/*.slt` on every engine, one test for each pair.
//!
//! ```text
//! cargo test --test slt                      all files on host, xla1 and xla2, some on xla3 and xla4
//! cargo test --test slt -- aggregate         the tests whose name contains `aggregate`
//! cargo test --test slt -- --engine xla1     one engine
//! cargo test --test slt -- --complete null   rewrites the expectations of the matching files from `host`
//! make conformance                           runs DataFusion's own files instead, see [`conformance`]
//! make sqlite DIR=..                         runs SQLite's own files instead, see [`sqlite`]
//! make placement                             times the placements instead, see [`placement`]
//! make docs                                  writes docs/sql-support.md, see [`support`], and docs/semantics.md, see
//!                                            [`semantics`]
//! ```
//!
//! | engine | session | what it proves |
//! |---|---|---|
//! | `host` | `xla.placement = never` | the expectations are DataFusion's own |
//! | `xla1` | one device, `xla.placement = always` | the device returns the same rows and the same errors |
//! | `xla2` | two devices, `xla.placement = always` | sharding does not change the result |
//! | `xla3` | three devices, `xla.placement = always`, each query twice | what SQL means, with columns that are loaded and that lie there |
//! | `xla4` | four devices, `xla.placement = always` | joins, groups and TPC-H: more shards than chunks of rows |
//!
//! On an xla engine, a query counts only if its physical plan has a device node. A record that cannot run there needs a
//! typed marker with the reason (see [`marker`]), and a stale marker fails, too. [`fixtures`] has the tables that every
//! file may read.
//!
//! Modules in reading order: `engine` (one session as a sqllogictest database), `plan` (device nodes of a plan),
//! `marker`, `values` (cells as text), `file` (one file on one engine), `complete`, `fixtures`, `support`, `conformance`,
//! `sqlite`, `semantics`, `placement`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the runner reports on the terminal"
)]

mod complete;
mod conformance;
mod engine;
mod file;
mod fixtures;
mod marker;
mod placement;
mod plan;
mod semantics;
mod sqlite;
mod support;
mod values;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use parallax::session::Session;
use tokio::runtime::Runtime;

use crate::engine::EngineName;

fn main() -> ExitCode {
    let (options, rest) = match Options::parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    if options.conformance {
        return conformance::run(&rest);
    }
    if let Some((name, root)) = &options.conformance_file {
        return match make_client().map(|()| conformance::run_file(name, Path::new(root))) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(message)) => {
                eprintln!("error: {name}: {message}");
                ExitCode::from(101)
            }
            Err(code) => code,
        };
    }
    if options.semantics_of_duckdb {
        return exit_code(semantics::check_duckdb());
    }
    if options.sqlite {
        return sqlite::run(&rest);
    }
    if options.sqlite_file {
        return exit_code(sqlite::run_file(&rest));
    }
    if options.placement {
        return exit_code(placement::run(&rest));
    }
    let arguments = Arguments::from_iter(std::iter::once("slt".to_string()).chain(rest));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql-tests");
    let files = slt_files(&root);

    if let Some((mode, workload)) = &options.placement_run {
        let runtime = Runtime::new().expect("a tokio runtime");
        return exit_code(runtime.block_on(placement::run_mode(&root, &files, mode, workload)));
    }
    if !arguments.list
        && options.engines.iter().any(|e| e.devices() > 0)
        && let Err(code) = make_client()
    {
        return code;
    }
    let runtime = Arc::new(Runtime::new().expect("a tokio runtime"));
    if options.docs {
        let both = async { support::write().await.and(semantics::write().await) };
        return exit_code(runtime.block_on(both));
    }
    if options.complete {
        return complete_files(&runtime, &root, &files, &options.engines, &arguments);
    }

    let mut trials = Vec::new();
    for engine in &options.engines {
        for name in files.iter().filter(|name| engine.takes(name)) {
            let test = format!("{}::{name}", engine.name());
            let (engine, runtime, root, name) = (*engine, runtime.clone(), root.clone(), name.clone());
            trials.push(Trial::test(test, move || {
                runtime.block_on(file::run(&root, &name, engine)).map_err(Failed::from)
            }));
        }
    }
    if options.engines == EngineName::ALL {
        let smoke = runtime.clone();
        trials.push(Trial::test("conformance::smoke", move || {
            smoke.block_on(conformance::smoke()).map_err(Failed::from)
        }));
        let sqlite = runtime.clone();
        trials.push(Trial::test("sqlite::smoke", move || sqlite.block_on(sqlite::smoke()).map_err(Failed::from)));
        let semantics = runtime.clone();
        trials
            .push(Trial::test("docs::semantics", move || semantics.block_on(semantics::check()).map_err(Failed::from)));
        trials.push(Trial::test("docs::sql_support", move || runtime.block_on(support::check()).map_err(Failed::from)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn exit_code(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(101)
        }
    }
}

/// Creates the client. The number of virtual devices is fixed when the process creates its first client, so this
/// requests the maximum first.
fn make_client() -> Result<(), ExitCode> {
    let most = EngineName::ALL.iter().map(|e| e.devices()).max().unwrap_or(1);
    Session::builder().devices(most).build().map(drop).map_err(|error| {
        eprintln!("error: no session on {most} devices: {error}");
        ExitCode::from(101)
    })
}

/// The runner's own options; all others are libtest's.
#[derive(Default)]
struct Options {
    engines: Vec<EngineName>,
    complete: bool,
    conformance: bool,
    /// A file and the folder of its suite, as passed by `--conformance` to its processes.
    conformance_file: Option<(String, String)>,
    docs: bool,
    /// Only compares the column of DuckDB in docs/semantics.md with DuckDB.
    semantics_of_duckdb: bool,
    sqlite: bool,
    /// A file and the sample, as passed by `--sqlite` to its processes.
    sqlite_file: bool,
    placement: bool,
    /// A mode and a workload, as passed by `--placement` to its processes.
    placement_run: Option<(String, String)>,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<(Self, Vec<String>), String> {
        let mut options = Self::default();
        let mut rest = Vec::new();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--complete" => options.complete = true,
                "--conformance-file" => {
                    options.conformance_file = arguments.next().zip(arguments.next());
                }
                "--placement" => options.placement = true,
                "--placement-run" => {
                    options.placement_run = arguments.next().zip(arguments.next());
                }
                "--docs" => options.docs = true,
                "--semantics-of-duckdb" => options.semantics_of_duckdb = true,
                "--sqlite" => options.sqlite = true,
                "--sqlite-file" => options.sqlite_file = true,
                "--conformance" => options.conformance = true,
                "--engine" => {
                    let name = arguments.next().ok_or("--engine requires a name")?;
                    options.engines.push(EngineName::parse(&name)?);
                }
                _ => rest.push(argument),
            }
        }
        if options.engines.is_empty() && !options.complete {
            options.engines = EngineName::ALL.to_vec();
        }
        Ok((options, rest))
    }
}

fn complete_files(
    runtime: &Runtime,
    root: &Path,
    files: &[String],
    engines: &[EngineName],
    arguments: &Arguments,
) -> ExitCode {
    let wanted = |name: &&String| match &arguments.filter {
        Some(filter) if arguments.exact => *name == filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    };
    for name in files.iter().filter(wanted) {
        match runtime.block_on(complete::complete(root, name, engines)) {
            Ok(changed) => println!("{} {name}", if changed { "completed" } else { "unchanged" }),
            Err(message) => {
                eprintln!("{name}: {message}");
                return ExitCode::from(101);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Returns every .slt file below `root`, as sorted relative paths.
fn slt_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                // These files are in DataFusion's own dialect and have another runner.
                if path.file_name().is_none_or(|name| name != "conformance") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "slt") {
                let name = path.strip_prefix(root).expect("a path below root");
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
