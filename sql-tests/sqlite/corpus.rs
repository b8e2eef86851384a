//! Reads the test files of SQLite's sqllogictest: records separated by blank lines, results with one value a line or as
//! a hash, `skipif` and `onlyif` by the name of an engine.
//! The format: <https://www.sqlite.org/sqllogictest/doc/trunk/about.wiki>.

/// The engine that we are: `skipif postgresql` skips, `onlyif postgresql` runs.
const ENGINE: &str = "postgresql";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    None,
    Rows,
    Values,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Values(Vec<String>),
    Hash {
        values: usize,
        md5: String,
    },
    /// Only the label says what comes: the same as for other queries of the label.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// A letter for each column: I, R or T.
    pub types: String,
    pub sort: Sort,
    pub label: Option<String>,
    pub expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Statement { fails: bool },
    Query(Query),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line of its first word.
    pub line: usize,
    pub sql: String,
    pub kind: Kind,
}

/// Returns the records that are for this engine, up to a `halt`.
pub fn parse(text: &str) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let mut lines = (1..).zip(text.lines().map(|line| line.trim_end_matches('\r'))).peekable();
    let mut applies = true;
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end();
        // What follows # is a comment, except in SQL.
        let head = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = head.split_whitespace().collect();
        let kind = match words.as_slice() {
            [] => continue,
            ["hash-threshold", _] => {
                applies = true;
                continue;
            }
            ["skipif", engine, ..] => {
                applies &= *engine != ENGINE;
                continue;
            }
            ["onlyif", engine, ..] => {
                applies &= *engine == ENGINE;
                continue;
            }
            ["halt", ..] if applies => break,
            ["halt", ..] => {
                applies = true;
                continue;
            }
            ["statement", "ok", ..] => Kind::Statement { fails: false },
            ["statement", "error", ..] => Kind::Statement { fails: true },
            ["query", types, rest @ ..] => Kind::Query(query(types, rest)),
            _ => return Err(format!("line {number}: '{line}' is not a record of sqllogictest")),
        };
        let (mut sql, mut results) = (Vec::new(), None);
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            match &mut results {
                None if line == "----" => results = Some(Vec::new()),
                None => sql.push(line),
                Some(values) => values.push(line.to_string()),
            }
        }
        let kind = match kind {
            Kind::Query(query) => Kind::Query(Query { expected: expected(results), ..query }),
            statement => statement,
        };
        if applies {
            records.push(Record { line: number, sql: sql.join("\n"), kind });
        }
        applies = true;
    }
    Ok(records)
}

fn query(types: &str, rest: &[&str]) -> Query {
    let sort = match rest.first() {
        Some(&"rowsort") => Some(Sort::Rows),
        Some(&"valuesort") => Some(Sort::Values),
        Some(&"nosort") => Some(Sort::None),
        _ => None,
    };
    let label = rest.get(usize::from(sort.is_some())).map(|label| (*label).to_string());
    Query { types: types.to_string(), sort: sort.unwrap_or(Sort::None), label, expected: Expected::Nothing }
}

fn expected(results: Option<Vec<String>>) -> Expected {
    let Some(values) = results else { return Expected::Nothing };
    if let [line] = values.as_slice()
        && let [n, "values", "hashing", "to", md5] = line.split_whitespace().collect::<Vec<_>>().as_slice()
        && let Ok(values) = n.parse()
    {
        return Expected::Hash { values, md5: (*md5).to_string() };
    }
    Expected::Values(values)
}

/// Returns the number of queries in a file, for whatever engine.
pub fn count(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("query ")).count()
}
