//! What the shell adds to SQL: formats, limits, times, and the words of other shells.

use crate::support::{SALES, check_ok, run, run_on};

#[test]
fn formats_for_wide_rows_other_programs_and_none() {
    let print = |format| run_on(&[SALES], &["--format", format, "-c", "SELECT * FROM sales ORDER BY amount DESC"], "");
    let vertical = "-[ row 1 ]-\nregion | north\namount | 10.0\n-[ row 2 ]-\nregion | NULL\namount | 7.0\n\
                    -[ row 3 ]-\nregion | south\namount | 2.5\n";
    check_ok(print("vertical"), vertical);
    check_ok(print("tsv"), "region\tamount\nnorth\t10.0\n\t7.0\nsouth\t2.5\n");
    let ndjson = "{\"region\":\"north\",\"amount\":10.0}\n{\"region\":null,\"amount\":7.0}\n\
                  {\"region\":\"south\",\"amount\":2.5}\n";
    check_ok(print("ndjson"), ndjson);
    check_ok(print("jsonlines"), ndjson);
    let none = print("none");
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(none.err.starts_with("3 rows in ") && none.err.lines().count() == 1, "{none:?}");
}

#[test]
fn rows_over_the_limit_are_left_out_and_counted() {
    let sql = "SELECT value FROM range(5000)";
    let note = |rows: &str| format!("note: {rows} more rows were left out (--max-rows 0 prints all)\n");
    for format in ["csv", "json", "table"] {
        let all = run(&["--format", format, "-c", sql], "");
        assert!(all.out.contains("4999") && all.err.is_empty(), "{format}");
        let few = run(&["--format", format, "--max-rows", "2", "-c", sql], "");
        assert!(few.out.contains('1') && !few.out.contains('2') && few.err == note("4,998"), "{few:?}");
    }
    let script = "\\maxrows 1\nSELECT value FROM range(3);\n.maxrows 0\nSELECT value FROM range(3);";
    let ran = run(&["--format", "csv"], script);
    let out = "printing at most 1 row of each result\nvalue\n0\nprinting all rows\nvalue\n0\n1\n2\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), out, note("2").as_str()));
}

/// `1 row in 12.3 ms (host)` as `1 row in N (host)`.
fn without_times(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let (rows, rest) = line.split_once(" in ").unwrap_or_else(|| panic!("no time in {line}"));
        let rest = rest.strip_prefix(|c: char| c.is_ascii_digit()).unwrap_or_else(|| panic!("no time in {line}"));
        format!("{rows}{}", rest.split_once('(').map_or(String::new(), |(_, place)| format!(" ({place}")))
    };
    text.lines().map(line).collect()
}

#[test]
fn a_line_on_stderr_says_what_a_statement_took_and_what_has_run_it() {
    let script = "\\timing on\nSELECT 1 AS a;\nSET xla.placement = 'always';\nSELECT sum(l_tax) > 0 AS m FROM lineitem;\n\
                  SET xla.placement = 'never';\nSELECT sum(l_tax) > 0 AS m FROM lineitem;";
    let ran = run(&["--format", "csv"], script);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "timing is on\na\n1\nm\ntrue\nm\ntrue\n"));
    assert_eq!(without_times(&ran.err), ["1 row (host)", "done", "1 row (device)", "done", "1 row (host)"]);
}

#[test]
fn from_needs_no_select() {
    check_ok(run(&["--format", "csv", "-c", "FROM region SELECT r_name LIMIT 1"], ""), "r_name\nAFRICA\n");
    let keys = "r_regionkey,r_name,r_comment\n0,AFRICA,";
    let ran = run(&["--format", "csv", "-c", "FROM region LIMIT 1"], "");
    assert!(ran.code == Some(0) && ran.out.starts_with(keys) && ran.out.lines().count() == 2, "{ran:?}");
    let nested = "SELECT count(*) AS n FROM (FROM nation WHERE n_regionkey = 0) AS africa";
    check_ok(run(&["--format", "csv", "-c", nested], ""), "n\n5\n");
}

#[test]
fn tables_queries_and_files_are_summarized_and_described() {
    let summary = run(&["--format", "csv", "-c", "SUMMARIZE nation"], "");
    let head = "column_name,column_type,min,max,approx_unique,avg,std,q25,q50,q75,count,null_percentage";
    let lines: Vec<&str> = summary.out.lines().collect();
    assert_eq!((lines[0], lines.len()), (head, 5), "{summary:?}");
    assert_eq!(lines[1], "n_nationkey,Int64,0,24,25,12.0,7.359800721939872,5.75,12.0,18.25,25,0.0");
    assert_eq!(lines[2], "n_name,Utf8View,ALGERIA,VIETNAM,25,,,,,,25,0.0");
    let query = run(&["--format", "csv", "-c", "SUMMARIZE SELECT n_name FROM nation WHERE n_regionkey = 0"], "");
    check_ok(query, &format!("{head}\nn_name,Utf8View,ALGERIA,MOZAMBIQUE,5,,,,,,5,0.0\n"));
    let described = run(&["--format", "csv", "-c", "DESCRIBE SELECT r_name, 1 AS one FROM region"], "");
    check_ok(described, "column_name,data_type,is_nullable\nr_name,Utf8View,NO\none,Int64,NO\n");
    let tables = run_on(&[SALES], &["--format", "csv", "-c", "CREATE VIEW v AS FROM sales; SHOW TABLES"], "");
    check_ok(tables, "table_schema,table_name,table_type\npublic,sales,BASE TABLE\npublic,v,VIEW\n");
}

#[test]
fn the_words_of_other_shells_are_known() {
    let described = "column,type,nullable\nregion,Utf8,yes\namount,Float64,yes\n";
    let script = ".mode csv\n.tables\n.schema sales\n.timer off\nFROM sales LIMIT 1;\n.mode jsonlines\nFROM sales LIMIT 1;\n\
                  .exit\nSELECT 2;";
    let out = format!(
        "table,columns\nsales,2\n{described}timing is off\nregion,amount\nnorth,10.0\n{{\"region\":\"north\",\"amount\":10.0}}\n"
    );
    check_ok(run_on(&[SALES], &[], script), &out);
    let help = run_on(&[SALES], &["-c", ".help"], "");
    assert!(help.out.contains("\\refresh") && help.out.contains("as in DuckDB and SQLite: .help .tables"), "{help:?}");
}
