//! The engines: SQLite in this process, DuckDB behind a pipe, and sessions of Parallax by placement.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::panic::AssertUnwindSafe;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use futures::{FutureExt, TryStreamExt};
use parallax::session::Session;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value;

use crate::oracle::answer::{self, Answer, Cell};
use crate::oracle::data::Tables;
use crate::oracle::dialect::{Dialect, SETUP};
use crate::oracle::tree::Sql;
use crate::{REFUSAL, runtime};

/// Names the interpreter that has DuckDB; without it, DuckDB is not asked. `make fuzz-oracles` sets it.
const PYTHON: &str = "PARALLAX_DUCKDB_PYTHON";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    Sqlite,
    Duckdb,
    Never,
    /// Number of devices.
    Always(usize),
}

impl Engine {
    pub fn name(self) -> String {
        match self {
            Self::Sqlite => "SQLite".to_string(),
            Self::Duckdb => "DuckDB".to_string(),
            Self::Never => "Parallax, never".to_string(),
            Self::Always(1) => "Parallax, always".to_string(),
            Self::Always(n) => format!("Parallax, always, {n} devices"),
        }
    }
}

pub struct Engines {
    sqlite: Connection,
    duckdb: Option<Duckdb>,
    sessions: BTreeMap<Engine, Session>,
}

impl Engines {
    pub fn new() -> Self {
        crate::start_devices();
        let never = Session::builder().set("xla.placement", "never").build().expect("a session on the host");
        let always = |n: usize| {
            let session = Session::builder().devices(n).set("xla.placement", "always").build();
            (Engine::Always(n), session.expect("a session on the device"))
        };
        let sqlite = Connection::open_in_memory().expect("a database of SQLite");
        sqlite.execute_batch(SETUP).expect("the settings of SQLite");
        let duckdb = std::env::var(PYTHON).ok().map(|python| Duckdb::start(&python));
        Self { sqlite, duckdb, sessions: [(Engine::Never, never), always(1), always(2)].into() }
    }

    pub fn has_duckdb(&self) -> bool {
        self.duckdb.is_some()
    }

    /// Replaces the tables of every engine.
    pub fn register(&mut self, tables: &Tables) {
        for session in self.sessions.values() {
            let providers = tables.providers().expect("tables");
            for (number, table) in providers.into_iter().enumerate() {
                let name = format!("t{number}");
                session.context().deregister_table(name.as_str()).expect("a table");
                session.context().register_table(name.as_str(), Arc::new(table)).expect("a table");
            }
        }
        let drop = |name: usize| format!("DROP TABLE IF EXISTS t{name}");
        for statement in (0..crate::oracle::data::TABLES).map(drop).chain(tables.statements(Dialect::Sqlite, None)) {
            self.sqlite.execute_batch(&statement).unwrap_or_else(|e| panic!("SQLite: {statement}: {e}"));
        }
        if let Some(duckdb) = &mut self.duckdb {
            for statement in
                (0..crate::oracle::data::TABLES).map(drop).chain(tables.statements(Dialect::Standard, None))
            {
                if let Answer::Error(error) = duckdb.answer(&statement) {
                    panic!("DuckDB: {statement}: {error}");
                }
            }
        }
    }

    pub fn ask(&mut self, engine: Engine, sql: &Sql) -> Answer {
        match engine {
            Engine::Sqlite => match ask_sqlite(&self.sqlite, &sql.render(Dialect::Sqlite)) {
                Ok(rows) => Answer::Rows(rows),
                Err(error) => Answer::Error(error.to_string()),
            },
            Engine::Duckdb => match &mut self.duckdb {
                Some(duckdb) => duckdb.answer(&sql.render(Dialect::Standard)),
                None => Answer::Error("not asked".to_string()),
            },
            _ => runtime().block_on(ask_session(&self.sessions[&engine], &sql.render(Dialect::Standard))),
        }
    }
}

fn ask_sqlite(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<answer::Row>> {
    let mut statement = connection.prepare(sql)?;
    let n = statement.column_count();
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let cell = |at: usize| -> rusqlite::Result<Cell> {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Number(number as f64),
                ValueRef::Real(number) => Cell::Number(number),
                ValueRef::Text(text) | ValueRef::Blob(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
            })
        };
        rows.push((0..n).map(cell).collect::<rusqlite::Result<_>>()?);
    }
    Ok(rows)
}

async fn ask_session(session: &Session, sql: &str) -> Answer {
    let rows = async {
        let batches: Vec<_> = session.execute(sql).await?.try_collect().await?;
        answer::rows(&batches)
    };
    match AssertUnwindSafe(rows).catch_unwind().await {
        Ok(Ok(rows)) => Answer::Rows(rows),
        Ok(Err(error)) if error.to_string().contains(REFUSAL) => Answer::Refused(error.to_string()),
        Ok(Err(error)) => Answer::Error(error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            Answer::Error(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

/// `scripts/duckdb-answers`, which answers one statement a line.
pub struct Duckdb {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Duckdb {
    pub fn start(python: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/duckdb-answers");
        let process = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.unwrap_or_else(|e| panic!("{python} {script}: {e}"));
        let input = process.stdin.take().expect("the input of DuckDB");
        let output = BufReader::new(process.stdout.take().expect("the output of DuckDB"));
        Self { process, input, output }
    }

    fn answer(&mut self, sql: &str) -> Answer {
        let line = format!("{}\n", Value::String(sql.to_string()));
        let mut answer = String::new();
        let asked = self.input.write_all(line.as_bytes()).and_then(|()| self.input.flush());
        let read = asked.and_then(|()| self.output.read_line(&mut answer));
        let answer: Value = match read.map(|_| serde_json::from_str(&answer)) {
            Ok(Ok(answer)) => answer,
            _ => panic!("scripts/duckdb-answers ended at: {sql}"),
        };
        if let Some(error) = answer["error"].as_str() {
            return Answer::Error(error.to_string());
        }
        let cell = |value: &Value| match value {
            Value::Null => Cell::Null,
            Value::Bool(truth) => Cell::Number(f64::from(u8::from(*truth))),
            Value::Number(number) => Cell::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Cell::Text(text.clone()),
            other => Cell::Text(other.to_string()),
        };
        let row = |row: &Value| row.as_array().into_iter().flatten().map(cell).collect();
        Answer::Rows(answer["rows"].as_array().into_iter().flatten().map(row).collect())
    }
}

impl Drop for Duckdb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
