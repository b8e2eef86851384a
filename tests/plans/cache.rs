//! Columns cached on the device: CACHE TABLE, UNCACHE TABLE, SHOW CACHE and SHOW PROGRAMS. No row of an older version
//! of a table may ever be returned.

use std::fs;

use crate::{Db, RUNTIME};

const SHOWN: &str = "SHOW CACHE";

/// Returns `table.column`, rows, hits and pinned for everything in the cache.
fn cached(db: &Db) -> Vec<String> {
    let pick = |row: &String| {
        let cells: Vec<&str> = row.split(" | ").collect();
        format!("{}.{} {} {} {}", cells[0], cells[1], cells[3], cells[7], cells[8])
    };
    db.rows(SHOWN).iter().map(pick).collect()
}

#[test]
fn a_cached_table_is_shown_with_its_encodings_and_hits() {
    let db = Db::with_t(&[]);
    let all = [
        "t | a | s8 + validity, unique | 4 | 0 | 2048 | 0 | 0 | true",
        "t | b | f64 + validity | 4 | 0 | 9216 | 0 | 0 | true",
        "t | s | s8 codes of 2 strings + validity | 4 | 0 | 2048 | HOST | 0 | true",
        "t | d | s16, unique | 4 | 0 | 2048 | 0 | 0 | true",
    ];
    let without_host_bytes = |rows: Vec<String>| -> Vec<String> {
        let of_row = |row: &String| {
            let mut cells: Vec<&str> = row.split(" | ").collect();
            if cells[6] != "0" {
                cells[6] = "HOST";
            }
            cells.join(" | ")
        };
        rows.iter().map(of_row).collect()
    };
    assert_eq!(without_host_bytes(db.rows("CACHE TABLE t")), all);
    assert_eq!(without_host_bytes(db.rows(SHOWN)), all);
    db.run("SELECT s, sum(a) FROM t GROUP BY s");
    db.run("SELECT max(a) FROM t");
    assert_eq!(cached(&db), ["t.a 4 2 true", "t.b 4 0 true", "t.s 4 1 true", "t.d 4 0 true"]);
    db.run("UNCACHE TABLE t");
    assert_eq!(cached(&db), [""; 0]);
    // No longer pinned, but cached again by a query.
    db.run("SELECT max(a) FROM t");
    assert_eq!(cached(&db), ["t.a 4 0 false"]);
    db.run("UNCACHE TABLE t");
    db.run("UNCACHE TABLE IF EXISTS t");
    assert_eq!(cached(&db), [""; 0]);
}

#[test]
fn columns_and_tables_of_other_schemas_are_cached() {
    let db = Db::with_t(&[]);
    db.run("CREATE SCHEMA s");
    db.run("CREATE TABLE s.t AS VALUES (1, 'x')");
    db.run("CACHE TABLE t COLUMNS (d, \"a\")");
    db.run("CACHE TABLE s.t COLUMNS (column2)");
    assert_eq!(cached(&db), ["s.t.column2 1 0 true", "t.a 4 0 true", "t.d 4 0 true"]);
    // Tables are shown by their current name.
    db.run("SET datafusion.catalog.default_schema = 's'");
    assert_eq!(cached(&db), ["public.t.a 4 0 true", "public.t.d 4 0 true", "t.column2 1 0 true"]);
    db.run("UNCACHE TABLE t");
    assert_eq!(cached(&db).len(), 2);
}

#[test]
fn errors_say_why_a_table_cannot_be_cached() {
    let db = Db::with_t(&[]);
    db.run("CREATE VIEW v AS SELECT a + 1 FROM t");
    db.run("CREATE TABLE l AS SELECT [1, 2] AS l");
    for (sql, message) in [
        ("CACHE TABLE nowhere", "No table named 'nowhere'"),
        ("CACHE TABLE t COLUMNS (a, z)", "t has no column z; its columns are a, b, s, d"),
        ("CACHE TABLE v", "v is neither files nor rows in memory (a view?)"),
        ("CACHE TABLE l", "no column of l has an encoding"),
        ("CACHE TABLE l COLUMNS (l)", "column l of type List"),
        ("CACHE TABLE t COLUMNS a", "Expected: (, found: a"),
        ("UNCACHE TABLE t", "t is not cached; SHOW CACHE lists the cached tables"),
    ] {
        let error = db.error(sql);
        assert!(error.contains(message), "{sql}: {error}");
    }
    db.run("SET xla.cache_columns = false");
    assert!(db.error("CACHE TABLE t").contains("xla.cache_columns is false"));
}

