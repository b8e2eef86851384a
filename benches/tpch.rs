//! `make bench`: the 22 TPC-H queries, a sort, a join and aggregations in memory, Parallax beside DataFusion, run by run in one
//! process.
//!
//! ```text
//! cargo bench --bench tpch                                    scale factor 1
//! cargo bench --bench tpch -- --scale 0.1 --runs 3 --devices 2 --only Q1,Q6,sort
//! ```
//!
//! Both read the same tables in two partitions; both get one warm-up run, in which Parallax uploads the columns and
//! compiles, and then 5 runs in turn. DataFusion's time includes its planning, as a user meets it; Parallax's includes
//! whatever it still does for a repeated query. The answers are compared first. The table goes to the terminal, the
//! figures to `bench-results/tpch.json`.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, UInt64Array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};
use parallax::session::Session;
use parallax::tpch::{self, Table};

/// The allocator of both: it makes DataFusion about 9% faster than glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Partitions of each table.
const PARTITIONS: i32 = 2;

/// What the geometric mean of the 22 queries is to be, by issue 3.
const TPCH_GOAL: f64 = 1.5;

/// Rows of the table that is sorted, at scale factor 1.
const SORT_ROWS: usize = 10_000_000;

struct Case {
    name: String,
    sql: String,
    /// How many times faster than DataFusion it is to be, by the issues; 0 where none is said of it alone.
    goal: f64,
    /// Part of the geometric mean.
    tpch: bool,
}

/// What is timed, in order.
fn cases() -> Vec<Case> {
    let tpch = (1..=22).map(|number| {
        let goal = match number {
            1 => 4.0,
            6 => 8.0,
            _ => 0.0,
        };
        Case { name: format!("Q{number}"), sql: tpch::query(number).to_string(), goal, tpch: true }
    });
    let other = [
        ("sort", "SELECT * FROM s ORDER BY key", 1.5),
        (
            "join",
            "SELECT count(*), sum(l_quantity), sum(o_totalprice) FROM lineitem JOIN orders ON l_orderkey = o_orderkey",
            2.0,
        ),
        (
            "group by 1M",
            "SELECT count(*), max(n), sum(total) FROM (SELECT g, count(*) AS n, sum(a) AS total FROM s GROUP BY g)",
            2.0,
        ),
        (
            "group by orderkey",
            "SELECT count(*), max(n), sum(q) FROM \
             (SELECT l_orderkey, count(*) AS n, sum(l_quantity) AS q FROM lineitem GROUP BY l_orderkey)",
            2.0,
        ),
    ];
    let other =
        other.into_iter().map(|(name, sql, goal)| Case { name: name.into(), sql: sql.into(), goal, tpch: false });
    tpch.chain(other).collect()
}

struct Options {
    scale: f64,
    runs: usize,
    devices: usize,
    /// Names of the cases to run; empty is all.
    only: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { scale: 1.0, runs: 5, devices: 1, only: Vec::new() };
        if let Ok(scale) = std::env::var("PARALLAX_BENCH_SCALE") {
            options.scale = scale.parse().map_err(|_| format!("PARALLAX_BENCH_SCALE: '{scale}' is not a number"))?;
        }
        while let Some(name) = arguments.next() {
            // What cargo passes.
            if name == "--bench" {
                continue;
            }
            let value = arguments.next().unwrap_or_default();
            let wrong = |_| format!("{name}: '{value}' is not a number");
            match name.as_str() {
                "--scale" => options.scale = value.parse().map_err(|_| format!("{name}: '{value}' is not a number"))?,
                "--runs" => options.runs = value.parse().map_err(wrong)?,
                "--devices" => options.devices = value.parse().map_err(wrong)?,
                "--only" => options.only = value.split(',').map(str::to_string).collect(),
                _ => {
                    return Err(format!(
                        "'{name}' is not an argument; there are --scale, --runs, --devices and --only"
                    ));
                }
            }
        }
        if options.scale <= 0.0 || options.runs == 0 || options.devices == 0 {
            return Err("--scale, --runs and --devices are numbers above 0".to_string());
        }
        Ok(options)
    }
}

/// Milliseconds of each run of one query on one engine.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn best(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

struct Outcome {
    case: Case,
    datafusion: Times,
    parallax: Times,
}

