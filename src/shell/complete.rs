//! What Tab offers: commands, options, tables, columns, functions and keywords, by what stands before the cursor.

use clap::ValueEnum;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};

use crate::shell::command::{self, Argument};
use crate::shell::format::Format;
use crate::shell::keywords::{BEFORE_TABLE, STATEMENTS, WORDS, is_keyword};
use crate::shell::names::{Names, TableNames, quote};
use crate::shell::statements;
use crate::shell::tokens::scan;

/// What Tab has to offer.
#[derive(Debug, PartialEq, Eq)]
pub enum Completion {
    /// Texts that replace the line from a byte to the cursor.
    Words(usize, Vec<String>),
    /// The name of a file.
    File,
}

/// The completions of `line` with the cursor at byte `pos`.
pub fn complete(names: &Names, line: &str, pos: usize, dialect: &dyn Dialect) -> Completion {
    let (head, tail) = line.split_at_checked(pos).unwrap_or((line, ""));
    let start = statement_start(head, dialect);
    let statement = head.get(start..).unwrap_or_default();
    let word_len: usize = statement.chars().rev().take_while(|c| is_word(*c)).map(char::len_utf8).sum();
    let (before, word) = statement.split_at(statement.len() - word_len);
    let word_start = pos - word_len;
    let sql = Sql { names, tokens: significant(before, dialect), word, tail: significant(tail, dialect) };

    if !statements::is_command(statement) {
        let words = if in_text_or_comment(head, dialect) { Vec::new() } else { sql.words() };
        return Completion::Words(word_start, words);
    }
    let (name, argument) = command::parse(before);
    if before.is_empty() || !before.contains(char::is_whitespace) {
        let names = command::names().filter(|name| name.starts_with(statement)).map(str::to_string);
        return Completion::Words(start, names.collect());
    }
    let words = match command::find(name).map_or(Argument::None, |command| command.argument) {
        Argument::File => return Completion::File,
        Argument::Query => {
            let query = statement.get(name.len()..statement.len() - word_len).unwrap_or_default();
            Sql { tokens: significant(query, dialect), ..sql }.words()
        }
        Argument::Table => sql.tables(),
        Argument::Setting if argument.is_empty() => sql.options(),
        Argument::OnOff => matching(word, ["on", "off"]),
        Argument::Format => matching(word, Format::value_variants().iter().map(|format| format.name())),
        Argument::Setting | Argument::Rows | Argument::None => Vec::new(),
    };
    Completion::Words(word_start, words)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// Where the statement under the cursor begins; the cursor itself when none has begun.
fn statement_start(head: &str, dialect: &dyn Dialect) -> usize {
    let last = statements::split(head, dialect).pop();
    last.filter(|piece| {
        let rest = head.get(piece.start + piece.text.len()..).unwrap_or_default();
        !piece.complete || (piece.is_command() && !rest.contains([';', '\n']))
    })
    .map_or(head.len(), |piece| piece.start)
}

fn in_text_or_comment(head: &str, dialect: &dyn Dialect) -> bool {
    let scanned = scan(head, dialect);
    let comment = |(token, range): &(Token, std::ops::Range<usize>)| {
        matches!(token, Token::Whitespace(Whitespace::SingleLineComment { .. }))
            && head.get(range.clone()).is_some_and(|comment| !comment.ends_with('\n'))
    };
    scanned.unreadable.is_some() || scanned.tokens.last().is_some_and(comment)
}

/// The tokens that are not white space.
fn significant(text: &str, dialect: &dyn Dialect) -> Vec<Token> {
    let tokens = scan(text, dialect).tokens.into_iter().map(|(token, _)| token);
    tokens.filter(|token| !matches!(token, Token::Whitespace(_))).collect()
}

fn matching<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let word = word.to_lowercase();
    candidates.into_iter().filter(|text| text.to_lowercase().starts_with(&word)).map(str::to_string).collect()
}

/// A word as a name: what it says if it is quoted, else in lower case.
fn word_name(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
        Token::Word(word) => Some(word.value.to_lowercase()),
        _ => None,
    }
}

fn is_any(token: Option<&Token>, keywords: &[&str]) -> bool {
    matches!(token, Some(Token::Word(word))
        if word.quote_style.is_none() && keywords.iter().any(|keyword| keyword.eq_ignore_ascii_case(&word.value)))
}

/// A word in a statement, with what stands before and after it.
struct Sql<'a> {
    names: &'a Names,
    tokens: Vec<Token>,
    word: &'a str,
    tail: Vec<Token>,
}

