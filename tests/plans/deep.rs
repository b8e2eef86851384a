//! Long and deep statements give rows or a clear error on every placement, in time that grows with the text, and overflow no stack.
//! `PARALLAX_SHAPE=union PARALLAX_SIZE=9000 cargo test --test plans deep -- --nocapture` runs the shapes of that name, in that size, and
//! prints their times.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::Db;

/// What a statement of a shape gives.
enum Gives {
    Row(String),
    Error(&'static str),
}

struct Shape {
    name: &'static str,
    size: usize,
    sql: fn(usize) -> String,
    gives: fn(usize) -> Gives,
}

/// More than any shape takes without optimization on two cores, and less than what grows with the square of its size.
const LIMIT: Duration = Duration::from_secs(60);

fn chain(n: usize, op: &str, term: impl Fn(usize) -> String) -> String {
    (0..n).map(term).collect::<Vec<_>>().join(op)
}

fn nested(n: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(n), close.repeat(n))
}

fn from_t(expr: String) -> String {
    format!("SELECT max({expr}) FROM t")
}

fn count(predicate: String) -> String {
    format!("SELECT count(*) FROM t WHERE {predicate}")
}

fn row(value: impl ToString) -> Gives {
    Gives::Row(value.to_string())
}

fn too_deep(_: usize) -> Gives {
    Gives::Error("datafusion.sql_parser.recursion_limit")
}

/// `t(a BIGINT, b BIGINT, s VARCHAR)` has the rows (1, 10, 'x'), (2, 20, 'y') and (3, NULL, NULL).
const SHAPES: &[Shape] = &[
    Shape {
        name: "or of a column",
        size: 20_000,
        sql: |n| count(chain(n, " OR ", |i| format!("a = {i}"))),
        gives: |_| row(3),
    },
    Shape {
        name: "or of two columns",
        size: 5_000,
        sql: |n| count(chain(n, " OR ", |i| format!("{} = {}", ["a", "b"][i % 2], i + 3))),
        gives: |_| row(3),
    },
    Shape {
        name: "or of ranges",
        size: 5_000,
        sql: |n| count(chain(n, " OR ", |i| format!("a > {i} AND b < {i}"))),
        gives: |_| row(0),
    },
    Shape {
        name: "and",
        size: 20_000,
        sql: |n| count(chain(n, " AND ", |i| format!("a <> {}", i + 2))),
        gives: |_| row(1),
    },
    Shape {
        name: "in list",
        size: 20_000,
        sql: |n| count(format!("a IN ({})", chain(n, ", ", |i| i.to_string()))),
        gives: |_| row(3),
    },
    Shape {
        name: "in list of texts",
        size: 20_000,
        sql: |n| count(format!("s NOT IN ({})", chain(n, ", ", |i| format!("'x{i}'")))),
        gives: |_| row(2),
    },
    Shape {
        name: "union all",
        size: 1_000,
        sql: |n| format!("SELECT sum(x) FROM ({})", chain(n, " UNION ALL ", |i| format!("SELECT {i} AS x"))),
        gives: |n| row(n * (n - 1) / 2),
    },
    Shape {
        name: "union",
        size: 500,
        sql: |n| format!("SELECT sum(x) FROM ({})", chain(n, " UNION ", |i| format!("SELECT {} AS x", i / 2))),
        gives: |n| row(n / 2 * (n / 2 - 1) / 2),
    },
    Shape {
        name: "case in case",
        size: 200,
        sql: |n| from_t(nested(n, "CASE WHEN a > 0 THEN ", "a", " ELSE 0 END")),
        gives: |_| row(3),
    },
    Shape {
        name: "case with many branches",
        size: 2_000,
        sql: |n| from_t(format!("CASE a {} ELSE -1 END", chain(n, " ", |i| format!("WHEN {i} THEN {}", i * 2)))),
        gives: |_| row(6),
    },
    Shape { name: "calls", size: 300, sql: |n| from_t(nested(n, "abs(", "a", ")")), gives: |_| row(3) },
    Shape { name: "parentheses", size: 1_000, sql: |n| from_t(nested(n, "(", "a", ")")), gives: |_| row(3) },
    Shape { name: "plus", size: 1_000, sql: |n| from_t(format!("a{}", " + 1".repeat(n))), gives: |n| row(3 + n) },
    Shape {
        name: "concatenation",
        size: 500,
        sql: |n| from_t(format!("length(s{})", " || 'x'".repeat(n))),
        gives: |n| row(n + 1),
    },
    Shape {
        name: "not",
        size: 1_000,
        sql: |n| count(format!("{} a = 1", "NOT".to_string() + &" NOT".repeat(n - 1))),
        gives: |_| row(1),
    },
    Shape {
        name: "tables in tables",
        size: 100,
        sql: |n| format!("SELECT max(a) FROM {}", nested(n, "(SELECT * FROM ", "t", ")")),
        gives: |_| row(3),
    },
    Shape {
        name: "with",
        size: 100,
        sql: |n| {
            let mut sql = "WITH w0 AS (SELECT a FROM t)".to_string();
            (1..n).for_each(|i| write!(sql, ", w{i} AS (SELECT a FROM w{})", i - 1).unwrap());
            format!("{sql} SELECT max(a) FROM w{}", n - 1)
        },
        gives: |_| row(3),
    },
    Shape {
        name: "values",
        size: 5_000,
        sql: |n| format!("SELECT sum(column1) FROM (VALUES {})", chain(n, ", ", |i| format!("({i})"))),
        gives: |n| row(n * (n - 1) / 2),
    },
    Shape {
        name: "columns",
        size: 500,
        sql: |n| format!("SELECT count(*) FROM (SELECT {} FROM t)", chain(n, ", ", |i| format!("a + {i} AS c{i}"))),
        gives: |_| row(3),
    },
    Shape {
        name: "summarize",
        size: 20_000,
        sql: |n| format!("SUMMARIZE SELECT a FROM t WHERE {}", chain(n, " OR ", |i| format!("a = {i}"))),
        gives: |_| row("a | Int64 | 1 | 3 | 3 | 2.0 | 1.0 | 1.25 | 2.0 | 2.75 | 3 | 0.0"),
    },
    Shape {
        name: "summarize in parentheses",
        size: 300,
        sql: |n| format!("SUMMARIZE SELECT max({}) AS a FROM t", nested(n, "(", "a", ")")),
        gives: |_| row("a | Int64 | 3 | 3 | 1 | 3.0 | NULL | 3.0 | 3.0 | 3.0 | 1 | 0.0"),
    },
    Shape {
        name: "doubling tables",
        size: 1_000,
        sql: |n| {
            let mut sql = "WITH w0 AS (SELECT a FROM t)".to_string();
            (1..n).for_each(|i| {
                write!(sql, ", w{i} AS (SELECT x.a FROM w{0} AS x JOIN w{0} AS y ON x.a = y.a)", i - 1).unwrap();
            });
            format!("{sql} SELECT max(a) FROM w{}", n - 1)
        },
        gives: |_| Gives::Error("CREATE TABLE .. AS"),
    },
    Shape {
        name: "maps in maps",
        size: 40,
        sql: |n| format!("SELECT {}", nested(n, "map(['k'], [", "1", "])")),
        gives: too_deep,
    },
    Shape { name: "very many parentheses", size: 200_000, sql: |n| from_t(nested(n, "(", "a", ")")), gives: too_deep },
    Shape { name: "a long sum", size: 200_000, sql: |n| from_t(format!("a{}", " + 1".repeat(n))), gives: too_deep },
    Shape { name: "many casts", size: 100_000, sql: |n| from_t(format!("a{}", "::BIGINT".repeat(n))), gives: too_deep },
    Shape {
        name: "very many NOTs",
        size: 200_000,
        sql: |n| count(format!("{} a = 1", "NOT ".repeat(n))),
        gives: too_deep,
    },
    Shape { name: "many signs", size: 200_000, sql: |n| from_t(format!("{} a", "- ".repeat(n))), gives: too_deep },
    Shape {
        name: "deep types",
        size: 200_000,
        sql: |n| from_t(format!("CAST(a AS BIGINT{})", "[]".repeat(n))),
        gives: too_deep,
    },
    Shape {
        name: "intervals",
        size: 100_000,
        sql: |n| format!("SELECT {} '1 day'", "INTERVAL ".repeat(n)),
        gives: too_deep,
    },
    Shape {
        name: "deep case",
        size: 50_000,
        sql: |n| from_t(nested(n, "CASE WHEN a>0 THEN ", "a", " END")),
        gives: too_deep,
    },
    Shape {
        name: "alternating set operations",
        size: 20_000,
        sql: |n| format!("SELECT 0{}", " UNION SELECT 1 UNION ALL SELECT 2".repeat(n / 2)),
        gives: too_deep,
    },
    Shape {
        name: "many joins",
        size: 20_000,
        sql: |n| format!("SELECT count(*) FROM t{}", " CROSS JOIN t".repeat(n)),
        gives: too_deep,
    },
];