impl Outcome {
    fn ratio(&self) -> f64 {
        self.datafusion.best() / self.parallax.best()
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    match runtime.block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tpch::check_scale(options.scale)?;
    eprintln!("generating tables at scale factor {} ...", options.scale);
    let cases: Vec<Case> =
        cases().into_iter().filter(|case| options.only.is_empty() || options.only.contains(&case.name)).collect();
    let datafusion = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(cores));
    let parallax = Session::builder().devices(options.devices).set("xla.placement", "always").build()?;
    let mut tables: Vec<(&str, Arc<MemTable>)> = Vec::new();
    for table in Table::ALL {
        tables.push((table.name(), Arc::new(tpch_table(table, options.scale)?)));
    }
    tables.push(("s", Arc::new(random_table((SORT_ROWS as f64 * options.scale) as usize)?)));
    for (name, table) in tables {
        datafusion.register_table(name, table.clone())?;
        parallax.context().register_table(name, table)?;
    }

    let mut outcomes = Vec::new();
    for case in cases {
        // The warm-up, and the check.
        let expected = datafusion.sql(&case.sql).await?.collect().await?;
        let actual = parallax.collect(&case.sql).await?;
        agree(&case.name, &expected, &actual)?;
        drop((expected, actual));

        let mut outcome = Outcome { case, datafusion: Times::default(), parallax: Times::default() };
        for _ in 0..options.runs {
            let start = Instant::now();
            datafusion.sql(&outcome.case.sql).await?.collect().await?;
            outcome.datafusion.0.push(start.elapsed().as_secs_f64() * 1e3);

            let start = Instant::now();
            parallax.collect(&outcome.case.sql).await?;
            outcome.parallax.0.push(start.elapsed().as_secs_f64() * 1e3);
        }
        eprintln!("{}: {:.1} / {:.1} ms", outcome.case.name, outcome.datafusion.best(), outcome.parallax.best());
        outcomes.push(outcome);
    }
    print!("{}", table(options, cores, &outcomes));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-results").join("tpch.json");
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    std::fs::write(&path, json(options, cores, &outcomes))?;
    println!("written to {}", path.display());
    Ok(())
}

/// A TPC-H table in memory, generated by one thread for each partition.
fn tpch_table(table: Table, scale: f64) -> Result<MemTable> {
    let part = |part| table.part(scale, part, PARTITIONS).collect();
    let partitions: Vec<Result<Vec<RecordBatch>, _>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=PARTITIONS).map(|number| scope.spawn(move || part(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the generator does not panic")).collect()
    });
    let schema = table.part(scale, 1, PARTITIONS).schema();
    MemTable::try_new(schema, partitions.into_iter().collect::<Result<_, _>>()?)
}

/// `s`: a random u64 key, a group of a million, three more columns of payload.
fn random_table(rows: usize) -> Result<MemTable> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("key", DataType::UInt64, false),
        Field::new("g", DataType::Int64, false),
        Field::new("a", DataType::Int64, false),
        Field::new("b", DataType::Float64, false),
        Field::new("c", DataType::Int32, false),
    ]));
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    // Steele, Lea, Flood: SplitMix64.
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    for (batch, start) in (0..rows).step_by(8192).enumerate() {
        let n = 8192.min(rows - start);
        let keys: Vec<u64> = (0..n).map(|_| next()).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(keys.clone())),
            Arc::new(Int64Array::from_iter_values(keys.iter().map(|k| (k.rotate_left(17) % 1_000_000) as i64))),
            Arc::new(Int64Array::from_iter_values(keys.iter().map(|k| (k >> 40) as i64))),
            Arc::new(Float64Array::from_iter_values(keys.iter().map(|k| (k >> 11) as f64))),
            Arc::new(Int32Array::from_iter_values(keys.iter().map(|k| *k as i32))),
        ];
        partitions[batch % PARTITIONS as usize].push(RecordBatch::try_new(schema.clone(), columns)?);
    }
    MemTable::try_new(schema, partitions)
}

