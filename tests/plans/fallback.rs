//! Conditions only known at run time: keys whose range is too large for dense ids, and expressions that fail.

use crate::Db;

/// Creates keys whose range exceeds the slots of an aggregate.
fn wide_keys(settings: &[(&str, &str)]) -> Db {
    let db = Db::new(settings);
    db.run("CREATE TABLE t(k BIGINT, v BIGINT) AS VALUES (1, 10), (1000000000, 20), (1, 5), (NULL, 7)");
    db
}

/// Such keys are hashed. `always` runs them, and the limit for dense groups only selects the strategy.
#[test]
fn keys_of_a_large_range_are_hashed() {
    let db = wide_keys(&[("xla.placement", "always")]);
    let sql = "SELECT k, sum(v) FROM t GROUP BY k";
    for limit in ["33554432", "1"] {
        db.run(&format!("SET xla.max_dense_slots = {limit}"));
        assert_eq!(db.sorted(sql), ["1 | 15", "1000000000 | 20", "NULL | 7"]);
        assert!(db.analyze(sql).contains("programs=[aggregate]"));
    }
}

#[test]
fn always_is_an_error_that_names_the_operator() {
    let db = wide_keys(&[("xla.placement", "always")]);
    let expected = "Error during planning: AggregateExec cannot run on the device: array_agg(t.v): this function has no \
                    device form yet (xla.placement = always; set it to auto to run it on the host)";
    assert_eq!(db.error("SELECT k, array_agg(v) FROM t GROUP BY k"), expected);
    // Also if the aggregate is not the last operator of the pipeline.
    assert_eq!(
        db.error("SELECT k, array_length(array_agg(v)) AS n FROM t WHERE v > 0 GROUP BY k ORDER BY n"),
        expected
    );
}

/// Hashed keys with sorts, limits, filters and joins around them.
#[test]
fn hashed_keys_work_inside_a_pipeline() {
    for partitions in ["1", "4"] {
        let db = wide_keys(&[("datafusion.execution.target_partitions", partitions)]);
        let cases: [(&str, &[&str]); 4] = [
            ("SELECT k, sum(v) AS n FROM t WHERE v < 20 GROUP BY k ORDER BY n DESC", &["1 | 15", "NULL | 7"]),
            ("SELECT k + 1, sum(v) AS n FROM t GROUP BY k HAVING sum(v) > 7 ORDER BY n LIMIT 1", &["2 | 15"]),
            (
                "SELECT t.k, count(u.v) AS n FROM t LEFT JOIN t u ON t.k = u.k GROUP BY t.k ORDER BY n DESC",
                &["1 | 4", "1000000000 | 1", "NULL | 0"],
            ),
            ("SELECT t.k FROM t FULL JOIN t u ON t.k = u.v GROUP BY t.k ORDER BY t.k", &["1", "1000000000", "NULL"]),
        ];
        for (sql, expected) in cases {
            // The second run uses the cached plan.
            for run in 1..=2 {
                assert_eq!(db.rows(sql), expected, "{sql}, run {run}, {partitions} partitions");
            }
        }
    }
}

/// A program reports which expression failed. Running the host plan adds the value.
#[test]
fn an_error_has_the_message_of_the_host() {
    let db = wide_keys(&[]);
    let queries = [
        "SELECT CAST(v * 100 AS TINYINT) FROM t",
        "SELECT CAST(t.v * 100 AS TINYINT) FROM t LEFT JOIN t u ON t.k = u.v",
        "SELECT CAST(k / (v - 10) AS TINYINT), count(*) FROM t WHERE v > 9 GROUP BY CAST(k / (v - 10) AS TINYINT)",
    ];
    for sql in queries {
        db.run("SET xla.placement = 'never'");
        let expected = db.error(sql);
        db.run("SET xla.placement = 'auto'");
        assert!(db.explain(sql).contains("Xla"));
        for run in 1..=2 {
            assert_eq!(db.error(sql), expected, "{sql}, run {run}");
        }
    }
}

/// A function of two columns with too many combinations of values is only known at run time. The error names the operator that holds it.
#[test]
fn a_refusal_at_run_time_names_its_operator() {
    let db = Db::new(&[]);
    db.run(
        "CREATE TABLE t AS SELECT value AS id, concat('a', value) AS a, concat('b', value * 7) AS b FROM generate_series(1, 1000)",
    );
    db.run("SET xla.placement = 'always'");
    for (sql, operator) in [
        ("SELECT count(*) FROM t WHERE strpos(a, b) = 0", "XlaFilterExec"),
        ("SELECT strpos(a, b) AS n FROM t", "XlaProjectionExec"),
        ("SELECT sum(strpos(a, b)) FROM t", "XlaAggregateExec"),
        ("SELECT id FROM t ORDER BY strpos(a, b), id", "XlaSortExec"),
        ("SELECT t.id FROM t JOIN t u ON t.id = u.id AND strpos(t.a, u.b) = 0", "XlaJoinExec"),
    ] {
        let error = db.error(sql);
        assert!(error.contains(&format!("{operator} cannot run on the device: ")), "{sql}: {error}");
    }
    // Under `auto` the host runs, and EXPLAIN ANALYZE says why.
    db.run("SET xla.placement = 'auto'");
    let sql = "SELECT count(*) FROM t WHERE strpos(a, b) = 0";
    assert_eq!(db.rows(sql), ["1000"]);
    assert!(db.analyze(sql).contains("fallback=XlaFilterExec: "), "{}", db.analyze(sql));
}
