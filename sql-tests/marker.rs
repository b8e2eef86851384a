//! Markers, which declare in a file, with a typed reason, that a record does not run on the device yet.
//!
//! ```text
//! # xla: host window                    the next record runs on the xla engines with placement `auto`
//! # xla: host type - a list             (words after the code are free text)
//! # xla-file: host window               every query record of the file; must come before the first record
//! ```
//!
//! A marked record must still return the expected rows. A marker on a record that would run with placement `always` is
//! stale and fails the record, so that markers are removed as the engine grows.

use std::collections::BTreeMap;

/// Why a record runs on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostReason {
    /// Not a query, e.g. SHOW, DESCRIBE, INSERT, SET.
    Ddl,
    /// The plan has nothing to place: constants, a bare scan, a count answered from statistics.
    Constant,
    /// A join whose keys cannot be compared on the device.
    Join,
    /// A sort key of a type without an order on the device.
    Sort,
    /// A limit that the scan absorbs.
    Limit,
    Window,
    /// WITH RECURSIVE.
    Recursion,
    /// UNNEST.
    Unnest,
    /// A subquery that DataFusion leaves in the plan in a form of its own.
    Subquery,
    /// LIKE, substr, upper, concatenation and other functions of strings.
    StringFunction,
    /// Any other scalar function.
    Function,
    /// An aggregate of lists or strings (ARRAY_AGG, STRING_AGG), or an approximate one.
    AggregateFunction,
    /// A type without a device encoding yet.
    Type,
    /// A cast without a device lowering yet.
    Cast,
}

impl HostReason {
    /// Every code, as written in a file.
    const CODES: &'static [(&'static str, Self)] = &[
        ("ddl", Self::Ddl),
        ("constant", Self::Constant),
        ("join", Self::Join),
        ("sort", Self::Sort),
        ("limit", Self::Limit),
        ("window", Self::Window),
        ("recursion", Self::Recursion),
        ("unnest", Self::Unnest),
        ("subquery", Self::Subquery),
        ("string_function", Self::StringFunction),
        ("function", Self::Function),
        ("aggregate_function", Self::AggregateFunction),
        ("type", Self::Type),
        ("cast", Self::Cast),
    ];

    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(_, reason)| *reason == self).map_or("?", |(code, _)| code)
    }

    fn parse(code: &str) -> Result<Self, String> {
        Self::CODES.iter().find(|(known, _)| *known == code).map(|(_, reason)| *reason).ok_or_else(|| {
            let known: Vec<_> = Self::CODES.iter().map(|(code, _)| *code).collect();
            format!("'{code}' is not a reason; the reasons are {}", known.join(", "))
        })
    }
}

/// The markers of one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Markers {
    file: Option<HostReason>,
    /// By the line of the record's first word (`query`, `statement`), counted from 1.
    records: BTreeMap<u32, HostReason>,
}

impl Markers {
    /// Parses the markers in a file's text. An error gives the line and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut markers = Self::default();
        let mut pending: Option<(u32, HostReason)> = None;
        let mut first_record = None;
        // Within a record, up to its blank line, `#` does not start a comment: it may be part of SQL or a result.
        let mut in_record = false;
        for (line_number, line) in (1u32..).zip(text.lines()) {
            if line.is_empty() {
                in_record = false;
                continue;
            }
            if in_record {
                continue;
            }
            let at = |message: String| format!("line {line_number}: {message}");
            if let Some(comment) = line.strip_prefix('#') {
                match comment.split_whitespace().collect::<Vec<_>>().as_slice() {
                    ["xla:", "host", code, ..] => {
                        pending = Some((line_number, HostReason::parse(code).map_err(at)?));
                    }
                    ["xla-file:", "host", code, ..] if first_record.is_none() => {
                        markers.file = Some(HostReason::parse(code).map_err(at)?);
                    }
                    ["xla-file:", "host", ..] => {
                        return Err(at("an xla-file marker must come before the first record".to_string()));
                    }
                    [word, ..] if word.starts_with("xla") && word.ends_with(':') => {
                        return Err(at("write `# xla: host <reason>` or `# xla-file: host <reason>`".to_string()));
                    }
                    _ => {}
                }
            } else if line.starts_with("query") || line.starts_with("statement") {
                in_record = true;
                first_record.get_or_insert(line_number);
                if let Some((_, reason)) = pending.take() {
                    markers.records.insert(line_number, reason);
                }
            }
        }
        match pending {
            Some((line, _)) => Err(format!("line {line}: this marker has no record after it")),
            None => Ok(markers),
        }
    }

    /// Returns the marker of the record that starts at `line`.
    pub fn at(&self, line: u32) -> Option<HostReason> {
        self.records.get(&line).copied().or(self.file)
    }
}