/// The same rows: numbers of floats to 9 digits, rows in any order (ties are).
fn agree(case: &str, expected: &[RecordBatch], actual: &[RecordBatch]) -> Result<()> {
    let rows: [usize; 2] = [expected, actual].map(|batches| batches.iter().map(RecordBatch::num_rows).sum());
    let differ = |what: String| Err(DataFusionError::Execution(format!("{case} differs: {what}")));
    if rows[0] != rows[1] {
        return differ(format!("DataFusion has {} rows, Parallax {}", rows[0], rows[1]));
    }
    if rows[0] > 100_000 {
        // The key column of a large sort, in order.
        let key = |batches: &[RecordBatch]| -> Result<ArrayRef> {
            let columns: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
            Ok(concat(&columns)?)
        };
        return if key(expected)? == key(actual)? { Ok(()) } else { differ("the first column".to_string()) };
    }
    let lines = |batches: &[RecordBatch]| -> Result<Vec<String>> {
        let text = pretty_format_batches(batches)?.to_string();
        let mut lines: Vec<String> = text.lines().filter(|line| line.starts_with("| ")).map(round_floats).collect();
        lines.sort();
        Ok(lines)
    };
    let (expected, actual) = (lines(expected)?, lines(actual)?);
    match expected.iter().zip(&actual).find(|(e, a)| e != a) {
        None => Ok(()),
        Some((e, a)) => differ(format!("\nDataFusion: {e}\nParallax:   {a}")),
    }
}

/// Long fractions in nine digits.
fn round_floats(line: &str) -> String {
    let cells = line.split_whitespace().map(|cell| match cell.parse::<f64>() {
        Ok(number) if cell.contains('.') && cell.len() > 12 => format!("{number:.8e}"),
        _ => cell.to_string(),
    });
    cells.collect::<Vec<_>>().join(" ")
}

/// The geometric mean of the ratios of the TPC-H queries.
fn geometric_mean(outcomes: &[Outcome]) -> Option<f64> {
    let ratios: Vec<f64> = outcomes.iter().filter(|o| o.case.tpch).map(Outcome::ratio).collect();
    (!ratios.is_empty()).then(|| (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp())
}

fn table(options: &Options, cores: usize, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "\nTPC-H scale factor {}, in memory, warm, best and median of {} runs, ms; {cores} cores, {} device(s)\n\n\
         | query | DataFusion best | median | Parallax best | median | ratio | goal |  |\n|---|---|---|---|---|---|---|---|\n",
        options.scale, options.runs, options.devices
    );
    for outcome in outcomes {
        let goal = outcome.case.goal;
        let verdict = if outcome.ratio() >= goal { "reached" } else { "missed" };
        let (goal, verdict) = if goal > 0.0 { (format!("{goal}x"), verdict) } else { (String::new(), "") };
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2}x | {goal} | {verdict} |",
            outcome.case.name,
            outcome.datafusion.best(),
            outcome.datafusion.median(),
            outcome.parallax.best(),
            outcome.parallax.median(),
            outcome.ratio(),
        );
    }
    if let Some(mean) = geometric_mean(outcomes) {
        let verdict = if mean >= TPCH_GOAL { "reached" } else { "missed" };
        let _ = writeln!(text, "| geometric mean of TPC-H | | | | | {mean:.2}x | {TPCH_GOAL}x | {verdict} |");
    }
    text.push('\n');
    text
}

fn json(options: &Options, cores: usize, outcomes: &[Outcome]) -> String {
    let list = |times: &Times| times.0.iter().map(|ms| format!("{ms:.3}")).collect::<Vec<_>>().join(", ");
    let queries: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            format!(
                "    {{\"query\": \"{}\", \"datafusion_ms\": [{}], \"parallax_ms\": [{}], \"ratio\": {:.3}, \"goal\": {}}}",
                outcome.case.name,
                list(&outcome.datafusion),
                list(&outcome.parallax),
                outcome.ratio(),
                outcome.case.goal
            )
        })
        .collect();
    let command: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    format!(
        "{{\n  \"benchmark\": \"tpch\",\n  \"command\": \"{}\",\n  \"machine\": \"{}\",\n  \"cores\": {cores},\n  \
         \"parallax\": \"{} {}\",\n  \"datafusion\": \"{}\",\n  \"scale\": {},\n  \"devices\": {},\n  \"queries\": [\n{}\n  ]\n}}\n",
        escape(format!("cargo bench --bench tpch -- {}", command.join(" ")).trim_end_matches([' ', '-'])),
        escape(&machine()),
        env!("CARGO_PKG_VERSION"),
        escape(&revision()),
        datafusion::DATAFUSION_VERSION,
        options.scale,
        options.devices,
        queries.join(",\n")
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The processor, where the system says.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    format!("{} ({})", model.trim_start_matches([' ', '\t', ':']), std::env::consts::ARCH)
}

/// The commit that was built, with `+` where files differ from it.
fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    match (git(&["rev-parse", "--short", "HEAD"]), git(&["status", "--porcelain", "-uno"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit}+"),
        _ => "unknown".to_string(),
    }
}
