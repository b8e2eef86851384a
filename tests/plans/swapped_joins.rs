//! Inner joins whose right side has unique keys build that side. The rows match DataFusion's.

use crate::Db;

#[test]
fn the_side_with_unique_keys_is_built() {
    let db = Db::new(&[]);
    db.run(
        "CREATE TABLE many AS SELECT value % 40000 AS k, value AS v, CASE WHEN value % 9 = 0 THEN NULL ELSE value % 500 END AS n \
         FROM generate_series(1, 90000)",
    );
    // A NULL key matches nothing, and does not make the key non-unique.
    db.run(
        "CREATE TABLE one AS SELECT CASE WHEN value < 3 THEN NULL ELSE value * 3 END AS id, value % 7 AS w, \
         repeat('x', 40) || value AS s FROM generate_series(1, 200000)",
    );
    db.run("CREATE TABLE twice AS SELECT * FROM one UNION ALL SELECT 30, 0, 'again'");
    for (from, turned) in [
        ("many JOIN one ON k = id", true),
        ("many JOIN one ON k = id AND v % 5 > w", true),
        ("(SELECT * FROM many WHERE v % 3 > 0) JOIN (SELECT id, w, s FROM one WHERE w < 5) ON k = id", true),
        ("many JOIN (SELECT w + 1 AS w, id, s FROM one) ON n = id", true),
        // Through another join that keeps the rows of its probe side distinct.
        ("many JOIN (SELECT a.id, a.w, b.s FROM one a JOIN one b ON a.w = b.id) ON k = id", false),
        ("many JOIN twice ON k = id", false),
        ("many JOIN (SELECT id + 1 AS id, w, s FROM one) ON k = id", false),
        ("many JOIN one ON k = id AND n = w", false),
        ("(SELECT * FROM many WHERE v < 60000 LIMIT 50000) JOIN one ON k = id", false),
    ] {
        let sql = format!("SELECT k, v, n, id, w, s FROM {from}");
        db.run("SET xla.placement = 'always'");
        let rows = db.sorted(&sql);
        let plan = db.analyze(&sql);
        db.run("SET xla.placement = 'never'");
        assert_eq!(rows, db.sorted(&sql), "{sql}");
        if turned {
            assert!(plan.contains("gather join") && !plan.contains("expanding join"), "{sql}: {plan}");
        }
    }
}
