//! Compaction in pipelines: rows are compacted after selective steps, once or several times, and the results match the
//! host.

use crate::Db;

fn db() -> Db {
    let db = Db::exclusive();
    db.run("SET xla.chunk_rows = 65536");
    db.run(
        "CREATE TABLE big AS SELECT value AS id, value * 7919 % 1000003 AS h, value % 10 AS d, value % 20000 AS g, \
         CASE WHEN value % 3 = 0 THEN NULL ELSE value % 101 END AS n FROM generate_series(1, 1200000)",
    );
    db.run(
        "CREATE TABLE dim AS SELECT value AS k, value % 50 AS c, 'dim ' || value AS s FROM generate_series(0, 19999) x",
    );
    db
}

/// Compares the rows with those of the host, and returns EXPLAIN ANALYZE.
fn compare(db: &Db, sql: &str) -> String {
    db.run("SET xla.placement = 'never'");
    let expected = db.sorted(sql);
    db.run("SET xla.placement = 'always'");
    // The first run samples the selectivity.
    for _ in 0..2 {
        assert_eq!(db.sorted(sql), expected, "{sql}");
    }
    db.analyze(sql)
}

#[test]
fn rows_are_compacted_after_selective_steps() {
    let db = db();
    for (sql, packs) in [
        ("SELECT g, count(*), sum(h), max(n) FROM big WHERE d = 3 GROUP BY g", true),
        ("SELECT c, count(*), sum(h), min(s) FROM big JOIN dim ON g = k WHERE d = 3 AND c < 5 GROUP BY c", true),
        ("SELECT id, h, s FROM big JOIN dim ON g = k WHERE d < 2 AND c = 7 AND n = 5", false),
        ("SELECT d, sum(h) FROM big WHERE h % 100 = 1 GROUP BY d", true),
        ("SELECT count(*), sum(h) FROM big WHERE d < 9", false),
        ("SELECT g, count(*) FROM big WHERE id < 0 GROUP BY g", true),
    ] {
        let plan = compare(&db, sql);
        assert_eq!(plan.contains("rows_after_compaction="), packs, "{sql}: {plan}");
    }
}

/// A limit per chunk has already moved rows from their positions, so steps above it must not select rows by position.
#[test]
fn rows_above_a_limit_per_chunk_are_not_selected_by_position() {
    let db = db();
    for sql in [
        "SELECT id, h, d, g, n FROM big ORDER BY h DESC LIMIT 100",
        "SELECT id, h FROM big WHERE d = 4 ORDER BY h LIMIT 10 OFFSET 5",
        "SELECT c, count(*), sum(id) FROM (SELECT * FROM big ORDER BY h LIMIT 500) JOIN dim ON g = k GROUP BY c",
    ] {
        compare(&db, sql);
    }
}

/// Where the keys turn out to have no dense slots, the rows that were compacted for them are those that are hashed.
#[test]
fn rows_are_compacted_once() {
    let db = db();
    for sql in [
        "SELECT id, h, g, sum(n) FROM big WHERE d = 3 GROUP BY id, h, g",
        "SELECT id, h, s, sum(n) FROM big JOIN dim ON g = k WHERE c = 7 GROUP BY id, h, s",
        "SELECT count(*) FROM dim WHERE k * 1000000007 IN (SELECT id * 1000000007 FROM big WHERE d = 3)",
    ] {
        let plan = compare(&db, sql);
        assert!(plan.contains("rows_before_compaction=1.20 M,"), "{sql}: {plan}");
    }
}
