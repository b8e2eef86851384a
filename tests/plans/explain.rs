//! EXPLAIN: which operators run on the device, as which programs, and why the others do not.

use insta::assert_snapshot;

use crate::Db;

#[test]
fn filter_and_project_are_one_program() {
    let db = Db::with_t(&[]);
    let sql = "SELECT a + 1 AS next, s FROM t WHERE a > 1 AND s = 'x'";
    assert_snapshot!(db.explain(sql), @r"
    DeviceToHostExec: programs=[filter_project]
      XlaProjectionExec: expr=[a@0 + 1 as next, s@1 as s]
        XlaFilterExec: a@0 > 1 AND s@1 = x
          HostToDeviceExec
            DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.rows(sql), ["4 | x"]);
}

#[test]
fn an_ungrouped_aggregate_has_an_update_and_a_finish_program() {
    let db = Db::with_t(&[]);
    let sql = "SELECT sum(a), count(*), min(s), avg(d) FROM t WHERE b < 3";
    assert_snapshot!(db.explain(sql), @"
    DeviceToHostExec: programs=[filter_project_aggregate_update, aggregate_project_finish]
      XlaProjectionExec: expr=[sum(t.a)@0 as sum(t.a), count(Int64(1))@1 as count(*), min(t.s)@2 as min(t.s), avg(t.d)@3 as avg(t.d)]
        XlaAggregateExec: gby=[], aggr=[sum(t.a), count(Int64(1)), min(t.s), avg(t.d)]
          XlaProjectionExec: expr=[a@0 as a, s@2 as s, d@3 as d]
            XlaFilterExec: b@1 < 3 AND canonical_float(b@1) < 3
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.rows(sql), ["3 | 2 | x | 1.875000"]);
}

#[test]
fn a_grouped_aggregate_has_an_update_and_a_finish_program() {
    let db = Db::with_t(&[]);
    let sql = "SELECT s, sum(d), count(*) FROM t GROUP BY s";
    assert_snapshot!(db.explain(sql), @r"
    DeviceToHostExec: programs=[aggregate_update, aggregate_project_finish]
      XlaProjectionExec: expr=[s@0 as s, sum(t.d)@1 as sum(t.d), count(Int64(1))@2 as count(*)]
        XlaAggregateExec: gby=[s@0 as s], aggr=[sum(t.d), count(Int64(1))]
          HostToDeviceExec
            DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.sorted(sql), ["NULL | 4.00 | 1", "x | -2.50 | 2", "y | 2.50 | 1"]);
}

