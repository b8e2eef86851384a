//! SQL tokens with their bytes: what splitting, colour and completion all look at.

use std::ops::Range;

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

/// The tokens of a text, up to the first thing that is none.
pub struct Scan {
    /// Each token and its bytes; they follow one another without a gap.
    pub tokens: Vec<(Token, Range<usize>)>,
    /// Where the text stops being SQL, and the tokenizer's message.
    pub unreadable: Option<(usize, String)>,
}

/// Reads the tokens of `text`, white space and comments included.
pub fn scan(text: &str, dialect: &dyn Dialect) -> Scan {
    let mut tokens = Vec::new();
    let error = Tokenizer::new(dialect, text).tokenize_with_location_into_buf(&mut tokens).err();
    let mut place = Place { text, offset: 0, at: Location::new(1, 1) };
    let tokens: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let start = place.offset;
            place.advance_to(token.span.end);
            (token.token, start..place.offset)
        })
        .collect();
    Scan { tokens, unreadable: error.map(|error| (place.offset, error.message)) }
}

/// A byte of a text with its line and column, which the tokenizer counts in characters from 1.
struct Place<'a> {
    text: &'a str,
    offset: usize,
    at: Location,
}

impl Place<'_> {
    fn advance_to(&mut self, end: Location) {
        for c in self.text.get(self.offset..).unwrap_or_default().chars() {
            if self.at >= end {
                break;
            }
            self.offset += c.len_utf8();
            self.at = if c == '\n' {
                Location::new(self.at.line + 1, 1)
            } else {
                Location::new(self.at.line, self.at.column + 1)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use crate::shell::tokens::scan;

    #[test]
    fn ranges_are_bytes_and_cover_the_text() {
        let text = "SELECT 'ä\n€' AS ß, \"q\"\"q\" /* ö\n */ -- end\n, 1.5e3 'open";
        let scanned = scan(text, &GenericDialect);
        let mut end = 0;
        for (token, range) in &scanned.tokens {
            assert_eq!(range.start, end, "{token:?}");
            end = range.end;
        }
        let (offset, message) = scanned.unreadable.unwrap();
        assert_eq!(&text[offset..], "'open");
        assert_eq!(end, offset);
        assert!(message.contains("Unterminated"), "{message}");
    }
}
