//! The constants of this machine (`exec::state::costs`): four small queries on either side, once, when nothing else runs. They are kept in
//! the cache folder, by processor, threads, XLA and Parallax; a file that is missing, of another machine or unreadable is made anew,
//! and where it cannot be written each process has the built-in constants until it has calibrated itself.
//!
//! Each query stands for some kinds of work. What it takes, divided by what it took on the machine of the built-in constants, scales
//! those of its kinds: these were found with larger queries (`make placement`), which would take longer.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::collect;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionContext;

use crate::cache_dir::cache_dir;
use crate::cores::cores;
use crate::exec::state::active_pipelines;
use crate::exec::state::context::DeviceContext;
use crate::exec::state::costs::{self, Costs, Rates};
use crate::exec::state::work_estimate::Kind;
use crate::planner;
use crate::runtime::Mesh;

/// Rows of the table.
const ROWS: usize = 1 << 17;

/// Runs of a query, of which the best counts.
const RUNS: usize = 7;

/// How long nothing must have run before the calibration begins, and how often it looks.
const QUIET: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(200);

/// A machine this many times slower or faster is taken for this.
const MOST: f64 = 50.0;

/// A query, and the kinds of work that it stands for.
const QUERIES: [(&str, &[Kind]); 4] = [
    ("SELECT sum(k) FROM c WHERE f < 0.5", &[Kind::Filter, Kind::Project]),
    ("SELECT g, sum(d), count(*) FROM c GROUP BY g", &[Kind::Group, Kind::Aggregate]),
    ("SELECT k FROM c ORDER BY f", &[Kind::Sort, Kind::Output]),
    ("SELECT sum(a.k) FROM c a JOIN c b ON a.k = b.k", &[Kind::Build, Kind::Probe]),
];

/// A query of one row, for the host: what its operators cost without rows.
const FEW_ROWS: &str = "SELECT sum(k) FROM one WHERE f < 0.5";

const TABLE: &str = "CREATE TABLE c AS SELECT value AS k, value * 7919 % 64 AS g, \
                     CAST(value % 100000 AS DECIMAL(15, 2)) AS d, CAST(value * 7919 % 65536 AS DOUBLE) / 65536 AS f \
                     FROM generate_series(1, ";

/// Takes the constants of this machine from the cache folder, if they are there. Returns whether they are; asks once in a process.
pub fn load_once() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| {
        let text = file().ok().and_then(|path| std::fs::read_to_string(path).ok());
        let costs = text.and_then(|text| parse(&text, &machine()));
        costs.map(costs::set_machine).is_some()
    });
    *FOUND
}

/// Calibrates in the background when the process is idle, once, unless that was done before.
pub fn in_the_background(mesh: &Mesh) {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    if load_once() || BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    let mesh = mesh.clone();
    // Without it the built-in constants stay, and the next process tries again.
    let work = move || drop(when_idle(&mesh));
    drop(std::thread::Builder::new().name("calibration".to_string()).spawn(work));
}

/// Waits for quiet, measures, and starts again if something else has run meanwhile.
fn when_idle(mesh: &Mesh) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores()).enable_all().build()?;
    let mut once = Once::default();
    let mut quiet_since = Instant::now();
    let mut begun = active_pipelines::started();
    loop {
        std::thread::sleep(LOOK);
        let before = begun;
        begun = active_pipelines::started();
        // Nobody needs the constants before the first query.
        if begun == 0 || begun != before || active_pipelines::count() > 0 {
            quiet_since = Instant::now();
        } else if quiet_since.elapsed() >= QUIET {
            if let Some(times) = runtime.block_on(Times::measure(mesh, &mut once))? {
                let costs = times.costs();
                costs::set_machine(costs);
                return save(&costs);
            }
            quiet_since = Instant::now();
            begun = active_pipelines::started();
        }
    }
}

/// By how much the first run of each query on the device took longer. Only the first attempt at a query in a process compiles, even if
/// something else then interrupts the calibration: so the longest of all attempts is kept.
type Once = [Duration; QUERIES.len()];