#[test]
fn programs_are_listed_with_their_hits() {
    let db = Db::with_t(&[]);
    let sql = "SELECT b * 17, a FROM t WHERE d > -100 AND b < 12345";
    let hits = || {
        let rows = db.rows("SHOW PROGRAMS");
        let cells = |row: &String| row.split(" | ").map(ToString::to_string).collect::<Vec<_>>();
        let wide = rows.iter().map(cells).filter(|c| c[2].contains("f64[1024]") && c[2].contains("s16[1024]"));
        wide.map(|c| (c[0].clone(), c[1].clone(), c[5].parse::<u64>().unwrap())).collect::<Vec<_>>()
    };
    db.run(sql);
    let before = hits();
    // Another literal, and the conditions in another order, use the same program.
    db.run("SELECT b * 18, a FROM t WHERE d > -90 AND b < 2345");
    let after = hits();
    let gained: Vec<u64> = after.iter().filter_map(|p| Some(p.2 - before.iter().find(|b| b.1 == p.1)?.2)).collect();
    assert_eq!(after.len(), before.len());
    assert!(gained.contains(&1), "{before:?} {after:?}");
}

/// A pinned table stays cached while others are evicted.
#[test]
fn a_pinned_table_is_not_evicted() {
    let db = Db::exclusive();
    db.run("CREATE TABLE kept AS SELECT value AS k FROM generate_series(1, 100000)");
    db.run("CREATE TABLE other AS SELECT value AS o, value * 3 AS p FROM generate_series(1, 100000)");
    db.run("CREATE TABLE third AS SELECT value AS q, value * 5 AS r FROM generate_series(1, 100000)");
    // Each column takes 512 KiB.
    let used = RUNTIME.memory().used();
    db.run(&format!("SET xla.memory_limit = '{}'", used + (9 << 19)));
    db.run("CACHE TABLE kept");
    for _ in 0..2 {
        assert_eq!(db.rows("SELECT count(*) FROM other WHERE o % 2 = 0 AND p > 3"), ["50000"]);
        assert_eq!(db.rows("SELECT count(*) FROM third WHERE q % 2 = 0 AND r > 3"), ["50000"]);
    }
    let is_kept = || cached(&db).iter().any(|row| row.starts_with("kept.k") && row.ends_with("true"));
    assert!(is_kept(), "{:?}", cached(&db));
    // A query that runs out of memory and is retried must not evict it either.
    let plan = db.analyze("SELECT o, p, q, r FROM other JOIN third ON o = q ORDER BY p DESC, r");
    assert!(plan.contains("restarts=") && is_kept(), "{plan} {:?}", cached(&db));
    db.run("SET xla.memory_limit = 0");
}

/// Strings stay on the host, so they count against the host limit. The least recently used column is evicted.
#[test]
fn the_host_limit_evicts_strings() {
    let db = Db::new(&[]);
    for table in ["t", "u"] {
        db.run(&format!(
            "CREATE TABLE {table} AS SELECT 'a string of {table} ' || value AS s FROM generate_series(1, 5000)"
        ));
    }
    let column = |table: &str| format!("SELECT count(*) FROM {table} WHERE s LIKE '%7'");
    db.run(&column("t"));
    db.run(&column("u"));
    assert_eq!(cached(&db), ["t.s 5000 0 false", "u.s 5000 0 false"]);
    db.run("SET xla.host_memory_limit = '400KB'");
    db.run("CREATE TABLE v AS SELECT 'a string of v ' || value AS s FROM generate_series(1, 2000)");
    assert_eq!(db.rows(&column("v")), ["200"]);
    let left = cached(&db);
    assert!(
        left.contains(&"v.s 2000 0 false".to_string()) && !left.contains(&"t.s 5000 0 false".to_string()),
        "{left:?}"
    );
    assert_eq!(db.rows(&column("t")), ["500"]);
}

