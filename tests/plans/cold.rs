//! Parquet files that a query reads for the first time. Strings arrive as the dictionary codes of the file, columns one
//! by one, and unusual files are read by DataFusion's scan. All results are compared with DataFusion's own.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int64Array, LargeStringArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::Int16Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

use crate::Db;

/// Rows per row group.
const GROUP: usize = 3000;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn strings(n: usize, of_row: impl Fn(usize) -> Option<String>) -> ArrayRef {
    Arc::new((0..n).map(of_row).collect::<StringArray>())
}

/// Numbers from 0 to n.
fn ids(n: usize) -> ArrayRef {
    Arc::new((0..n as i64).collect::<Int64Array>())
}

fn write_with(path: &Path, batch: &RecordBatch, properties: WriterPropertiesBuilder) {
    let properties = properties.set_max_row_group_row_count(Some(GROUP)).set_data_page_row_count_limit(500);
    let properties = properties.set_write_batch_size(100).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn write(path: &Path, batch: &RecordBatch) {
    write_with(path, batch, WriterProperties::builder());
}

/// Creates a session with table `t`, a file or a folder of files.
fn over(path: &Path, settings: &[(&str, &str)]) -> Db {
    let db = Db::new(settings);
    let slash = if path.is_dir() { "/" } else { "" };
    db.run(&format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{}{slash}'", path.display()));
    db
}

/// Runs `queries` with DataFusion's operators, on cached columns, and on uncached columns. Returns the last plan.
fn check(path: &Path, queries: &[&str]) -> String {
    let host = over(path, &[("xla.placement", "never")]);
    let resident = over(path, &[("xla.placement", "always")]);
    let cold = over(path, &[("xla.placement", "always"), ("xla.cache_columns", "false")]);
    for sql in queries {
        let expected = host.sorted(sql);
        assert_eq!(cold.sorted(sql), expected, "{sql}");
        assert_eq!(resident.sorted(sql), expected, "{sql}, read first");
        assert_eq!(resident.sorted(sql), expected, "{sql}, resident");
    }
    cold.analyze(queries[queries.len() - 1])
}

/// Returns the encoding of a column after `sql` has read it.
fn encoding(path: &Path, sql: &str, column: &str) -> String {
    let db = over(path, &[("xla.placement", "always")]);
    db.run(sql);
    let rows = db.rows("SHOW CACHE");
    let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.split(" | ").collect()).collect();
    let row = cells.iter().find(|cells| cells[1] == column);
    row.unwrap_or_else(|| panic!("{column} is not among {rows:?}"))[2].to_string()
}

const BY_STRING: &[&str] = &[
    "SELECT s, count(*), min(id), max(id) FROM t GROUP BY s",
    "SELECT id, s FROM t WHERE s > 'm' OR s IS NULL",
    "SELECT s || '!', id FROM t WHERE s LIKE '%1%'",
    "SELECT min(s), max(s), count(s), count(DISTINCT s) FROM t",
    "SELECT s, id FROM t WHERE id >= 0",
];

/// A column that only passes through has row numbers instead of codes if computing codes means reading the strings.
/// Here the codes come from the file.
#[test]
fn dictionary_codes_of_the_file_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 4 * GROUP + 17;
    // Other strings in each row group, NULLs, empty strings, and a row group of only NULLs.
    let value = |row: usize| match (row / GROUP, row % 7) {
        (2, _) | (_, 3) => None,
        (_, 4) => Some(String::new()),
        (group, rest) => Some(format!("s{}", group * 5 + rest)),
    };
    write(&path, &batch(vec![("id", ids(n)), ("s", strings(n, value))]));
    let plan = check(&path, BY_STRING);
    assert!(plan.contains("decode_time="), "{plan}");
    assert_eq!(encoding(&path, "SELECT s FROM t WHERE id >= 0", "s"), "s8 codes of 17 strings + validity");
    let plain = dir.path().join("plain.parquet");
    let properties = WriterProperties::builder().set_dictionary_enabled(false);
    write_with(&plain, &batch(vec![("id", ids(n)), ("s", strings(n, value))]), properties);
    check(&plain, BY_STRING);
    assert_eq!(encoding(&plain, "SELECT s FROM t WHERE id >= 0", "s"), "s16 row numbers of strings + validity");
}

