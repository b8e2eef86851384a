//! EXISTS where all rows share a few keys, so that there are far more pairs than rows.

use crate::{Db, texts};

const QUERIES: [(&str, &str); 8] = [
    ("EXISTS (SELECT * FROM b WHERE b.k = a.k AND b.x <> a.x)", "existence join by extremes"),
    ("NOT EXISTS (SELECT * FROM b WHERE b.k = a.k AND b.x <> a.x)", "existence join by extremes"),
    ("EXISTS (SELECT * FROM b WHERE b.k = a.k AND b.x < a.x)", "existence join by extremes"),
    ("NOT EXISTS (SELECT * FROM b WHERE b.k = a.k AND a.x >= b.x)", "existence join by extremes"),
    ("EXISTS (SELECT * FROM b WHERE b.k = a.k AND b.x - 2000 > a.x)", "existence join by extremes"),
    ("EXISTS (SELECT * FROM b WHERE b.k = a.k AND CAST(b.x AS DOUBLE) > a.x + 0.5)", "existence join by extremes"),
    ("EXISTS (SELECT * FROM b WHERE b.k = a.k AND b.x + a.x = 5000)", "existence join in batches"),
    ("NOT EXISTS (SELECT * FROM b WHERE b.k = a.k AND (b.x + a.x) % 1999 = 7)", "existence join in batches"),
];

#[test]
fn existence_over_skewed_keys_needs_no_pairs() {
    // Keys 0 and 1 have most rows; NULL keys and values, a key with one value, and keys of one side.
    let tables = [
        "CREATE TABLE a AS SELECT value AS id, CASE WHEN value % 50 = 0 THEN value WHEN value % 50 = 1 THEN NULL ELSE value % 2 END AS k, \
         CASE WHEN value % 31 = 0 THEN NULL ELSE value END AS x FROM generate_series(1, 3000)",
        "CREATE TABLE b AS SELECT CASE WHEN value % 60 = 0 THEN value WHEN value % 60 = 1 THEN NULL ELSE value % 2 END AS k, \
         CASE WHEN value % 29 = 0 THEN NULL WHEN value % 2 = 0 THEN 1000 ELSE value END AS x FROM generate_series(1, 4000)",
    ];
    let db = |devices, placement| {
        let db = Db::on_devices(devices, &[("xla.placement", placement)]);
        tables.iter().for_each(|table| db.run(table));
        db
    };
    let (host, device) = (db(1, "never"), db(2, "always"));
    for (number, (condition, strategy)) in QUERIES.into_iter().enumerate() {
        let sql = format!("SELECT id FROM a WHERE {condition} ORDER BY id");
        assert_eq!(texts(&device.collect(&sql).unwrap()), texts(&host.collect(&sql).unwrap()), "{condition}");
        let plan = texts(&device.collect(&format!("EXPLAIN ANALYZE {sql}")).unwrap()).concat();
        assert!(plan.contains(strategy), "{condition}: {plan}");
        // As a value, too: once by extremes, once in batches.
        if [0, 7].contains(&number) {
            let mark = format!("SELECT id, {condition} AS found FROM a ORDER BY id");
            assert_eq!(texts(&device.collect(&mark).unwrap()), texts(&host.collect(&mark).unwrap()), "{condition}");
        }
    }
}

/// Tables of which each has two keys for nearly all rows, NULL keys and values, and keys of one side. [`Row`] has the same rows.
const SKEWED: [&str; 2] = [
    "CREATE TABLE a AS SELECT CASE WHEN value % 50 = 0 THEN value WHEN value % 50 = 1 THEN NULL ELSE value % 2 END AS k, \
     CASE WHEN value % 31 = 0 THEN NULL ELSE value END AS x, CASE value % 3 WHEN 0 THEN 'a0' WHEN 1 THEN 'a1' ELSE 'a3' END AS s \
     FROM generate_series(1, 3000)",
    "CREATE TABLE b AS SELECT CASE WHEN value % 60 = 0 THEN value + 9000 WHEN value % 60 = 1 THEN NULL ELSE value % 2 END AS k, \
     CASE WHEN value % 29 = 0 THEN NULL ELSE value END AS y FROM generate_series(1, 4000)",
];

struct Row {
    key: Option<i64>,
    value: Option<i64>,
}

