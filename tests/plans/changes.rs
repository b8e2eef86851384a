//! Tables, views, files and options that change between two runs of the same query. Neither stale columns on the device
//! nor a stale cached plan may be used.

use std::path::Path;
use std::sync::Arc;

use crate::Db;

/// Runs each step, then the query twice, so that its plan is cached. Both runs must return the rows of that step.
fn check(db: &Db, sql: &str, steps: &[(&str, &[&str])]) {
    for (step, rows) in steps {
        if !step.is_empty() {
            db.run(step);
        }
        for run in 1..=2 {
            assert_eq!(db.sorted(sql), *rows, "{sql} after {step:?}, run {run}");
        }
    }
}

#[test]
fn inserts_updates_and_deletes_are_visible() {
    for sql in
        ["SELECT a, b + 1, s FROM t WHERE a > 0", "SELECT a, b + 1, s FROM (SELECT * FROM t WHERE a > 0) ORDER BY s"]
    {
        let db = Db::new(&[]);
        db.run("CREATE TABLE t(a BIGINT, b BIGINT, s VARCHAR) AS VALUES (1, 1, 'x')");
        let steps: [(&str, &[&str]); 7] = [
            ("", &["1 | 2 | x"]),
            ("INSERT INTO t VALUES (2, 2, 'y'), (3, NULL, NULL)", &["1 | 2 | x", "2 | 3 | y", "3 | NULL | NULL"]),
            // Update a column other than the first, whose array stays the same.
            ("UPDATE t SET b = 10 WHERE a = 2", &["1 | 2 | x", "2 | 11 | y", "3 | NULL | NULL"]),
            ("UPDATE t SET s = 'z'", &["1 | 2 | z", "2 | 11 | z", "3 | NULL | z"]),
            ("DELETE FROM t WHERE b = 10", &["1 | 2 | z", "3 | NULL | z"]),
            ("DELETE FROM t", &[]),
            ("INSERT INTO t VALUES (5, 5, 'w')", &["5 | 6 | w"]),
        ];
        check(&db, sql, &steps);
    }
}

#[test]
fn counts_from_statistics_are_current() {
    let db = Db::new(&[]);
    db.run("CREATE TABLE t(a BIGINT) AS VALUES (1), (2), (3), (4)");
    let steps: [(&str, &[&str]); 4] = [
        ("", &["4"]),
        ("DELETE FROM t WHERE a = 1", &["3"]),
        ("DELETE FROM t WHERE a = 2", &["2"]),
        ("INSERT INTO t VALUES (1), (2), (3), (4)", &["6"]),
    ];
    check(&db, "SELECT count(*) FROM t", &steps);
}

#[test]
fn a_table_can_be_replaced_by_one_of_another_schema() {
    let db = Db::new(&[]);
    db.run("CREATE TABLE t(a BIGINT) AS VALUES (1), (2)");
    let steps: [(&str, &[&str]); 2] = [("", &["1", "2"]), ("DROP TABLE t", &[])];
    check(&db, "SELECT a FROM t WHERE a IS NOT NULL", &steps[..1]);
    db.run("DROP TABLE t");
    assert!(db.error("SELECT a FROM t WHERE a IS NOT NULL").contains("table 'datafusion.public.t' not found"));
    db.run("CREATE TABLE t(b INT, a VARCHAR) AS VALUES (7, 'x'), (8, NULL)");
    check(&db, "SELECT a FROM t WHERE a IS NOT NULL", &[("", &["x"])]);
    check(
        &db,
        "SELECT a FROM t WHERE a IS NOT NULL",
        &[("CREATE OR REPLACE TABLE t(a DATE) AS VALUES ('2026-01-02')", &["2026-01-02"])],
    );
}

#[test]
fn a_dropped_table_is_freed() {
    let db = Db::with_t(&[]);
    db.run("CREATE TABLE gone AS SELECT * FROM t");
    let sql = "SELECT a FROM gone WHERE a > 1";
    check(&db, sql, &[("", &["2", "3"])]);
    let table = Arc::downgrade(&db.tokio.block_on(db.session.context().table_provider("gone")).unwrap());
    db.run("DROP TABLE gone");
    db.run("SELECT a FROM t WHERE a > 1");
    assert_eq!(table.strong_count(), 0);
}

#[test]
fn a_replaced_view_is_used() {
    let db = Db::with_t(&[]);
    let steps: [(&str, &[&str]); 4] = [
        ("CREATE VIEW v AS SELECT a FROM t WHERE a > 2", &["3"]),
        ("CREATE OR REPLACE VIEW v AS SELECT a + 10 AS a FROM t WHERE a < 2", &["11"]),
        ("INSERT INTO t VALUES (0, 0, 'x', 0)", &["10", "11"]),
        ("CREATE OR REPLACE VIEW v AS SELECT 5 AS a", &["5"]),
    ];
    check(&db, "SELECT a FROM v", &steps);
}

