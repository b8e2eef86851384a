//! Queries whose data is several times `xla.memory_limit`. Tables are streamed, operators run in several passes,
//! intermediate data is spilled to files, and the rows are those of a run without a limit.

use std::time::Duration;

use crate::{Db, RUNTIME, texts};

/// Rows of the large table, with 8 bytes each for `k`, `v`, `f`, and a string.
const ROWS: usize = 120_000;

fn db() -> Db {
    db_on(1)
}

fn db_on(devices: usize) -> Db {
    let db = Db::exclusive_on(devices);
    db.run(&format!(
        "CREATE TABLE big AS SELECT value AS id, value * 2654435761 % 1000003 AS k, (value * 40503 % 65536) * 1000003 AS v, \
         CAST(value % 1009 AS DOUBLE) / 7 AS f, 'name ' || (value % 20011) AS s, \
         CASE WHEN value % 11 = 0 THEN NULL ELSE value % 50021 END AS n FROM generate_series(1, {ROWS})"
    ));
    db.run("CREATE TABLE other AS SELECT id AS oid, n AS m, s AS t, v AS w FROM big WHERE id % 3 <> 0");
    db
}

/// Compares the rows of `sql` with and without `limit`, in order if `ordered`. Returns EXPLAIN ANALYZE of the limited
/// run.
fn compare(db: &Db, sql: &str, limit: &str, ordered: bool) -> String {
    let rows = |db: &Db| if ordered { db.rows(sql) } else { db.sorted(sql) };
    db.run("SET xla.memory_limit = 0");
    let expected = rows(db);
    db.run("SELECT 1");
    db.run(&format!("SET xla.memory_limit = '{limit}'"));
    let actual = rows(db);
    assert_eq!(actual.len(), expected.len(), "{sql}");
    let different = actual.iter().zip(&expected).find(|(a, e)| a != e);
    assert_eq!(different, None, "{sql}");
    assert!(RUNTIME.memory().peak() > 0);
    let plan = db.analyze(sql);
    db.run("SET xla.memory_limit = 0");
    plan
}

#[test]
fn scans_filters_and_aggregates_stream() {
    let db = db();
    for sql in [
        "SELECT count(*), sum(k), max(v), min(f), avg(n), max(s) FROM big WHERE id % 7 <> 3",
        "SELECT id % 13, count(*), sum(v), min(s) FROM big WHERE v > 1000 GROUP BY id % 13",
        "SELECT s, v FROM big WHERE k < 20000 AND f > 3",
        "SELECT id, v FROM big WHERE id % 2 = 0 ORDER BY v DESC, id LIMIT 20",
    ] {
        let plan = compare(&db, sql, "600KB", false);
        assert!(plan.contains("streamed_columns="), "{sql}: {plan}");
    }
}

/// Compares each query under 1500 KB. The flag says whether one of its operators must run in several passes.
fn compare_in_passes(queries: &[(&str, bool)], ordered: bool) {
    let db = db();
    for (sql, parts) in queries {
        let plan = compare(&db, sql, "1500KB", ordered);
        assert_eq!(plan.contains("several passes"), *parts, "{sql}: {plan}");
    }
}

#[test]
fn large_aggregates_run_in_passes() {
    let queries = [
        ("SELECT k, count(*), sum(v), max(f) FROM big GROUP BY k", true),
        ("SELECT s, n, count(*), min(id) FROM big GROUP BY s, n", true),
        ("SELECT f, count(DISTINCT n), max(s) FROM big GROUP BY f", true),
        ("SELECT n, sum(v) AS total FROM big GROUP BY n HAVING sum(v) > 100000000000", true),
        ("SELECT count(*), sum(c) FROM (SELECT k, v, count(*) AS c FROM big GROUP BY k, v)", true),
        ("SELECT DISTINCT n, s FROM big", true),
    ];
    compare_in_passes(&queries, false);
}

/// Each group has three values that follow one another, 1.7e12 away from zero.
#[test]
fn moments_in_passes_are_exact() {
    let sql = "SELECT count(*), min(p), max(p), min(s), max(s), min(c), max(c), min(l), max(l), sum(a) FROM ( \
               SELECT g, var_pop(x) AS p, var_samp(x) AS s, corr(x, y) AS c, regr_slope(x, y) AS l, avg(x) - 1700000000000 AS a \
               FROM (SELECT id % 40000 AS g, 1700000000000 + id / 40000 AS x, CAST(id / 40000 AS DOUBLE) AS y FROM big) GROUP BY g)";
    let third = 2.0 / 3.0;
    let expected = format!("40000 | {third} | {third} | 1.0 | 1.0 | 1.0 | 1.0 | 1.0 | 1.0 | 40001.0");
    for devices in 1..=3 {
        let db = db_on(devices);
        let plan = compare(&db, sql, "1500KB", true);
        assert!(plan.contains("several passes"), "{devices} devices: {plan}");
        assert_eq!(db.rows(sql), [expected.as_str()], "{devices} devices");
    }
}

#[test]
fn large_sorts_run_in_passes() {
    let queries = [
        ("SELECT v, id FROM big ORDER BY v, id DESC", true),
        ("SELECT n, s, id FROM big ORDER BY n DESC NULLS LAST, s, id", true),
        ("SELECT f, id FROM big ORDER BY f, k DESC, id", true),
        ("SELECT id, s, v, f, k FROM big ORDER BY s DESC, id LIMIT 70000", true),
        ("SELECT id, v FROM big ORDER BY -v, id LIMIT 5 OFFSET 40000", true),
    ];
    compare_in_passes(&queries, true);
}

