//! Serialises the outcome of a file as lines of text, for transfer from the process that ran it to the one that reports.
//!
//! ```text
//! record  AT  SORTED
//! run     NAME  PASSED  KIND  SQL  OUTPUT  PLACED
//! ```
//!
//! Fields are separated by tabs. OUTPUT is `none`, `rows` followed by the rows, or `error` followed by its text. PLACED is
//! empty, or contains device node, work and the reasons. Lists are joined by U+001F.

use crate::conformance::engine::{Kind, Observed, Placed, Run};
use crate::conformance::file::{FileOutcome, RecordOutcome, RecordRun};

const LIST: char = '\u{1f}';

pub fn encode(file: &FileOutcome) -> String {
    let mut out = String::new();
    for record in &file.records {
        out += &line(&["record", &record.at, flag(record.sorted)]);
        for run in Run::ALL {
            let Some(RecordRun { passed, observed }) = record.of(run) else { continue };
            let kind = match observed.kind {
                Kind::Select => "select",
                Kind::Explain => "explain",
                Kind::Other => "other",
            };
            let output = match &observed.output {
                None => list(["none".to_string()]),
                Some(Ok(rows)) => list(std::iter::once("rows".to_string()).chain(rows.iter().cloned())),
                Some(Err(error)) => list(["error".to_string(), error.clone()]),
            };
            let placed = observed.placed.as_ref().map_or(String::new(), |placed| {
                let flags = [flag(placed.device_node).to_string(), flag(placed.work).to_string()];
                list(flags.into_iter().chain(placed.reasons.iter().cloned()))
            });
            out += &line(&["run", run.name(), flag(*passed), kind, &observed.sql, &output, &placed]);
        }
    }
    out
}

pub fn decode(name: &str, text: &str) -> Option<FileOutcome> {
    let mut records: Vec<RecordOutcome> = Vec::new();
    for line in text.lines() {
        let fields: Vec<String> = line.split('\t').map(unescape).collect();
        match fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["record", at, sorted] => {
                records.push(RecordOutcome { at: at.to_string(), sorted: *sorted == "1", ..RecordOutcome::default() });
            }
            ["run", run, passed, kind, sql, output, placed] => {
                let record = records.last_mut()?;
                let run = Run::ALL.into_iter().find(|r| r.name() == *run)?;
                let kind = match *kind {
                    "select" => Kind::Select,
                    "explain" => Kind::Explain,
                    _ => Kind::Other,
                };
                let mut output = output.split(LIST).map(str::to_string);
                let output = match output.next()?.as_str() {
                    "rows" => Some(Ok(output.collect())),
                    "error" => Some(Err(output.collect())),
                    _ => None,
                };
                let mut placed = placed.split(LIST).filter(|field| !field.is_empty());
                let placed = placed.next().map(|device| Placed {
                    device_node: device == "1",
                    work: placed.next() == Some("1"),
                    reasons: placed.map(str::to_string).collect(),
                });
                record.runs[run as usize] = Some(RecordRun {
                    passed: *passed == "1",
                    observed: Observed { sql: sql.to_string(), kind, output, placed },
                });
            }
            _ => return None,
        }
    }
    Some(FileOutcome { name: name.to_string(), records })
}

fn flag(value: bool) -> &'static str {
    if value { "1" } else { "0" }
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(&LIST.to_string())
}

fn line(fields: &[&str]) -> String {
    let escaped =
        |field: &&str| field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
    fields.iter().map(escaped).collect::<Vec<_>>().join("\t") + "\n"
}

fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            (plain, _) => out.push(plain),
        }
    }
    out
}
