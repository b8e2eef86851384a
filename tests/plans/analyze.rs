//! EXPLAIN ANALYZE: rows of every node; bytes and times of uploads, programs and downloads; cache hits.

use insta::assert_snapshot;

use crate::Db;

const SQL: &str = "SELECT s, sum(d) FROM t WHERE a > 1 GROUP BY s";

#[test]
fn every_node_reports_its_metrics() {
    let db = Db::with_t(&[]);
    // This run, or another test, compiles the programs first.
    db.run(&format!("EXPLAIN ANALYZE {SQL}"));
    db.run("CREATE TABLE u AS SELECT * FROM t");
    let first = SQL.replace("FROM t", "FROM u");
    assert_snapshot!(db.analyze(&first), @r"
    DeviceToHostExec: programs=[filter_project_aggregate_update, aggregate_finish], metrics=[output_rows=2, download_bytes=104, program_cache_hits=2, compile_time=T, device_time=T, download_time=T, kernel_time=T]
      XlaAggregateExec: gby=[s@0 as s], aggr=[sum(u.d)], metrics=[output_rows=2, kernel_time=T, strategy=dense groups]
        XlaProjectionExec: expr=[s@1 as s, d@2 as d], metrics=[output_rows=2]
          XlaFilterExec: a@0 > 1, metrics=[output_rows=2]
            HostToDeviceExec, metrics=[cached_columns=3]
              DataSourceExec: partitions=1, partition_sizes=[1], metrics=[]
    ");
}

#[test]
fn a_second_run_compiles_and_uploads_nothing() {
    let db = Db::with_t(&[]);
    let first = db.analyze(SQL);
    assert!(first.contains("cached_columns=0") && first.contains("upload_bytes="), "{first}");
    let second = db.analyze(SQL);
    assert!(second.contains("cached_columns=3") && !second.contains("upload_bytes="), "{second}");
    assert!(second.contains("program_cache_hits=2"), "{second}");
    assert!(!second.contains("program_cache_misses"), "{second}");
}

#[test]
fn without_cached_columns_every_run_uploads() {
    let db = Db::with_t(&[("xla.cache_columns", "false")]);
    for _ in 0..2 {
        let plan = db.analyze(SQL);
        assert!(plan.contains("upload_bytes=") && !plan.contains("cached_columns"), "{plan}");
    }
}

/// Literals are parameters of a program, so other literals of the same width and sign need no compilation.
#[test]
fn other_literals_share_the_program() {
    let db = Db::with_t(&[]);
    let compiled = |sql: &str| db.analyze(sql).matches("program_cache_misses").count();
    compiled("SELECT a + 7, s FROM t WHERE b > 0.25 AND s IN ('x', 'z') AND d < 100.5 OR a = 1000");
    assert_eq!(compiled("SELECT a + 9, s FROM t WHERE b > -1e9 AND s IN ('q', 'y') AND d < 99.9 OR a = 999"), 0);
    compiled("SELECT s, sum(d * 3) FROM t WHERE a > 1 GROUP BY s HAVING count(*) > 1 ORDER BY s LIMIT 10");
    assert_eq!(
        compiled("SELECT s, sum(d * 5) FROM t WHERE a > 2 GROUP BY s HAVING count(*) > 0 ORDER BY s LIMIT 5"),
        0
    );
    // Neither do the rows of another table with the same ranges and capacity.
    db.run("CREATE TABLE u AS SELECT * FROM t WHERE a > 1 OR a IS NULL");
    compiled("SELECT s, count(*) FROM t WHERE a <> 5 GROUP BY s");
    assert_eq!(compiled("SELECT s, count(*) FROM u WHERE a <> 5 GROUP BY s"), 0);
}

/// Which programs ran, and which strategy each join used, is only known at run time.
#[test]
fn strategies_chosen_at_run_time_are_shown() {
    let db = Db::with_t(&[("xla.placement", "always")]);
    db.run("CREATE TABLE wide(k BIGINT, v BIGINT) AS VALUES (1, 10), (1000000000, 20), (1, 5), (NULL, 7)");
    let cases = [
        ("SELECT k, sum(v) FROM wide GROUP BY k", "programs=[aggregate]", ""),
        ("SELECT v % 3, sum(k) FROM wide GROUP BY v % 3", "programs=[aggregate_update, aggregate_finish]", ""),
        ("SELECT median(a) FROM t", "programs=[aggregate]", ""),
        (
            "SELECT t.b FROM t JOIN t u ON t.a = u.a",
            "programs=[join_build, join_project",
            "strategy=gather join, dense keys",
        ),
        ("SELECT t.b FROM wide JOIN t ON t.a = wide.k", "join_expand", "pairs=2, strategy=expanding join, hashed keys"),
        (
            "SELECT a FROM t WHERE a IN (SELECT k FROM wide)",
            "programs=[join_build, join]",
            "strategy=existence join, hashed keys",
        ),
        ("SELECT t.b FROM t JOIN wide ON t.a < wide.v", "join_expand", "pairs=16, strategy=nested-loop join"),
    ];
    for (sql, programs, way) in cases {
        let plan = db.analyze(sql);
        assert!(plan.contains(programs) && plan.contains(way), "{sql}\n{plan}");
    }
}

/// Plain EXPLAIN shows what the plan says, whatever has run before; estimates and history come with VERBOSE.
#[test]
fn plain_explain_is_deterministic() {
    let db = Db::with_t(&[]);
    let explain = |kind: &str| format!("{:?}", db.rows(&format!("EXPLAIN {kind} {SQL}")));
    let before = explain("");
    assert!(!before.contains("estimates"), "{before}");
    for _ in 0..3 {
        db.rows(SQL);
        db.analyze(SQL);
        assert_eq!(explain(""), before);
    }
    assert!(explain("VERBOSE").contains("estimates: host "), "{}", explain("VERBOSE"));
    assert!(format!("{:?}", db.rows(&format!("EXPLAIN ANALYZE {SQL}"))).contains("estimates: host "));
}
