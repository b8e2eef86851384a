//! Generates docs/semantics.md, what SQL means where engines differ, by running every case of `cases.txt`. `make docs`
//! writes the page, and a test fails if it is stale.
//!
//! | field of a case | meaning |
//! |---|---|
//! | `case:`, `sql:` | what is asked |
//! | `standard:` | what the SQL standard or Postgres gives: rows with cells joined by commas, sorted, or `error` |
//! | `duckdb:` | what DuckDB gives; `make fuzz-oracles` asks the real one |
//! | `set:` | an option that Parallax has for this case, as in SET |
//! | `differs:` | why placements give different answers today; a case without it must give the same on all |
//!
//! `table:` is a statement that runs before all cases, `section:` starts a table of the page. The columns DataFusion and
//! Parallax are run: plain DataFusion is `never` without the rules of the frontend; Parallax is `never`, `auto`, and
//! `always` on one and two devices, each asked twice, so that columns are on the device the second time.

mod accuracy;
mod duckdb;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use parallax::config::XlaOptions;
use parallax::exec::state::costs::Costs;
use parallax::session::{Session, SessionBuilder};

use crate::plan::REFUSAL;
use crate::values;

pub use crate::semantics::duckdb::check as check_duckdb;

const CASES: &str = include_str!("cases.txt");

/// What stands in a cell of the page.
const ERROR: &str = "error";
const NO_ROWS: &str = "no rows";

#[derive(Default)]
struct Case {
    section: String,
    name: String,
    sql: String,
    standard: String,
    duckdb: String,
    set: Option<String>,
    differs: Option<String>,
}

/// The statements that make the tables, and the cases.
struct Cases {
    tables: Vec<String>,
    cases: Vec<Case>,
}

impl Cases {
    fn read() -> Result<Self, String> {
        let mut read = Self { tables: Vec::new(), cases: Vec::new() };
        let mut section = String::new();
        for (number, line) in (1..).zip(CASES.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("sql-tests/semantics/cases.txt:{number}: '{line}' is not a field of a case");
            let (field, value) = line.split_once(": ").ok_or_else(wrong)?;
            let value = value.to_string();
            match field {
                "table" => read.tables.push(value),
                "section" => section = value,
                "case" => read.cases.push(Case { section: section.clone(), name: value, ..Case::default() }),
                _ => {
                    let case = read.cases.last_mut().ok_or_else(wrong)?;
                    match field {
                        "sql" => case.sql = value,
                        "standard" => case.standard = value,
                        "duckdb" => case.duckdb = value,
                        "set" => case.set = Some(value),
                        "differs" => case.differs = Some(value),
                        _ => return Err(wrong()),
                    }
                }
            }
        }
        Ok(read)
    }
}

/// A session with the tables.
struct Engine {
    name: &'static str,
    session: Session,
}

impl Engine {
    async fn new(name: &'static str, builder: SessionBuilder, tables: &[String]) -> Result<Self, String> {
        let session = builder.build().map_err(|e| e.to_string())?;
        for statement in tables {
            session.collect(statement).await.map_err(|e| format!("{name}: {statement}: {e}"))?;
        }
        let engine = Self { name, session };
        if name.starts_with("always") {
            engine.session.collect("SET xla.placement = 'always'").await.map_err(|e| e.to_string())?;
        }
        Ok(engine)
    }

    /// Sets an option, given as `name = value`.
    async fn set(&self, option: Option<&str>) -> Result<(), String> {
        let Some(option) = option else { return Ok(()) };
        self.session.collect(&format!("SET {option}")).await.map(drop).map_err(|e| e.to_string())
    }

    /// Sets the option to its default.
    async fn reset(&self, option: Option<&str>) -> Result<(), String> {
        let name = option.and_then(|option| option.split_once(' ')).map_or("", |(name, _)| name);
        match XlaOptions::documentation().iter().find(|(known, _, _)| known == name) {
            Some((name, default, _)) => self.set(Some(&format!("{name} = '{default}'"))).await,
            None => Ok(()),
        }
    }

    /// Returns the rows as the page shows them, or `None` where the query has no device form.
    async fn answer(&self, sql: &str) -> Option<String> {
        let rows = async || -> Result<_, DataFusionError> {
            let batches: Vec<_> = self.session.execute(sql).await?.try_collect().await?;
            let mut rows = Vec::new();
            for batch in &batches {
                values::push_rows(batch, &mut rows)?;
            }
            Ok(rows)
        };
        match rows().await {
            Ok(rows) => Some(shown(rows.into_iter().map(|row| row.join(", ")).collect())),
            Err(error) if error.to_string().contains(REFUSAL) => None,
            Err(_) => Some(ERROR.to_string()),
        }
    }
}

