//! Compares the column of DuckDB with the real one, by `scripts/duckdb-answers`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::semantics::{Cases, ERROR, shown};

/// Names the interpreter that has DuckDB. `make fuzz-oracles` sets it.
const PYTHON: &str = "PARALLAX_DUCKDB_PYTHON";

/// Fails with every case of which DuckDB gives something else.
pub fn check() -> Result<(), String> {
    let Cases { tables, cases } = Cases::read()?;
    let python = std::env::var(PYTHON).map_err(|_| format!("{PYTHON} is not set; run `make fuzz-oracles`"))?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/duckdb-answers");
    let process = Command::new(&python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut process = process.map_err(|e| format!("{python} {script}: {e}"))?;
    let statements = tables.iter().chain(cases.iter().map(|case| &case.sql));
    let lines: String = statements.map(|sql| format!("{}\n", Value::String(sql.clone()))).collect();
    // The answers stay in the pipe until all is asked; they are few.
    let written = process.stdin.take().map(|mut input| input.write_all(lines.as_bytes()));
    written.transpose().map_err(|e| e.to_string())?;
    let output = process.wait_with_output().map_err(|e| e.to_string())?;
    let answers: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if answers.len() != tables.len() + cases.len() {
        return Err(format!("scripts/duckdb-answers gave {} answers", answers.len()));
    }
    let mut wrong = String::new();
    for (case, answer) in cases.iter().zip(&answers[tables.len()..]) {
        let now = match answer["rows"].as_array() {
            Some(rows) => shown(rows.iter().map(row).collect()),
            None => ERROR.to_string(),
        };
        if now != case.duckdb {
            wrong += &format!("{}: DuckDB gives {now}, cases.txt says {}\n", case.name, case.duckdb);
        }
    }
    println!("{} cases compared with DuckDB", cases.len());
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn row(row: &Value) -> String {
    let cell = |value: &Value| match value {
        Value::Null => "NULL".to_string(),
        Value::String(text) if text.is_empty() => "(empty)".to_string(),
        Value::String(text) if text == "nan" => "NaN".to_string(),
        Value::String(text) => text.clone(),
        // 1.0 is written 1.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    };
    row.as_array().into_iter().flatten().map(cell).collect::<Vec<_>>().join(", ")
}
