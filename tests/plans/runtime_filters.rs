//! Runtime filters: the keys of a small join side are pushed into the other side, and the results match the host.

use crate::Db;

/// `large` has 200,000 rows in 20,000 groups of `g`, some of them NULL. `small` has a few rows, with duplicate keys,
/// keys that `large` lacks, and NULL. `middle` has a row for each group.
fn db() -> Db {
    let db = Db::exclusive();
    db.run(
        "CREATE TABLE large AS SELECT value AS id, CASE WHEN value % 17 = 0 THEN NULL ELSE value * 7919 % 20000 END AS g, \
         value % 8 AS h, value % 1000 AS v, 'group ' || (value * 7919 % 20000) AS s FROM generate_series(1, 200000)",
    );
    db.run("CREATE TABLE middle AS SELECT value AS m, value % 100 AS w, 'group ' || value AS t FROM generate_series(0, 150000) x");
    db.run(
        "CREATE TABLE small AS SELECT * FROM (VALUES (5, 1), (5, 2), (777, 3), (19999, 4), (-3, 5), (70000, 6), (NULL, 7)) \
         AS x(k, n)",
    );
    db
}

/// Compares the rows with those of the host, and returns whether EXPLAIN ANALYZE shows a runtime filter.
fn compare(db: &Db, sql: &str) -> bool {
    db.run("SET xla.placement = 'never'");
    let expected = db.sorted(sql);
    db.run("SET xla.placement = 'always'");
    assert_eq!(db.sorted(sql), expected, "{sql}");
    db.analyze(sql).contains("strategy=runtime filter")
}

#[test]
fn groups_without_a_match_are_not_aggregated() {
    let db = db();
    let grouped = "(SELECT g, count(*) AS c, sum(v) AS t FROM large GROUP BY g)";
    for sql in [
        format!("SELECT k, n, c, t FROM small JOIN {grouped} a ON k = g"),
        format!("SELECT k, n, c, t FROM {grouped} a JOIN small ON k = g AND n < c"),
        format!("SELECT k, n, c, t FROM small LEFT JOIN {grouped} a ON k = g"),
        format!("SELECT k, n, c, t FROM {grouped} a RIGHT JOIN small ON k = g"),
        format!("SELECT * FROM small WHERE k IN (SELECT g FROM {grouped} a WHERE c > 3)"),
        format!("SELECT * FROM small WHERE EXISTS (SELECT 1 FROM {grouped} a WHERE k = g AND n * 1000 < t)"),
        format!("SELECT * FROM small WHERE NOT EXISTS (SELECT 1 FROM {grouped} a WHERE k = g AND c > 3)"),
        "SELECT n, s, c FROM small JOIN (SELECT s, g, count(*) AS c FROM large WHERE v > 10 GROUP BY s, g) a ON g = k"
            .into(),
    ] {
        assert!(compare(&db, &sql), "{sql}");
    }
}

#[test]
fn sides_whose_rows_are_all_needed_are_not_filtered() {
    let db = db();
    let grouped = "(SELECT g, count(*) AS c FROM large GROUP BY g)";
    for sql in [
        // Every group appears in the result, matched or not.
        format!("SELECT count(*), sum(c), count(k) FROM {grouped} a LEFT JOIN small ON k = g"),
        format!("SELECT count(*), sum(c), sum(n) FROM {grouped} a FULL JOIN small ON k = g"),
        format!("SELECT count(*) FROM {grouped} a WHERE NOT EXISTS (SELECT 1 FROM small WHERE k = g)"),
        // NULL among the values.
        format!("SELECT n FROM small WHERE k NOT IN (SELECT g FROM {grouped} a)"),
        format!("SELECT k, n, c FROM small JOIN {grouped} a ON k IS NOT DISTINCT FROM g"),
        // The key is an aggregate, in grouping sets, or below a limit.
        "SELECT n, t FROM small JOIN (SELECT sum(v) AS t, h FROM large GROUP BY h) a ON k = t".into(),
        "SELECT count(*) FROM small JOIN (SELECT g, h, count(*) AS c FROM large GROUP BY GROUPING SETS ((g), (h), ())) a ON k = g"
            .into(),
        "SELECT n, c FROM small JOIN (SELECT g, c FROM (SELECT g, count(*) AS c FROM large GROUP BY g) LIMIT 100000) a ON k = g"
            .into(),
    ] {
        assert!(!compare(&db, &sql), "{sql}");
    }
}

/// A runtime filter passes through joins to the tables, also by the key of the other side.
#[test]
fn build_sides_are_filtered() {
    let db = db();
    let joined = "(SELECT m, w, id, v FROM middle JOIN large ON m = g)";
    for sql in [
        format!("SELECT * FROM {joined} j WHERE m IN (SELECT k FROM small)"),
        format!("SELECT n, count(*), sum(w), sum(v) FROM small JOIN {joined} j ON k = m GROUP BY n"),
        "SELECT count(*), sum(w), sum(v) FROM (SELECT m, w, id, v FROM middle LEFT JOIN large ON m = g) j \
         WHERE m IN (SELECT k FROM small WHERE n < 5)"
            .into(),
        "SELECT count(*), sum(v) FROM (SELECT g, v FROM large WHERE NOT EXISTS (SELECT 1 FROM middle WHERE m = g AND w < 50)) j \
         WHERE g IN (SELECT k FROM small)"
            .into(),
        "SELECT n, t, w FROM small JOIN (SELECT g, s FROM large) l ON g = k JOIN middle ON t = s".into(),
    ] {
        compare(&db, &sql);
    }
}

/// No keys to filter by, and a side that is all NULL.
#[test]
fn no_keys_leave_no_rows() {
    let db = db();
    let grouped = "(SELECT g, count(*) AS c FROM large GROUP BY g)";
    for condition in ["n > 100", "n = 7", "n = 5"] {
        let sql = format!("SELECT k, c FROM (SELECT * FROM small WHERE {condition}) s JOIN {grouped} a ON k = g");
        compare(&db, &sql);
        assert_eq!(db.rows(&sql), Vec::<String>::new(), "{sql}");
    }
}
