//! Generates docs/sql-support.md by asking the planner where everything runs. `make docs` writes the file, and a test
//! fails if it is stale.
//!
//! For every row it plans one or more queries over a table with a column of each type, and reads from the plan whether
//! all operators are device nodes, or why one is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use parallax::exec::boundary::host_fallback::HostFallbackExec;
use parallax::session::Session;

use crate::plan;

/// The columns of table `t`: name, type, and the SQL cast to the type, if there is one.
fn columns() -> Vec<(&'static str, DataType, Option<&'static str>)> {
    use DataType::{
        Binary, Boolean, Date32, Date64, Decimal128, Decimal256, Dictionary, Duration, FixedSizeBinary, Float16,
        Float32, Float64, Int8, Int16, Int32, Int64, Interval, LargeUtf8, Map, Null, Struct, Time32, Time64, Timestamp,
        UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    let entries = Field::new(
        "entries",
        Struct(vec![Field::new("keys", Utf8, false), Field::new("values", Int32, true)].into()),
        false,
    );
    vec![
        ("nothing", Null, None),
        ("b", Boolean, Some("BOOLEAN")),
        ("i8", Int8, Some("TINYINT")),
        ("i16", Int16, Some("SMALLINT")),
        ("i", Int32, Some("INT")),
        ("i64", Int64, Some("BIGINT")),
        ("u8", UInt8, Some("TINYINT UNSIGNED")),
        ("u16", UInt16, Some("SMALLINT UNSIGNED")),
        ("u32", UInt32, Some("INT UNSIGNED")),
        ("u64", UInt64, Some("BIGINT UNSIGNED")),
        ("f16", Float16, None),
        ("f32", Float32, Some("REAL")),
        ("f", Float64, Some("DOUBLE")),
        ("d", Decimal128(10, 2), Some("DECIMAL(10,2)")),
        ("d38", Decimal128(38, 10), Some("DECIMAL(38,10)")),
        ("d76", Decimal256(76, 10), Some("DECIMAL(76,10)")),
        ("s", Utf8, Some("VARCHAR")),
        ("large_s", LargeUtf8, None),
        ("view_s", Utf8View, None),
        ("dict_s", Dictionary(Box::new(Int32), Box::new(Utf8)), None),
        ("bin", Binary, Some("BYTEA")),
        ("uuid", FixedSizeBinary(16), None),
        ("dt", Date32, Some("DATE")),
        ("dt64", Date64, None),
        ("tm", Time64(TimeUnit::Nanosecond), Some("TIME")),
        ("tm_s", Time32(TimeUnit::Second), None),
        ("ts", Timestamp(TimeUnit::Nanosecond, None), Some("TIMESTAMP")),
        ("ts_s", Timestamp(TimeUnit::Second, None), Some("TIMESTAMP(0)")),
        ("ts_utc", Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), None),
        ("ts_zone", Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())), None),
        ("dur", Duration(TimeUnit::Millisecond), None),
        ("ym", Interval(IntervalUnit::YearMonth), None),
        ("iv", Interval(IntervalUnit::MonthDayNano), Some("INTERVAL")),
        ("list", DataType::new_list(Int32, true), None),
        ("flist", DataType::new_list(Float64, true), None),
        ("rec", Struct(vec![Field::new("x", Int32, true)].into()), None),
        ("map", Map(Arc::new(entries), false), None),
    ]
}

