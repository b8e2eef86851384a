//! Files that a query names, files that come and go, and a database without any.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{CACHE, Ran, SALES, check_error, check_ok, command, finish, folder, run_in};

const EMPTY: [&str; 3] = ["--empty", "--format", "csv"];

/// Runs in a folder of these files, without tables.
fn run_among(files: &[(&str, &str)], sql: &str) -> Ran {
    let dir = folder(files);
    finish(command(&CACHE, &[&EMPTY, ["-c", sql].as_slice()].concat()).current_dir(dir.path()).spawn().unwrap(), "")
}

#[test]
fn a_query_names_files_of_every_format() {
    let dir = folder(&[SALES, ("t.tsv", "a\tb\n1\tx\n"), ("e.json", "{\"id\": 1}\n"), ("l.ndjson", "{\"id\": 2}\n")]);
    let run = |sql: &str| {
        finish(command(&CACHE, &[&EMPTY, ["-c", sql].as_slice()].concat()).current_dir(dir.path()).spawn().unwrap(), "")
    };
    fs::copy(CACHE.join("tpch/sf0.001/nation.parquet"), dir.path().join("nation.parquet")).unwrap();
    check_ok(run("COPY (SELECT region FROM 'sales.csv') TO 'out.arrow' STORED AS ARROW"), "count\n3\n");
    check_ok(
        run("COPY (SELECT amount FROM 'sales.csv') TO 'out.csv.gz' STORED AS CSV OPTIONS (compression 'gzip')"),
        "count\n3\n",
    );
    for (sql, out) in [
        ("SELECT * FROM 'sales.csv' WHERE amount > 5 ORDER BY amount", "region,amount\n,7.0\nnorth,10.0\n"),
        ("SELECT sum(s.amount) AS a FROM 'sales.csv' s JOIN './sales.csv' AS r ON s.region = r.region", "a\n12.5\n"),
        ("SELECT b FROM 't.tsv'", "b\nx\n"),
        ("SELECT e.id AS e, l.id AS l FROM 'e.json' e, 'l.ndjson' l", "e,l\n1,2\n"),
        ("SELECT count(*) AS n FROM 'nation.parquet'", "n\n25\n"),
        ("SELECT count(*) AS n, max(region) AS r FROM 'out.arrow'", "n,r\n3,south\n"),
        ("SELECT sum(amount) AS a FROM 'out.csv.gz'", "a\n19.5\n"),
        ("DESCRIBE 'sales.csv'", "column_name,data_type,is_nullable\nregion,Utf8,YES\namount,Float64,YES\n"),
    ] {
        check_ok(run(sql), out);
    }
    let path = dir.path().join("sales.csv").display().to_string();
    check_ok(run(&format!("SELECT count(*) AS n FROM '{path}'")), "n\n3\n");
    check_ok(run(&format!("SELECT count(*) AS n FROM 'file://{path}'")), "n\n3\n");
}

