//! `FROM t WHERE a > 1 LIMIT 3`: a query without SELECT selects all columns, as in DuckDB.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Returns the tokens with `SELECT *` inserted before each FROM that begins a query without SELECT.
///
/// # Errors
/// The tokens as they are, if there is no such FROM.
pub fn with_select(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Vec<TokenWithSpan>> {
    let places = places(&tokens);
    if places.is_empty() {
        return Err(tokens);
    }
    let mut whole = Vec::with_capacity(tokens.len() + 2 * places.len());
    let mut places = places.into_iter().peekable();
    for (at, token) in tokens.into_iter().enumerate() {
        if places.next_if_eq(&at).is_some() {
            // The parser reports an error at the inserted tokens at the position of FROM.
            whole.push(TokenWithSpan::new(Token::make_keyword("SELECT"), token.span));
            whole.push(TokenWithSpan::new(Token::Mul, token.span));
        }
        whole.push(token);
    }
    Ok(whole)
}

/// The state of a statement or of a pair of parentheses.
#[derive(Clone, Copy)]
struct Scope {
    /// A query may begin here.
    may_begin: bool,
    /// Only the WITH clause of a query has been read.
    in_with: bool,
    has_select: bool,
}

const START: Scope = Scope { may_begin: true, in_with: false, has_select: false };

fn places(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut scope = START;
    let mut around = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let could_begin = scope.may_begin;
        if !matches!(token.token, Token::Whitespace(_)) {
            scope.may_begin = false;
        }
        match &token.token {
            Token::LParen => {
                around.push(scope);
                scope = START;
            }
            Token::RParen => {
                scope = around.pop().unwrap_or(START);
                scope.may_begin = scope.in_with;
            }
            Token::SemiColon => scope = START,
            Token::Word(word) => match word.keyword {
                Keyword::FROM if could_begin && word.quote_style.is_none() => {
                    scope.in_with = false;
                    if !has_select(tokens.get(at..).unwrap_or_default()) {
                        places.push(at);
                    }
                }
                Keyword::WITH => scope.in_with = could_begin,
                Keyword::SELECT | Keyword::VALUES => scope = Scope { in_with: false, has_select: true, ..scope },
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => scope.may_begin = true,
                // `CREATE VIEW v AS FROM t`, but `SELECT a AS b`.
                Keyword::AS => scope.may_begin = !scope.has_select,
                // Words between the start of a statement, or a set operator, and its query.
                Keyword::ALL
                | Keyword::DISTINCT
                | Keyword::EXPLAIN
                | Keyword::ANALYZE
                | Keyword::VERBOSE
                | Keyword::FORMAT
                | Keyword::DESCRIBE
                | Keyword::DESC => scope.may_begin = could_begin,
                _ => {
                    let formats = ["SUMMARIZE", "INDENT", "TREE", "PGJSON", "GRAPHVIZ"];
                    scope.may_begin = could_begin && formats.iter().any(|name| word.value.eq_ignore_ascii_case(name));
                }
            },
            _ => {}
        }
    }
    places
}

/// Returns whether the query at the start of `tokens` has a SELECT of its own.
fn has_select(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen | Token::SemiColon if depth == 0 => return false,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 0 => match word.keyword {
                Keyword::SELECT => return true,
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => return false,
                _ => {}
            },
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use datafusion::sql::sqlparser::tokenizer::{TokenWithSpan, Tokenizer};

    use crate::statement::from_first;

    fn with_select(sql: &str) -> Option<Vec<TokenWithSpan>> {
        let tokens = Tokenizer::new(&GenericDialect, sql).tokenize_with_location().ok()?;
        from_first::with_select(tokens).ok()
    }

    #[test]
    fn all_columns_are_selected() {
        for (sql, expected) in [
            ("FROM t LIMIT 3", "SELECT * FROM t LIMIT 3"),
            ("FROM t WHERE a > (SELECT 1)", "SELECT * FROM t WHERE a > (SELECT 1)"),
            ("SELECT 1 WHERE EXISTS (FROM t)", "SELECT 1 WHERE EXISTS (SELECT * FROM t)"),
            ("CREATE VIEW v AS FROM t", "CREATE VIEW v AS SELECT * FROM t"),
            ("explain format tree FROM t", "EXPLAIN FORMAT TREE SELECT * FROM t"),
            ("FROM t UNION ALL FROM s", "SELECT * FROM t UNION ALL SELECT * FROM s"),
            ("WITH a AS (FROM t) FROM a", "WITH a AS (SELECT * FROM t) SELECT * FROM a"),
            ("FROM (FROM t SELECT a) AS s", "SELECT * FROM (FROM t SELECT a) AS s"),
        ] {
            let tokens = with_select(sql).unwrap();
            let statements =
                Parser::new(&GenericDialect).with_tokens_with_locations(tokens).parse_statements().unwrap();
            assert_eq!(statements[0].to_string(), expected);
        }
    }

    #[test]
    fn other_statements_are_left_alone() {
        for sql in [
            "FROM t SELECT a",
            "SELECT a, (b) FROM t",
            "SELECT count(*) AS n FROM t UNION SELECT 1",
            "SELECT EXTRACT(year FROM d), a IS DISTINCT FROM b FROM t",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "DELETE FROM t",
            "SHOW COLUMNS FROM t",
            "SELECT 'FROM t'",
            "SELECT 'open",
        ] {
            assert!(with_select(sql).is_none(), "{sql}");
        }
    }
}