#[test]
fn large_joins_run_in_passes() {
    let queries = [
        ("SELECT id, v, w FROM big JOIN other ON id = oid", true),
        ("SELECT id, t FROM big LEFT JOIN other ON id = oid AND v < w + 500", true),
        ("SELECT id, oid FROM big FULL JOIN other ON id = oid AND n = m", true),
        (
            "SELECT b.id, o.oid FROM (SELECT * FROM big WHERE id < 70000) b RIGHT JOIN other o ON b.s = o.t AND b.n = o.m",
            true,
        ),
        ("SELECT id FROM big WHERE NOT EXISTS (SELECT 1 FROM other WHERE oid = id AND w <= v)", true),
        ("SELECT id FROM big WHERE k IN (SELECT w / 1000003 FROM other)", false),
        ("SELECT count(*), sum(b.v), min(o.t) FROM big b JOIN other o ON b.n = o.m JOIN big c ON c.id = o.oid", true),
    ];
    compare_in_passes(&queries, false);
}

/// Data that exceeds the host memory limit goes to unnamed files.
#[test]
fn spilled_data_leaves_nothing_behind() {
    let db = db();
    let dir = tempfile::tempdir().unwrap();
    let spill = dir.path().join("spill");
    db.run(&format!("SET xla.spill_dir = '{}'", spill.display()));
    db.run("SET xla.host_memory_limit = '100KB'");
    let plan = compare(&db, "SELECT id % 13, count(*), sum(v), max(f) FROM big GROUP BY id % 13", "600KB", false);
    assert!(plan.contains("spilled_bytes="), "{plan}");
    compare(&db, "SELECT v, id FROM big ORDER BY v, id DESC", "1500KB", true);
    assert_eq!(std::fs::read_dir(&spill).unwrap().count(), 0);
    // A directory that cannot be written gives one clear error, and the session stays usable.
    db.run("SET xla.spill_dir = '/proc/nowhere'");
    db.run("SET xla.memory_limit = '600KB'");
    db.run("CREATE TABLE again AS SELECT * FROM big");
    let error = db.error("SELECT sum(v), sum(k), sum(f) FROM again");
    assert!(error.contains("/proc/nowhere") && error.contains("set xla.spill_dir"), "{error}");
    db.run("SET xla.spill_dir = ''");
    assert_eq!(db.rows("SELECT count(v), count(k), count(f) FROM again WHERE id > 0").len(), 1);
    db.run("SET xla.memory_limit = 0");
}

/// A query that is cancelled while running frees everything it had on the device.
#[test]
fn a_cancelled_query_frees_its_memory() {
    let db = db();
    db.run("SET xla.memory_limit = '2MB'");
    db.run("SET xla.cache_columns = false");
    let before = RUNTIME.memory().used();
    let sql = "SELECT count(*), sum(b.v), min(o.t) FROM big b JOIN other o ON b.n = o.m JOIN big c ON c.id = o.oid";
    db.tokio.block_on(async {
        let query = db.session.collect(sql);
        let ended = tokio::time::timeout(Duration::from_millis(150), query).await;
        assert!(ended.is_err(), "the query was too fast to be cancelled");
    });
    let freed = || {
        for _ in 0..200 {
            if RUNTIME.memory().used() <= before {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    };
    assert!(freed(), "{} bytes are still in use, {before} before the query", RUNTIME.memory().used());
    db.run("SET xla.memory_limit = 0");
}

/// A pipeline above host operators that can only run once: they get new state when the pipeline is retried.
#[test]
fn host_operators_below_a_pipeline_run_again() {
    let db = db();
    db.run("SET datafusion.execution.target_partitions = 3");
    let sql = "SELECT k, r, count(*), sum(v), max(f) FROM \
               (SELECT *, row_number() OVER (PARTITION BY k ORDER BY id) AS r FROM big) GROUP BY k, r";
    let plan = compare(&db, sql, "1500KB", false);
    assert!(plan.contains("memory_mode="), "{plan}");
}

/// Concurrent queries that together need several times the limit all succeed, including small ones.
#[test]
fn concurrent_queries_share_the_limit() {
    let db = db();
    let large = "SELECT count(*), sum(c), sum(s) FROM (SELECT k, count(*) AS c, sum(v) AS s FROM big GROUP BY k)";
    let joined = "SELECT count(*), sum(b.v) FROM big b JOIN other o ON b.id = o.oid";
    let small = "SELECT sum(v) FROM big WHERE id < 100";
    let expected: Vec<Vec<String>> = [large, joined, small].iter().map(|sql| db.rows(sql)).collect();
    db.run("SET xla.memory_limit = '1500KB'");
    db.tokio.block_on(async {
        let session = &db.session;
        let queries = (0..9).map(|i| async move {
            let sql = [large, joined, small][i % 3];
            (i % 3, texts(&session.collect(sql).await.unwrap()))
        });
        for (which, rows) in futures::future::join_all(queries).await {
            assert_eq!(rows, expected[which]);
        }
    });
    assert!(RUNTIME.memory().used() <= 1_536_000);
    db.run("SET xla.memory_limit = 0");
}

/// A repeated query starts in the memory mode in which it succeeded before.
#[test]
fn the_memory_mode_is_remembered() {
    let db = db();
    let sql = "SELECT count(*), sum(c), sum(s) FROM (SELECT k, count(*) AS c, sum(v) AS s FROM big GROUP BY k)";
    let expected = db.rows(sql);
    db.run("SET xla.memory_limit = '1500KB'");
    assert!(db.analyze(sql).contains("restarts="));
    let plan = db.analyze(sql);
    assert!(plan.contains("memory_mode=") && !plan.contains("restarts="), "{plan}");
    assert_eq!(db.rows(sql), expected);
    db.run("SET xla.memory_limit = 0");
}
