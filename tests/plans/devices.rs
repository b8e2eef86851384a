//! One and two devices return the same rows.

use std::sync::LazyLock;

use insta::assert_snapshot;

use crate::{Db, RUNTIME};

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
                    assert_eq!(rows.len(), expected.len(), "{sql} on {devices} devices in chunks of {chunk}");
                    let other = rows.iter().zip(expected).find(|(row, expected)| row != expected);
                    assert_eq!(other, None, "{sql} on {devices} devices in chunks of {chunk}");
                }
            }
        }
        if placement == "always" {
            assert!(db.explain(QUERIES[0]).contains("XlaFilterExec"));
        }
    }
}

/// XLA and LLVM would merge two divisions into one, and two roundings into one, if allowed to.
#[test]
fn floats_match_the_host_to_the_last_digit() {
    let expressions = [
        "a / (b / c)",
        "a / b / c",
        "(a / b) / (c / b)",
        "1 / (1 / a)",
        "a / 3e0",
        "a / b * b",
        "a * 3e0 * 5e0",
        "a * b + c",
        "a * b - c",
        "a * b + c * b",
        "c - a * b",
        "(a + b) * c",
        "a - b + b",
        "a + 0.1e0 + 0.2e0",
        "a % b",
        "g * h + g",
        "g / (h / g)",
        "g / h / 3",
        "CAST(g AS DOUBLE) * h + a",
        "CAST(a AS FLOAT)",
        "CAST(a * b AS FLOAT) + g",
        "-(a - b)",
        "a * -0e0",
        "CAST(d AS DOUBLE)",
        "CAST(d AS FLOAT)",
        "CAST(d AS DOUBLE) / 3",
        "CAST(d AS DOUBLE) * b + c",
        "CAST(a AS DECIMAL(20, 4))",
        "CAST(i AS DOUBLE) / 100",
        "CAST(i * 12345678901 AS FLOAT)",
    ];
    let db = Db::new(&[]);
    db.run("SET xla.placement = 'never'");
    db.run(
        "CREATE TABLE n AS SELECT value AS i, CAST(value AS DOUBLE) / 7 AS a, CAST(value % 97 + 1 AS DOUBLE) / 3 AS b, \
         CAST(value % 89 + 1 AS DOUBLE) / 11 AS c, CAST(value % 13 + 1 AS FLOAT) / 11 AS g, \
         CAST(value % 17 + 1 AS FLOAT) / 3 AS h, CAST(value AS DECIMAL(12, 2)) / 100 AS d FROM generate_series(1, 2000)",
    );
    let columns: Vec<_> =
        expressions.iter().enumerate().map(|(k, expression)| format!("{expression} AS e{k}")).collect();
    db.run(&format!("CREATE TABLE host AS SELECT *, {} FROM n", columns.join(", ")));
    db.run("SET xla.placement = 'always'");
    let counts = expressions
        .iter()
        .enumerate()
        .map(|(k, expression)| format!("count(*) FILTER (WHERE {expression} IS DISTINCT FROM e{k})"));
    let rows = db.rows(&format!("SELECT {} FROM host", counts.collect::<Vec<_>>().join(", ")));
    let wrong: Vec<_> = rows[0].split(" | ").zip(expressions).filter(|(count, _)| *count != "0").collect();
    assert_eq!(wrong, []);
}

#[test]
fn rows_of_several_devices_come_in_table_order() {
    let db = Db::on_devices(2, &[("xla.placement", "always"), ("xla.chunk_rows", "1024")]);
    db.run("CREATE TABLE n AS SELECT value AS i FROM generate_series(1, 5000)");
    let rows = db.rows("SELECT i FROM n WHERE i > 0");
    assert_eq!(rows, (1..=5000).map(|i| i.to_string()).collect::<Vec<_>>());
}

