//! Files whose statistics, dictionaries or absence must not change an answer.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::datatypes::Int8Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use crate::{Db, texts};

const PLACEMENTS: [&str; 3] = ["never", "auto", "always"];

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Statistics of Parquet files leave NaN out; rows that hold it must not be pruned by them.
#[test]
fn row_groups_with_nan_are_not_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let x = [Some(1.0), Some(2.5), Some(0.5), Some(f64::NAN), Some(-f64::NAN), Some(0.0), Some(3.0), None];
    write(
        &path,
        vec![("n", Arc::new(Int64Array::from_iter_values(0..8))), ("x", Arc::new(Float64Array::from_iter(x)))],
    );
    let queries: [(&str, &[&str]); 7] = [
        ("SELECT n FROM t WHERE x > 2.0 ORDER BY n", &["1", "3", "4", "6"]),
        ("SELECT n FROM t WHERE x >= 3.0 ORDER BY n", &["3", "4", "6"]),
        ("SELECT n FROM t WHERE x < 1.0 ORDER BY n", &["2", "5"]),
        ("SELECT n FROM t WHERE x = 'NaN' ORDER BY n", &["3", "4"]),
        ("SELECT n FROM t WHERE x <> 0.0 AND x <> 3.0 ORDER BY n", &["0", "1", "2", "3", "4"]),
        ("SELECT min(x) AS low, max(x) AS high FROM t", &["0.0 | NaN"]),
        ("SELECT n FROM t ORDER BY x DESC NULLS LAST, n LIMIT 3", &["3", "4", "6"]),
    ];
    for placement in PLACEMENTS {
        for cached in ["true", "false"] {
            let db = Db::new(&[("xla.placement", placement), ("xla.cache_columns", cached)]);
            db.run(&format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", path.display()));
            // Twice: from the file, and from what was kept of it.
            for (sql, expected) in queries.iter().chain(&queries) {
                assert_eq!(texts(&db.collect(sql).unwrap()), *expected, "{placement}, cached: {cached}: {sql}");
            }
        }
    }
}

/// Each file of pandas categoricals has a dictionary of its own with keys of eight bits.
#[test]
fn small_dictionaries_of_many_files_are_read_together() {
    let dir = tempfile::tempdir().unwrap();
    for file in 0..3 {
        let values = StringArray::from_iter_values((0..100).map(|i| format!("{file}-{i:02}")));
        let keys = Int8Array::from_iter((0..300).map(|i| (i % 7 > 0).then_some((i % 100) as i8)));
        let array = DictionaryArray::<Int8Type>::try_new(keys, Arc::new(values)).unwrap();
        let ids = Int64Array::from_iter_values(file * 300..(file + 1) * 300);
        write(&dir.path().join(format!("{file}.parquet")), vec![("k", Arc::new(array)), ("n", Arc::new(ids))]);
    }
    for placement in PLACEMENTS {
        let db = Db::new(&[]);
        db.run(&format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}/'", dir.path().display()));
        for (sql, expected) in [
            ("SELECT count(*), count(k), count(DISTINCT k) FROM t", vec!["900 | 771 | 300"]),
            ("SELECT k, count(*) FROM t GROUP BY k ORDER BY k LIMIT 2", vec!["0-00 | 2", "0-01 | 3"]),
            ("SELECT count(*) FROM t a JOIN t b ON a.k = b.k WHERE a.n < b.n", vec!["685"]),
            ("SELECT k FROM t WHERE k > '2-97' ORDER BY k DESC, n LIMIT 1", vec!["2-99"]),
        ] {
            db.run(&format!("SET xla.placement = '{placement}'"));
            let rows = texts(&db.collect(sql).unwrap());
            if sql.contains("JOIN") {
                // The number is the same everywhere; what it is follows from the rows.
                db.run("SET xla.placement = 'never'");
                let plain =
                    "SELECT count(*) FROM t a JOIN t b ON CAST(a.k AS VARCHAR) = CAST(b.k AS VARCHAR) WHERE a.n < b.n";
                assert_eq!(rows, texts(&db.collect(plain).unwrap()), "{placement}: {sql}");
            } else {
                assert_eq!(rows, expected, "{placement}: {sql}");
            }
        }
    }
}

