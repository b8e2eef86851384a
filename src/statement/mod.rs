//! Statements that DataFusion lacks or implements differently.
//!
//! ```text
//! CACHE TABLE t [COLUMNS (a, b)]     uploads the columns and pins them on the device
//! UNCACHE TABLE [IF EXISTS] t        drops them
//! SHOW CACHE                         a row per cached column and device
//! SHOW PROGRAMS                      a row per compiled program
//! SHOW TABLES                        the session's tables and views, without information_schema
//! SUMMARIZE t, SUMMARIZE SELECT ...  a row per column: range, distinct count, quartiles, NULLs
//! FROM t LIMIT 3                     SELECT * FROM t LIMIT 3
//! ```

pub mod cache;
mod create_table;
pub mod from_first;
pub mod show;
pub mod summarize;

use std::sync::Arc;

use datafusion::common::{TableReference, not_impl_err};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::planner::{IdentNormalizer, object_name_to_table_reference};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, dialect_from_str};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::frontend::{self, Parsed, nesting};
use crate::large_stack;
use crate::statement::summarize::Summarized;
use crate::tables;

/// Length of a text, in bytes, from which on it is parsed on a large stack.
const LONG_TEXT: usize = 1000;

/// One of the statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceStatement {
    Cache {
        table: TableReference,
        /// `None` stands for all columns that have an encoding.
        columns: Option<Vec<String>>,
    },
    Uncache {
        table: TableReference,
        if_exists: bool,
    },
    ShowCache,
    ShowPrograms,
    ShowTables,
    Summarize(Summarized),
}

impl DeviceStatement {
    /// Parses `sql`, which may nest up to a limit. Returns `None` if it is a statement for DataFusion.
    ///
    /// # Errors
    /// If a CACHE, UNCACHE or SUMMARIZE statement is invalid. The error has the line and column.
    pub fn parse(sql: &str, dialect: &dyn Dialect, normalize: bool, limit: usize) -> Result<Option<Self>> {
        if !may_be_one(sql) {
            return Ok(None);
        }
        // DataFusion reports text that cannot be tokenized.
        let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize_with_location() else { return Ok(None) };
        let depth = nesting::check(&tokens, limit)?;
        let tokens = from_first::with_select(tokens).unwrap_or_else(|tokens| tokens);
        let mut parser = Parser::new(dialect).with_recursion_limit(limit).with_tokens_with_locations(tokens);
        let statement = if parser.parse_keywords(&[Keyword::CACHE, Keyword::TABLE]) {
            cache(&mut parser, normalize)?
        } else if parser.parse_keywords(&[Keyword::UNCACHE, Keyword::TABLE]) {
            let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
            Self::Uncache { table: table(&mut parser, normalize)?, if_exists }
        } else if parser.parse_keyword(Keyword::SHOW) {
            let statement = match parser.next_token().token {
                Token::Word(word) if word.value.eq_ignore_ascii_case("cache") => Self::ShowCache,
                Token::Word(word) if word.value.eq_ignore_ascii_case("programs") => Self::ShowPrograms,
                Token::Word(word) if word.value.eq_ignore_ascii_case("tables") => Self::ShowTables,
                _ => return Ok(None),
            };
            // `SHOW cache.x` shows an option, and DataFusion has other forms of SHOW TABLES.
            if !is_at_end(&parser) {
                return Ok(None);
            }
            statement
        } else if is_word(&parser, "summarize") {
            parser.advance_token();
            let what = Summarized::parse(&mut parser, normalize);
            Self::Summarize(what.map_err(|error| nesting::explain(error, depth, limit))?)
        } else {
            return Ok(None);
        };
        if !is_at_end(&parser) {
            parser.expected("the end of the statement", parser.peek_token())?;
        }
        Ok(Some(statement))
    }

    /// Runs the statement and returns its rows.
    pub async fn run(self, ctx: &SessionContext) -> Result<DataFrame> {
        match self {
            Self::Cache { table, columns } => cache::cache(ctx, table, columns).await,
            Self::Uncache { table, if_exists } => cache::uncache(ctx, table, if_exists).await,
            Self::ShowCache => show::cache(ctx, None).await,
            Self::ShowPrograms => show::programs(ctx),
            Self::ShowTables => ctx.sql(show::TABLES).await,
            Self::Summarize(what) => what.run(ctx).await,
        }
    }
}

