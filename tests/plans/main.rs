//! Plans as shown by EXPLAIN, and the behaviour of a session when data, options or memory change between queries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod analyze;
mod background;
mod cache;
mod changes;
mod cold;
mod compaction;
mod deep;
mod devices;
mod embedding;
mod explain;
mod fallback;
mod files;
mod larger_than_memory;
mod limits;
mod literals;
mod operators;
mod runtime_filters;
mod skew;
mod swapped_joins;

use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::Result;
use parallax::exec::state::costs::Costs;
use parallax::runtime::Runtime;
use parallax::session::Session;

/// Number of devices in the process. XLA fixes it at its first use.
const DEVICES: usize = 3;

/// Device memory is shared by the process, so a test that limits it runs alone. A test that has one session may make others at any time,
/// also while another test waits to be alone; so this is no `RwLock`.
static MEMORY: Memory = Memory { users: Mutex::new(Users { shared: 0, exclusive: false }), changed: Condvar::new() };

static RUNTIME: LazyLock<std::sync::Arc<Runtime>> = LazyLock::new(|| Runtime::cpu(DEVICES).unwrap());

struct Memory {
    users: Mutex<Users>,
    changed: Condvar,
}

struct Users {
    shared: usize,
    exclusive: bool,
}

impl Memory {
    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self) -> MemoryLock {
        let wait = self.changed.wait_while(self.users(), |users| users.exclusive);
        wait.unwrap_or_else(PoisonError::into_inner).shared += 1;
        MemoryLock { exclusive: false }
    }

    fn have_alone(&self) -> MemoryLock {
        let wait = self.changed.wait_while(self.users(), |users| users.exclusive || users.shared > 0);
        wait.unwrap_or_else(PoisonError::into_inner).exclusive = true;
        MemoryLock { exclusive: true }
    }
}

/// Held until the test ends.
struct MemoryLock {
    exclusive: bool,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut users = MEMORY.users();
        if self.exclusive {
            users.exclusive = false
        } else {
            users.shared -= 1
        }
        MEMORY.changed.notify_all();
    }
}

/// Returns the rows in order, with values separated by bars.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let value = |column: &ArrayRef| match array_value_to_string(column, row).unwrap() {
                text if text.is_empty() => "NULL".to_string(),
                text => text,
            };
            rows.push(batch.columns().iter().map(value).collect::<Vec<_>>().join(" | "));
        }
    }
    rows
}

/// Removes everything that depends on the machine from a plan.
fn without_estimates(plan: &str) -> String {
    let line = |line: &str| match line.split_once(", estimates: ") {
        // In EXPLAIN ANALYZE the metrics follow.
        Some((before, after)) => {
            let metrics = after.split_once(", metrics=").map(|(_, metrics)| format!(", metrics={metrics}"));
            format!("{before}{}\n", metrics.unwrap_or_default())
        }
        None => format!("{line}\n"),
    };
    plan.lines().map(line).collect()
}

/// A session that returns results as text.
struct Db {
    session: Session,
    tokio: tokio::runtime::Runtime,
    _lock: MemoryLock,
}

impl Db {
    /// Creates a session with one device and one partition, unless `settings` override them.
    fn new(settings: &[(&str, &str)]) -> Self {
        Self::on_devices(1, settings)
    }

    fn on_devices(n: usize, settings: &[(&str, &str)]) -> Self {
        Self::build(n, settings, Costs::of_slow_host(), MEMORY.share())
    }

    /// Creates a session with the given costs. With the default costs, `auto` runs everything that it can on the
    /// device.
    fn with_costs(costs: Costs, settings: &[(&str, &str)]) -> Self {
        Self::build(1, settings, costs, MEMORY.share())
    }

    /// Creates a session while no other test has one.
    fn exclusive() -> Self {
        Self::exclusive_on(1)
    }

    fn exclusive_on(devices: usize) -> Self {
        Self::build(devices, &[], Costs::of_slow_host(), MEMORY.have_alone())
    }

    fn build(n: usize, settings: &[(&str, &str)], costs: Costs, lock: MemoryLock) -> Self {
        LazyLock::force(&RUNTIME);
        let mut builder = Session::builder().devices(n).costs(costs).set("datafusion.execution.target_partitions", "1");
        for (key, value) in settings {
            builder = builder.set(key, value);
        }
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { session: builder.build().unwrap(), tokio, _lock: lock }
    }

    /// Creates a session with `t(a BIGINT, b DOUBLE, s VARCHAR, d DECIMAL(12,2))` of four rows. Each column but the
    /// last has a NULL.
    fn with_t(settings: &[(&str, &str)]) -> Self {
        let db = Self::new(settings);
        db.create_t();
        db
    }

    fn create_t(&self) {
        self.run(
            "CREATE TABLE t(a BIGINT, b DOUBLE, s VARCHAR, d DECIMAL(12, 2)) AS VALUES \
             (1, 1.5, 'x', 1.25), (2, -2.5, 'y', 2.50), (3, NULL, 'x', -3.75), (NULL, 4.0, NULL, 4.00)",
        );
    }

    fn collect(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.tokio.block_on(self.session.collect(sql))
    }

    /// Runs a statement that must succeed.
    fn run(&self, sql: &str) {
        self.rows(sql);
    }

    /// Returns the rows in order, with values separated by bars.
    fn rows(&self, sql: &str) -> Vec<String> {
        texts(&self.collect(sql).unwrap_or_else(|error| panic!("{sql}: {error}")))
    }

    fn sorted(&self, sql: &str) -> Vec<String> {
        let mut rows = self.rows(sql);
        rows.sort();
        rows
    }

    /// Returns the error message of `sql`, without DataFusion's context.
    fn error(&self, sql: &str) -> String {
        match self.collect(sql) {
            Ok(_) => panic!("{sql}: no error"),
            Err(error) => error.strip_backtrace(),
        }
    }

    /// Returns the physical plan.
    fn explain(&self, sql: &str) -> String {
        let plans = self.collect(&format!("EXPLAIN {sql}")).unwrap();
        let plan = |batch: &RecordBatch, row| array_value_to_string(batch.column(1), row).unwrap();
        let physical = |batch: &RecordBatch, row| {
            array_value_to_string(batch.column(0), row).unwrap().starts_with("physical_plan")
        };
        let rows = plans.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
        let text: String =
            rows.filter(|(batch, row)| physical(batch, *row)).map(|(batch, row)| plan(batch, row)).collect();
        without_estimates(&text)
    }

    /// Returns the physical plan with its metrics; times are shown as `T`.
    fn analyze(&self, sql: &str) -> String {
        let plan = self.collect(&format!("EXPLAIN ANALYZE {sql}")).unwrap();
        let text = without_estimates(&array_value_to_string(plan[0].column(1), 0).unwrap());
        let mut parts = text.split("_time=");
        let mut redacted = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let end = part.find([',', ']']).unwrap_or(part.len());
            redacted += &format!("_time=T{}", &part[end..]);
        }
        redacted
    }
}
