//! Splits text into statements and backslash commands. The SQL tokenizer decides what a `;` is, so one in a string, a
//! quoted name, a comment or a dollar quote splits nothing.

use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::shell::command;
use crate::shell::tokens::scan;

/// A statement or a backslash command of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// From its first token, without leading comments and without the `;` at its end.
    pub text: &'a str,
    /// Where it begins: the byte in the whole text, and for messages line and column, which count from 1.
    pub start: usize,
    pub line: usize,
    pub column: usize,
    /// It has come to its end: a `;`, or the end of the line for a command. The last statement of a text may lack it.
    pub complete: bool,
}

impl Piece<'_> {
    /// Whether it is a command of the shell rather than SQL.
    pub fn is_command(&self) -> bool {
        is_command(self.text)
    }
}

/// Whether the text of a piece is a command: `\d`, or `.tables` as in DuckDB and SQLite. No SQL begins so.
pub fn is_command(text: &str) -> bool {
    text.starts_with(['\\', '.'])
}

/// The pieces of `text`, in order. A command whose argument is a query goes on to the `;` or to the next line that
/// begins with `\`; any other is one line. Text that is not SQL is in a piece too: to run it gives the error.
pub fn split<'a>(text: &'a str, dialect: &dyn Dialect) -> Vec<Piece<'a>> {
    let mut pieces = Pieces { text, list: Vec::new(), counted: (0, 1, 1) };
    let mut from = 0;
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let scanned = scan(rest, dialect);
        let mut start: Option<usize> = None;
        let mut after_command = None;
        for (token, range) in &scanned.tokens {
            let at = from + range.start;
            match (token, start) {
                (Token::Whitespace(_), None) => {}
                (Token::SemiColon, _) => {
                    if let Some(start) = start.take() {
                        pieces.push(start, at, true);
                    }
                }
                (Token::Backslash, _) | (Token::Period, None) if starts_command(text, start, at) => {
                    if let Some(start) = start.take() {
                        pieces.push(start, at, true);
                    }
                    let line = text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                    if !command::takes_query(line) {
                        pieces.push(at, at + line.len(), true);
                        after_command = Some(at + line.len());
                        break;
                    }
                    start = Some(at);
                }
                (_, None) => start = Some(at),
                _ => {}
            }
        }
        if let Some(after_command) = after_command {
            // What follows is read afresh: the command's line need not have been SQL.
            from = after_command;
            continue;
        }
        if let Some(start) = start.or(scanned.unreadable.map(|(offset, _)| from + offset)) {
            pieces.push(start, text.len(), false);
        }
        break;
    }
    pieces.list
}

/// A `\` or `.` begins a command where a statement could begin, and on a new line after a command that takes a query.
fn starts_command(text: &str, start: Option<usize>, at: usize) -> bool {
    start.is_none_or(|start| {
        let before = text.get(start..at).unwrap_or_default();
        is_command(before) && before.rsplit_once('\n').is_some_and(|(_, line)| line.trim().is_empty())
    })
}

/// Whether Enter should run `text` rather than begin another line.
pub fn is_complete(text: &str, dialect: &dyn Dialect) -> bool {
    let Some(last) = split(text, dialect).pop() else { return true };
    if last.complete || bare_word(text).is_some() {
        return true;
    }
    if last.is_command() {
        // `\why SELECT 1` needs no `;` when the query is whole.
        let query = command::parse(last.text).1;
        return DFParser::parse_sql_with_dialect(query, dialect).is_ok_and(|statements| !statements.is_empty());
    }
    // An error that more text cannot mend: let the parser report it.
    scan(last.text, dialect).unreadable.is_some_and(|(_, message)| {
        !["Unterminated", "EOF", "close delimiter"].iter().any(|sign| message.contains(sign))
    })
}

/// The command that someone new to the shell means by `quit`, `exit` or `help`.
pub fn bare_word(text: &str) -> Option<&'static str> {
    match text.trim().trim_end_matches(';').to_ascii_lowercase().as_str() {
        "quit" | "exit" => Some("\\q"),
        "help" => Some("\\?"),
        _ => None,
    }
}

struct Pieces<'a> {
    text: &'a str,
    list: Vec<Piece<'a>>,
    /// A byte and its line and column: so the text is counted once.
    counted: (usize, usize, usize),
}

impl Pieces<'_> {
    fn push(&mut self, start: usize, end: usize, complete: bool) {
        let (counted, mut line, mut column) = self.counted;
        for c in self.text.get(counted..start).unwrap_or_default().chars() {
            (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        self.counted = (start, line, column);
        let text = self.text.get(start..end).unwrap_or_default().trim_end();
        self.list.push(Piece { text, start, line, column, complete });
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use crate::shell::statements::{is_complete, split};

    fn texts(text: &str) -> Vec<&str> {
        split(text, &GenericDialect).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn a_semicolon_that_is_no_separator_splits_nothing() {
        for statement in [
            "SELECT ';' AS a",
            "SELECT 'it''s; fine'",
            "SELECT 1 AS \"a;b\"",
            "SELECT 1 -- not; here\n + 1",
            "SELECT 1 /* nor; /* in; */ here; */ + 1",
            "SELECT $$a;b$$",
            "SELECT $tag$ a; $$ b; $tag$",
            "SELECT E'\\'; '",
        ] {
            let text = format!("{statement};\nSELECT 2");
            assert_eq!(texts(&text), [statement, "SELECT 2"], "{text}");
        }
    }

    #[test]
    fn comments_and_empty_statements_are_no_statements() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts(" ;; -- nothing\n ; /* here */"), [""; 0]);
        assert_eq!(texts("-- first\nSELECT 1 ;;\n -- last"), ["SELECT 1"]);
    }

    #[test]
    fn commands_end_with_their_line_and_queries_with_a_semicolon() {
        let text = "\\timing on\n-- it's\n\\d it's\nSELECT 1;\n\\why SELECT\n 1;\\hlo SELECT 2\n\\q";
        assert_eq!(texts(text), ["\\timing on", "\\d it's", "SELECT 1", "\\why SELECT\n 1", "\\hlo SELECT 2", "\\q"]);
        assert_eq!(texts("SELECT 1\n\\q"), ["SELECT 1\n\\q"]);
    }

    #[test]
    fn commands_of_other_shells_begin_with_a_dot() {
        assert_eq!(
            texts(".tables\n.mode csv\nSELECT t\n.x FROM t; .quit"),
            [".tables", ".mode csv", "SELECT t\n.x FROM t", ".quit"]
        );
        assert!(is_complete(".schema lineitem", &GenericDialect));
    }

    #[test]
    fn pieces_know_their_place() {
        let places: Vec<_> = split("SELECT 'ä\n';  SELECT 1;\n\n  \\d\n x", &GenericDialect)
            .into_iter()
            .map(|piece| (piece.line, piece.column, piece.complete))
            .collect();
        assert_eq!(places, [(1, 1, true), (2, 5, true), (4, 3, true), (5, 2, false)]);
    }

    #[test]
    fn enter_runs_what_is_complete() {
        for text in ["", "SELECT 1;", "SELECT 1; -- done", "\\d", "\\d lineitem", "\\why SELECT 1", "quit", "Help;"] {
            assert!(is_complete(text, &GenericDialect), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "/* ;", "\\why SELECT", "\\hlo", "SELECT $$;", "\"a;"]
        {
            assert!(!is_complete(text, &GenericDialect), "{text}");
        }
    }
}
