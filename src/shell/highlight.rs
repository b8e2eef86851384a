//! Colours for a line that is typed, from the SQL tokenizer. Only escapes are added: the width stays.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};

use crate::shell::command;
use crate::shell::keywords::is_keyword;
use crate::shell::statements::is_command;
use crate::shell::tokens::scan;

const KEYWORD: &str = "\x1b[1;34m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const FUNCTION: &str = "\x1b[35m";
const COMMENT: &str = "\x1b[90m";
const COMMAND: &str = "\x1b[1;36m";
const UNKNOWN: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// `line` with colours.
pub fn highlight(line: &str, dialect: &dyn Dialect) -> String {
    if !is_command(line.trim_start()) {
        return sql(line, dialect);
    }
    let start = line.len() - line.trim_start().len();
    let (before, text) = line.split_at(start);
    let (name, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    let known = command::find(name.trim_end_matches(';')).is_some();
    let name = paint(if known { COMMAND } else { UNKNOWN }, name);
    let rest = if command::takes_query(text) { sql(rest, dialect) } else { rest.to_string() };
    format!("{before}{name}{rest}")
}

fn paint(colour: &str, text: &str) -> String {
    format!("{colour}{text}{PLAIN}")
}

fn sql(text: &str, dialect: &dyn Dialect) -> String {
    let scanned = scan(text, dialect);
    let mut line = String::with_capacity(2 * text.len());
    for (index, (token, range)) in scanned.tokens.iter().enumerate() {
        let piece = text.get(range.clone()).unwrap_or_default();
        let before_parenthesis = matches!(scanned.tokens.get(index + 1), Some((Token::LParen, _)));
        match colour(token, before_parenthesis) {
            Some(colour) => line.push_str(&paint(colour, piece)),
            None => line.push_str(piece),
        }
    }
    if let Some((offset, _)) = scanned.unreadable {
        // Most often a string or comment whose end is still to be typed.
        let rest = text.get(offset..).unwrap_or_default();
        line.push_str(&paint(if rest.starts_with("/*") { COMMENT } else { TEXT }, rest));
    }
    line
}

fn colour(token: &Token, before_parenthesis: bool) -> Option<&'static str> {
    match token {
        Token::Word(word) if word.quote_style.is_some() => None,
        Token::Word(word) if is_keyword(&word.value) => Some(KEYWORD),
        Token::Word(_) if before_parenthesis => Some(FUNCTION),
        Token::Number(..) => Some(NUMBER),
        Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_) => Some(TEXT),
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => Some(COMMENT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use crate::shell::highlight::highlight;

    fn marked(line: &str) -> String {
        let mut text = highlight(line, &GenericDialect);
        for (escape, mark) in [
            ("\x1b[1;34m", "<k>"),
            ("\x1b[32m", "<t>"),
            ("\x1b[36m", "<n>"),
            ("\x1b[35m", "<f>"),
            ("\x1b[90m", "<c>"),
            ("\x1b[1;36m", "<cmd>"),
            ("\x1b[31m", "<?>"),
            ("\x1b[0m", "</>"),
        ] {
            text = text.replace(escape, mark);
        }
        text
    }

    #[test]
    fn sql_is_coloured_by_its_tokens() {
        assert_eq!(
            marked("select sum(x), 'it''s' FROM \"from\" -- end"),
            "<k>select</> <f>sum</>(x), <t>'it''s'</> <k>FROM</> \"from\" <c>-- end</>"
        );
        assert_eq!(marked("SELECT 1.5, 'op"), "<k>SELECT</> <n>1.5</>, <t>'op</>");
        assert_eq!(marked("/* op"), "<c>/* op</>");
    }

    #[test]
    fn commands_are_coloured_and_unknown_ones_stand_out() {
        assert_eq!(marked("\\why select 1"), "<cmd>\\why</> <k>select</> <n>1</>");
        assert_eq!(marked("\\i it's.sql"), "<cmd>\\i</> it's.sql");
        assert_eq!(marked("\\nope"), "<?>\\nope</>");
    }
}