/// A table without rows has no arrays to identify it.
#[test]
fn empty_tables_are_not_confused() {
    let db = Db::new(&[("xla.placement", "always")]);
    db.run("CREATE TABLE e(x INT, s VARCHAR)");
    db.run("CREATE TABLE f(x DOUBLE)");
    check(&db, "SELECT x + 1, s FROM e WHERE x > 1 OR s > 'a'", &[("", &[])]);
    check(&db, "SELECT x + 1 FROM f WHERE x > 1", &[("", &[])]);
    check(&db, "SELECT s, count(*), max(x) FROM e GROUP BY s", &[("", &[])]);
    check(&db, "SELECT min(s), max(x), count(x), sum(x) FROM e WHERE x > 1", &[("", &["NULL | NULL | 0 | NULL"])]);
    check(&db, "SELECT s, x FROM e WHERE x > 1", &[("INSERT INTO e VALUES (2, 'b'), (1, 'c')", &["b | 2"])]);
}

#[test]
fn changed_options_take_effect() {
    let db = Db::with_t(&[]);
    let sql = "SELECT a FROM t ORDER BY row_number() OVER (ORDER BY a) LIMIT 1";
    check(&db, sql, &[("", &["1"])]);
    db.run("SET xla.placement = 'always'");
    assert!(db.error(sql).contains("cannot run on the device"));
    check(&db, sql, &[("SET xla.placement = 'never'", &["1"])]);
    // A cached plan uses the options of the current run.
    let sql = "SELECT s, sum(a) FROM t GROUP BY s";
    let rows: &[&str] = &["NULL | NULL", "x | 4", "y | 2"];
    let steps = [
        ("SET xla.placement = 'always'", rows),
        ("SET xla.chunk_rows = 1024", rows),
        ("SET xla.threads = 1", rows),
        ("SET xla.cache_columns = false", rows),
        ("SET xla.max_dense_slots = 1", rows),
        ("SET xla.portable_kernels = true", rows),
    ];
    check(&db, sql, &steps);
}

/// A join keeps its build side in the plan. Running the cached plan again must not reuse it.
#[test]
fn joins_of_a_cached_plan_run_again() {
    for placement in ["auto", "never"] {
        for partitions in ["1", "4"] {
            let db =
                Db::with_t(&[("xla.placement", placement), ("datafusion.execution.target_partitions", partitions)]);
            for kind in ["LEFT", "RIGHT", "FULL", "INNER"] {
                let sql = format!("SELECT t.a, u.s FROM t {kind} JOIN t u ON t.a = u.a + 1");
                let first = db.sorted(&sql);
                for run in 2..=3 {
                    assert_eq!(db.sorted(&sql), first, "{sql}, run {run}, {placement}, {partitions} partitions");
                }
            }
            for kind in ["EXISTS", "NOT EXISTS"] {
                let sql = format!("SELECT a FROM t WHERE {kind} (SELECT 1 FROM t u WHERE u.a = t.a + 1)");
                let first = db.sorted(&sql);
                assert_eq!(db.sorted(&sql), first, "{sql}, {placement}, {partitions} partitions");
            }
        }
    }
}

fn write(db: &Db, rows: &str, path: &Path) {
    db.run(&format!("COPY (VALUES {rows}) TO '{}' STORED AS PARQUET", path.display()));
}

#[test]
fn a_rewritten_parquet_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder) = (dir.path().join("one.parquet"), dir.path().join("many"));
    std::fs::create_dir(&folder).unwrap();
    let db = Db::new(&[("xla.placement", "always")]);
    write(&db, "(1, 'x'), (2, 'y')", &file);
    write(&db, "(1, 'x'), (2, 'y')", &folder.join("a.parquet"));
    db.tokio.block_on(db.session.register_path("one", &file)).unwrap();
    db.tokio.block_on(db.session.register_path("many", &folder)).unwrap();
    let sum = |table: &str| db.rows(&format!("SELECT sum(column1), max(column2) FROM {table} WHERE column1 > 0"));
    for table in ["one", "many", "one", "many"] {
        assert_eq!(sum(table), ["3 | y"]);
    }
    // First a file of the same size, then a longer one.
    write(&db, "(3, 'x'), (4, 'z')", &file);
    assert_eq!(sum("one"), ["7 | z"]);
    write(&db, "(3, 'x'), (4, 'z'), (5, 'a very much longer text')", &file);
    assert_eq!(sum("one"), ["12 | z"]);
    write(&db, "(10, 'w')", &folder.join("b.parquet"));
    assert_eq!(sum("many"), ["13 | y"]);
    std::fs::remove_file(folder.join("a.parquet")).unwrap();
    assert_eq!(sum("many"), ["10 | w"]);
}
