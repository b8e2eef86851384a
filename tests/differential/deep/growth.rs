//! How the time of each shape of statement grows with its length. `PARALLAX_SHAPE=calls PARALLAX_SIZES=100,200,400` chooses.
//!
//! For each shape there is a line with the times to plan and run it in each size, and the exponent of the growth between the last two.

use std::fmt::Write;
use std::time::Instant;

use parallax::session::Session;

use crate::runtime;

type Shape = (&'static str, fn(usize) -> String);

fn list(n: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect::<Vec<_>>().join(separator)
}

fn of_t(expr: String) -> String {
    format!("SELECT max({expr}) FROM t")
}

fn nest(n: usize, open: &str, close: &str) -> String {
    of_t(format!("{}a{}", open.repeat(n), close.repeat(n)))
}

const SHAPES: &[Shape] = &[
    ("or", |n| format!("SELECT count(*) FROM t WHERE {}", list(n, " OR ", |i| format!("a = {i}")))),
    ("or of columns", |n| {
        format!("SELECT count(*) FROM t WHERE {}", list(n, " OR ", |i| format!("{} = {i}", ["a", "b"][i % 2])))
    }),
    ("and", |n| format!("SELECT count(*) FROM t WHERE {}", list(n, " AND ", |i| format!("a <> {}", i + 5)))),
    ("between", |n| {
        format!("SELECT count(*) FROM t WHERE {}", list(n, " OR ", |i| format!("b BETWEEN {i} AND {}", i + 3)))
    }),
    ("in", |n| format!("SELECT count(*) FROM t WHERE a IN ({})", list(n, ", ", |i| i.to_string()))),
    ("in of expressions", |n| format!("SELECT count(*) FROM t WHERE a IN ({})", list(n, ", ", |i| format!("b + {i}")))),
    ("a + 1 + 1", |n| of_t(format!("a{}", " + 1".repeat(n)))),
    ("b + 1 + 1", |n| of_t(format!("b{}", " + 1".repeat(n)))),
    ("x + 0.5 + 0.5", |n| of_t(format!("x{}", " + 0.5".repeat(n)))),
    ("a + a * a", |n| of_t(format!("a{}", " + a * a".repeat(n / 2)))),
    ("s || 'x'", |n| of_t(format!("s{}", " || 'x'".repeat(n)))),
    ("concat", |n| of_t(format!("concat({})", list(n, ", ", |_| "s".to_string())))),
    ("parentheses", |n| nest(n, "(", ")")),
    ("minus", |n| of_t(format!("{}a", "- ".repeat(n)))),
    ("not", |n| format!("SELECT count(*) FROM t WHERE {}a = 1", "NOT ".repeat(n))),
    ("casts", |n| of_t(format!("a{}", "::INT::BIGINT".repeat(n / 2)))),
    ("calls", |n| nest(n / 8, "abs(", ")")),
    ("text calls", |n| of_t(format!("{}s{}", "replace(".repeat(n / 8), ", 'x', 'y')".repeat(n / 8)))),
    ("coalesce", |n| nest(n / 8, "coalesce(", ", 1)")),
    ("case in case", |n| nest(n / 4, "CASE WHEN a > 0 THEN ", " ELSE 0 END")),
    ("branches", |n| of_t(format!("CASE a {} END", list(n, " ", |i| format!("WHEN {i} THEN {}", i * 2))))),
    ("conditions", |n| of_t(format!("CASE {} END", list(n, " ", |i| format!("WHEN a > {i} THEN b"))))),
    ("union all", |n| format!("SELECT sum(y) FROM ({})", list(n / 4, " UNION ALL ", |i| format!("SELECT {i} AS y")))),
    ("union", |n| format!("SELECT sum(y) FROM ({})", list(n / 4, " UNION ", |i| format!("SELECT {i} AS y")))),
    ("intersect", |n| list(n / 8, " INTERSECT ", |_| "SELECT a FROM t".to_string())),
    ("except", |n| list(n / 8, " EXCEPT ", |_| "SELECT a FROM t".to_string())),
    ("joins", |n| {
        let joins = list(n / 32, " ", |i| format!("JOIN t AS t{} ON t{}.a = t{i}.a", i + 1, i + 1));
        format!("SELECT count(*) FROM t AS t0 {joins}")
    }),
    ("tables in tables", |n| format!("SELECT max(a) FROM {}t{}", "(SELECT * FROM ".repeat(n / 8), ")".repeat(n / 8))),
    ("in in in", |n| {
        format!(
            "SELECT a FROM t WHERE {}a = 1{}",
            "a IN (SELECT b - 9 FROM t WHERE ".repeat(n / 64),
            ")".repeat(n / 64)
        )
    }),
    ("exists of or", |n| {
        let condition = list(n, " OR ", |i| format!("u.a = t.a + {i}"));
        format!("SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM t AS u WHERE {condition})")
    }),
    ("exists in exists", |n| {
        let mut sql = "SELECT count(*) FROM t AS t0 WHERE ".to_string();
        for i in 1..=n / 100 {
            let _ = write!(sql, "EXISTS (SELECT 1 FROM t AS t{i} WHERE t{i}.a >= t{}.a AND ", i - 1);
        }
        format!("{sql} true{}", ")".repeat(n / 100))
    }),
    ("sum in sum", |n| {
        let mut sql = "SELECT count(*) FROM t AS t0 WHERE a < ".to_string();
        for i in 1..=n / 100 {
            let _ = write!(sql, "(SELECT sum(a) FROM t AS t{i} WHERE t{i}.a >= t{}.a AND a < ", i - 1);
        }
        format!("{sql} 7{}", ")".repeat(n / 100))
    }),
    ("with", |n| {
        let mut sql = "WITH w0 AS (SELECT a FROM t)".to_string();
        for i in 1..n / 8 {
            let _ = write!(sql, ", w{i} AS (SELECT a FROM w{})", i - 1);
        }
        format!("{sql} SELECT max(a) FROM w{}", n / 8 - 1)
    }),
    ("values", |n| format!("SELECT sum(column1) FROM (VALUES {})", list(n, ", ", |i| format!("({i})")))),
    ("columns", |n| format!("SELECT {} FROM t", list(n, ", ", |i| format!("a + {i} AS c{i}")))),
    ("columns, count", |n| {
        format!("SELECT count(*) FROM (SELECT {} FROM t)", list(n, ", ", |i| format!("a + {i} AS c{i}")))
    }),
    ("aggregates", |n| format!("SELECT {} FROM t", list(n / 4, ", ", |i| format!("sum(a + {i}) AS c{i}")))),
    ("keys", |n| format!("SELECT count(*) FROM t GROUP BY {}", list(n / 4, ", ", |i| format!("a + {i}")))),
    ("windows", |n| {
        format!("SELECT {} FROM t", list(n / 8, ", ", |i| format!("sum(a + {i}) OVER (ORDER BY b) AS c{i}")))
    }),
];

#[test]
#[ignore = "minutes: for who changes the planner"]
fn growth() {
    let only = std::env::var("PARALLAX_SHAPE").unwrap_or_default();
    let sizes = std::env::var("PARALLAX_SIZES").unwrap_or_else(|_| "500,1000,2000,4000".to_string());
    let sizes: Vec<usize> = sizes.split(',').map(|size| size.parse().unwrap()).collect();
    let placement = std::env::var("PARALLAX_PLACEMENT").unwrap_or_else(|_| "never".to_string());
    let session = Session::builder().set("xla.placement", &placement);
    let session = session.set("datafusion.sql_parser.recursion_limit", "100000").build().unwrap();
    let table = "CREATE TABLE t(a BIGINT, b INT, x DOUBLE, s VARCHAR) AS VALUES \
                 (1, 10, 0.5, 'x'), (2, 20, 1.5, 'y'), (3, NULL, NULL, NULL)";
    runtime().block_on(session.collect(table)).unwrap();
    for (name, sql) in SHAPES.iter().filter(|(name, _)| name.contains(&only)) {
        let mut times: Vec<f64> = Vec::new();
        for size in &sizes {
            // What has taken long takes too long in the next size.
            if times.last().is_some_and(|time| *time > 20.0) {
                break;
            }
            let sql = sql(*size);
            let start = Instant::now();
            let answer = runtime().block_on(session.collect(&sql));
            times.push(start.elapsed().as_secs_f64());
            if let Err(error) = answer {
                println!("{name} of {size}: {}", error.strip_backtrace().chars().take(150).collect::<String>());
                break;
            }
        }
        let exponent = match times.as_slice() {
            [.., before, last] => {
                let grown = sizes[times.len() - 1] as f64 / sizes[times.len() - 2] as f64;
                format!("{:.2}", (last / before).log2() / grown.log2())
            }
            _ => "-".to_string(),
        };
        let times: Vec<String> = times.iter().map(|time| format!("{time:8.3}")).collect();
        println!("{name:20} {} s, exponent {exponent}", times.join(" "));
    }
}