/// Rows of the table of operators: a description, and a query that uses the operator. `u` has the columns of `t`.
const OPERATORS: &[(&str, &str)] = &[
    ("WHERE", "SELECT i, s FROM t WHERE i > 1"),
    ("expressions in SELECT", "SELECT i + 1 FROM t"),
    ("GROUP BY", "SELECT s, sum(i) FROM t GROUP BY s"),
    ("GROUP BY several columns", "SELECT s, i, f, count(*) FROM t GROUP BY s, i, f"),
    ("GROUPING SETS, ROLLUP, CUBE", "SELECT s, i, count(*) FROM t GROUP BY ROLLUP(s, i)"),
    ("HAVING", "SELECT s FROM t GROUP BY s HAVING count(*) > 1"),
    ("DISTINCT", "SELECT DISTINCT s FROM t"),
    ("DISTINCT ON", "SELECT DISTINCT ON (s) s, i FROM t ORDER BY s, i"),
    ("aggregates without GROUP BY", "SELECT sum(i), min(f) FROM t"),
    ("aggregates with FILTER", "SELECT sum(i) FILTER (WHERE f > 1) FROM t"),
    ("aggregates with DISTINCT", "SELECT s, count(DISTINCT i) FROM t GROUP BY s"),
    ("aggregates with ORDER BY", "SELECT s, first_value(i ORDER BY f) FROM t GROUP BY s"),
    ("ORDER BY", "SELECT i, s FROM t ORDER BY s, i DESC NULLS FIRST"),
    ("ORDER BY with LIMIT", "SELECT i FROM t ORDER BY i LIMIT 3"),
    ("LIMIT, OFFSET", "SELECT i + 1 FROM t WHERE i > 1 LIMIT 3 OFFSET 2"),
    ("UNION ALL", "SELECT i FROM t UNION ALL SELECT i FROM u"),
    ("UNION", "SELECT i FROM t UNION SELECT i FROM u"),
    ("INTERSECT", "SELECT i FROM t INTERSECT SELECT i FROM u"),
    ("EXCEPT", "SELECT i FROM t EXCEPT SELECT i FROM u"),
    ("scalar subquery", "SELECT i FROM t WHERE i > (SELECT max(i) FROM u)"),
    ("correlated scalar subquery", "SELECT i FROM t WHERE i > (SELECT max(u.i) FROM u WHERE u.s = t.s)"),
    ("EXISTS", "SELECT i FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.i = t.i)"),
    ("IN (subquery)", "SELECT i FROM t WHERE i IN (SELECT i FROM u)"),
    ("NOT IN (subquery)", "SELECT i FROM t WHERE i NOT IN (SELECT i FROM u)"),
    ("WITH", "WITH c AS (SELECT s, sum(i) AS n FROM t GROUP BY s) SELECT * FROM c a JOIN c b ON a.s = b.s"),
    (
        "WITH RECURSIVE",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT sum(n) FROM r",
    ),
    ("LATERAL", "SELECT t.i, x.i FROM t, LATERAL (SELECT u.i FROM u WHERE u.s = t.s) x"),
    ("UNNEST", "SELECT unnest(list) FROM t"),
    ("window functions (OVER)", "SELECT sum(i) OVER (PARTITION BY s ORDER BY f) FROM t"),
    ("QUALIFY", "SELECT i FROM t QUALIFY row_number() OVER (ORDER BY i) = 1"),
];

const JOINS: &[(&str, &str)] = &[
    ("INNER JOIN ON a = b", "SELECT t.i, u.f FROM t JOIN u ON t.i = u.i"),
    ("on several keys", "SELECT t.i, u.f FROM t JOIN u ON t.i = u.i AND t.s = u.s"),
    ("on strings", "SELECT t.i, u.f FROM t JOIN u ON t.s = u.s"),
    ("on decimals", "SELECT t.i, u.f FROM t JOIN u ON t.d = u.d"),
    ("on floats", "SELECT t.i, u.f FROM t JOIN u ON t.f = u.f"),
    ("on dates", "SELECT t.i, u.f FROM t JOIN u ON t.dt = u.dt"),
    ("on timestamps", "SELECT t.i, u.f FROM t JOIN u ON t.ts = u.ts"),
    ("LEFT JOIN", "SELECT t.i, u.f FROM t LEFT JOIN u ON t.i = u.i"),
    ("RIGHT JOIN", "SELECT t.i, u.f FROM t RIGHT JOIN u ON t.i = u.i"),
    ("FULL JOIN", "SELECT t.i, u.f FROM t FULL JOIN u ON t.i = u.i"),
    ("on keys and another condition", "SELECT t.i, u.f FROM t LEFT JOIN u ON t.i = u.i AND t.f > u.f"),
    ("LEFT SEMI JOIN", "SELECT t.i FROM t LEFT SEMI JOIN u ON t.i = u.i"),
    ("RIGHT SEMI JOIN", "SELECT u.i FROM t RIGHT SEMI JOIN u ON t.i = u.i"),
    ("LEFT ANTI JOIN", "SELECT t.i FROM t LEFT ANTI JOIN u ON t.i = u.i"),
    ("RIGHT ANTI JOIN", "SELECT u.i FROM t RIGHT ANTI JOIN u ON t.i = u.i"),
    ("mark join (EXISTS in an OR)", "SELECT i FROM t WHERE f > 1 OR EXISTS (SELECT 1 FROM u WHERE u.i = t.i)"),
    ("on IS NOT DISTINCT FROM", "SELECT t.i, u.f FROM t JOIN u ON t.i IS NOT DISTINCT FROM u.i"),
    ("CROSS JOIN", "SELECT t.i, u.f FROM t CROSS JOIN u"),
    ("on any other condition", "SELECT t.i, u.f FROM t JOIN u ON t.i < u.i"),
    ("LEFT JOIN on any other condition", "SELECT t.i, u.f FROM t LEFT JOIN u ON t.i < u.i"),
    ("FULL JOIN on any other condition", "SELECT t.i, u.f FROM t FULL JOIN u ON t.i < u.i"),
];