#[expect(clippy::print_stdout, reason = "times, for who asks with --nocapture")]
fn check(placement: &str) {
    let db = Db::new(&[("xla.placement", placement)]);
    db.run("CREATE TABLE t(a BIGINT, b BIGINT, s VARCHAR) AS VALUES (1, 10, 'x'), (2, 20, 'y'), (3, NULL, NULL)");
    let only = std::env::var("PARALLAX_SHAPE").unwrap_or_default();
    for Shape { name, size, sql, gives } in SHAPES.iter().filter(|shape| shape.name.contains(&only)) {
        let size = &std::env::var("PARALLAX_SIZE").map_or(*size, |size| size.parse().unwrap());
        let sql = sql(*size);
        let start = Instant::now();
        let found = db.collect(&sql).map(|batches| crate::texts(&batches)).map_err(|error| error.strip_backtrace());
        let took = start.elapsed();
        println!("{placement}: {name} of {size}: {took:?}");
        match (gives(*size), found) {
            (Gives::Row(row), Ok(rows)) => assert_eq!(rows, [row], "{name}"),
            (Gives::Error(part), Err(error)) => assert!(error.contains(part) && error.len() < 500, "{name}: {error}"),
            // What has no device form says so.
            (Gives::Row(_), Err(error)) if placement == "always" && error.contains("xla.placement") => {
                assert!(error.len() < 2_000, "{name}: {error}");
                println!("    {error}");
            }
            (_, Ok(rows)) => panic!("{name}: {rows:?}"),
            (_, Err(error)) => panic!("{name}: {}", error.chars().take(2_000).collect::<String>()),
        }
        assert!(took < LIMIT, "{name} took {took:?}");
    }
}

#[test]
fn on_the_host() {
    check("never");
}

#[test]
fn where_it_is_faster() {
    check("auto");
}

#[test]
fn on_the_device() {
    check("always");
}
