//! `make placement`: checks whether `auto` is ever slower than the better of `always` and `never`. The TPC-H queries and
//! the SELECTs of the .slt files run under each placement. Each placement has its own process, so that none benefits from
//! programs that another has compiled.
//!
//! | mode | session |
//! |---|---|
//! | `never`, `always` | `xla.placement` |
//! | `auto` | the default of a program that embeds Parallax |
//! | `background` | `auto` with `xla.background_compile`, the shell's default; a repetition starts once the background is idle |

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use datafusion::error::Result;
use parallax::session::Session;
use sqllogictest::{QueryExpect, Record, StatementExpect};

use crate::{file, fixtures};

/// Directory of the TPC-H tables, with folders `sf0.01` and `sf1` of Parquet files.
const DATA: &str = "PARALLAX_TPCH";

/// Times one in this many SELECTs of the .slt files.
const EVERY: &str = "PARALLAX_EVERY";

const MODES: [&str; 4] = ["never", "always", "auto", "background"];

/// How often a query runs. The last few runs are reported as repeated.
const RUNS: usize = 12;
const LAST: usize = 5;

/// A query counts as slower if it exceeds both this absolute and this relative difference.
const NOISE_MS: f64 = 1.0;
const PART: f64 = 1.15;

/// Milliseconds: the first run, the median of the last runs, and the mean of all.
type Times = [f64; 3];

const COLUMNS: [&str; 3] = ["first", "repeated", "mean"];

/// Runs the given workloads, or all.
pub fn run(workloads: &[String]) -> std::result::Result<(), String> {
    let all = ["slt", "sf0.01-memory", "sf0.01-parquet", "sf1-memory", "sf1-parquet"];
    let workloads = if workloads.is_empty() { all.map(String::from).to_vec() } else { workloads.to_vec() };
    for workload in workloads {
        let mut times: BTreeMap<String, [Option<Times>; 4]> = BTreeMap::new();
        for (index, mode) in MODES.iter().enumerate() {
            let output = Command::new(std::env::current_exe().map_err(|e| e.to_string())?)
                .args(["--placement-run", mode, &workload])
                .output()
                .map_err(|e| e.to_string())?;
            if !output.status.success() {
                return Err(format!("{workload}, {mode}: {}", String::from_utf8_lossy(&output.stderr)));
            }
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let mut fields = line.split('\t');
                let name = fields.next().unwrap_or_default().to_string();
                let found: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
                if let Ok(found) = Times::try_from(found) {
                    times.entry(name).or_default()[index] = Some(found);
                }
            }
        }
        print!("{}", report(&workload, &times));
    }
    Ok(())
}

fn report(workload: &str, times: &BTreeMap<String, [Option<Times>; 4]>) -> String {
    let mut text = format!(
        "\n## {workload}: {} queries, ms (sums)\n\n| | {} |\n|---|--:|--:|--:|--:|\n",
        times.len(),
        MODES.join(" | ")
    );
    let common: Vec<_> = times.values().filter_map(|row| row.iter().copied().collect::<Option<Vec<_>>>()).collect();
    for (column, name) in COLUMNS.iter().enumerate() {
        let sum = |mode: usize| common.iter().map(|row| row[mode][column]).sum::<f64>();
        let _ = writeln!(text, "| {name} | {:.1} | {:.1} | {:.1} | {:.1} |", sum(0), sum(1), sum(2), sum(3));
    }
    let mut slower = Vec::new();
    for (query, row) in times {
        for (column, name) in COLUMNS.iter().enumerate() {
            let time = |mode: usize| row[mode].map(|times| times[column]);
            let better = [time(0), time(1)].into_iter().flatten().fold(f64::INFINITY, f64::min);
            for mode in [2, 3] {
                let Some(own) = time(mode) else { continue };
                if own > better * PART && own > better + NOISE_MS {
                    let [never, always] = [0, 1].map(|m| time(m).map_or("-".to_string(), |t| format!("{t:.1}")));
                    slower
                        .push(format!("{query} {} {name}: {own:.1} ms (never {never}, always {always})", MODES[mode]));
                }
            }
        }
    }
    let _ = writeln!(text, "\nslower than the better by more than 15% and {NOISE_MS} ms: {}", slower.len());
    slower.iter().for_each(|line| {
        let _ = writeln!(text, "- {line}");
    });
    text
}

/// Runs one mode of a workload in this process, and prints a line for each query.
pub async fn run_mode(root: &Path, files: &[String], mode: &str, workload: &str) -> std::result::Result<(), String> {
    let times = match workload.split_once('-') {
        Some((scale, kind)) => tpch(root, mode, scale, kind == "memory").await,
        None => slt(root, files, mode).await,
    };
    for (name, [first, repeated, mean]) in times.map_err(|e| e.to_string())? {
        println!("{name}\t{first:.3}\t{repeated:.3}\t{mean:.3}");
    }
    Ok(())
}

fn session(mode: &str) -> Result<Session> {
    match mode {
        "background" => Session::builder().set("xla.background_compile", "true").build(),
        placement => Session::builder().set("xla.placement", placement).build(),
    }
}

async fn tpch(root: &Path, mode: &str, scale: &str, in_memory: bool) -> Result<Vec<(String, Times)>> {
    let data = std::env::var(DATA).unwrap_or_else(|_| "/tmp/pc/tpch".to_string());
    let folder = Path::new(&data).join(scale);
    let session = session(mode)?;
    if in_memory {
        for entry in std::fs::read_dir(&folder)?.flatten() {
            let name = entry.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
            session.register_path(&format!("file_{name}"), &entry.path()).await?;
            session.collect(&format!("CREATE TABLE {name} AS SELECT * FROM file_{name}")).await?;
        }
    } else {
        session.register_dir(&folder).await?;
    }
    let mut times = Vec::new();
    for number in 1..=22 {
        let sql = std::fs::read_to_string(root.join(format!("tpch/q{number:02}.sql")))?;
        if let Some(time) = time(&session, &sql).await {
            times.push((format!("Q{number:02}"), time));
        }
    }
    Ok(times)
}

async fn slt(root: &Path, files: &[String], mode: &str) -> Result<Vec<(String, Times)>> {
    let every = std::env::var(EVERY).ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let (mut times, mut seen) = (Vec::new(), 0);
    for name in files.iter().filter(|name| !name.starts_with("tpch/")) {
        let (records, _) = file::parse(root, name).map_err(datafusion::error::DataFusionError::Execution)?;
        let session = session(mode)?;
        fixtures::register(session.context())?;
        for record in records {
            match record {
                Record::Statement { sql, expected: StatementExpect::Ok, .. } if !sql.contains("xla.placement") => {
                    let _of_no_matter = session.collect(&sql).await;
                }
                Record::Query { sql, expected: QueryExpect::Results { .. }, loc, .. } => {
                    seen += 1;
                    if seen % every == 0
                        && let Some(time) = time(&session, &sql).await
                    {
                        times.push((format!("{name}:{}", loc.line()), time));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(times)
}

/// Returns `None` if the query fails, as under `always` for an operator without a device form.
async fn time(session: &Session, sql: &str) -> Option<Times> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        session.collect(sql).await.ok()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        while !session.at_rest() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let mut last = times[RUNS - LAST..].to_vec();
    last.sort_by(f64::total_cmp);
    Some([times[0], last[LAST / 2], times.iter().sum::<f64>() / RUNS as f64])
}