const EXPRESSIONS: &[(&str, &[&str])] = &[
    ("`+` `-` `*` on integers", &["i + i64", "i - 1", "u64 * u8"]),
    ("`/` `%` on integers", &["i / i64", "i % 3"]),
    ("`+` `-` `*` on floats", &["f + f32", "f - 1", "f * f"]),
    ("`/` `%` on floats", &["f / f", "f % f"]),
    ("`+` `-` `*` on decimals", &["d + d", "d - 1", "d * d"]),
    ("`/` on decimals", &["d / d"]),
    ("`%` on decimals", &["d % d"]),
    ("`+` `-` `*` `/` on Decimal256", &["d76 + d76"]),
    ("`-x`", &["-i", "-f", "-d"]),
    (
        "`=` `<>` `<` `<=` `>` `>=`",
        &["i < i64", "f = f32", "s >= view_s", "d > 1.5", "dt < DATE '2020-01-01'", "b = true"],
    ),
    ("IS [NOT] DISTINCT FROM", &["i IS DISTINCT FROM i64", "s IS NOT DISTINCT FROM 'x'"]),
    ("AND, OR, NOT", &["b AND i > 1 OR NOT b"]),
    ("IS [NOT] NULL, IS TRUE", &["i IS NULL", "s IS NOT NULL", "b IS TRUE"]),
    ("[NOT] BETWEEN", &["i BETWEEN 1 AND 3", "s NOT BETWEEN 'a' AND 'c'"]),
    ("[NOT] IN (list)", &["i IN (1, 2)", "s NOT IN ('a', 'b')", "d IN (1.5)"]),
    ("CASE", &["CASE WHEN i > 1 THEN f ELSE 0 END", "CASE s WHEN 'a' THEN 'b' END"]),
    ("coalesce, nullif, nvl, nvl2", &["coalesce(i, 1)", "nullif(i, 1)", "nvl(f, 0)", "nvl2(i, 1, 2)"]),
    ("LIKE, ILIKE, SIMILAR TO", &["s LIKE 'a%'", "s ILIKE '%a'", "s SIMILAR TO 'a.*'"]),
    ("`~` `~*` `!~` (regular expressions)", &["s ~ 'a.c'", "s ~* 'A'", "s !~ 'x'"]),
    ("`\\|\\|`", &["s || 'x'", "s || view_s"]),
    ("`&` `\\|` `^` `<<` `>>`", &["i & 3", "i | i", "i ^ i", "i << 2", "i >> 1"]),
    (
        "dates and timestamps ± INTERVAL",
        &["dt + INTERVAL '1 month'", "ts - INTERVAL '1 day'", "ts_utc + INTERVAL '1 day'"],
    ),
    ("timestamps in a named time zone ± INTERVAL", &["ts_zone + INTERVAL '1 day'"]),
    ("date - date, timestamp - timestamp", &["dt - DATE '2020-01-01'", "ts - ts"]),
    ("EXTRACT", &["EXTRACT(year FROM dt)", "EXTRACT(hour FROM ts)"]),
    ("AT TIME ZONE", &["ts AT TIME ZONE 'UTC'"]),
    ("rec.x, list[1]", &["rec.x", "list[1]"]),
];

