//! The rows of one device and of two are the same.

use crate::Db;

const QUERIES: [&str; 10] = [
    "SELECT i, k * 2, s FROM n WHERE i % 3 = 0 AND s <> 'group 1'",
    "SELECT i, CAST(f - 700.5 AS INT), CAST(CAST(d * -1 AS DECIMAL(38, 20)) AS DOUBLE) FROM n",
    "SELECT count(*), sum(i), min(i), max(i), avg(d), sum(d), min(s), max(s), avg(f) FROM n",
    "SELECT count(*), sum(i), min(s) FROM n WHERE i > 4990",
    "SELECT count(*), sum(i), min(s) FROM n WHERE i < 0",
    "SELECT k, count(*), sum(i), min(d), max(f), count(*) FILTER (WHERE i > 2500) FROM n GROUP BY k",
    "SELECT s, k > 3, sum(d) AS total FROM n WHERE i > 100 GROUP BY s, k > 3 ORDER BY total DESC, s LIMIT 5",
    "SELECT i FROM n WHERE i = 5000",
    "SELECT s, count(*) FROM one GROUP BY s",
    "SELECT s, sum(i) FROM none GROUP BY s",
];

#[test]
fn rows_do_not_depend_on_the_number_of_devices_or_chunks() {
    let mut expected: Option<Vec<Vec<String>>> = None;
    for (devices, placement, chunk) in
        [(1, "never", "0"), (1, "always", "0"), (1, "always", "1024"), (2, "always", "0"), (2, "always", "1024")]
    {
        let db = Db::on_devices(devices, &[("xla.chunk_rows", chunk)]);
        db.run(
            "CREATE TABLE n AS SELECT value AS i, nullif(value % 7, 6) AS k, concat('group ', value % 5) AS s, \
             CAST(value AS DECIMAL(18, 3)) / 8 AS d, CAST(value AS DOUBLE) / 4 AS f FROM generate_series(1, 5000)",
        );
        db.run("CREATE TABLE one AS SELECT * FROM n WHERE i = 1");
        db.run("CREATE TABLE none AS SELECT * FROM n WHERE i < 0");
        db.run(&format!("SET xla.placement = '{placement}'"));
        let rows: Vec<_> = QUERIES.iter().map(|sql| db.sorted(sql)).collect();
        assert_eq!(rows[0].len(), 1333);
        match &expected {
            None => expected = Some(rows),
            Some(expected) => {
                for ((sql, rows), expected) in QUERIES.iter().zip(&rows).zip(expected) {
                    assert_eq!(rows, expected, "{sql} on {devices} devices in chunks of {chunk}");
                }
            }
        }
        if placement == "always" {
            assert!(db.explain(QUERIES[0]).contains("XlaFilterExec"));
        }
    }
}

#[test]
fn rows_of_several_devices_come_in_table_order() {
    let db = Db::on_devices(2, &[("xla.placement", "always"), ("xla.chunk_rows", "1024")]);
    db.run("CREATE TABLE n AS SELECT value AS i FROM generate_series(1, 5000)");
    let rows = db.rows("SELECT i FROM n WHERE i > 0");
    assert_eq!(rows, (1..=5000).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn devices_that_are_not_there_are_an_error() {
    let error = parallax::session::Session::builder().devices(99).build().err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("99 cpu devices were asked for: there are ")));
    let error = parallax::session::Session::builder().device("abacus").build().err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("abacus")));
}
