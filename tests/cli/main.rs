//! The `parallax` program as people run it: arguments, scripts, formats, the tour, and one line for every error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod files;
mod remote;
mod shell;
mod support;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{
    CACHE, SALES, check_error, check_error_line, check_ok, command, finish, folder, run, run_in, run_on,
};

#[test]
fn commands_and_files_run_in_the_order_in_which_they_stand() {
    let files = folder(&[("q.sql", "-- a; comment\nSELECT 'b;' AS two;\nSELECT $$c;$$ AS three")]);
    let file = files.path().join("q.sql");
    let args = ["--format", "csv", "-c", "SELECT 1 AS one", "-f", file.to_str().unwrap(), "-c", "SELECT 4 AS four;"];
    check_ok(run(&args, ""), "one\n1\ntwo\nb;\nthree\nc;\nfour\n4\n");
}

#[test]
fn every_format_prints_what_it_should() {
    let sql = "SELECT * FROM sales ORDER BY amount DESC";
    let print = |format| run_on(&[SALES], &["--format", format, "-c", sql], "");
    let table = "+--------+--------+\n| region | amount |\n+--------+--------+\n| north  | 10.0   |\n| NULL   | 7.0    |\n\
                 | south  | 2.5    |\n+--------+--------+\n";
    check_ok(print("table"), table);
    check_ok(print("csv"), "region,amount\nnorth,10.0\n,7.0\nsouth,2.5\n");
    let json = "[{\"region\":\"north\",\"amount\":10.0},\n{\"region\":null,\"amount\":7.0},\n\
                {\"region\":\"south\",\"amount\":2.5}]\n";
    check_ok(print("json"), json);
    let markdown = "| region | amount |\n| --- | ---: |\n| north | 10.0 |\n| NULL | 7.0 |\n| south | 2.5 |\n";
    check_ok(print("markdown"), markdown);
}

#[test]
fn a_script_prints_every_row_and_statements_without_rows_print_nothing() {
    let ran = run(&["--format", "csv", "-c", "CREATE VIEW v AS SELECT value FROM range(5000); SELECT * FROM v"], "");
    assert_eq!((ran.code, ran.out.lines().count(), ran.err.as_str()), (Some(0), 5001, ""));
    check_ok(run(&["-c", "SET datafusion.execution.batch_size = 100"], ""), "");
}

#[test]
fn tables_come_from_every_format_and_from_folders() {
    let dir = folder(&[SALES, ("events.json", "{\"id\": 1}\n{\"id\": 2}\n")]);
    let parquet = dir.path().join("nation.parquet");
    fs::copy(CACHE.join("tpch/sf0.001/nation.parquet"), parquet).unwrap();
    fs::create_dir(dir.path().join("Parts 1")).unwrap();
    fs::write(dir.path().join("Parts 1/a.csv"), "x\n1\n").unwrap();
    fs::write(dir.path().join("Parts 1/b.csv"), "x\n2\n").unwrap();
    let data = dir.path().to_str().unwrap();
    let sql = "SELECT (SELECT count(*) FROM events) AS e, (SELECT sum(x) FROM parts_1) AS p, count(*) AS n FROM nation";
    check_ok(run_in(&CACHE, &["--data", data, "--format", "csv", "-c", sql], ""), "e,p,n\n2,3,25\n");
    let tables = run_in(&CACHE, &["--data", data, "--format", "csv"], "");
    check_ok(tables, "table,columns\nevents,1\nnation,4\nparts_1,1\nsales,2\n");
    let one = dir.path().join("sales.csv");
    check_ok(
        run_in(
            &CACHE,
            &["--data", one.to_str().unwrap(), "--format", "csv", "-c", "SELECT count(*) AS n FROM sales"],
            "",
        ),
        "n\n3\n",
    );
}

#[test]
fn standard_input_is_a_script_with_commands() {
    let input = "\\format csv\nSELECT 1 AS a;\n\\d region\nSET xla.placement = 'never';\nSHOW xla.placement;\n";
    let described = "column,type,nullable\nr_regionkey,Int64,no\nr_name,Utf8View,no\nr_comment,Utf8View,no\n";
    check_ok(run(&[], input), &format!("a\n1\n{described}name,value\nxla.placement,never\n"));
    check_ok(run(&[], "SELECT 1 AS a; \\q\nSELECT 2;"), "+---+\n| a |\n+---+\n| 1 |\n+---+\n");
}

#[test]
fn without_sql_there_is_a_tour() {
    for input in ["", "\n-- nothing\n"] {
        let ran = run(&[], input);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        let place = |text: &str| ran.out.find(text).unwrap_or_else(|| panic!("no '{text}' in {}", ran.out));
        let stops =
            ["-- TPC-H Q6", "| 77949.9186 |", "-- TPC-H Q1", "| 2941        |", "-- The plan of Q1", "physical_plan"];
        assert!(stops.map(place).is_sorted(), "{}", ran.out);
    }
}