impl Sql<'_> {
    fn words(&self) -> Vec<String> {
        let first = self.tokens.first();
        if first.is_none() {
            return self.keywords(STATEMENTS);
        }
        if is_any(first, &["SET", "RESET", "SHOW"]) {
            return self.setting();
        }
        if let Some((qualifier, column)) = self.word.rsplit_once('.') {
            return self.qualified(qualifier, column);
        }
        if self.wants_table() {
            return self.tables();
        }
        let mut words = self.columns();
        if !self.word.is_empty() {
            words.extend(matching(self.word, self.names.functions.iter().map(String::as_str)).iter().map(call));
            words.extend(matching(self.word, self.names.tables.iter().map(|table| table.sql.as_str())));
            words.extend(self.keywords(STATEMENTS));
            words.extend(self.keywords(WORDS));
        }
        let mut seen = std::collections::HashSet::new();
        words.retain(|word| seen.insert(word.to_lowercase()));
        words
    }

    /// Keywords in the case in which the word is typed.
    fn keywords(&self, keywords: &[&str]) -> Vec<String> {
        let words = matching(self.word, keywords.iter().copied());
        let lower = self.word.contains(char::is_lowercase);
        words.into_iter().map(|word| if lower { word.to_lowercase() } else { word }).collect()
    }

    fn tables(&self) -> Vec<String> {
        let mut words = matching(self.word, self.names.tables.iter().map(|table| table.sql.as_str()));
        words.extend(matching(self.word, self.names.table_functions.iter().map(String::as_str)).iter().map(call));
        words
    }

    fn options(&self) -> Vec<String> {
        matching(self.word, self.names.options.iter().map(|(key, _)| key.as_str()))
    }

    /// After SET, RESET or SHOW: an option, or after `=` a value for it.
    fn setting(&self) -> Vec<String> {
        let is_value = matches!(self.tokens.last(), Some(Token::Eq)) || is_any(self.tokens.last(), &["TO"]);
        if !is_value {
            let show: &[&str] = if is_any(self.tokens.first(), &["SHOW"]) {
                &["ALL", "CACHE", "COLUMNS", "PROGRAMS", "TABLES"]
            } else {
                &[]
            };
            let words = [self.keywords(show), self.options()].concat();
            return if self.tokens.len() == 1 { words } else { Vec::new() };
        }
        let key: String = self.tokens.iter().skip(1).take(self.tokens.len() - 2).map(ToString::to_string).collect();
        let value = self.names.options.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
        match value {
            Some("true" | "false") => matching(self.word, ["true", "false"]),
            _ if key == "xla.placement" => matching(self.word, ["auto", "always", "never"]),
            _ => Vec::new(),
        }
    }

    /// Whether a table comes next: after FROM and the like, and after a comma in a FROM clause.
    fn wants_table(&self) -> bool {
        let last = self.tokens.last();
        let clause = ["SELECT", "FROM", "WHERE", "BY", "ON", "HAVING", "USING", "SET", "VALUES"];
        let in_from = || is_any(self.tokens.iter().rev().find(|token| is_any(Some(token), &clause)), &["FROM"]);
        is_any(last, BEFORE_TABLE) || (matches!(last, Some(Token::Comma)) && in_from())
    }

    /// Columns of the tables that the statement names; of all tables while it names none.
    fn columns(&self) -> Vec<String> {
        let mentioned = |table: &&TableNames| {
            let name = Some(table.name.clone());
            self.tokens.iter().chain(&self.tail).any(|token| word_name(token) == name)
        };
        let mut tables: Vec<&TableNames> = self.names.tables.iter().filter(mentioned).collect();
        if tables.is_empty() && !self.word.is_empty() {
            tables = self.names.tables.iter().collect();
        }
        let columns = tables.iter().flat_map(|table| table.columns.iter());
        matching(self.word, columns.map(String::as_str)).iter().map(|column| quote(column)).collect()
    }

    /// After `qualifier.`: the columns of that table or alias, or the tables of that schema.
    fn qualified(&self, qualifier: &str, column: &str) -> Vec<String> {
        let tables = self.names.tables.iter().filter(|table| self.is_called(table, &qualifier.to_lowercase()));
        let columns = matching(column, tables.flat_map(|table| table.columns.iter().map(String::as_str)));
        let mut words: Vec<String> = columns.iter().map(|column| format!("{qualifier}.{}", quote(column))).collect();
        words.extend(matching(self.word, self.names.tables.iter().map(|table| table.sql.as_str())));
        words
    }

    /// Whether `table` has this name or, in the statement, this alias: `lineitem l` or `lineitem AS l`.
    fn is_called(&self, table: &TableNames, qualifier: &str) -> bool {
        if table.name.to_lowercase() == qualifier {
            return true;
        }
        let tokens: Vec<&Token> = self.tokens.iter().chain(&self.tail).collect();
        tokens.iter().enumerate().any(|(index, token)| {
            let next = tokens.get(index + 1).copied();
            let alias = if is_any(next, &["AS"]) { tokens.get(index + 2).copied() } else { next };
            let alias = alias.and_then(word_name).filter(|alias| !is_keyword(alias));
            word_name(token).as_ref() == Some(&table.name) && alias.as_deref() == Some(qualifier)
        })
    }
}