/// What the queries take on a machine.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The query of one row, by the host.
    few: Duration,
    /// The others on either side, at their best.
    host: [Duration; QUERIES.len()],
    device: [Duration; QUERIES.len()],
    /// By how much their first runs on the device took longer: to compile and upload.
    once: Duration,
}

/// Of the machine whose constants are built in.
const REFERENCE: Times = Times {
    few: micros(60),
    host: [micros(270), micros(340), micros(5_000), micros(950)],
    device: [micros(530), micros(620), micros(2_700), micros(760)],
    once: micros(190_000),
};

const fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

impl Times {
    /// Measures; `None` if something else has run at the same time. `once` is of earlier attempts, and then of this one, too.
    async fn measure(mesh: &Mesh, once: &mut Once) -> Result<Option<Self>> {
        let (host, device) = (context(mesh, "never")?, context(mesh, "always")?);
        for (name, rows) in [("c", ROWS), ("one", 1)] {
            let table = TABLE.replacen("TABLE c", &format!("TABLE {name}"), 1);
            host.sql(&format!("{table}{rows})")).await?.collect().await?;
            device.register_table(name, host.table_provider(name).await?)?;
        }
        let mut times = Self { few: Sample::of(&host, FEW_ROWS).await?.best, ..REFERENCE };
        for (i, (sql, _)) in QUERIES.iter().enumerate() {
            times.host[i] = Sample::of(&host, sql).await?.best;
            let (begun, sample) = (active_pipelines::started(), Sample::of(&device, sql).await?);
            once[i] = once[i].max(sample.first.saturating_sub(sample.best));
            // The host's runs are no pipelines, these are.
            if active_pipelines::started() != begun + RUNS + 1 || active_pipelines::count() > 0 {
                return Ok(None);
            }
            times.device[i] = sample.best;
        }
        times.once = once.iter().sum();
        Ok(Some(times))
    }

    /// The built-in constants, as much smaller or larger as these times are.
    fn costs(&self) -> Costs {
        let mut costs = Costs::default();
        let few = ratio(self.few, REFERENCE.few);
        scale(&mut costs.host, &[Kind::Operator], few);
        for (i, (_, kinds)) in QUERIES.iter().enumerate() {
            scale(&mut costs.host, kinds, ratio(self.host[i], REFERENCE.host[i]));
            scale(&mut costs.device, kinds, ratio(self.device[i], REFERENCE.device[i]));
        }
        // Of the first query little is rows.
        let fixed = ratio(self.device[0], REFERENCE.device[0]);
        scale(&mut costs.device, &[Kind::Operator], fixed);
        costs.program *= fixed;
        let once = ratio(self.once, REFERENCE.once);
        costs.compile_program *= once;
        costs.compile_operator *= once;
        // Reading and encoding are like computing.
        let values = ratio(self.host[0], REFERENCE.host[0]);
        scale(&mut costs.host, &[Kind::Decode], values);
        costs.upload *= values;
        costs
    }
}

/// How long a query takes.
struct Sample {
    first: Duration,
    best: Duration,
}

impl Sample {
    async fn of(context: &SessionContext, sql: &str) -> Result<Self> {
        let plan = context.sql(sql).await?.create_physical_plan().await?;
        let mut times = Vec::with_capacity(RUNS + 1);
        for _ in 0..=RUNS {
            let plan = reset_plan_states(Arc::clone(&plan))?;
            let start = Instant::now();
            collect(plan, context.task_ctx()).await?;
            times.push(start.elapsed());
        }
        let best = times.iter().skip(1).min().copied().unwrap_or_default();
        Ok(Self { first: times[0], best })
    }
}

/// What the built-in constants are to be multiplied with.
fn ratio(measured: Duration, there: Duration) -> f64 {
    (measured.as_secs_f64() / there.as_secs_f64()).clamp(1.0 / MOST, MOST)
}