/// The writer drops its dictionary in the middle of a column chunk.
#[test]
fn column_chunks_mix_codes_and_plain_strings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = 3 * GROUP;
    // Few strings, then many, then few again.
    let value = |row: usize| match row / GROUP {
        1 => Some(format!("many {row}")),
        _ => (!row.is_multiple_of(5)).then(|| format!("few {}", row % 4)),
    };
    let properties = WriterProperties::builder().set_dictionary_page_size_limit(2000);
    write_with(&path, &batch(vec![("id", ids(n)), ("s", strings(n, value))]), properties);
    let file = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let encodings = |group: usize| {
        let chunk = file.metadata().row_group(group).column(1).clone();
        let mask = chunk.page_encoding_stats_mask().unwrap();
        mask.encodings().count()
    };
    assert_eq!([encodings(0), encodings(1), encodings(2)], [1, 2, 1]);
    let plan = check(&path, BY_STRING);
    assert!(plan.contains("decode_time="), "{plan}");
}

#[test]
fn every_type_is_read_from_several_files() {
    let dir = tempfile::tempdir().unwrap();
    for (file, first) in [("a", 0i64), ("b", 100_000), ("c", -70_000)] {
        let n = GROUP + 100;
        let value = |row: usize| (!row.is_multiple_of(9)).then_some(first + row as i64);
        let decimal = |precision, scale, factor: i128| -> ArrayRef {
            let values = (0..n).map(|row| value(row).map(|value| i128::from(value) * factor));
            Arc::new(values.collect::<Decimal128Array>().with_precision_and_scale(precision, scale).unwrap())
        };
        let texts = (0..n).map(|row| value(row).map(|value| format!("{}", value % 50)));
        let texts: Vec<Option<String>> = texts.collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new((0..n as i64).map(|row| row + first).collect::<Int64Array>())),
            ("b", Arc::new((0..n).map(|row| value(row).map(|v| v % 3 == 0)).collect::<BooleanArray>())),
            ("i8", Arc::new((0..n).map(|row| value(row).map(|v| v as i8)).collect::<Int8Array>())),
            ("u64", Arc::new((0..n).map(|row| value(row).map(|v| (v as u64) << 20)).collect::<UInt64Array>())),
            ("f32", Arc::new((0..n).map(|row| value(row).map(|v| v as f32 / 8.0)).collect::<Float32Array>())),
            ("f64", Arc::new((0..n).map(|row| value(row).map(|v| v as f64 / 8.0)).collect::<Float64Array>())),
            ("day", Arc::new((0..n).map(|row| value(row).map(|v| v as i32)).collect::<Date32Array>())),
            ("ts", Arc::new((0..n).map(|row| value(row).map(|v| v << 30)).collect::<TimestampMicrosecondArray>())),
            ("d9", decimal(9, 2, 1)),
            ("d18", decimal(18, 3, 1000)),
            ("d38", decimal(38, 6, 1 << 70)),
            ("large", Arc::new(texts.iter().map(|text| text.as_deref()).collect::<LargeStringArray>())),
            ("dict", Arc::new(texts.iter().map(|text| text.as_deref()).collect::<DictionaryArray<Int16Type>>())),
        ];
        write(&dir.path().join(format!("{file}.parquet")), &batch(columns));
    }
    let plan = check(
        dir.path(),
        &[
            "SELECT * FROM t",
            "SELECT sum(id), sum(i8), max(u64), sum(d9), sum(d18), max(d38), min(day), max(ts), count(b) FROM t",
            "SELECT dict, large, b, count(*), sum(d9 * d18), avg(f64) FROM t GROUP BY dict, large, b",
            "SELECT count(*) FROM t",
            "SELECT id, d18, d38 FROM t WHERE d9 > 100.25 AND day < DATE '2100-01-01' AND large >= '3'",
        ],
    );
    assert!(plan.contains("decode_time="), "{plan}");
}

