//! `xla.background_compile`: the host operators run first while the device is warmed up in the background, and the rows are the
//! same.

use std::time::{Duration, Instant};

use parallax::exec::state::costs::Costs;
use parallax::exec::state::work_estimate::Kind;

use crate::Db;

/// Waits until the background has uploaded something for the query, which it does before it compiles.
fn wait_until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing happened in the background");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Costs of a machine whose device takes almost no time once its programs are compiled, and whose compilation takes
/// forever.
fn fast_device_with_slow_compiler() -> Costs {
    let mut costs = Costs { program: 1.0, compile_program: 1e18, ..Costs::default() };
    Kind::ALL.into_iter().for_each(|kind| costs.device.set(kind, 0.0));
    costs
}

fn in_background() -> Db {
    Db::with_costs(
        fast_device_with_slow_compiler(),
        &[("xla.background_compile", "true"), ("datafusion.execution.target_partitions", "4")],
    )
}

/// Creates `t` under `never`, so that the host operators that produce its rows are not counted.
fn in_background_with_t() -> Db {
    let db = in_background();
    db.run("SET xla.placement = 'never'");
    db.create_t();
    db.run("SET xla.placement = 'auto'");
    db
}

#[test]
fn the_host_runs_first_and_the_device_is_warmed_up() {
    let db = in_background_with_t();
    let sql = "SELECT s, sum(a) FROM t WHERE d > -5 GROUP BY s ORDER BY s";
    let rows = ["x | 4", "y | 2", "NULL | NULL"];
    let cached = || db.rows("SHOW CACHE").into_iter().filter(|row| row.starts_with("t |")).count();
    let before = db.session.host_runs();
    assert_eq!((cached(), db.rows(sql)), (0, rows.map(String::from).to_vec()));
    assert_eq!(db.session.host_runs(), before + 1);
    wait_until(|| cached() == 3);
    // Another literal is the same pipeline. The rows are right wherever it runs.
    for _ in 0..20 {
        assert_eq!(db.rows("SELECT s, sum(a) FROM t WHERE d > -4 GROUP BY s ORDER BY s"), rows);
        assert_eq!(db.rows(sql), rows);
    }
    // EXPLAIN ANALYZE shows the device.
    assert!(db.analyze(sql).contains("kernel_time"), "{}", db.analyze(sql));
}

#[test]
fn always_and_errors_are_unaffected() {
    let db = in_background_with_t();
    db.run("SET xla.placement = 'always'");
    let before = db.session.host_runs();
    assert_eq!(db.rows("SELECT a + 1 FROM t WHERE a > 2"), ["4"]);
    assert_eq!(db.session.host_runs(), before);
    db.run("SET xla.placement = 'auto'");
    for _ in 0..3 {
        let error = db.error("SELECT a / (a - 1) FROM t WHERE a > 0");
        assert!(error.contains("Divide by zero"), "{error}");
    }
    assert!(db.session.host_runs() > before);
}

/// Host operators that run instead of the device have passed DataFusion's complete optimizer.
#[test]
fn host_runs_over_several_partitions() {
    let db = in_background();
    db.run("CREATE TABLE n AS SELECT value AS v, value % 10 AS g FROM generate_series(1, 20000)");
    let sql =
        "SELECT g, count(*), max(v) FROM n JOIN (SELECT v AS w FROM n WHERE v % 2 = 0) ON v = w GROUP BY g ORDER BY g";
    let expected = ["0 | 2000 | 20000", "2 | 2000 | 19992", "4 | 2000 | 19994", "6 | 2000 | 19996", "8 | 2000 | 19998"];
    for _ in 0..10 {
        assert_eq!(db.rows(sql), expected);
        std::thread::sleep(Duration::from_millis(50));
    }
}