/// A table whose file has been deleted is no table without rows.
#[test]
fn a_deleted_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, folder) = (dir.path().join("t.parquet"), dir.path().join("f"));
    fs::create_dir(&folder).unwrap();
    for placement in PLACEMENTS {
        let numbers = || -> ArrayRef { Arc::new(Int64Array::from_iter_values(0..4)) };
        write(&path, vec![("n", numbers())]);
        write(&folder.join("a.parquet"), vec![("n", numbers())]);
        let db = Db::new(&[("xla.placement", placement)]);
        db.run(&format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}'", path.display()));
        db.run(&format!("CREATE EXTERNAL TABLE f STORED AS PARQUET LOCATION '{}/'", folder.display()));
        assert_eq!(texts(&db.collect("SELECT sum(n) FROM t").unwrap()), ["6"]);
        assert_eq!(texts(&db.collect("SELECT sum(n) FROM f").unwrap()), ["6"]);
        fs::remove_file(&path).unwrap();
        fs::remove_file(folder.join("a.parquet")).unwrap();
        let error = db.collect("SELECT sum(n) FROM t").unwrap_err().to_string();
        let expected = format!("the file {} of table t is not there any more", path.display());
        assert!(error.contains(&expected), "{placement}: {error}");
        assert!(db.collect("SELECT 1 WHERE EXISTS (SELECT * FROM t)").is_err());
        assert!(db.collect("CACHE TABLE t").unwrap_err().to_string().contains(&expected), "{placement}");
        assert!(db.session.take_notices().is_empty());
        assert_eq!(texts(&db.collect("SELECT count(*) FROM f").unwrap()), ["0"], "{placement}");
        let notice = format!("table f has no rows: no file matches {}/*.parquet", folder.display());
        assert_eq!(db.session.take_notices(), [notice], "{placement}");
        db.run(&format!(
            "CREATE EXTERNAL TABLE g (n BIGINT) STORED AS PARQUET LOCATION '{}/*.parquet'",
            folder.display()
        ));
        assert_eq!(texts(&db.collect("SELECT max(n) FROM g").unwrap()), ["NULL"], "{placement}");
        let notice = format!("table g has no rows: no file matches {}/*.parquet", folder.display());
        assert_eq!(db.session.take_notices(), [notice], "{placement}");
        write(&folder.join("a.parquet"), vec![("n", numbers())]);
        assert_eq!(texts(&db.collect("SELECT max(n) FROM g").unwrap()), ["3"], "{placement}");
        assert!(db.session.take_notices().is_empty());
    }
}

/// A value that a column does not take has a place wherever the file is read.
#[test]
fn bad_values_have_a_place_in_every_statement() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.csv");
    let rows: String = (0..1500).map(|i| format!("{i}\n")).collect();
    fs::write(&path, format!("a\n{rows}zwei\n")).unwrap();
    let target = dir.path().join("copy.csv");
    let path = path.display();
    for placement in PLACEMENTS {
        let db = Db::new(&[("xla.placement", placement), ("xla.frontend_rules", "all")]);
        db.run("CREATE TABLE into_it (a BIGINT)");
        db.run(&format!(
            "CREATE EXTERNAL TABLE bad STORED AS CSV LOCATION '{path}' OPTIONS ('format.has_header' 'true')"
        ));
        for sql in [
            "SELECT sum(a) FROM bad".to_string(),
            format!("SELECT sum(a) FROM '{path}'"),
            format!("CREATE TABLE c AS SELECT * FROM '{path}'"),
            format!("CREATE TABLE c (a BIGINT) AS SELECT * FROM '{path}'"),
            "CREATE OR REPLACE TABLE into_it AS SELECT * FROM bad".to_string(),
            "INSERT INTO into_it SELECT * FROM bad".to_string(),
            format!("COPY (SELECT a + 1 AS b FROM bad) TO '{}'", target.display()),
            "SUMMARIZE bad".to_string(),
            "CACHE TABLE bad".to_string(),
            "EXPLAIN ANALYZE SELECT max(a) FROM bad".to_string(),
        ] {
            let error = db.collect(&sql).unwrap_err().to_string();
            // Quartiles have no device form.
            if placement == "always" && sql.starts_with("SUMMARIZE") {
                continue;
            }
            assert!(error.contains("bad.csv, line 1502, column a: 'zwei' is no Int64"), "{placement}: {sql}: {error}");
        }
    }
}
