//! Reasons that show only once the data has been read: `auto` runs the host plan and says so, `always` is an error.

use crate::Db;

/// Keys that span more groups than an aggregate may have slots.
fn wide_keys(settings: &[(&str, &str)]) -> Db {
    let db = Db::new(settings);
    db.run("CREATE TABLE t(k BIGINT, v BIGINT) AS VALUES (1, 10), (1000000000, 20), (1, 5), (NULL, 7)");
    db
}

const REASON: &str = "GROUP BY k: the key ranges span 1000000001 groups, more than xla.max_dense_groups = 1048576; the \
                      sort-based path comes next";

#[test]
fn auto_gives_the_rows_of_the_host_and_says_why() {
    let db = wide_keys(&[]);
    let sql = "SELECT k, sum(v) FROM t GROUP BY k";
    for _ in 0..2 {
        assert_eq!(db.sorted(sql), ["1 | 15", "1000000000 | 20", "NULL | 7"]);
    }
    let plan = db.analyze(sql);
    assert!(plan.contains(&format!("ran on the host: {REASON}=1")) && plan.contains("output_rows=3"), "{plan}");
}

#[test]
fn always_is_an_error_that_names_the_operator() {
    let db = wide_keys(&[("xla.placement", "always")]);
    let expected = format!(
        "Error during planning: AggregateExec cannot run on the device: {REASON} (xla.placement = always; set it to auto \
         to run it on the host)"
    );
    assert_eq!(db.error("SELECT k, sum(v) FROM t GROUP BY k"), expected);
    // Also where the aggregate is not the last operator of the pipeline.
    assert_eq!(db.error("SELECT k, sum(v) + 1 AS n FROM t WHERE v > 0 GROUP BY k ORDER BY n"), expected);
}

/// The whole pipeline runs on the host: with its sort, its limit, its filters, and joins that both plans share.
#[test]
fn operators_around_the_aggregate_run_on_the_host_too() {
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
            // The second run is that of the cached plan.
            for run in 1..=2 {
                assert_eq!(db.rows(sql), expected, "{sql}, run {run}, {partitions} partitions");
            }
        }
    }
}

/// A program reports which expression failed; the host plan, run again, says with which value.
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

#[test]
fn a_larger_limit_places_it() {
    let db = Db::new(&[("xla.placement", "always"), ("xla.max_dense_groups", "4")]);
    db.run("CREATE TABLE t(k BIGINT) AS VALUES (1), (5), (5)");
    let sql = "SELECT k, count(*) FROM t GROUP BY k";
    assert!(db.error(sql).contains("span 5 groups, more than xla.max_dense_groups = 4"));
    db.run("SET xla.max_dense_groups = 5");
    assert_eq!(db.sorted(sql), ["1 | 1", "5 | 2"]);
}