#[test]
fn the_first_error_ends_a_script() {
    let ran = run(&["--format", "csv", "-c", "SELECT 1 AS a; SELECT nope; SELECT 2 AS b", "-c", "SELECT 3 AS c"], "");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "a\n1\n"));
    check_error_line(&ran.err, &["No field named nope"]);
    let ran = run(&["--format", "csv"], "SELECT 1 AS a;\n\n  SELECT 1 FRM\n x y;\nSELECT 2 AS b;");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "a\n1\n"));
    check_error_line(&ran.err, &["error: stdin:4:2: syntax error: "]);
}

#[test]
fn errors_in_files_say_the_file_and_line() {
    let files = folder(&[("bad.sql", "SELECT 1;\n\n\nSELECT * FROM nope;\n")]);
    let file = files.path().join("bad.sql");
    let place = format!("error: {}:4: table 'nope' not found", file.display());
    for args in [["-f".to_string(), file.display().to_string()], ["-c".to_string(), format!("\\i {}", file.display())]]
    {
        let ran = run(&args.each_ref().map(String::as_str), "");
        assert_eq!(ran.code, Some(1));
        check_error_line(&ran.err, &[&place]);
    }
    check_error(run(&["-f", "/nope/x.sql"], ""), &["cannot read /nope/x.sql", "No such file"]);
}

#[test]
fn wrong_sql_is_one_line_that_helps() {
    let cases: &[(&str, &[&str])] = &[
        ("SELECT * FROM lineitm", &["table 'lineitm' not found; did you mean 'lineitem'?"]),
        ("SELECT l_taxx FROM lineitem", &["No field named l_taxx", "Did you mean 'lineitem.l_tax'?"]),
        ("SELEC 1", &["syntax error: ", "(line 1, column 1)"]),
        ("SELECT 'open", &["syntax error: Unterminated string literal"]),
        ("SELECT nosuch(1)", &["Invalid function 'nosuch'"]),
        ("SELECT 1 / (l_linenumber - l_linenumber) FROM lineitem", &["division by zero"]),
        ("SET xla.placement = 'gpu'", &["use auto, always or never"]),
        ("SET nope.nope = 1", &["nope", "SHOW ALL lists them"]),
        ("\\nope", &["\\nope is not a command; \\? lists them"]),
        ("\\format xml", &["'xml' is not a format; use table, vertical, csv, tsv, json, ndjson, markdown or none"]),
        ("\\maxrows many", &["\\maxrows takes a number of rows", "not 'many'"]),
        ("\\d lineitm", &["did you mean 'lineitem'?"]),
        ("\\i", &["\\i takes a file"]),
        ("\\why SELECT * FROM nope", &["table 'nope' not found"]),
        ("\\hlo", &["\\hlo takes a query"]),
    ];
    for (sql, parts) in cases {
        check_error(run(&["-c", sql], ""), parts);
    }
}

#[test]
fn wrong_arguments_are_one_line_that_helps() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--fromat", "csv"], &["unexpected argument '--fromat'", "'--format'", "--help"]),
        (&["--format", "xml"], &["invalid value 'xml'", "table, vertical, csv, tsv, json, ndjson, markdown, none"]),
        (&["extra"], &["unexpected argument 'extra'"]),
        (&["-c"], &["a value is required for '--command <SQL>'"]),
        (&["--device", "abacus"], &["abacus", "cpu"]),
        (&["--devices", "0"], &["'0'", "not a whole number between 1 and 1024"]),
        (&["--devices", "100000"], &["'100000'", "not a whole number between 1 and 1024"]),
        (&["--devices", "two"], &["'two'", "not a whole number between 1 and 1024"]),
        (&["--set", "xla.placement"], &["not KEY=VALUE, e.g. xla.placement=always"]),
        (&["--set", "xla.placement=maybe"], &["use auto, always or never"]),
        (&["--set", "xla.nope=1"], &["xla.nope is not an option; the options are xla.placement"]),
        (&["--scale", "0"], &["scale factor 0 is not between 0.001 and 1000"]),
        (&["--scale", "-1"], &["scale factor -1 is not between"]),
        (&["--scale", "1", "--data", "."], &["'--data <DIR>'", "cannot be used with"]),
        (&["--empty", "--data", "."], &["'--empty'", "cannot be used with"]),
        (&["--max-rows", "few"], &["invalid value 'few'"]),
    ];
    for (args, parts) in cases {
        check_error(run_in(&CACHE, &[args, ["-c", "SELECT 1"].as_slice()].concat()[..], ""), parts);
    }
}