#[test]
fn groups_are_sorted_in_the_finish_program() {
    let db = Db::with_t(&[("xla.placement", "always")]);
    let sql = "SELECT s, a > 2 AS late, sum(d) AS total, sum(d * (1 - d)) AS charge, avg(b), count(*) AS n \
               FROM t WHERE d <= 10 GROUP BY s, a > 2 ORDER BY s DESC, n LIMIT 3";
    assert_snapshot!(db.explain(sql), @r"
    DeviceToHostExec: programs=[filter_aggregate_update, aggregate_project_sort_finish]
      XlaSortExec: TopK(fetch=3), expr=[s@0 DESC, n@5 ASC NULLS LAST]
        XlaProjectionExec: expr=[s@0 as s, t.a > Int64(2)@1 as late, sum(t.d)@2 as total, sum(t.d * Int64(1) - t.d)@3 as charge, avg(t.b)@4 as avg(t.b), count(Int64(1))@5 as n]
          XlaAggregateExec: gby=[s@2 as s, a@0 > 2 as t.a > Int64(2)], aggr=[sum(t.d), sum(t.d * Int64(1) - t.d), avg(t.b), count(Int64(1))]
            XlaFilterExec: d@3 <= 10.00
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    let rows = [
        "NULL | NULL | 4.00 | -12.0000 | 4.0 | 1",
        "y | false | 2.50 | -3.7500 | -2.5 | 1",
        "x | false | 1.25 | -0.3125 | 1.5 | 1",
    ];
    assert_eq!(db.rows(sql), rows);
}

#[test]
fn partial_and_final_aggregates_become_one_node() {
    let db = Db::with_t(&[("datafusion.execution.target_partitions", "4"), ("xla.placement", "never")]);
    let sql = "SELECT s, sum(a) FROM t GROUP BY s";
    assert_snapshot!(db.explain(sql), @r"
    AggregateExec: mode=FinalPartitioned, gby=[s@0 as s], aggr=[sum(t.a)]
      RepartitionExec: partitioning=Hash([s@0], 4), input_partitions=1
        AggregateExec: mode=Partial, gby=[s@1 as s], aggr=[sum(t.a)]
          DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    db.run("SET xla.placement = 'always'");
    assert_snapshot!(db.explain(sql), @r"
    DeviceToHostExec: programs=[aggregate_update, aggregate_finish]
      XlaAggregateExec: gby=[s@1 as s], aggr=[sum(t.a)]
        HostToDeviceExec
          DataSourceExec: partitions=1, partition_sizes=[1]
    ");
}

#[test]
fn a_join_has_a_build_program_and_a_probe_step() {
    let db = Db::with_t(&[]);
    let sql = "SELECT sum(t.a + u.a) FROM t JOIN t u ON t.a = u.a WHERE t.b > 0";
    assert_snapshot!(db.explain(sql), @"
    DeviceToHostExec: programs=[filter_project, join_build, join_aggregate_update, aggregate_finish]
      XlaAggregateExec: gby=[], aggr=[sum(t.a + u.a)]
        XlaJoinExec: join_type=Inner, on=[(a@0, a@0)]
          XlaProjectionExec: expr=[a@0 as a]
            XlaFilterExec: canonical_float(b@1) > 0
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1]
          HostToDeviceExec
            DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.rows(sql), ["2"]);
}

#[test]
fn a_sort_is_the_last_step_of_its_pipeline() {
    let db = Db::with_t(&[]);
    let sql = "SELECT a FROM t WHERE b > -10 ORDER BY a DESC NULLS LAST LIMIT 2";
    assert_snapshot!(db.explain(sql), @"
    DeviceToHostExec: programs=[filter_project_sort]
      XlaSortExec: TopK(fetch=2), expr=[a@0 DESC NULLS LAST]
        XlaProjectionExec: expr=[a@0 as a]
          XlaFilterExec: canonical_float(b@1) > -10
            HostToDeviceExec
              DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.rows(sql), ["2", "1"]);
}

#[test]
fn both_halves_of_an_aggregate_fall_back_for_one_reason() {
    let db = Db::with_t(&[("datafusion.execution.target_partitions", "4")]);
    let sql = "SELECT b, array_agg(a) FROM t GROUP BY b";
    assert_snapshot!(db.explain(sql), @"
    AggregateExec: mode=FinalPartitioned, gby=[b@0 as b], aggr=[array_agg(t.a)] [host: array_agg(t.a): this function has no device form yet]
      RepartitionExec: partitioning=Hash([b@0], 4), input_partitions=1
        AggregateExec: mode=Partial, gby=[canonical_float(b@1) as b], aggr=[array_agg(t.a)] [host: array_agg(t.a): this function has no device form yet]
          DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.sorted(sql), ["-2.5 | [2]", "1.5 | [1]", "4.0 | []", "NULL | [3]"]);
}

#[test]
fn unions_and_limits_run_on_the_device() {
    let db = Db::with_t(&[("xla.placement", "always")]);
    let sql = "SELECT a FROM t WHERE a > 1 UNION ALL SELECT a + 1 FROM t LIMIT 3";
    assert_snapshot!(db.explain(sql), @r"
    DeviceToHostExec: programs=[filter_limit, project, union_limit_limit]
      XlaLimitExec: skip=0, fetch=3
        XlaLimitExec: skip=0, fetch=3
          XlaUnionExec
            XlaLimitExec: skip=0, fetch=3
              XlaFilterExec: a@0 > 1
                HostToDeviceExec
                  DataSourceExec: partitions=1, partition_sizes=[1]
            XlaProjectionExec: expr=[a@0 + 1 as a]
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1], fetch=3
    ");
    assert_eq!(db.rows(sql).len(), 3);
}

#[test]
fn host_operators_are_between_two_boundaries() {
    let db = Db::with_t(&[]);
    let sql = "SELECT t.s, sum(r) FROM t JOIN (SELECT a, array_agg(b)[1] AS r FROM t WHERE b > 0 GROUP BY a) u ON t.a = u.a \
               GROUP BY t.s";
    assert_snapshot!(db.explain(sql), @"
    DeviceToHostExec: programs=[project, join_build, join_project_project_aggregate_update, aggregate_finish]
      XlaAggregateExec: gby=[s@0 as s], aggr=[sum(u.r)]
        XlaProjectionExec: expr=[s@1 as s, r@3 as r]
          XlaProjectionExec: expr=[a@2 as a, s@3 as s, a@0 as a, r@1 as r]
            XlaJoinExec: join_type=Inner, on=[(a@0, a@0)]
              XlaProjectionExec: expr=[a@0 as a, nth_value(t.b,Int64(1))@1 as r]
                HostToDeviceExec
                  AggregateExec: mode=Single, gby=[a@0 as a], aggr=[nth_value(t.b,Int64(1))] [host: nth_value(t.b,Int64(1)): this function has no device form yet]
                    DeviceToHostExec: programs=[filter]
                      XlaFilterExec: canonical_float(b@1) > 0
                        HostToDeviceExec
                          DataSourceExec: partitions=1, partition_sizes=[1]
              HostToDeviceExec
                DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.sorted(sql), ["x | 1.5"]);
}

#[test]
fn a_column_without_an_encoding_is_a_fallback_reason() {
    let db = Db::new(&[]);
    db.run("CREATE TABLE lists AS SELECT make_array(1, 2) AS l, 5 AS k");
    assert_snapshot!(db.explain("SELECT l FROM lists WHERE k > 1"), @r"
    FilterExec: k@1 > 1, projection=[l@0] [host: column l has type List(Int64), which has no device encoding yet]
      DataSourceExec: partitions=1, partition_sizes=[1]
    ");
    assert_eq!(db.rows("SELECT l FROM lists WHERE k > 1"), ["[1, 2]"]);
    // A query that does not read the column is placed.
    assert!(db.explain("SELECT k FROM lists WHERE k > 1").contains("XlaFilterExec"));
}

#[test]
fn constants_are_not_placed() {
    let db = Db::with_t(&[("xla.placement", "always")]);
    assert_snapshot!(db.explain("SELECT count(*) + 1 FROM t"), @r"
    ProjectionExec: expr=[4 + 1 as count(*) + Int64(1)] [host: constants only, no rows of a table]
      PlaceholderRowExec
    ");
    assert_eq!(db.rows("SELECT count(*) + 1 FROM t"), ["5"]);
    assert_eq!(db.rows("SELECT 1 + 1"), ["2"]);
}

#[test]
fn never_is_plain_datafusion() {
    let db = Db::with_t(&[("xla.placement", "never")]);
    let plan = db.explain("SELECT s, sum(a) FROM t WHERE b < 3 GROUP BY s ORDER BY s");
    assert!(!plan.contains("Xla") && !plan.contains("Device") && !plan.contains("[host"), "{plan}");
}

/// Operators that still fall back to the host. `always` reports the same reason, and names the operator.
#[test]
fn fallback_reasons_are_shown_and_are_errors_under_always() {
    let to_string = "CAST(a@0 AS Utf8View): text of numbers has no device form yet";
    let cases = [
        ("SELECT array_agg(a) FROM t", "AggregateExec", "array_agg(t.a): this function has no device form yet"),
        (
            "SELECT string_agg(s, ',') FROM t",
            "AggregateExec",
            "string_agg(t.s,Utf8(\",\")): this function has no device form yet",
        ),
        (
            "SELECT make_array(a) FROM t",
            "ProjectionExec",
            "make_array(a@0) has type List(Int64), which has no device encoding yet",
        ),
        (
            "SELECT a FROM t WHERE to_hex(a) = 'f'",
            "FilterExec",
            "to_hex(a@0): the function to_hex reads Int64; it has a device form for columns of text, dates, booleans and integers of 8 or \
             16 bits",
        ),
        ("SELECT CAST(a AS VARCHAR) FROM t", "ProjectionExec", to_string),
        ("SELECT s FROM t WHERE s || CAST(a AS VARCHAR) = 'x1'", "FilterExec", to_string),
        (
            "SELECT a, row_number() OVER (ORDER BY a) FROM t",
            "BoundedWindowAggExec",
            "BoundedWindowAggExec has no device form yet",
        ),
    ];
    let db = Db::with_t(&[]);
    for (sql, node, reason) in cases {
        db.run("SET xla.placement = 'auto'");
        let plan = db.explain(sql);
        let shown = |line: &str| line.trim_start().starts_with(node) && line.ends_with(&format!("[host: {reason}]"));
        assert!(plan.lines().any(shown), "{sql}\n{plan}");
        db.run("SET xla.placement = 'always'");
        // The numbers of columns say nothing to who wrote the query.
        let reason = reason.replace("@0", "");
        let expected = format!(
            "{node} cannot run on the device: {reason} (xla.placement = always; set it to auto to run it on the host)"
        );
        assert_eq!(db.error(sql).rsplit_once("Error during planning: ").unwrap().1, expected, "{sql}");
    }
}

#[test]
fn reading_and_writing_tables_is_not_placed() {
    let db = Db::with_t(&[("xla.placement", "always")]);
    db.run("INSERT INTO t SELECT a + 10, b, s, d FROM t WHERE a = 1");
    assert_eq!(db.sorted("SELECT a FROM t"), ["1", "11", "2", "3", "NULL"]);
    assert!(db.explain("INSERT INTO t SELECT a + 10, b, s, d FROM t WHERE a = 1").contains("XlaFilterExec"));
    // The scan absorbs a limit directly above it.
    assert_eq!(db.rows("SELECT a + 1 FROM t LIMIT 2"), ["2", "3"]);
}