/// Runs `sql` if it is one of these statements. Returns `None` if it is a statement for DataFusion.
pub async fn run(ctx: &SessionContext, sql: &str) -> Result<Option<DataFrame>> {
    if !may_be_one(sql) {
        return Ok(None);
    }
    if sql.len() < LONG_TEXT {
        return run_here(ctx, sql).await;
    }
    let (ctx, sql) = (ctx.clone(), sql.to_string());
    large_stack::spawn(async move { run_here(&ctx, &sql).await }).await
}

async fn run_here(ctx: &SessionContext, sql: &str) -> Result<Option<DataFrame>> {
    match parse_for(ctx, sql)? {
        Some(statement) => statement.run(ctx).await.map(Some),
        None => Ok(None),
    }
}

/// Parses a statement for DataFusion, which may have queries that begin with FROM.
///
/// # Errors
/// The errors of DataFusion's parser, and if the statement nests too deeply.
pub fn parse(state: &SessionState, sql: &str) -> Result<Parsed> {
    // A short text cannot nest deeply enough to need it.
    if sql.len() < LONG_TEXT {
        return parse_here(state, sql);
    }
    // A level takes two bytes of text at least, and less than two kilobytes of the stack when it is dropped.
    let stack = (sql.len() << 10).clamp(32 << 20, 512 << 20);
    large_stack::run(stack, || parse_here(state, sql))
}

fn parse_here(state: &SessionState, sql: &str) -> Result<Parsed> {
    let config = state.config_options();
    let limit = config.sql_parser.recursion_limit.get();
    let statement = match parse_tokens(state, sql, limit)? {
        Some(statement) => statement,
        // DataFusion reports what is wrong with the text.
        None => state.sql_to_statement(sql, &config.sql_parser.dialect)?,
    };
    frontend::parse(statement, config)
}

/// Plans a statement and runs what is not a query.
///
/// # Errors
/// The errors of DataFusion's planner.
pub async fn plan(ctx: &SessionContext, parsed: Parsed) -> Result<DataFrame> {
    let creates_table = parsed.creates_table_of_query();
    let plan = frontend::plan(&ctx.state(), parsed).await?;
    // The query of CREATE TABLE AS runs now, and not where the session would see its errors.
    let query = match &plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => Some(Arc::clone(&create.input)),
        _ => None,
    };
    let ran = if creates_table { create_table::run(ctx, plan).await } else { ctx.execute_logical_plan(plan).await };
    match (ran, query) {
        (Err(error), Some(query)) => Err(tables::locate_csv_value_of(error, &ctx.state(), &query).await),
        (ran, _) => ran,
    }
}

/// Parses one statement. Returns `None` if there is none, or if the text cannot be tokenized.
fn parse_tokens(state: &SessionState, sql: &str, limit: usize) -> Result<Option<Statement>> {
    let dialect = dialect_of(state);
    let Ok(tokens) = Tokenizer::new(dialect.as_ref(), sql).tokenize_with_location() else { return Ok(None) };
    let depth = nesting::check(&tokens, limit)?;
    let tokens = from_first::with_select(tokens).unwrap_or_else(|tokens| tokens);
    let mut parser = DFParserBuilder::new("").with_dialect(dialect.as_ref()).with_recursion_limit(limit).build()?;
    parser.parser = Parser::new(dialect.as_ref()).with_recursion_limit(limit).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|error| nesting::explain(error, depth, limit))?;
    if statements.len() > 1 {
        return not_impl_err!("several statements at once; run them one by one");
    }
    Ok(statements.pop_front())
}

/// The SQL dialect that a session's options name.
pub fn dialect_of(state: &SessionState) -> Box<dyn Dialect> {
    dialect_from_str(state.config_options().sql_parser.dialect).unwrap_or_else(|| Box::new(GenericDialect))
}

