//! How deeply a statement may nest, so that no stack overflows: `datafusion.sql_parser.recursion_limit`.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The limit of a `Session`. DataFusion's is 50.
pub const LIMIT: &str = "2000";

/// The option that holds the limit.
pub const OPTION: &str = "datafusion.sql_parser.recursion_limit";

/// The types that are written with others in angle brackets.
const TYPES: [Keyword; 4] = [Keyword::ARRAY, Keyword::STRUCT, Keyword::MAP, Keyword::NESTED];

/// Measures how deeply tokens nest: in brackets, in CASE, in signs and NOTs, and in types, such as `ARRAY<ARRAY<..`, `INT[][]..` and
/// `INTERVAL INTERVAL ..`, which the parser reads without a limit.
///
/// # Errors
/// If they nest more deeply than the limit.
pub fn check(tokens: &[TokenWithSpan], limit: usize) -> Result<usize, DataFusionError> {
    let (mut brackets, mut angles, mut row, mut deepest) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut before = &Token::EOF;
    for TokenWithSpan { token, .. } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        match (before, token) {
            (_, Token::LParen | Token::LBracket | Token::LBrace) => brackets += 1,
            (_, Token::RParen | Token::RBracket | Token::RBrace) => brackets = brackets.saturating_sub(1),
            (_, Token::Word(word)) if word.keyword == Keyword::CASE => brackets += 1,
            (_, Token::Word(word)) if word.keyword == Keyword::END => brackets = brackets.saturating_sub(1),
            (Token::Word(word), Token::Lt) if TYPES.contains(&word.keyword) => angles += 1,
            (_, Token::Gt) => angles = angles.saturating_sub(1),
            (_, Token::ShiftRight) => angles = angles.saturating_sub(2),
            _ => {}
        }
        row = match (before, token) {
            (Token::LBracket, Token::RBracket) | (Token::RBracket, Token::LBracket) => row + 1,
            (Token::Word(a), Token::Word(b))
                if [Keyword::INTERVAL, Keyword::NOT].contains(&a.keyword) && a.keyword == b.keyword =>
            {
                row + 1
            }
            (Token::Minus | Token::Plus | Token::Tilde, Token::Minus | Token::Plus | Token::Tilde) => row + 1,
            _ => 0,
        };
        let depth = brackets.max(angles).max(row);
        if depth > limit {
            return Err(too_deep(limit));
        }
        deepest = deepest.max(depth);
        before = token;
    }
    Ok(deepest)
}

/// An error of the parser, which says something else where it has met its limit inside something that it has tried to read.
pub fn explain(error: DataFusionError, depth: usize, limit: usize) -> DataFusionError {
    match error {
        DataFusionError::SQL(cause, more) => match *cause {
            ParserError::RecursionLimitExceeded => too_deep(limit),
            ParserError::ParserError(text) if depth >= limit / 4 => {
                let text = format!(
                    "{text} (the statement nests {depth} levels deep; if it is right, raise {OPTION}, which is {limit})"
                );
                DataFusionError::SQL(Box::new(ParserError::ParserError(text)), more)
            }
            cause => DataFusionError::SQL(Box::new(cause), more),
        },
        error => error,
    }
}

/// The error of a statement that nests too deeply.
pub fn too_deep(limit: usize) -> DataFusionError {
    DataFusionError::Plan(format!(
        "the statement nests more than {limit} levels deep, the limit that {OPTION} sets (a call counts for four; subqueries, \
         COALESCE, BETWEEN, MAP and a CASE inside of a call count for more, since the time to plan them doubles with each); \
         nest it less, for example with subqueries side by side in WITH, or raise the option"
    ))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use crate::frontend::syntax::nesting::check;

    fn nests(sql: &str) -> bool {
        check(&Tokenizer::new(&GenericDialect, sql).tokenize_with_location().unwrap(), 20).is_err()
    }

    #[test]
    fn deep_text_is_found() {
        assert!(nests(&format!("SELECT {}1", "(".repeat(100))));
        assert!(nests(&format!("SELECT CAST(a AS INT{})", "[]".repeat(100))));
        assert!(nests(&format!("SELECT CAST(a AS {} INT", "ARRAY<".repeat(100))));
        assert!(nests(&format!("SELECT CAST(a AS {} INT", "STRUCT<a INT, b ".repeat(100))));
        assert!(nests(&format!("SELECT {} '1 day'", "INTERVAL ".repeat(100))));
        assert!(nests(&format!("SELECT {} a", "NOT ".repeat(100))));
        assert!(nests(&format!("SELECT {} a", "- + ".repeat(100))));
        assert!(nests(&format!("SELECT {} a", "CASE WHEN a THEN ".repeat(100))));
    }

    #[test]
    fn long_text_is_not_deep() {
        assert!(!nests(&format!("SELECT {}", vec!["(a) < b AND c[1] < f(2) AND d < e"; 100].join(" AND "))));
        assert!(!nests(&format!("SELECT {}", vec!["[1, 2][1]"; 100].join(", "))));
        assert!(!nests(&format!("SELECT {}", vec!["CASE a WHEN 1 THEN - 1 END"; 100].join(" - "))));
        assert!(!nests(&format!("SELECT {}", vec!["INTERVAL '1 day'"; 100].join(", "))));
    }
}