impl Row {
    /// The rows of a table of `n` rows, of which every `own`th has a key of its own, and every `null`th no value.
    fn all(n: i64, (own, from): (i64, i64), null: i64) -> Vec<Self> {
        let row = |value: i64| Self {
            key: match value % own {
                0 => Some(value + from),
                1 => None,
                _ => Some(value % 2),
            },
            value: (value % null != 0).then_some(value),
        };
        (1..=n).map(row).collect()
    }
}

/// How rows of `a` and `b` match, and which of them are there without a match.
type Case = (&'static str, fn(&Row, &Row) -> bool, [bool; 2]);

const CASES: [Case; 5] = [
    ("a JOIN b ON a.k = b.k", |a, b| a.key.is_some() && a.key == b.key, [false, false]),
    (
        "a JOIN b ON a.k = b.k AND a.x + b.y < 3000",
        |a, b| a.key.is_some() && a.key == b.key && a.value.zip(b.value).is_some_and(|(x, y)| x + y < 3000),
        [false, false],
    ),
    ("a JOIN b ON a.x < b.y", |a, b| a.value.zip(b.value).is_some_and(|(x, y)| x < y), [false, false]),
    ("a LEFT JOIN b ON a.k = b.k", |a, b| a.key.is_some() && a.key == b.key, [true, false]),
    ("a RIGHT JOIN b ON a.k = b.k", |a, b| a.key.is_some() && a.key == b.key, [false, true]),
];

/// Count, and sums of x and y.
fn expected((_, matches, unmatched): &Case) -> String {
    let (a, b) = (Row::all(3000, (50, 0), 31), Row::all(4000, (60, 9000), 29));
    let mut found = vec![false; b.len()];
    let (mut count, mut x, mut y) = (0, 0, 0);
    let mut add = |left: Option<&Row>, right: Option<&Row>| {
        count += 1;
        x += left.and_then(|row| row.value).unwrap_or(0);
        y += right.and_then(|row| row.value).unwrap_or(0);
    };
    for left in &a {
        let mut any = false;
        for (right, found) in b.iter().zip(&mut found) {
            if matches(left, right) {
                add(Some(left), Some(right));
                (any, *found) = (true, true);
            }
        }
        if !any && unmatched[0] {
            add(Some(left), None);
        }
    }
    for (right, found) in b.iter().zip(&found) {
        if !found && unmatched[1] {
            add(None, Some(right));
        }
    }
    format!("{count} | {x} | {y}")
}

fn query((from, ..): &Case) -> String {
    format!("SELECT count(*), sum(a.x), sum(b.y) FROM {from}")
}

#[test]
fn pairs_of_skewed_keys_are_written_out_a_chunk_at_a_time() {
    let one = Db::new(&[("xla.placement", "always")]);
    let two = Db::on_devices(2, &[("xla.placement", "always"), ("xla.chunk_rows", "65536")]);
    [&one, &two].iter().for_each(|db| SKEWED.iter().for_each(|table| db.run(table)));
    for case in &CASES {
        let sql = query(case);
        let expected = [expected(case)];
        assert_eq!(one.rows(&sql), expected, "{sql}");
        assert_eq!(two.rows(&sql), expected, "{sql}");
    }
    let plan = one.analyze(&query(&CASES[0]));
    assert!(plan.contains("pairs in chunks"), "{plan}");
    // Strings, groups of pairs, and a reader that stops.
    let grouped = "SELECT a.s, count(*) FROM a JOIN b ON a.k = b.k GROUP BY a.s ORDER BY a.s";
    assert_eq!(one.rows(grouped), two.rows(grouped));
    assert_eq!(one.rows("SELECT count(*) FROM (SELECT a.s FROM a JOIN b ON a.k = b.k LIMIT 4500000)"), ["4500000"]);
}

/// The pairs would take some 100 MB.
#[test]
fn pairs_of_skewed_keys_need_little_memory() {
    let db = Db::exclusive();
    SKEWED.iter().for_each(|table| db.run(table));
    db.run("SET xla.placement = 'always'");
    db.run("SET xla.memory_limit = '16MB'");
    let found = db.rows(&query(&CASES[0]));
    db.run("SET xla.memory_limit = 0");
    assert_eq!(found, [expected(&CASES[0])]);
}