fn parse_for(ctx: &SessionContext, sql: &str) -> Result<Option<DeviceStatement>> {
    let state = ctx.state();
    let config = &state.config_options().sql_parser;
    let (normalize, limit) = (config.enable_ident_normalization, config.recursion_limit.get());
    DeviceStatement::parse(sql, dialect_of(&state).as_ref(), normalize, limit)
}

/// Returns whether the first word begins one of these statements, so that other statements are not parsed twice.
fn may_be_one(sql: &str) -> bool {
    let text = sql.trim_start();
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let is_comment = text.starts_with("--") || text.starts_with("/*");
    is_comment || ["CACHE", "UNCACHE", "SHOW", "SUMMARIZE"].iter().any(|first| word.eq_ignore_ascii_case(first))
}

fn cache(parser: &mut Parser<'_>, normalize: bool) -> Result<DeviceStatement> {
    let table = table(parser, normalize)?;
    let columns = if parser.parse_keyword(Keyword::COLUMNS) {
        parser.expect_token(&Token::LParen)?;
        let names = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::RParen)?;
        let normalizer = IdentNormalizer::new(normalize);
        Some(names.into_iter().map(|name| normalizer.normalize(name)).collect())
    } else {
        None
    };
    Ok(DeviceStatement::Cache { table, columns })
}

fn table(parser: &mut Parser<'_>, normalize: bool) -> Result<TableReference> {
    let name = parser.parse_object_name(false)?;
    object_name_to_table_reference(name, normalize)
}

fn is_word(parser: &Parser<'_>, expected: &str) -> bool {
    matches!(&parser.peek_token_ref().token, Token::Word(word) if word.value.eq_ignore_ascii_case(expected))
}

fn is_at_end(parser: &Parser<'_>) -> bool {
    let mut n = 0;
    while parser.peek_nth_token_ref(n).token == Token::SemiColon {
        n += 1;
    }
    parser.peek_nth_token_ref(n).token == Token::EOF
}

#[cfg(test)]
mod tests {
    use datafusion::common::TableReference;
    use datafusion::error::Result;
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use crate::statement::DeviceStatement;

    fn parse(sql: &str) -> Result<Option<DeviceStatement>> {
        DeviceStatement::parse(sql, &GenericDialect, true, 50)
    }

    #[test]
    fn statements_are_recognised() {
        let table = TableReference::bare("t");
        let cache = |columns| Some(DeviceStatement::Cache { table: table.clone(), columns });
        assert_eq!(parse("cache table T;").unwrap(), cache(None));
        let columns = Some(vec!["a".to_string(), "B".to_string()]);
        assert_eq!(parse("-- now\nCACHE TABLE t COLUMNS (A, \"B\")").unwrap(), cache(columns));
        let uncache = DeviceStatement::Uncache { table: TableReference::partial("s", "t"), if_exists: true };
        assert_eq!(parse("UNCACHE TABLE IF EXISTS s.t").unwrap(), Some(uncache));
        assert_eq!(parse("SHOW cache ;").unwrap(), Some(DeviceStatement::ShowCache));
        assert_eq!(parse("show PROGRAMS").unwrap(), Some(DeviceStatement::ShowPrograms));
        assert_eq!(parse("SHOW TABLES;").unwrap(), Some(DeviceStatement::ShowTables));
        assert!(matches!(parse("summarize 'x.csv'").unwrap(), Some(DeviceStatement::Summarize(_))));
    }

    #[test]
    fn others_are_left_to_datafusion() {
        for sql in ["SHOW TABLES FROM s", "SHOW cache.x", "SELECT 1", "", "-- nothing", "CACHED", "SHOW", "/* 'open"] {
            assert_eq!(parse(sql).unwrap(), None, "{sql}");
        }
    }

    #[test]
    fn errors_of_invalid_statements_say_what_was_expected() {
        let error = |sql| parse(sql).unwrap_err().to_string();
        assert!(error("CACHE TABLE").contains("Expected: identifier, found: EOF"), "{}", error("CACHE TABLE"));
        assert!(error("CACHE TABLE t COLUMNS a").contains("Expected: (, found: a"));
        assert!(error("CACHE TABLE t t").contains("Expected: the end of the statement, found: t"));
        assert!(error("SUMMARIZE").contains("Expected: a table or a query, found: EOF"), "{}", error("SUMMARIZE"));
    }
}