/// The cache's memory is accounted for in DataFusion's memory pool, and an exhausted pool is not an error.
#[test]
fn the_memory_pool_accounts_for_the_cache() {
    use std::sync::Arc;

    use datafusion::execution::SessionStateBuilder;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::prelude::SessionContext;
    use parallax::session::SessionStateBuilderExt;

    let db = Db::new(&[]);
    for (bytes, kept) in [(8 << 20, true), (1000, false)] {
        let pool = Arc::new(GreedyMemoryPool::new(bytes));
        let environment = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let builder = SessionStateBuilder::new().with_runtime_env(environment.clone()).with_default_features();
        let ctx = SessionContext::new_with_state(builder.with_parallax().unwrap().build());
        db.tokio.block_on(async {
            let sql = "CREATE TABLE t AS SELECT value AS v FROM generate_series(1, 50000)";
            if !kept {
                // The table itself would not fit.
                let batches =
                    db.session.context().sql("SELECT value AS v FROM generate_series(1, 50000)").await.unwrap();
                let table = batches.cache().await.unwrap().into_view();
                ctx.register_table("t", table).unwrap();
            } else {
                ctx.sql(sql).await.unwrap().collect().await.unwrap();
            }
            ctx.sql("SET xla.placement = 'always'").await.unwrap();
            let before = environment.memory_pool.reserved();
            let rows = ctx.sql("SELECT v FROM t WHERE v > 49998").await.unwrap().collect().await.unwrap();
            assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
            assert_eq!(environment.memory_pool.reserved() > before, kept);
        });
    }
}

/// A CSV file is read once. With another delimiter it is another table, and a new version of the file is read again.
#[test]
fn files_of_every_format_are_cached_and_never_stale() {
    let db = Db::new(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("c.csv"), "a,s\n1,x\n2,y;z\n3,\n").unwrap();
    fs::write(path("j.json"), "{\"a\":1,\"s\":\"x\"}\n{\"a\":2,\"s\":\"y;z\"}\n{\"a\":3}\n").unwrap();
    let url = |name: &str| path(name).display().to_string();
    for (name, kind) in [("a.arrow", "ARROW"), ("p.parquet", "PARQUET")] {
        let rows = "(1, 'x'), (2, 'y;z'), (3, NULL)";
        db.run(&format!(
            "COPY (SELECT column1 AS a, column2 AS s FROM (VALUES {rows})) TO '{}' STORED AS {kind}",
            url(name)
        ));
    }
    for (table, name) in [("c", "c.csv"), ("j", "j.json"), ("a", "a.arrow"), ("p", "p.parquet")] {
        let location = url(name);
        let kind = name.rsplit_once('.').unwrap().1.to_uppercase();
        db.run(&format!("CREATE EXTERNAL TABLE {table} STORED AS {kind} LOCATION '{location}'"));
        let sql = format!("SELECT s, a * 10 FROM {table} WHERE a > 1");
        for _ in 0..2 {
            assert_eq!(db.rows(&sql), ["y;z | 20", "NULL | 30"], "{table}");
        }
        let hits = cached(&db).into_iter().filter(|row| row.starts_with(&format!("{table}."))).collect::<Vec<_>>();
        assert_eq!(hits, [format!("{table}.a 3 1 false"), format!("{table}.s 3 1 false")]);
        // First the other column alone, then both in another order.
        assert_eq!(db.rows(&format!("SELECT s FROM {table} WHERE s LIKE 'y%'")), ["y;z"]);
        assert_eq!(db.rows(&format!("SELECT a, s FROM {table} WHERE s = 'x'")), ["1 | x"]);
    }
    let location = url("c.csv");
    db.run(&format!("CREATE EXTERNAL TABLE d STORED AS CSV LOCATION '{location}' OPTIONS ('format.delimiter' '|')"));
    assert_eq!(db.rows("SELECT count(*) FROM d WHERE \"a,s\" LIKE '2%'"), ["1"]);
    assert_eq!(db.rows("SELECT count(*) FROM c WHERE s LIKE 'y%'"), ["1"]);
    db.run("CACHE TABLE c");
    fs::write(path("c.csv"), "a,s\n1,x\n2,new\n").unwrap();
    for _ in 0..2 {
        assert_eq!(db.rows("SELECT s, a * 10 FROM c WHERE a > 1"), ["new | 20"]);
    }
    // Nothing of the old version is left.
    let rows: Vec<_> = cached(&db).into_iter().filter(|row| row.contains("c.csv") && !row.contains("a,s")).collect();
    assert_eq!(rows, [""; 0]);
}

