//! An error as one line for a person: no prefix that names a Rust type, no second line, and what to do where it is known.

use std::error::Error;
use std::path::Path;

use datafusion::arrow::error::ArrowError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::parser::ParserError;

/// What went wrong, and where in the statement, if the parser says.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub text: String,
    /// Line and column, from 1.
    pub at: Option<(usize, usize)>,
}

/// The message of an error in a statement; `ctx` knows what names there are.
pub fn of_statement(error: &DataFusionError, ctx: &SessionContext) -> Message {
    let text = one_line(&describe(error));
    let (mut text, at) = match text.rsplit_once(" at Line: ").and_then(|(text, at)| Some((text, location(at)?))) {
        Some((text, at)) => (text.to_string(), Some(at)),
        None => (text, None),
    };
    if let Some(name) = unknown_table(&text) {
        text = format!("table '{name}' not found{}", other_tables(&name, ctx));
    } else if let Some((near, _)) = text.split_once("? Valid fields are ") {
        // The one that was meant is enough.
        text = format!("{near}?");
    }
    Message { text, at }
}

/// The message of an error outside a statement.
pub fn of(error: &DataFusionError) -> String {
    one_line(&describe(error))
}

/// `text` on one line, without control characters.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

fn describe(error: &DataFusionError) -> String {
    let text = match error {
        DataFusionError::Context(what, cause) => format!("{what}: {}", describe(cause)),
        DataFusionError::Diagnostic(_, cause) => describe(cause),
        DataFusionError::Shared(cause) => describe(cause),
        DataFusionError::Collection(causes) => causes.first().map(describe).unwrap_or_default(),
        DataFusionError::External(cause) => describe_any(cause.as_ref()),
        DataFusionError::ArrowError(cause, _) => describe_any(cause.as_ref()),
        DataFusionError::ParquetError(cause) => describe_any(cause.as_ref()),
        DataFusionError::SQL(cause, _) => match cause.as_ref() {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => format!("syntax error: {text}"),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_string(),
        },
        DataFusionError::Configuration(text) => option_error(text),
        DataFusionError::Plan(text) | DataFusionError::Execution(text) => text.clone(),
        DataFusionError::NotImplemented(text) => format!("not supported: {text}"),
        DataFusionError::Internal(text) => format!("internal error: {text}"),
        DataFusionError::ResourcesExhausted(text) => format!("out of memory: {text}"),
        DataFusionError::SchemaError(cause, _) => cause.to_string(),
        DataFusionError::ExecutionJoin(cause) => format!("internal error: {cause}"),
        DataFusionError::IoError(cause) => cause.to_string(),
        _ => error.strip_backtrace(),
    };
    match text.split_once(DataFusionError::BACK_TRACE_SEP) {
        Some((text, _)) => text.to_string(),
        None => text,
    }
}

/// Looks for the error of DataFusion, which Arrow and others carry as one of theirs.
fn describe_any(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return describe(error);
    }
    match error.downcast_ref::<ArrowError>() {
        Some(ArrowError::ExternalError(cause)) => return describe_any(cause.as_ref()),
        Some(ArrowError::DivideByZero) => return "division by zero".to_string(),
        Some(ArrowError::CastError(text) | ArrowError::ComputeError(text) | ArrowError::ArithmeticOverflow(text)) => {
            return text.clone();
        }
        _ => {}
    }
    match error.downcast_ref::<ParquetError>() {
        Some(ParquetError::External(cause)) => describe_any(cause.as_ref()),
        _ => error.to_string(),
    }
}

/// DataFusion does not say where the options are listed.
fn option_error(text: &str) -> String {
    let unknown = text.to_lowercase().contains("could not find config") || text.contains("not found on");
    format!("{text}{}", if unknown { "; options begin with xla. or datafusion., and SHOW ALL lists them" } else { "" })
}

/// Reads `3, Column: 7`.
fn location(text: &str) -> Option<(usize, usize)> {
    let (line, column) = text.split_once(", Column: ")?;
    Some((line.parse().ok()?, column.trim_end_matches('.').parse().ok()?))
}

/// Reads `table 'datafusion.public.nope' not found` and `No table named 'nope'`.
fn unknown_table(text: &str) -> Option<String> {
    let long = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    let name = long.or_else(|| text.strip_prefix("No table named '").and_then(|rest| rest.strip_suffix('\'')))?;
    let short = name.strip_prefix("datafusion.public.").or_else(|| name.strip_prefix("datafusion."));
    Some(short.unwrap_or(name).to_string())
}

/// The table that was probably meant, or those that there are.
fn other_tables(name: &str, ctx: &SessionContext) -> String {
    // `FROM sales.csv`, which SQL reads as table csv of schema sales.
    if Path::new(name).is_file() {
        return format!("; to read the file write '{name}', in quotes");
    }
    let mut tables: Vec<String> = ctx
        .catalog("datafusion")
        .and_then(|catalog| catalog.schema("public"))
        .map(|schema| schema.table_names())
        .unwrap_or_default();
    tables.sort();
    let distance = |table: &String| levenshtein(&table.to_lowercase(), &name.to_lowercase());
    if let Some(near) = tables.iter().min_by_key(|table| distance(table)).filter(|table| distance(table) <= 2) {
        return format!("; did you mean '{near}'?");
    }
    const SHOWN: usize = 12;
    match tables.len() {
        0 => "; there are no tables yet: SELECT * FROM 'file.parquet' needs none".to_string(),
        n if n <= SHOWN => format!("; the tables are {}", tables.join(", ")),
        n => format!("; there are {n} tables, and \\d lists them"),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use crate::shell::message::{Message, of_statement, one_line};

    async fn message(sql: &str) -> Message {
        let ctx = SessionContext::new();
        ctx.sql("CREATE TABLE orders AS SELECT 1 AS key, 'x' AS text").await.unwrap();
        let error = match ctx.sql(sql).await {
            Ok(frame) => frame.collect().await.unwrap_err(),
            Err(error) => error,
        };
        of_statement(&error, &ctx)
    }

    #[tokio::test]
    async fn names_that_are_unknown_come_with_those_that_are_not() {
        assert_eq!(message("SELECT * FROM order_s").await.text, "table 'order_s' not found; did you mean 'orders'?");
        assert_eq!(message("SELECT * FROM nope").await.text, "table 'nope' not found; the tables are orders");
        let column = message("SELECT kay FROM orders").await.text;
        assert!(column.contains("No field named kay") && column.contains("orders.key"), "{column}");
    }

    #[tokio::test]
    async fn syntax_errors_say_where() {
        let Message { text, at } = message("SELECT 1\n  FRM orders x y").await;
        assert!(text.starts_with("syntax error: ") && !text.contains("Line"), "{text}");
        assert_eq!(at.map(|(line, _)| line), Some(2));
        assert!(message("SELECT 'open").await.text.starts_with("syntax error: Unterminated string literal"));
    }

    #[tokio::test]
    async fn run_time_errors_lose_the_names_of_types() {
        assert_eq!(message("SELECT key / (key - 1) FROM orders").await.text, "division by zero");
        let cast = message("SELECT CAST(text AS INT) FROM orders").await.text;
        assert!(cast.starts_with("Cannot cast string 'x'"), "{cast}");
        let option = message("SET datafusion.nope = 1").await.text;
        assert!(option.ends_with("SHOW ALL lists them"), "{option}");
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(one_line("a\n b\r\n\n\tc\u{1b}[31m"), "a b c [31m");
    }
}