#[test]
fn a_query_names_folders_and_patterns() {
    let dir = folder(&[]);
    for (name, text) in [
        ("parts/a 1.csv", "x\n1\n"),
        ("parts/b.csv", "x\n2\n"),
        ("parts/deep/c.csv", "x\n4\n"),
        ("days/day=1/x.csv", "x\n7\n"),
        ("days/day=2/x.csv", "x\n8\n"),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (from, out) in [
        ("parts/", "3\n"),
        ("./parts", "3\n"),
        ("parts/*.csv", "3\n"),
        ("parts/[ab]*.csv", "3\n"),
        ("p*/*/?.csv", "4\n"),
        ("parts/**/*.csv", "7\n"),
        ("days/' WHERE day = '2", "8\n"),
    ] {
        let sql = format!("SELECT sum(x) AS x FROM '{from}'");
        let args = [&EMPTY, ["-c", &sql].as_slice()].concat();
        check_ok(finish(command(&CACHE, &args).current_dir(dir.path()).spawn().unwrap(), ""), &format!("x\n{out}"));
    }
}

#[test]
fn columns_of_a_named_file_stay_on_the_device() {
    let sql = "SET xla.placement = 'always'; SELECT sum(amount) AS a FROM 'sales.csv'; \
               SELECT max(amount) AS a FROM 'sales.csv' WHERE amount < 10; SHOW CACHE";
    let ran = run_among(&[SALES], sql);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let cached: Vec<&str> = ran.out.lines().filter(|line| line.contains("sales.csv,amount,")).collect();
    // The second query has found the column that the first has uploaded.
    assert!(matches!(cached[..], [one] if one.ends_with(",1,false")), "{}", ran.out);
    check_ok(run_among(&[SALES], "CACHE TABLE 'sales.csv' COLUMNS (amount); UNCACHE TABLE 'sales.csv'"), &{
        let head = "table_name,column_name,encoding,rows,device,bytes,host_bytes,hits,pinned\n";
        format!("{head}sales.csv,amount,f64,3,0,8192,0,0,true\n")
    });
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_missing() {
    let missing = "there is no file or folder nope.csv";
    for sql in ["FROM 'nope.csv'", "SUMMARIZE 'nope.csv'", "DESCRIBE 'nope.csv'", "CACHE TABLE 'nope.csv'"] {
        check_error(run_among(&[], sql), &[missing]);
    }
    for (sql, part) in [
        ("SELECT * FROM 'no/such/folder/'", "there is no file or folder no/such/folder/"),
        ("SELECT * FROM 'x*.csv'", "no .parquet, .csv, .json or .arrow file matches x*.csv"),
        ("SELECT * FROM 'notes.txt'", "notes.txt is not a table: its name must end in .parquet, .csv, .json or .arrow"),
        ("SELECT * FROM 'bad.parquet'", "bad.parquet is not a valid Parquet file"),
        ("SELECT * FROM '*.*'", "*.* contains both .parquet and .csv files"),
        ("SELECT * FROM 'void.csv'", "void.csv is empty: it has no columns"),
        ("SELECT * FROM sales.csv", "table 'sales.csv' not found; to read the file write 'sales.csv', in quotes"),
        (
            "SELECT * FROM nope",
            "table 'nope' not found; there are no tables yet: SELECT * FROM 'file.parquet' needs none",
        ),
        ("SELECT * FROM 'gs://b/x.csv'", "gs:// paths cannot be read, only s3://, http:// and https://"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'nope/'", "there is no file or folder nope/"),
    ] {
        let files = [SALES, ("notes.txt", "text"), ("bad.parquet", "PAR1 but not really PAR1"), ("void.csv", "")];
        check_error(run_among(&files, sql), &[part]);
    }
    // The name of a new table may look like a path.
    check_ok(run_among(&[], "CREATE TABLE \"a/b.csv\" AS SELECT 1 AS x; SELECT * FROM \"a/b.csv\""), "x\n1\n");
}

#[test]
fn a_database_may_be_empty() {
    check_ok(run_in(&CACHE, &["--empty", "--format", "csv"], ""), "table,columns\n");
    check_ok(
        run_in(&CACHE, &["--empty", "--format", "csv", "-c", "CREATE TABLE t AS SELECT 1 AS a; FROM t"], ""),
        "a\n1\n",
    );
    check_error(run_in(&CACHE, &["--empty", "-c", "\\refresh"], ""), &["start with --data DIR"]);
}

#[test]
fn an_empty_folder_is_noted_and_its_first_file_is_found() {
    let dir = folder(&[]);
    let data = dir.path().to_str().unwrap();
    let mut child = command(&CACHE, &["--data", data, "--format", "csv"]).stdin(Stdio::piped()).spawn().unwrap();
    // The script is read before the folder: the file is made by a statement.
    let script = format!(
        "\\refresh\nCOPY (SELECT 5 AS five) TO '{data}/new.parquet' STORED AS PARQUET;\n\\refresh\nFROM new;\n\\refresh\n"
    );
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(out, "0 tables; nothing new\ncount\n1\n1 table; new: new\nfive\n5\n1 table; nothing new\n");
    let note = format!("note: there are no tables: {data} has no .parquet, .csv, .json or .arrow file");
    assert!(output.status.success() && err.starts_with(&note) && err.lines().count() == 1, "{err}");
}

/// A folder without files is a table without rows, and worth a word on stderr.
#[test]
fn a_table_without_files_is_a_warning() {
    let dir = folder(&[]);
    fs::create_dir(dir.path().join("sales")).unwrap();
    let sql = "CREATE EXTERNAL TABLE s (n BIGINT) STORED AS CSV LOCATION 'sales/'; SELECT count(*) AS n FROM s";
    let args = [&EMPTY, ["-c", sql].as_slice()].concat();
    let ran = finish(command(&CACHE, &args).current_dir(dir.path()).spawn().unwrap(), "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "n\n0\n"), "{ran:?}");
    assert!(ran.err.starts_with("warning: table s has no rows: no file matches /"), "{ran:?}");
    assert!(ran.err.contains("/sales/") && ran.err.lines().count() == 1, "{ran:?}");
}
