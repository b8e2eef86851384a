//! `make bench`: times TPC-H and small queries on Parallax, DataFusion, DuckDB and Polars, alternating between engines.
//!
//! ```text
//! cargo bench --bench tpch                          scale factor 1, all engines, growth; writes docs/benchmarks.md
//! cargo bench --bench tpch -- --only-rust           without Python
//! cargo bench --bench tpch -- --scale 0.1 --runs 3 --devices 2 --only Q1,Q6,sort
//! ```
//!
//! ```text
//! tables --> engines (Rust here, DuckDB and Polars in worker.py) --> measure: compare results, alternate runs
//!                                                                   |
//!          terminal, bench-results/tpch.json, docs/benchmarks.md <-- report <-- bandwidth, growth
//! ```
//!
//! Every engine has as many threads as the machine has cores. Times include planning, as a user experiences it.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark reports on the terminal"
)]

mod agree;
mod bandwidth;
mod cases;
mod cpu;
mod data;
mod engines;
mod figures;
mod growth;
mod json;
mod machine;
mod markdown;
mod measure;
mod options;
mod worker;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use datafusion::error::Result;
use parallax::tpch;
use serde_json::{Value, json};

use crate::cases::Case;
use crate::data::Data;
use crate::engines::Engines;
use crate::figures::Report;
use crate::growth::Growth;
use crate::options::Options;
use crate::worker::Worker;

/// The allocator of both Rust engines. It makes DataFusion about 9% faster than glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    parallax::runtime::use_one_heap();
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let start = Instant::now();
    tpch::check_scale(options.scale)?;
    let worker = if options.only_rust { None } else { start_worker() };
    let mut bandwidth = bandwidth::measure(machine::threads());
    eprintln!("generating tables at scale factor {} ...", options.scale);
    let data = Data::generate(options.scale, true)?;
    let mut engines = Engines::load(&options, &data, worker).await?;
    let versions = versions(&mut engines)?;

    let mut outcomes = Vec::new();
    let cases = Case::all().into_iter();
    for case in cases.filter(|case| options.only.is_empty() || options.only.contains(&case.name)) {
        let outcome = measure::measure(&mut engines, case, &data, options.runs).await?;
        let times = outcome.times.iter().map(|(engine, times)| match times {
            Ok(times) => format!("{} {:.1}", engine.label(), times.best()),
            Err(_) => format!("{} -", engine.label()),
        });
        eprintln!(
            "{:4.0} s  {}: {} ms",
            start.elapsed().as_secs_f64(),
            outcome.case.name,
            times.collect::<Vec<_>>().join(", ")
        );
        outcomes.push(outcome);
    }

    let worker = engines.worker.take();
    let complete = worker.is_some() && options.growth;
    // Growth needs the memory, and a new process draws the chart.
    drop((engines, worker));
    bandwidth = bandwidth.max(bandwidth::measure(machine::threads()));
    let growth = if options.growth { Some(Growth::measure(&options, data, &outcomes).await?) } else { None };
    let (threads, command) = (machine::threads(), command());
    let seconds = start.elapsed().as_secs_f64();
    let report = Report { options, command, versions, threads, bandwidth, outcomes, growth, seconds };
    print(&report);
    write(&report, complete)
}

/// Starts the process with DuckDB and Polars. If that fails, says so prominently and returns `None`.
fn start_worker() -> Option<Worker> {
    match Worker::start(machine::threads()) {
        Ok(worker) => Some(worker),
        Err(error) => {
            eprintln!("\n*** NO DUCKDB AND NO POLARS IN THIS RUN: {error} ***");
            eprintln!("*** docs/benchmarks.md is left unchanged; use --only-rust to run without them on purpose ***\n");
            None
        }
    }
}

/// Returns the versions of everything that affects the figures, by name.
fn versions(engines: &mut Engines) -> Result<Value> {
    let mut versions = json!({
        "parallax": format!("{} ({})", env!("CARGO_PKG_VERSION"), machine::revision()),
        "xla": machine::xla_version(),
        "datafusion": datafusion::DATAFUSION_VERSION,
        "processor": machine::processor(),
        "memory_gib": format!("{:.0}", machine::memory_gib()),
        "date": machine::date(),
    });
    if let Value::Object(python) = engines.python_versions()? {
        for (name, version) in python {
            versions[name] = version;
        }
    }
    Ok(versions)
}

/// Returns the command that the user typed, or an equivalent one.
fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.is_empty() {
        true => "make bench".to_string(),
        false => format!("cargo bench --bench tpch -- {}", arguments.join(" ")),
    }
}

fn print(report: &Report) {
    println!(
        "\nTPC-H scale factor {}, best / median of {} runs, ms; {} threads, {} device(s)\n",
        report.options.scale, report.options.runs, report.threads, report.options.devices
    );
    println!("{}", markdown::times(report));
    println!("{}\n", markdown::others(report));
    println!("Memory bandwidth {:.1} GB/s\n\n{}", report.bandwidth / 1e9, markdown::bandwidth(report));
    if let Some(growth) = &report.growth {
        println!("Nanoseconds per row of lineitem\n\n{}", markdown::growth(growth));
    }
    println!("{}", markdown::goals(report));
}

/// Writes the JSON and, for a complete run, the page and the chart.
fn write(report: &Report, complete: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("bench-results").join("tpch.json");
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    std::fs::write(&path, format!("{:#}\n", json::json(report)))?;
    println!("written to {}", path.display());
    if complete {
        let (page, chart) = (root.join("docs/benchmarks.md"), root.join("docs/benchmarks.svg"));
        Worker::start(report.threads)?.chart(&path, &chart)?;
        std::fs::write(&page, markdown::page(report))?;
        println!("written to {} and {}", page.display(), chart.display());
    }
    Ok(())
}