fn scale(rates: &mut Rates, kinds: &[Kind], by: f64) {
    kinds.iter().for_each(|kind| rates.set(*kind, rates.get(*kind) * by));
}

/// A session of its own, as large as others may be.
fn context(mesh: &Mesh, placement: &str) -> Result<SessionContext> {
    let device = DeviceContext::new(mesh.clone());
    let limit = mesh.runtime().memory().limit().unwrap_or(0).to_string();
    let mut builder = planner::install(SessionStateBuilder::new().with_default_features(), device)?;
    if let Some(config) = builder.config() {
        config.options_mut().set("xla.placement", placement)?;
        config.options_mut().set("xla.memory_limit", &limit)?;
    }
    Ok(SessionContext::new_with_state(builder.build()))
}

/// What the constants are of.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let xla =
        option_env!("XLA_EXTENSION_DIR").and_then(|dir| Path::new(dir).file_name()).and_then(|name| name.to_str());
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (xla, version) = (xla.unwrap_or("unknown"), env!("CARGO_PKG_VERSION"));
    format!(
        "parallax {version} ({build}), XLA {xla}, {}, {} threads",
        model.trim_start_matches([':', ' ', '\t']),
        cores()
    )
}

fn file() -> Result<PathBuf> {
    // Builds for tests are slow in another way, and keep their own.
    Ok(cache_dir()?.join(if cfg!(debug_assertions) { "calibration-debug" } else { "calibration" }))
}

/// `side kind nanoseconds` a line, after the machine.
fn write(costs: &Costs, machine: &str) -> String {
    let mut text = format!("{machine}\n");
    for (name, value) in costs.named() {
        let _infallible = writeln!(text, "{name} {value}");
    }
    text
}

fn parse(text: &str, machine: &str) -> Option<Costs> {
    let lines = text.strip_prefix(machine)?.strip_prefix('\n')?;
    let mut values = HashMap::new();
    for line in lines.lines() {
        let (name, value) = line.rsplit_once(' ')?;
        values.insert(name, value.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)?);
    }
    Costs::from_named(|name| values.get(name).copied())
}

fn save(costs: &Costs) -> Result<()> {
    let path = file()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Another process finds the old file or the new one.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut new, write(costs, &machine()).as_bytes())?;
    new.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::calibration::{Once, REFERENCE, Times, parse, write};
    use crate::exec::state::costs::Costs;
    use crate::exec::state::work_estimate::Kind;
    use crate::runtime::{Mesh, Runtime};

    #[test]
    fn what_is_written_is_read_on_the_same_machine_only() {
        let mut costs = Costs::default();
        costs.host.set(Kind::Sort, 0.125);
        costs.upload = 3.5;
        let text = write(&costs, "a machine");
        assert_eq!(parse(&text, "a machine"), Some(costs));
        assert_eq!(parse(&text, "another machine"), None);
        assert_eq!(parse(&text.replace("0.125", "much"), "a machine"), None);
        assert_eq!(parse(&text[..text.len() / 2], "a machine"), None);
        assert_eq!(parse("", "a machine"), None);
    }

    /// Other tests run at the same time: the result may be none, and is of no matter.
    #[test]
    fn the_queries_run_on_both_sides() {
        let mesh = Mesh::new(Runtime::cpu(1).unwrap(), 1).unwrap();
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut once = Once::default();
        if let Some(times) = tokio.block_on(Times::measure(&mesh, &mut once)).unwrap() {
            assert!(times.costs().named().iter().all(|(_, value)| *value > 0.0), "{times:?}");
        }
        // The programs of another attempt are there: what compiling took is not forgotten.
        let first = once;
        tokio.block_on(Times::measure(&mesh, &mut once)).unwrap();
        assert!(once.iter().zip(&first).all(|(now, before)| now >= before), "{once:?} {first:?}");
    }

    #[test]
    fn the_machine_of_the_constants_has_them() {
        assert_eq!(REFERENCE.costs(), Costs::default());
    }
}
