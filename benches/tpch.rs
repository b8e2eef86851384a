//! `make bench`: TPC-H Q1 and Q6 in memory, Parallax beside DataFusion, run by run in one process.
//!
//! ```text
//! cargo bench --bench tpch                                    scale factor 1
//! cargo bench --bench tpch -- --scale 0.1 --runs 3 --devices 2
//! ```
//!
//! Both read the same `lineitem` in two partitions; both get one warm-up run, in which Parallax uploads the columns and
//! compiles, and then 7 runs in turn. DataFusion's time includes its planning, as a user meets it; Parallax's includes
//! whatever it still does for a repeated query. The answers are compared first. The table goes to the terminal, the
//! figures to `bench-results/tpch.json`.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{SessionConfig, SessionContext};
use parallax::session::Session;
use parallax::tpch::{self, Table};

/// The allocator of both: it makes DataFusion about 9% faster than glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Partitions of the table.
const PARTITIONS: i32 = 2;

struct Query {
    /// Its number in TPC-H.
    number: u8,
    /// How many times faster than DataFusion it is to be, by issue 2.
    goal: f64,
}

const QUERIES: [Query; 2] = [Query { number: 1, goal: 4.0 }, Query { number: 6, goal: 8.0 }];

struct Options {
    scale: f64,
    runs: usize,
    devices: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { scale: 1.0, runs: 7, devices: 1 };
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
                _ => return Err(format!("'{name}' is not an argument; there are --scale, --runs and --devices")),
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
    eprintln!("generating lineitem at scale factor {} ...", options.scale);
    let lineitem = Arc::new(lineitem(options.scale)?);

    let datafusion = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(cores));
    datafusion.register_table("lineitem", lineitem.clone())?;
    let parallax = Session::builder().devices(options.devices).set("xla.placement", "always").build()?;
    parallax.context().register_table("lineitem", lineitem)?;

    let mut outcomes = Vec::new();
    for query in &QUERIES {
        // The warm-up, and the check.
        let sql = tpch::query(query.number);
        let expected = datafusion.sql(sql).await?.collect().await?;
        let actual = parallax.collect(sql).await?;
        agree(query.number, &expected, &actual)?;

        let mut outcome = Outcome { datafusion: Times::default(), parallax: Times::default() };
        for _ in 0..options.runs {
            let start = Instant::now();
            datafusion.sql(sql).await?.collect().await?;
            outcome.datafusion.0.push(start.elapsed().as_secs_f64() * 1e3);

            let start = Instant::now();
            parallax.collect(sql).await?;
            outcome.parallax.0.push(start.elapsed().as_secs_f64() * 1e3);
        }
        outcomes.push(outcome);
    }
    print!("{}", table(options, cores, &outcomes));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-results").join("tpch.json");
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    std::fs::write(&path, json(options, cores, &outcomes))?;
    println!("written to {}", path.display());
    Ok(())
}

/// `lineitem` in memory, generated by one thread for each partition.
fn lineitem(scale: f64) -> Result<MemTable> {
    let part = |part| Table::Lineitem.part(scale, part, PARTITIONS).collect();
    let partitions: Vec<Result<Vec<RecordBatch>, _>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=PARTITIONS).map(|number| scope.spawn(move || part(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the generator does not panic")).collect()
    });
    let schema = Table::Lineitem.part(scale, 1, PARTITIONS).schema();
    MemTable::try_new(schema, partitions.into_iter().collect::<Result<_, _>>()?)
}

/// Decimals are exact and both queries have one order of rows: the same text.
fn agree(query: u8, expected: &[RecordBatch], actual: &[RecordBatch]) -> Result<()> {
    let (expected, actual) = (pretty_format_batches(expected)?.to_string(), pretty_format_batches(actual)?.to_string());
    if expected == actual {
        return Ok(());
    }
    Err(DataFusionError::Execution(format!("Q{query} differs\nDataFusion:\n{expected}\nParallax:\n{actual}")))
}

fn table(options: &Options, cores: usize, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "\nTPC-H scale factor {}, in memory, warm, best and median of {} runs, ms; {cores} cores, {} device(s)\n\n\
         | query | DataFusion best | median | Parallax best | median | ratio | goal |  |\n|---|---|---|---|---|---|---|---|\n",
        options.scale, options.runs, options.devices
    );
    for (query, outcome) in QUERIES.iter().zip(outcomes) {
        let verdict = if outcome.ratio() >= query.goal { "reached" } else { "missed" };
        let _ = writeln!(
            text,
            "| Q{} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2}x | {}x | {verdict} |",
            query.number,
            outcome.datafusion.best(),
            outcome.datafusion.median(),
            outcome.parallax.best(),
            outcome.parallax.median(),
            outcome.ratio(),
            query.goal,
        );
    }
    text.push('\n');
    text
}

fn json(options: &Options, cores: usize, outcomes: &[Outcome]) -> String {
    let list = |times: &Times| times.0.iter().map(|ms| format!("{ms:.3}")).collect::<Vec<_>>().join(", ");
    let queries: Vec<_> = QUERIES
        .iter()
        .zip(outcomes)
        .map(|(query, outcome)| {
            format!(
                "    {{\"query\": \"Q{}\", \"datafusion_ms\": [{}], \"parallax_ms\": [{}], \"ratio\": {:.3}, \"goal\": {}}}",
                query.number,
                list(&outcome.datafusion),
                list(&outcome.parallax),
                outcome.ratio(),
                query.goal
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
