//! How deeply a statement may nest, so that no stack overflows: `datafusion.sql_parser.recursion_limit`.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The limit of a `Session`. DataFusion's is 50.
pub const LIMIT: &str = "2000";

/// The option that holds the limit.
pub const OPTION: &str = "datafusion.sql_parser.recursion_limit";

/// The types that are written with others in angle brackets.
const TYPES: [Keyword; 4] = [Keyword::ARRAY, Keyword::STRUCT, Keyword::MAP, Keyword::NESTED];

/// Checks the nesting that the parser itself reads without a limit: types in types, such as `ARRAY<ARRAY<..`, `INT[][]..` and
/// `INTERVAL INTERVAL ..`.
///
/// # Errors
/// If the tokens nest more deeply than the limit.
pub fn check(tokens: &[TokenWithSpan], limit: usize) -> Result<(), DataFusionError> {
    let (mut brackets, mut angles, mut row, mut before) = (0_usize, 0_usize, 0_usize, &Token::EOF);
    for TokenWithSpan { token, .. } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            continue;
        }
        match (before, token) {
            (_, Token::LParen | Token::LBracket | Token::LBrace) => brackets += 1,
            (_, Token::RParen | Token::RBracket | Token::RBrace) => brackets = brackets.saturating_sub(1),
            (Token::Word(word), Token::Lt) if TYPES.contains(&word.keyword) => angles += 1,
            (_, Token::Gt) => angles = angles.saturating_sub(1),
            (_, Token::ShiftRight) => angles = angles.saturating_sub(2),
            _ => {}
        }
        row = match (before, token) {
            (Token::LBracket, Token::RBracket) | (Token::RBracket, Token::LBracket) => row + 1,
            (Token::Word(a), Token::Word(b)) if a.keyword == Keyword::INTERVAL && b.keyword == a.keyword => row + 1,
            _ => 0,
        };
        if brackets > limit || angles > limit || row > 2 * limit {
            return Err(too_deep(limit));
        }
        before = token;
    }
    Ok(())
}

/// The error of a statement that nests too deeply.
pub fn too_deep(limit: usize) -> DataFusionError {
    DataFusionError::Plan(format!(
        "the statement nests more than {limit} levels deep, the limit that {OPTION} sets; nest it less, for example by WITH, \
         or raise the option"
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
    }

    #[test]
    fn long_text_is_not_deep() {
        assert!(!nests(&format!("SELECT {}", vec!["(a) < b AND c[1] < f(2) AND d < e"; 100].join(" AND "))));
        assert!(!nests(&format!("SELECT {}", vec!["[1, 2][1]"; 100].join(", "))));
        assert!(!nests(&format!("SELECT {}", vec!["INTERVAL '1 day'"; 100].join(", "))));
    }
}
