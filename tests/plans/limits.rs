//! Insufficient device memory and invalid options: one clear error, and the session stays usable.

use crate::{Db, RUNTIME};

#[test]
fn a_memory_limit_that_is_too_small_is_an_error() {
    let db = Db::exclusive();
    db.run("CREATE TABLE t(a BIGINT, b BIGINT) AS VALUES (1, 70000), (2, 80000)");
    let sql = "SELECT a FROM t WHERE b > 75000";
    let before = RUNTIME.memory().used();
    db.run("SET xla.memory_limit = '1KB'");
    let error = db.error(sql);
    assert!(error.starts_with("Resources exhausted: "), "{error}");
    for part in ["asked for 4096 bytes of device memory", "of the 1024 bytes allowed", "xla.memory_limit"] {
        assert!(error.contains(part), "{error}");
    }
    // Queries that need no device still run, and nothing of the failed query is left.
    assert_eq!(db.rows("SELECT 1 + 1"), ["2"]);
    assert!(RUNTIME.memory().used() <= before + 1024);
    db.run("SET xla.memory_limit = 0");
    assert_eq!(db.rows(sql), ["2"]);
    assert_eq!(RUNTIME.memory().limit(), None);
}

#[test]
fn accumulators_count_against_the_limit() {
    let db = Db::exclusive();
    // 79,999 slots for 40,000 rows are dense: at most two slots per row.
    db.run("CREATE TABLE t AS SELECT value * 2 AS k FROM generate_series(1, 40000)");
    let sql = "SELECT k, max(k) AS m FROM t GROUP BY k ORDER BY k LIMIT 2";
    db.run("SET xla.memory_limit = '1MB'");
    assert_eq!(db.rows(sql), ["2 | 2", "4 | 4"]);
    let plan = db.analyze(sql);
    assert!(plan.contains("memory_mode=streamed"), "{plan}");
    db.run("SET xla.memory_limit = '4KB'");
    let error = db.error(sql);
    assert!(
        error.starts_with("Resources exhausted: ") && error.contains("of the 4096 bytes allowed are in use"),
        "{error}"
    );
    db.run("SET xla.memory_limit = 0");
    assert_eq!(db.rows(sql), ["2 | 2", "4 | 4"]);
}

/// Detected before anything is allocated.
#[test]
fn a_join_that_is_too_large_is_an_error() {
    let db = Db::exclusive();
    db.run("CREATE TABLE t AS SELECT value AS v FROM generate_series(1, 3000)");
    db.run("SET xla.memory_limit = '4MB'");
    let sql = "SELECT count(*), count(t.v + u.v) FROM t FULL JOIN t u ON t.v + u.v > 5990";
    let error = db.error(sql);
    assert!(error.starts_with("Resources exhausted: the Full join would have 9000000 rows"), "{error}");
    assert!(error.contains("xla.memory_limit allows") && error.contains("filter the inputs of the join"), "{error}");
    assert_eq!(db.rows("SELECT count(*) FROM t JOIN t u ON t.v = u.v"), ["3000"]);
    // The pairs of an inner join are written out a chunk at a time.
    assert_eq!(db.rows("SELECT count(*) FROM t JOIN t u ON t.v + u.v > 5990"), ["55"]);
    db.run("SET xla.memory_limit = 0");
    assert_eq!(db.rows(sql), ["6035 | 55"]);
    // More rows than 32-bit row numbers can address, regardless of memory.
    db.run("CREATE TABLE w AS SELECT value AS v FROM generate_series(1, 40000)");
    let error = db.error("SELECT count(*) FROM w FULL JOIN w u ON w.v + u.v > 79990");
    assert!(error.contains("the join would have 1600000000 rows, more than the 1073741824"), "{error}");
}

#[test]
fn columns_in_use_by_no_query_are_evicted() {
    let db = Db::exclusive();
    for table in ["t", "u"] {
        db.run(&format!("CREATE TABLE {table} AS SELECT value AS v FROM generate_series(100001, 120000)"));
    }
    // A column takes 128 KiB. With what a query needs besides, two do not fit.
    db.run("SET xla.memory_limit = '200KB'");
    for table in ["t", "u", "t", "u"] {
        assert_eq!(db.rows(&format!("SELECT sum(v), count(*) FROM {table}")), ["2200010000 | 20000"]);
    }
    db.run("SET xla.memory_limit = 0");
    db.run("SELECT sum(v) FROM t");
}

#[test]
fn the_error_for_an_invalid_option_says_what_is_valid() {
    let db = Db::with_t(&[]);
    let cases = [
        ("SET xla.placement = 'gpu'", "xla.placement: 'gpu' is not a placement; use auto, always or never"),
        (
            "SET xla.memory_limit = 'lots'",
            "xla.memory_limit: 'lots' is not a size; write e.g. 512MB, 4GB, or 0 for no limit",
        ),
        (
            "SET xla.memory_limit = '-1MB'",
            "xla.memory_limit: '-1MB' is not a size; write e.g. 512MB, 4GB, or 0 for no limit",
        ),
        (
            "SET xla.chunk_rows = 1000",
            "xla.chunk_rows: 1000 is not a power of two of at least 1024; 0 selects the default",
        ),
        (
            "SET xla.max_dense_slots = 5000000000",
            "xla.max_dense_slots: 5000000000 exceeds 1073741824, the maximum for 32-bit group ids",
        ),
        ("SET xla.threads = 'many'", "xla.threads: 'many' is not a non-negative integer"),
        ("SET xla.cache_columns = 'perhaps'", "xla.cache_columns: 'perhaps' is not true or false"),
        ("SET xla.speed = 11", "xla.speed is not an option; the options are xla.placement, xla.memory_limit, "),
    ];
    for (sql, message) in cases {
        let error = db.error(sql);
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(db.rows("SHOW xla.placement"), ["xla.placement | auto"]);
    assert_eq!(db.rows("SELECT a FROM t WHERE a = 2"), ["2"]);
}