#[test]
fn nested_columns_beside_the_columns_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let n = GROUP + 5;
    let nested = StructArray::from(batch(vec![("x", ids(n)), ("s", strings(n, |row| Some(format!("inner {row}"))))]));
    let s = strings(n, |row| Some(format!("outer {}", row % 10)));
    write(&path, &batch(vec![("nested", Arc::new(nested)), ("s", s), ("id", ids(n))]));
    let plan = check(&path, BY_STRING);
    assert!(plan.contains("decode_time="), "{plan}");
}

#[test]
fn files_without_rows_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let empty = batch(vec![("id", ids(0)), ("s", strings(0, |_| None))]);
    write(&dir.path().join("a.parquet"), &empty);
    check(dir.path(), BY_STRING);
    write(&dir.path().join("b.parquet"), &batch(vec![("id", ids(9)), ("s", strings(9, |row| Some(format!("{row}"))))]));
    write(&dir.path().join("c.parquet"), &empty);
    check(dir.path(), BY_STRING);
}

/// DataFusion's scan handles files whose schema differs from that of the table.
#[test]
fn files_of_other_schemas_are_read_by_datafusion() {
    let dir = tempfile::tempdir().unwrap();
    let n = 50;
    let s = || strings(n, |row| Some(format!("s{}", row % 3)));
    write(&dir.path().join("a.parquet"), &batch(vec![("id", ids(n)), ("s", s())]));
    // Columns in another order, a missing column, another type.
    write(&dir.path().join("b.parquet"), &batch(vec![("s", s()), ("id", ids(n))]));
    let plan = check(dir.path(), BY_STRING);
    assert!(plan.contains("decode_time="), "{plan}");
    write(&dir.path().join("c.parquet"), &batch(vec![("id", ids(n))]));
    let plan = check(dir.path(), BY_STRING);
    assert!(!plan.contains("decode_time="), "{plan}");
    let small: ArrayRef = Arc::new((0..50).collect::<Int8Array>());
    write(&dir.path().join("c.parquet"), &batch(vec![("id", small), ("s", s())]));
    let path = dir.path();
    let sql = "SELECT s, sum(id) FROM t GROUP BY s";
    let table = |db: &Db| {
        db.run(&format!(
            "CREATE EXTERNAL TABLE t(id BIGINT, s VARCHAR) STORED AS PARQUET LOCATION '{}/'",
            path.display()
        ));
        db.sorted(sql)
    };
    let expected = table(&Db::new(&[("xla.placement", "never")]));
    assert_eq!(table(&Db::new(&[("xla.placement", "always")])), expected);
}

#[test]
fn partition_folders_are_columns() {
    let dir = tempfile::tempdir().unwrap();
    for year in ["2024", "2025"] {
        let folder = dir.path().join(format!("year={year}"));
        std::fs::create_dir(&folder).unwrap();
        write(
            &folder.join("a.parquet"),
            &batch(vec![("id", ids(20)), ("s", strings(20, |row| Some(format!("{row}"))))]),
        );
    }
    let table = |placement| {
        let db = Db::new(&[("xla.placement", placement)]);
        let location = dir.path().display();
        db.run(&format!("CREATE EXTERNAL TABLE t STORED AS PARQUET PARTITIONED BY (year) LOCATION '{location}/'"));
        ["SELECT year, sum(id), max(s) FROM t GROUP BY year", "SELECT id FROM t WHERE year = '2025'", "SELECT s FROM t"]
            .map(|sql| db.sorted(sql))
    };
    assert_eq!(table("auto"), table("never"));
}

/// Scans of the same files in one query share the columns, even if later queries may not.
#[test]
fn a_query_reads_a_column_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let s = strings(GROUP, |row| Some(format!("s{}", row % 10)));
    write(&path, &batch(vec![("id", ids(GROUP)), ("s", s)]));
    let sql = "SELECT a.s, count(*) FROM t a JOIN t b ON a.id = b.id GROUP BY a.s";
    let plan = check(&path, &[sql]);
    assert!(plan.contains("shared_columns=1"), "{plan}");
}