fn shown(mut rows: Vec<String>) -> String {
    rows.sort();
    if rows.is_empty() { NO_ROWS.to_string() } else { rows.join("; ") }
}

/// Returns the page, and what is wrong with the cases and with what the page says now.
async fn generate(committed: &str) -> Result<(String, Vec<String>), String> {
    let Cases { tables, cases } = Cases::read()?;
    let never = || Session::builder().set("xla.placement", "never");
    let plain = Engine::new("DataFusion", never().set("xla.frontend_rules", "none"), &tables).await?;
    let own = [
        Engine::new("never", never(), &tables).await?,
        Engine::new("auto", Session::builder().costs(Costs::of_slow_host()), &tables).await?,
        Engine::new("always", Session::builder(), &tables).await?,
        Engine::new("always on two devices", Session::builder().devices(2), &tables).await?,
    ];
    let mut out = String::from(
        "# What SQL means\n\n<!-- Written by `make docs` from sql-tests/semantics/cases.txt; do not edit. -->\n\n\
         Engines differ in what the same SQL gives. In these tables, *standard* is the SQL standard, or Postgres where the\n\
         standard leaves the choice. *DataFusion* is plain DataFusion 55.2, and *Parallax* is what every placement gives, on one\n\
         and two devices; where placements differ today, the cell says so. The tests run both columns, and `make fuzz-oracles`\n\
         that of DuckDB. The rows of an answer are sorted and separated by semicolons. With `xla.frontend_rules = 'none'` and\n\
         `xla.placement = 'never'`, Parallax is plain DataFusion.\n\n\
         `+ - *` and negation of integers wrap at the end of their type, as in DataFusion, unless `xla.checked_arithmetic` is\n\
         on: then they fail there, as in the standard. Sums of integers, `abs`, division and all arithmetic of decimals always\n\
         fail where the type does not hold the result.\n\n```sql\n",
    );
    for statement in &tables {
        let _ = writeln!(out, "{statement};");
    }
    out += "```\n";
    let mut wrong = Vec::new();
    let mut section = "";
    for case in &cases {
        if section != case.section {
            section = &case.section;
            let _ = write!(
                out,
                "\n## {section}\n\n| case | SQL | standard | DuckDB | DataFusion | Parallax |\n|---|---|---|---|---|---|\n"
            );
        }
        let datafusion = plain.answer(&case.sql).await.unwrap_or_default();
        let mut answers: Vec<(String, Vec<&str>)> = Vec::new();
        for engine in &own {
            engine.set(case.set.as_deref()).await?;
            for _ in 0..2 {
                let Some(answer) = engine.answer(&case.sql).await else { continue };
                match answers.iter_mut().find(|(known, _)| *known == answer) {
                    Some((_, engines)) if engines.contains(&engine.name) => {}
                    Some((_, engines)) => engines.push(engine.name),
                    None => answers.push((answer, vec![engine.name])),
                }
            }
            engine.reset(case.set.as_deref()).await?;
        }
        let own = match answers.as_slice() {
            [(answer, _)] => answer.clone(),
            _ => {
                let each = answers.iter().map(|(answer, engines)| format!("{}: {answer}", engines.join(", ")));
                let why = case.differs.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                format!("{}{why}", each.collect::<Vec<_>>().join(" / "))
            }
        };
        match (&case.differs, answers.len()) {
            (Some(_), 1) => wrong.push(format!("{}: delete its `differs:`, all placements agree", case.name)),
            (None, n) if n != 1 => wrong.push(format!("{}: the placements differ: {own}", case.name)),
            _ => {}
        }
        let cells = [&case.name, &format!("`{}`", case.sql), &case.standard, &case.duckdb, &datafusion, &own];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let (section, inaccurate) = accuracy::generate(committed).await?;
    let _ = write!(out, "\n{section}");
    wrong.extend(inaccurate);
    Ok((out, wrong))
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/semantics.md")
}

/// Tests that the placements agree and that the committed page is what they give.
pub async fn check() -> Result<(), String> {
    let committed = std::fs::read_to_string(path()).unwrap_or_default();
    let (now, mut wrong) = generate(&committed).await?;
    if now != committed {
        let stale = now.lines().find(|line| !committed.lines().any(|known| known == *line)).unwrap_or_default();
        wrong.push(format!("docs/semantics.md is stale; run `make docs`. The first new line is\n{stale}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Writes the page.
pub async fn write() -> Result<(), String> {
    let (now, wrong) = generate("").await?;
    wrong.iter().for_each(|wrong| eprintln!("sql-tests/semantics/cases.txt: {wrong}"));
    std::fs::write(path(), now).map_err(|e| format!("{}: {e}", path().display()))
}