/// Arguments to try for a function, in order.
const ARGUMENTS: &[&str] = &[
    "",
    "s",
    "f",
    "i",
    "d",
    "b",
    "dt",
    "ts",
    "tm",
    "bin",
    "list",
    "flist",
    "rec",
    "map",
    "i64",
    "s, 'a'",
    "s, 2",
    "f, f",
    "i, i",
    "d, 2",
    "'day', ts",
    "'day', dt",
    "ts, 'UTC'",
    "s, s",
    "list, 1",
    "1, list",
    "list, list",
    "flist, flist",
    "map, 'a'",
    "rec, 'x'",
    "bin, 'hex'",
    "dt, '%Y'",
    "s, 'utf8'",
    "i, 'Int64'",
    "b, i",
    "f, 2",
    "2, s",
    "s, 'a', 'b'",
    "s, 1, 2",
    "s, 5, 'x'",
    "i, i, i",
    "f, 1, 2",
    "INTERVAL '1 day', ts, ts",
    "list, 1, 2",
    "s, ',', 1",
    "i16, i8, i8",
    "b, i, i64",
    "s, 'a', 2",
    "'x', s, 'y', i",
    "s, 'a', 'b', 'g'",
    "i64, i64, i64, i64",
    "f, 0, 1, 10",
    "list, 1, 2, 1",
];

/// Arguments to try for an aggregate function.
const AGGREGATE_ARGUMENTS: &[&str] =
    &["i", "f", "d", "s", "dt", "b", "f, f", "f, 0.5", "s, ','", "i, 2", "f, 0.5, 100", "f, f, 0.5"];

/// Where a query runs: completely on the device, or on the host for a reason.
enum Where {
    Device,
    Host(String),
    /// The query is invalid.
    NoPlan(String),
}

async fn place(session: &Session, sql: &str) -> Where {
    let plan = match session.sql(sql).await {
        Ok(frame) => frame.create_physical_plan().await,
        Err(error) => Err(error),
    };
    match plan {
        Err(error) => Where::NoPlan(error.to_string().lines().next().unwrap_or_default().to_string()),
        Ok(plan) => match reason(&plan) {
            Some(reason) => Where::Host(reason),
            None if plan::holds_device_node(&plan) => Where::Device,
            None => Where::Host("no operator is left to place".to_string()),
        },
    }
}

fn reason(plan: &Arc<dyn ExecutionPlan>) -> Option<String> {
    let own = HostFallbackExec::of(plan)
        .filter(|f| f.reason().is_work())
        .map(|f| crate::conformance::reason_class(f.reason()));
    own.or_else(|| plan.children().into_iter().find_map(reason))
}

