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
