//! Every function with a literal, a NULL and a column in every argument: the device has the values of the host.

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;

use crate::Db;

/// Calls with a place for each argument: of an integer, float, text, boolean, date, decimal or timestamp.
const CALLS: &[&str] = &[
    // Choices.
    "nullif({i}, {i})",
    "nullif({f}, {f})",
    "nullif({s}, {s})",
    "nullif({b}, {b})",
    "nullif({d}, {d})",
    "nullif({m}, {m})",
    "nullif({i}, {m})",
    "coalesce({i}, {i}, {i})",
    "coalesce({s}, {s})",
    "coalesce({b}, {b})",
    "nvl({f}, {f})",
    "nvl({s}, {s})",
    "nvl2({i}, {s}, {s})",
    "nvl2({s}, {i}, {f})",
    "greatest({i}, {i}, {i})",
    "greatest({s}, {s})",
    "least({f}, {f})",
    "least({d}, {d})",
    "least({b}, {b})",
    "greatest({m}, {i})",
    "CASE WHEN {b} THEN {i} ELSE {i} END",
    "CASE WHEN {b} THEN {s} ELSE {s} END",
    "CASE WHEN {b} THEN {m} END",
    "CASE {i} WHEN {i} THEN {f} ELSE {f} END",
    "CASE {s} WHEN {s} THEN {b} ELSE {b} END",
    // Comparisons.
    "{i} IN ({i}, {i})",
    "{s} NOT IN ({s}, {s})",
    "{f} IN ({f}, {f})",
    "{d} IN ({d})",
    "{b} IN ({b})",
    "{i} BETWEEN {i} AND {i}",
    "{s} NOT BETWEEN {s} AND {s}",
    "{d} BETWEEN {d} AND {t}",
    "{i} = {m}",
    "{f} < {i}",
    "{s} >= {s}",
    "{b} <> {b}",
    "{t} > {d}",
    "{i} IS DISTINCT FROM {i}",
    "{s} IS NOT DISTINCT FROM {s}",
    "{b} IS DISTINCT FROM {b}",
    "{b} AND {b}",
    "{b} OR {b}",
    "NOT {b}",
    "{b} IS TRUE",
    "{b} IS NOT FALSE",
    "{b} IS UNKNOWN",
    "{s} IS NULL",
    "{m} IS NOT NULL",
    // Arithmetic.
    "{i} + {i}",
    "{f} - {i}",
    "{m} * {m}",
    "{m} / {i}",
    "{i} % {i}",
    "- {f}",
    "{i} & {i}",
    "{i} | {i}",
    "{i} << {i}",
    "{i} >> {i}",
    "{d} - {d}",
    "{t} - {t}",
    "{d} + INTERVAL '1 month'",
    "abs({m})",
    "signum({i})",
    "round({f}, {i})",
    "round({m}, {i})",
    "trunc({f}, {i})",
    "floor({f})",
    "power({f}, {i})",
    "power({i}, {i})",
    "atan2({f}, {f})",
    "log({i}, {f})",
    "gcd({i}, {i})",
    "lcm({i}, {i})",
    "nanvl({f}, {f})",
    "isnan({f})",
    "CAST({i} AS DOUBLE)",
    "CAST({f} AS DECIMAL(10, 1))",
    "CAST({m} AS BIGINT)",
    "CAST({b} AS INT)",
    "CAST({d} AS TIMESTAMP)",
    "CAST({t} AS DATE)",
    "CAST({i} AS VARCHAR)",
    "TRY_CAST({s} AS INT)",
    // Dates.
    "date_part('year', {d})",
    "date_part('second', {t})",
    "date_trunc('month', {t})",
    "date_trunc('year', {d})",
    "date_bin(INTERVAL '1 day', {t}, {t})",
    "date_bin(INTERVAL '1 day', {t})",
    "make_date({i}, {i}, {i})",
    "to_unixtime({t})",
    "to_char({d}, '%Y')",
    // Text.
    "{s} || {s}",
    "{s} || {i}",
    "concat({s}, {i}, {s})",
    "concat_ws({s}, {s}, {s})",
    "substr({s}, {i})",
    "substr({s}, {i}, {i})",
    "replace({s}, {s}, {s})",
    "strpos({s}, {s})",
    "left({s}, {i})",
    "right({s}, {i})",
    "lpad({s}, {i}, {s})",
    "rpad({s}, {i})",
    "repeat({s}, {i})",
    "split_part({s}, {s}, {i})",
    "starts_with({s}, {s})",
    "ends_with({s}, {s})",
    "contains({s}, {s})",
    "{s} LIKE {s}",
    "{s} NOT ILIKE {s}",
    "{s} ~ {s}",
    "upper({s})",
    "btrim({s}, {s})",
    "length({s})",
    "ascii({s})",
    "chr({i})",
    "to_hex({i})",
    "translate({s}, {s}, {s})",
    "regexp_replace({s}, {s}, {s})",
    "regexp_like({s}, {s})",
    "levenshtein({s}, {s})",
    "find_in_set({s}, {s})",
    "overlay({s} PLACING {s} FROM {i})",
    "md5({s})",
];