async fn session() -> Result<Session> {
    let session = Session::builder().set("datafusion.execution.target_partitions", "1").build()?;
    let fields: Vec<_> = columns().into_iter().map(|(name, data_type, _)| Field::new(name, data_type, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = schema.fields().iter().map(|field| new_null_array(field.data_type(), 2)).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays)?;
    for name in ["t", "u"] {
        session
            .context()
            .register_table(name, Arc::new(MemTable::try_new(schema.clone(), vec![vec![batch.clone()]])?))?;
    }
    // A scan of all columns would include those without an encoding.
    Ok(session)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Returns one row of a table of queries.
async fn row(session: &Session, what: &str, queries: &[String]) -> Result<String, String> {
    let mut reasons = BTreeSet::new();
    for sql in queries {
        match place(session, sql).await {
            Where::Device => {}
            Where::Host(reason) => drop(reasons.insert(cell(&reason))),
            Where::NoPlan(error) => return Err(format!("{sql}: {error}")),
        }
    }
    let reasons: Vec<_> = reasons.into_iter().collect();
    Ok(match reasons.is_empty() {
        true => format!("| {what} | device |  |\n"),
        false => format!("| {what} | host | {} |\n", reasons.join("; ")),
    })
}

/// Tries every argument list. Returns those that run on the device, or else the first reason.
async fn function(session: &Session, name: &str, arguments: &[&str]) -> Where {
    let mut on_device = false;
    let mut first: Option<String> = None;
    for list in arguments {
        match place(session, &format!("SELECT {name}({list}) AS r FROM t WHERE i > 0")).await {
            Where::Device => on_device = true,
            Where::Host(reason) => drop(first.get_or_insert(reason)),
            Where::NoPlan(_) => {}
        }
        if on_device {
            return Where::Device;
        }
    }
    match first {
        Some(reason) => Where::Host(reason),
        None => Where::NoPlan(String::new()),
    }
}

/// Generates the document.
pub async fn generate() -> Result<String, String> {
    let session = session().await.map_err(|e| e.to_string())?;
    let mut out = String::from(
        "# What runs where\n\n\
        <!-- Written by `make docs` from what the planner says; do not edit. -->\n\n\
        All of DataFusion's SQL runs. An operator can run on the device if it and all of its expressions, functions and column\n\
        types have a device form. Otherwise it runs on the host, and `EXPLAIN` shows the reason. `SET xla.placement = 'always'`\n\
        turns the reason into an error. In these tables, *host* means that an operator that uses the feature runs on the host.\n\n\
        ## Operators\n\n| SQL | where | reason |\n|---|---|---|\n",
    );
    for (what, sql) in OPERATORS {
        out += &row(&session, what, &[sql.to_string()]).await?;
    }
    out += "\n## Joins\n\nIndependent of the host operator that DataFusion chooses (hash, sort-merge, nested-loop or cross join).\n\n\
            | join | where | reason |\n|---|---|---|\n";
    for (what, sql) in JOINS {
        out += &row(&session, what, &[sql.to_string()]).await?;
    }
    out += "\n## Types\n\nColumns of this type as input or output of an operator.\n\n| type | where |\n|---|---|\n";
    for (name, data_type, _) in columns() {
        let place = place(&session, &format!("SELECT {name} FROM t WHERE i > 0")).await;
        let place = if matches!(place, Where::Device) { "device" } else { "host" };
        let _ = writeln!(out, "| {} | {place} |", cell(&data_type.to_string()));
    }
    out += "\n## Expressions\n\n| expression | where | reason |\n|---|---|---|\n";
    for (what, expressions) in EXPRESSIONS {
        let queries: Vec<_> = expressions.iter().map(|e| format!("SELECT {e} AS r FROM t WHERE i > 0")).collect();
        out += &row(&session, what, &queries).await?;
    }
    out += &casts(&session).await;
    out += &scalar_functions(&session).await;
    out += &aggregate_functions(&session).await;
    Ok(out)
}

async fn casts(session: &Session) -> String {
    let targets: Vec<_> = columns().into_iter().filter_map(|(_, _, sql)| sql).collect();
    let mut out = String::from(
        "\n## CAST and TRY_CAST\n\nThe target types of casts that run on the device, and of those that run on the host. Casts that DataFusion does not\n\
        have are omitted.\n\n\
        | from | device | host |\n|---|---|---|\n",
    );
    for (name, _, from) in columns() {
        let Some(from) = from else { continue };
        let (mut device, mut host) = (Vec::new(), Vec::new());
        for target in targets.iter().filter(|target| **target != from) {
            match place(session, &format!("SELECT CAST({name} AS {target}) AS r FROM t WHERE i > 0")).await {
                Where::Device => device.push(*target),
                Where::Host(_) => host.push(*target),
                Where::NoPlan(_) => {}
            }
        }
        let _ = writeln!(out, "| {from} | {} | {} |", device.join(", "), host.join(", "));
    }
    out
}

async fn scalar_functions(session: &Session) -> String {
    let state = session.context().state();
    // Aliases have entries of their own.
    let mut sections: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for function in state.scalar_functions().values() {
        let section = function.documentation().map_or("Other Functions", |doc| doc.doc_section.label);
        let aliases = function.aliases().iter().map(|a| format!("`{a}`")).collect();
        sections.entry(section).or_default().insert(function.name().to_string(), aliases);
    }
    let mut out = String::from(
        "\n## Functions\n\n*Device*: the function runs on the device with common argument types, if its arguments do, too. `EXPLAIN` shows where a\n\
        specific call runs. Functions whose arguments are all constants are evaluated during planning.\n",
    );
    for (section, functions) in sections {
        let _ = write!(out, "\n### {section}\n\n| function | aliases | where | reason |\n|---|---|---|---|\n");
        for (name, aliases) in functions {
            let (place, why) = match function(session, &name, ARGUMENTS).await {
                Where::Device => ("device", String::new()),
                Where::Host(reason) => ("host", cell(&reason)),
                Where::NoPlan(_) => ("host", "not tried: needs other arguments".to_string()),
            };
            let _ = writeln!(out, "| `{}` | {} | {place} | {why} |", cell(&name), cell(&aliases.join(", ")));
        }
    }
    out
}

async fn aggregate_functions(session: &Session) -> String {
    let state = session.context().state();
    let mut functions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for function in state.aggregate_functions().values() {
        functions.insert(function.name().to_string(), function.aliases().iter().map(|a| format!("`{a}`")).collect());
    }
    let mut out = String::from(
        "\n## Aggregate functions\n\n*On the device with* lists the argument types that run on the device. Integers (`INT`), floats (`DOUBLE`), decimals,\n\
        strings, dates and booleans are tried.\n\n\
        | function | aliases | where | on the device with | reason |\n|---|---|---|---|---|\n",
    );
    for (name, aliases) in functions {
        let (mut device, mut first) = (Vec::new(), None);
        for list in AGGREGATE_ARGUMENTS {
            match place(session, &format!("SELECT s, {name}({list}) AS r FROM t GROUP BY s")).await {
                Where::Device => device.push(shown(list)),
                Where::Host(reason) => drop(first.get_or_insert(reason)),
                Where::NoPlan(_) => {}
            }
        }
        let place = if device.is_empty() { "host" } else { "device" };
        let why = first.filter(|_| device.is_empty()).unwrap_or_default();
        let _ = writeln!(
            out,
            "| `{name}` | {} | {place} | {} | {} |",
            cell(&aliases.join(", ")),
            device.join("; "),
            cell(&why)
        );
    }
    let mut windows: Vec<_> = state.window_functions().values().map(|f| format!("`{}`", f.name())).collect();
    windows.sort();
    windows.dedup();
    let _ = write!(
        out,
        "\n## Window functions\n\nWindow functions and aggregates with OVER run on the host: {}.\n",
        windows.join(", ")
    );
    out
}

/// Replaces column names of the table by what they stand for.
fn shown(arguments: &str) -> String {
    let types = [("i", "INT"), ("f", "DOUBLE"), ("d", "DECIMAL"), ("s", "VARCHAR"), ("dt", "DATE"), ("b", "BOOLEAN")];
    let one = |argument: &str| {
        types.iter().find(|(name, _)| *name == argument).map_or(argument.to_string(), |t| t.1.to_string())
    };
    arguments.split(", ").map(one).collect::<Vec<_>>().join(", ")
}

pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/sql-support.md")
}

/// Tests that the committed document agrees with the planner.
pub async fn check() -> Result<(), String> {
    let (now, committed) = (generate().await?, std::fs::read_to_string(path()).unwrap_or_default());
    let stale = now.lines().find(|line| !committed.lines().any(|known| known == *line));
    match stale {
        _ if now == committed => Ok(()),
        Some(line) => Err(format!("docs/sql-support.md is stale; run `make docs`. The first new line is\n{line}")),
        None => Err("docs/sql-support.md is stale; run `make docs`".to_string()),
    }
}

/// Writes the document.
pub async fn write() -> Result<(), String> {
    std::fs::write(path(), generate().await?).map_err(|e| format!("{}: {e}", path().display()))
}