/// What moves between devices is a node of the plan, with its rows and bytes.
#[test]
fn exchanges_are_nodes_of_the_plan() {
    let db = Db::on_devices(2, &[("xla.placement", "always"), ("xla.chunk_rows", "1024")]);
    db.run(
        "CREATE TABLE n AS SELECT value AS i, value % 50 AS k, CAST(value AS DOUBLE) / 7 AS f FROM generate_series(1, 5000)",
    );
    db.run("CREATE TABLE d AS SELECT value AS k, value * 2 AS v FROM generate_series(0, 19)");
    assert_snapshot!(db.explain("SELECT i FROM n WHERE i > 10 ORDER BY f"), @"
    DeviceToHostExec: programs=[filter_sort_project], devices=2
      XlaProjectionExec: expr=[i@0 as i]
        XlaSortExec: expr=[canonical_float(f@1) ASC NULLS LAST]
          XlaGatherExec: devices=2
            XlaFilterExec: i@0 > 10
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_snapshot!(db.explain("SELECT d.v, sum(n.i) FROM n JOIN d ON n.k = d.k GROUP BY d.v ORDER BY d.v"), @r"
    DeviceToHostExec: programs=[join_build, join_project_project_aggregate_update, aggregate_sort_finish], devices=2
      XlaSortExec: expr=[v@0 ASC NULLS LAST]
        XlaAggregateExec: gby=[v@1 as v], aggr=[sum(n.i)]
          XlaGatherExec: devices=2, if=hashed groups
            XlaProjectionExec: expr=[i@0 as i, v@3 as v]
              XlaProjectionExec: expr=[i@2 as i, k@3 as k, k@0 as k, v@1 as v]
                XlaJoinExec: join_type=Inner, on=[(k@0, k@1)]
                  XlaBroadcastExec: devices=2
                    HostToDeviceExec
                      DataSourceExec: partitions=1, partition_sizes=[1]
                  XlaGatherExec: devices=2, if=several matches
                    HostToDeviceExec
                      DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_snapshot!(db.explain("SELECT i FROM n UNION ALL SELECT v FROM d LIMIT 7"), @r"
    DeviceToHostExec: programs=[project, union_limit_limit], devices=2
      XlaLimitExec: skip=0, fetch=7
        XlaLimitExec: skip=0, fetch=7
          XlaUnionExec
            XlaGatherExec: devices=2
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1], fetch=7
            XlaGatherExec: devices=2
              XlaProjectionExec: expr=[v@0 as i]
                HostToDeviceExec
                  DataSourceExec: partitions=1, partition_sizes=[1], fetch=7
    ");
    // A sort gathers, dense groups do not.
    let plan = db.analyze("SELECT i FROM n WHERE i > 10 ORDER BY f");
    assert!(plan.contains("XlaGatherExec: devices=2, metrics=[output_rows=4.99 K, moved_bytes="), "{plan}");
    let plan = db.analyze("SELECT k, sum(i) FROM n GROUP BY k");
    assert!(plan.contains("XlaGatherExec: devices=2, if=hashed groups, metrics=[]"), "{plan}");
    let plan = db.analyze("SELECT f, sum(i) FROM n GROUP BY f");
    assert!(
        plan.contains("XlaGatherExec: devices=2, if=hashed groups, metrics=[output_rows=5.00 K, moved_bytes="),
        "{plan}"
    );
    // A build side is copied to every device.
    let plan = db.analyze("SELECT n.i, d.v FROM n JOIN d ON n.k = d.k");
    assert!(plan.contains("broadcast_bytes="), "{plan}");
    // On one device nothing moves.
    let db = Db::new(&[("xla.placement", "always")]);
    db.run("CREATE TABLE n AS SELECT value AS i FROM generate_series(1, 5000)");
    assert!(!db.explain("SELECT i FROM n ORDER BY i % 7").contains("XlaGatherExec"));
}

#[test]
fn missing_devices_are_an_error() {
    LazyLock::force(&RUNTIME);
    let error = parallax::session::Session::builder().devices(99).build().err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("requested 99 cpu devices: ")));
    let error = parallax::session::Session::builder().device("abacus").build().err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.contains("abacus")));
}