#[test]
fn wrong_data_is_one_line_that_names_the_file() {
    check_error(run_in(&CACHE, &["--data", "/nope"], ""), &["there is no file or folder /nope"]);
    let corrupt = run_on(&[SALES, ("bad.parquet", "PAR1 but not really PAR1")], &["-c", "SELECT 1"], "");
    check_error(corrupt, &["bad.parquet is not a valid Parquet file: "]);
    let whole = fs::read(CACHE.join("tpch/sf0.001/orders.parquet")).unwrap();
    let dir = folder(&[]);
    fs::write(dir.path().join("orders.parquet"), &whole[..whole.len() / 2]).unwrap();
    let cut = run_in(&CACHE, &["--data", dir.path().to_str().unwrap()], "SELECT 1");
    check_error(cut, &["orders.parquet is not a valid Parquet file: "]);
    check_error(
        run_on(&[("x.json", "[{\"a\": 1}]")], &[], ""),
        &["x.json is a JSON array; write one object per line instead"],
    );
    check_error(run_on(&[("x.csv", "")], &[], ""), &["x.csv is empty"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_that_says_which_variable() {
    let ran = run_in(Path::new("/dev/null/x"), &["-c", "SELECT 1"], "");
    check_error(ran, &["cannot write /dev/null/x/tpch/sf0.1", "set PARALLAX_CACHE"]);
    let mut homeless = command(Path::new(""), &["-c", "SELECT 1"]);
    homeless.env_remove("HOME");
    check_error(finish(homeless.spawn().unwrap(), ""), &["HOME is not set; set PARALLAX_CACHE"]);
    let dir = folder(&[SALES]);
    let args = ["--data", dir.path().to_str().unwrap(), "--format", "csv", "-c", "SELECT count(*) AS n FROM sales"];
    check_ok(run_in(Path::new("/dev/null/x"), &args, ""), "n\n3\n");
}

#[test]
fn tpch_is_written_once_and_an_interrupted_start_leaves_no_table() {
    let cache = tempfile::tempdir().unwrap();
    let mut child = command(cache.path(), &["--scale", "10"]).stdin(Stdio::null()).spawn().unwrap();
    let tpch = cache.path().join("tpch");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&tpch).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let start = Instant::now();
    while names().is_empty() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(), [format!("sf10.tmp-{}", child.id())]);

    let args = ["--scale", "0.001", "--format", "csv", "-c", "SELECT count(*) AS n FROM lineitem"];
    let first = run_in(cache.path(), &args, "");
    assert_eq!((first.code, first.out.as_str()), (Some(0), "n\n6005\n"));
    assert!(first.err.starts_with("Writing TPC-H at scale factor 0.001 to ") && first.err.lines().count() == 1);
    check_ok(run_in(cache.path(), &args, ""), "n\n6005\n");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let sql = "SELECT value FROM range(3000000)";
    let mut child = command(&CACHE, &["--scale", "0.001", "--format", "csv", "-c", sql]).spawn().unwrap();
    let mut start = [0; 6];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"value\n");
    drop(out);
    let ran = finish(child, "");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn what_the_libraries_log_never_reaches_the_terminal() {
    for level in ["0", "1", "3"] {
        let mut command =
            command(&CACHE, &["--scale", "0.001", "--format", "csv", "-c", "SELECT min(l_tax) AS m FROM lineitem"]);
        // Whether the libraries log anything by themselves depends on the processor.
        let command = command.env("TF_CPP_MAX_VLOG_LEVEL", "1").env("TF_CPP_MIN_LOG_LEVEL", level);
        let ran = finish(command.spawn().unwrap(), "");
        // At level 0 the user has asked for it.
        assert_eq!((ran.code, ran.out.as_str(), ran.err.is_empty()), (Some(0), "m\n0.00\n", level != "0"), "{ran:?}");
    }
}

#[test]
fn help_teaches_and_version_is_said() {
    check_ok(run_in(&CACHE, &["--version"], ""), &format!("parallax {}\n", env!("CARGO_PKG_VERSION")));
    let help = run_in(&CACHE, &["--help"], "");
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for part in
        ["Usage: parallax", "Examples:", "\\why QUERY", "PARALLAX_CACHE", "Exit code: 0, or 1", "--set <KEY=VALUE>"]
    {
        assert!(help.out.contains(part), "no '{part}' in {}", help.out);
    }
    let commands = run(&["-c", "\\?"], "");
    assert!(commands.out.contains("\\timing [on|off]"), "{commands:?}");
}

#[test]
fn queries_can_be_inspected() {
    let programs = run(&["-c", "\\hlo SELECT sum(l_tax) FROM lineitem"], "");
    assert!(programs.code == Some(0) && programs.out.contains("\nHloModule "), "{programs:?}");
    let all = "All operators with a device form can run on the device. EXPLAIN VERBOSE shows where they are expected to be faster.\n";
    check_ok(run(&["-c", "\\why SELECT sum(l_tax) FROM lineitem"], ""), all);
    let reasons = run(&["-c", "\\why SELECT array_agg(l_comment) FROM lineitem"], "");
    assert!(reasons.code == Some(0) && reasons.out.contains("\n  stays on the host: "), "{reasons:?}");
}