fn call(function: &String) -> String {
    format!("{function}(")
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use crate::shell::complete::{Completion, complete};
    use crate::shell::names::{Names, TableNames};

    /// Completes at the `|`.
    fn at(line: &str) -> (usize, String) {
        let table = |name: &str, columns: &[&str]| TableNames {
            sql: name.to_string(),
            name: name.to_string(),
            columns: columns.iter().map(ToString::to_string).collect(),
        };
        let names = Names {
            tables: vec![table("lineitem", &["l_orderkey", "l_tax", "Note"]), table("orders", &["o_orderkey"])],
            functions: ["sum", "substr", "lower"].map(String::from).to_vec(),
            table_functions: vec!["range".to_string()],
            options: [("xla.placement", "auto"), ("xla.cache_columns", "true")]
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .to_vec(),
        };
        let pos = line.find('|').unwrap();
        match complete(&names, &line.replace('|', ""), pos, &GenericDialect) {
            Completion::Words(start, words) => (start, words.join(" ")),
            Completion::File => (pos, "FILE".to_string()),
        }
    }

    fn words(line: &str) -> String {
        at(line).1
    }

    #[test]
    fn a_statement_begins_with_a_keyword_in_the_case_that_is_typed() {
        assert_eq!(at("se|"), (0, "select set".to_string()));
        assert_eq!(at("SELECT 1; EX|"), (10, "EXPLAIN".to_string()));
        assert_eq!(words("SELECT * FROM lineitem wh|"), "when where");
    }

    #[test]
    fn tables_come_after_from() {
        assert_eq!(words("SELECT * FROM |"), "lineitem orders range(");
        assert_eq!(at("select * from lineitem, o|"), (24, "orders".to_string()));
        assert_eq!(words("SELECT * FROM lineitem JOIN o|"), "orders");
    }

    #[test]
    fn columns_are_those_of_the_tables_that_are_named() {
        assert_eq!(words("SELECT | FROM lineitem"), "l_orderkey l_tax \"Note\"");
        assert_eq!(words("SELECT no| FROM lineitem"), "\"Note\" not");
        assert_eq!(
            words("SELECT l| FROM lineitem"),
            "l_orderkey l_tax lower( lineitem last lateral left like limit location"
        );
        assert_eq!(words("SELECT o_| FROM lineitem"), "");
        assert_eq!(words("SELECT o_|"), "o_orderkey");
        assert_eq!(at("SELECT x.l_t| FROM lineitem AS x"), (7, "x.l_tax".to_string()));
        assert_eq!(words("SELECT o.| FROM lineitem l, orders o"), "o.o_orderkey");
        assert_eq!(words("SELECT su|"), "sum( substr( summarize");
    }

    #[test]
    fn options_come_after_set_and_their_values_after_the_sign() {
        assert_eq!(at("SET xla.|"), (4, "xla.placement xla.cache_columns".to_string()));
        assert_eq!(words("set xla.placement = |"), "auto always never");
        assert_eq!(words("SET xla.cache_columns TO f|"), "false");
        assert_eq!(words("SHOW xla.p|"), "xla.placement");
        assert_eq!(words("show ta|"), "tables");
    }

    #[test]
    fn commands_complete_their_names_and_arguments() {
        assert_eq!(
            at("\\|"),
            (0, "\\? \\d \\timing \\format \\maxrows \\refresh \\hlo \\why \\set \\i \\q".to_string())
        );
        assert_eq!(words("\\ti|"), "\\timing");
        assert_eq!(at(".m|"), (0, ".mode .maxrows".to_string()));
        assert_eq!(words(".mode nd|"), "ndjson");
        assert_eq!(words("\\d |"), "lineitem orders range(");
        assert_eq!(words("\\timing o|"), "on off");
        assert_eq!(words("\\format j|"), "json");
        assert_eq!(words("\\set xla.ca|"), "xla.cache_columns");
        assert_eq!(words("\\why SELECT l_t| FROM lineitem"), "l_tax");
        assert_eq!(words("\\why sel|"), "select");
        assert_eq!(words("\\i sr|"), "FILE");
    }

    #[test]
    fn nothing_is_offered_in_strings_and_comments() {
        assert_eq!(words("SELECT 'l|"), "");
        assert_eq!(words("SELECT 1 -- l|"), "");
        assert_eq!(words("SELECT /* l|"), "");
    }
}