/// The files that a partitioned COPY writes are read, and read again after the next COPY.
#[test]
fn partitioned_copies_are_read_again() {
    let db = Db::with_t(&[("xla.placement", "auto")]);
    let dir = tempfile::tempdir().unwrap();
    let location = dir.path().join("out");
    let copy = |filter: &str| {
        let _ = fs::remove_dir_all(&location);
        let to = location.display();
        db.run(&format!("COPY (SELECT a, s FROM t WHERE {filter}) TO '{to}/' STORED AS PARQUET PARTITIONED BY (s)"));
    };
    copy("s IS NOT NULL");
    let to = location.display();
    db.run(&format!(
        "CREATE EXTERNAL TABLE o(a BIGINT, s VARCHAR) STORED AS PARQUET PARTITIONED BY (s) LOCATION '{to}/'"
    ));
    let sql = "SELECT s, sum(a) FROM o GROUP BY s ORDER BY s";
    for _ in 0..2 {
        assert_eq!(db.rows(sql), ["x | 4", "y | 2"]);
    }
    copy("a = 3");
    for _ in 0..2 {
        assert_eq!(db.rows(sql), ["x | 3"]);
    }
}

/// Statistics found on upload are shown, and a sort of sorted data does nothing.
#[test]
fn a_sorted_table_is_not_sorted_again() {
    let db = Db::exclusive();
    db.run(
        "CREATE TABLE o AS SELECT value AS id, value / 10 AS tens, 'k' || (100000 + value / 3) AS k, value % 7 AS r \
         FROM generate_series(1, 30000)",
    );
    let encodings: Vec<String> =
        db.rows("CACHE TABLE o").iter().map(|row| row.split(" | ").take(3).collect::<Vec<_>>().join(" ")).collect();
    let codes = "s16 codes of 10001 strings, ascending";
    assert_eq!(encodings, ["o id s16, unique, ascending", "o tens s16, ascending", &format!("o k {codes}"), "o r s8"]);
    for (sql, in_order) in [
        ("SELECT id, r FROM o WHERE r > 1 ORDER BY id", true),
        ("SELECT id, r FROM o ORDER BY id, r DESC", true),
        ("SELECT k AS x, r * 2 FROM o WHERE r = 3 ORDER BY x", true),
        ("SELECT id, r FROM o ORDER BY id DESC", false),
        ("SELECT tens, r FROM o ORDER BY tens, r", false),
        ("SELECT r, id FROM o ORDER BY r, id", false),
        ("SELECT id FROM (SELECT id FROM o ORDER BY r, id LIMIT 20) ORDER BY id", false),
        ("SELECT id + 1 AS n FROM o ORDER BY n", false),
    ] {
        db.run("SET xla.placement = 'never'");
        let expected = db.rows(sql);
        db.run("SET xla.placement = 'always'");
        assert_eq!(db.rows(sql), expected, "{sql}");
        assert_eq!(db.analyze(sql).contains("strategy=already in order"), in_order, "{sql}");
    }
}