/// Writes rows in order of `id`, in row groups and pages. Some have a NULL `s`.
fn write_ordered(path: &Path, n: usize, first: i64) {
    let id: ArrayRef = Arc::new((0..n as i64).map(|row| row + first).collect::<Int64Array>());
    let s = strings(n, |row| (!row.is_multiple_of(4)).then(|| format!("s{}", row / 1000)));
    write(path, &batch(vec![("id", id), ("s", s), ("v", ids(n))]));
}

#[test]
fn a_selective_filter_reads_few_rows() {
    let dir = tempfile::tempdir().unwrap();
    write_ordered(&dir.path().join("a.parquet"), 5 * GROUP, 0);
    write_ordered(&dir.path().join("b.parquet"), 5 * GROUP, 1_000_000);
    let sqls = [
        "SELECT s, count(*), sum(v) FROM t WHERE id BETWEEN 3500 AND 3600 GROUP BY s",
        "SELECT id, s, v FROM t WHERE id > 1000000 AND id < 1000900 OR id = 5",
        "SELECT sum(v) FROM t WHERE s = 's3'",
        "SELECT count(*) FROM t WHERE id < 0",
        "SELECT sum(v) FROM t WHERE id > 3000 AND s IS NULL",
        "SELECT sum(a.v), count(*) FROM t a JOIN t b ON a.id = b.id WHERE a.id < 100 AND b.id < 5000",
    ];
    check(dir.path(), &sqls);
    for resident in ["true", "false"] {
        let db = over(dir.path(), &[("xla.placement", "always"), ("xla.cache_columns", resident)]);
        // One row group, of which two pages of 500 rows are read.
        let plan = db.analyze(sqls[0]);
        assert!(plan.contains("row_groups_read=1, row_groups_total=10, rows_read=500"), "{resident}: {plan}");
        assert!(!plan.contains("cached_columns=1"), "{plan}");
    }
}

/// Pruned rows are not cached as a table: a later query must find all rows.
#[test]
fn pruned_rows_are_not_cached() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write_ordered(&path, 10 * GROUP, 0);
    let db = over(&path, &[("xla.placement", "always")]);
    let pruned = "SELECT count(*), sum(v) FROM t WHERE id < 2000";
    assert_eq!(db.rows(pruned), ["2000 | 1999000"]);
    assert_eq!(db.rows("SHOW CACHE"), [""; 0]);
    assert_eq!(db.rows("SELECT count(*), max(v), max(id) FROM t WHERE v >= 0"), ["30000 | 29999 | 29999"]);
    // The columns are cached by now, and nothing is read.
    let plan = db.analyze(pruned);
    assert!(plan.contains("cached_columns=2") && !plan.contains("row_groups_read"), "{plan}");
}

/// Reading parts repeatedly costs more than reading the table once, so the table is then read completely and cached.
#[test]
fn a_table_read_in_parts_too_often_is_read_completely() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    write_ordered(&path, 10 * GROUP, 0);
    let db = over(&path, &[("xla.placement", "always")]);
    let sql = "SELECT sum(v) FROM t WHERE id >= 12000 AND id < 24000";
    let is_pruned = || db.analyze(sql).contains("row_groups_read=4, row_groups_total=10");
    assert_eq!([is_pruned(), is_pruned(), is_pruned()], [true, true, false]);
    assert!(db.analyze(sql).contains("cached_columns=2"));
    // More than half of the table does not count as a part.
    let db = over(&path, &[("xla.placement", "always")]);
    assert!(!db.analyze("SELECT sum(v) FROM t WHERE id >= 6000").contains("row_groups_read"));
    // A new version of the file starts a new count.
    write_ordered(&path, 5 * GROUP, 0);
    let plan = db.analyze("SELECT sum(v) FROM t WHERE id < 1000");
    assert!(plan.contains("row_groups_read=1, row_groups_total=5"), "{plan}");
}