/// Columns with NULLs, two of each type, without, a literal, and a NULL.
fn arguments(letter: char, place: usize) -> Vec<String> {
    let (data_type, literal) = match letter {
        'i' => ("BIGINT", "2"),
        'f' => ("DOUBLE", "CAST(1.5 AS DOUBLE)"),
        's' => ("VARCHAR", "'b'"),
        'b' => ("BOOLEAN", "true"),
        'd' => ("DATE", "DATE '2024-02-29'"),
        'm' => ("DECIMAL(10, 2)", "CAST(2.50 AS DECIMAL(10, 2))"),
        't' => ("TIMESTAMP", "TIMESTAMP '2024-02-29 12:30:00'"),
        other => panic!("{other} is no type"),
    };
    let column = if place.is_multiple_of(2) { letter.to_string() } else { format!("{letter}2") };
    vec![column, format!("{letter}0"), literal.to_string(), format!("CAST(NULL AS {data_type})")]
}

/// The call with every choice of arguments, but those without a column.
fn expressions(call: &str) -> Vec<String> {
    let mut made = vec![(call.to_string(), false)];
    let mut place = 0;
    while let Some(at) = made[0].0.find('{') {
        let letter = made[0].0[at + 1..].chars().next().unwrap();
        let next = |(call, columns): &(String, bool)| {
            let choices = arguments(letter, place).into_iter().enumerate();
            let filled =
                choices.map(|(choice, argument)| (call.replacen(&format!("{{{letter}}}"), &argument, 1), choice < 2));
            filled.map(|(call, column)| (call, *columns || column)).collect::<Vec<_>>()
        };
        made = made.iter().flat_map(next).collect();
        place += 1;
    }
    made.into_iter().filter(|(_, columns)| *columns).map(|(call, _)| call).collect()
}

const TABLE: &str = "CREATE TABLE t AS SELECT column1 AS id, column2 AS i, column3 AS i2, column1 AS i0, \
    CAST(column2 AS DOUBLE) * 1.5 AS f, CAST(column3 AS DOUBLE) / 4 AS f2, CAST(column1 AS DOUBLE) AS f0, \
    column4 AS s, column5 AS s2, CAST(column1 AS VARCHAR) || 'b' AS s0, \
    column2 > 1 AS b, column3 > 2 AS b2, column1 > 2 AS b0, \
    CAST(column6 AS DATE) AS d, CAST(column7 AS DATE) AS d2, DATE '2024-02-27' + CAST(column1 AS INT) AS d0, \
    CAST(column2 AS DECIMAL(10, 2)) AS m, CAST(column3 AS DECIMAL(10, 2)) AS m2, \
    CAST(column1 AS DECIMAL(10, 2)) AS m0, \
    CAST(column6 AS TIMESTAMP) AS t, CAST(column7 AS TIMESTAMP) AS t2, \
    CAST(DATE '2024-02-27' + CAST(column1 AS INT) AS TIMESTAMP) AS t0 \
    FROM (VALUES (1, 1, 2, 'a', 'b', '2024-02-29', '2023-12-31 10:00:00'), (2, NULL, 3, 'b', NULL, NULL, '2024-02-29 12:30:00'), \
    (3, 2, NULL, NULL, 'b', '1999-01-01 23:59:59', NULL), (4, NULL, NULL, NULL, NULL, NULL, NULL), \
    (5, 2, 2, 'xbyb', 'xbyb', '2024-02-29 12:30:00', '2024-02-29 12:30:00'))";

fn values(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| format!("[{}]", column.value(row))).collect::<Vec<_>>().join(""));
        }
    }
    rows.sort();
    rows
}

fn select(expressions: &[String]) -> String {
    let named = expressions.iter().enumerate().map(|(i, expression)| format!(", {expression} AS x{i}"));
    // As keys of a GROUP BY, too.
    format!("SELECT DISTINCT id{} FROM t", named.collect::<String>())
}

fn rows(db: &Db, expressions: &[String]) -> Result<Vec<String>> {
    db.collect(&select(expressions)).map(|batches| values(&batches))
}

/// What is wrong with an expression, if anything is.
fn fault(host: &Db, device: &Db, expression: &String) -> Option<String> {
    let one = std::slice::from_ref(expression);
    let sql = select(one);
    match (rows(host, one), rows(device, one)) {
        (Ok(expected), Ok(found)) if expected == found => None,
        (Ok(expected), Ok(found)) => Some(format!("{sql}\n  host   {expected:?}\n  device {found:?}")),
        (_, Err(error)) if is_fault(&error.to_string()) => Some(format!("{sql}\n  {error}")),
        (Err(expected), Ok(found)) => Some(format!("{sql}\n  host   {expected}\n  device {found:?}")),
        // A call that has no device form yet says so; an error of the values is the host's.
        (_, Err(_)) => None,
    }
}

fn is_fault(error: &str) -> bool {
    ["Internal", "internal", "not a scalar", "planner (", "shape"].iter().any(|sign| error.contains(sign))
}

#[test]
fn literals_stand_in_every_argument() {
    let (host, device) = (Db::new(&[("xla.placement", "never")]), Db::new(&[("xla.placement", "always")]));
    for db in [&host, &device] {
        let placement = if std::ptr::eq(db, &host) { "never" } else { "auto" };
        db.run(&format!("SET xla.placement = '{placement}'"));
        db.run(TABLE);
    }
    device.run("SET xla.placement = 'always'");
    let mut faults = Vec::new();
    for call in CALLS {
        let expressions = expressions(call);
        if let (Ok(expected), Ok(found)) = (rows(&host, &expressions), rows(&device, &expressions))
            && expected == found
        {
            continue;
        }
        // One call may be refused, or fail, where others do not.
        faults.extend(expressions.iter().filter_map(|expression| fault(&host, &device, expression)));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
