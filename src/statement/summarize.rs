//! `SUMMARIZE`: a row per column of a table or query, with statistics of its values.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{approx_distinct, approx_percentile_cont, avg, count, max, min, stddev};
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::{frontend, tables};

/// The operand of SUMMARIZE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summarized {
    /// A table, or a file.
    Table(TableReference),
    /// The rows of a query.
    Query(Box<ast::Query>),
}

/// The text columns of the result, each the value of an aggregate; NULL if the aggregate does not apply to the type.
const TEXTS: [&str; 7] = ["min", "max", "avg", "std", "q25", "q50", "q75"];

impl Summarized {
    /// Parses the operand, after the word SUMMARIZE.
    ///
    /// # Errors
    /// If it is neither a table name nor a query.
    pub fn parse(parser: &mut Parser<'_>, normalize: bool) -> Result<Self> {
        let is_query = match &parser.peek_token_ref().token {
            Token::LParen => true,
            Token::Word(word) => {
                matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::FROM | Keyword::VALUES)
            }
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => false,
            _ => return parser.expected_ref("a table or a query", parser.peek_token_ref()).map_err(Into::into),
        };
        if is_query {
            return Ok(Self::Query(parser.parse_query()?));
        }
        let name = parser.parse_object_name(false)?;
        object_name_to_table_reference(name, normalize).map(Self::Table)
    }

    /// Reads the rows once and returns a row per column.
    ///
    /// # Errors
    /// If the table does not exist, or the query is invalid or fails.
    pub async fn run(self, ctx: &SessionContext) -> Result<DataFrame> {
        let frame = match self {
            Self::Table(table) => ctx.table(table).await?,
            Self::Query(query) => {
                let statement = Statement::Statement(Box::new(ast::Statement::Query(query)));
                let state = ctx.state();
                let plan = frontend::plan(&state, frontend::parse(statement, state.config_options())?).await?;
                DataFrame::new(ctx.state(), plan)
            }
        };
        let fields: Vec<(Expr, Arc<Field>)> = frame
            .schema()
            .iter()
            .map(|(table, field)| (Expr::Column(Column::new(table.cloned(), field.name())), Arc::clone(field)))
            .collect();
        let mut aggregates = vec![count(lit(1_i64)).alias("rows")];
        for (number, (column, field)) in fields.iter().enumerate() {
            let of_column = aggregates_of(column, field.data_type());
            aggregates
                .extend(of_column.into_iter().map(|(name, aggregate)| aggregate.alias(format!("{name} {number}"))));
        }
        let summary = frame.aggregate(Vec::new(), aggregates)?;
        let query = summary.logical_plan().clone();
        let summary = match summary.collect().await {
            Ok(summary) => summary,
            Err(error) => return Err(tables::locate_csv_value_of(error, &ctx.state(), &query).await),
        };
        let value = |name: &str| -> Result<ScalarValue> {
            let batch = summary.iter().find(|batch| batch.num_rows() > 0);
            let column = batch.and_then(|batch| batch.column_by_name(name));
            column.map_or(Ok(ScalarValue::Null), |column| ScalarValue::try_from_array(column, 0))
        };
        ctx.read_batch(rows(&fields, &value)?)
    }
}

/// Returns the aggregates that apply to a column of this type, each with the name of its result.
fn aggregates_of(column: &Expr, data_type: &DataType) -> Vec<(&'static str, Expr)> {
    let text = |value: Expr| cast(value, DataType::Utf8);
    let mut aggregates = vec![("values", count(column.clone()))];
    let distinct_as = if data_type.is_floating() { text(column.clone()) } else { column.clone() };
    aggregates.push(("approx_unique", approx_distinct(distinct_as)));
    if data_type.is_nested() || data_type.is_null() {
        return aggregates;
    }
    aggregates.push(("min", text(min(column.clone()))));
    aggregates.push(("max", text(max(column.clone()))));
    let number = cast(column.clone(), DataType::Float64);
    if data_type.is_numeric() {
        aggregates.push(("avg", text(avg(number.clone()))));
        aggregates.push(("std", text(stddev(number.clone()))));
    }
    // Quartiles of dates and timestamps are computed on the integers that store them.
    let (number, back): (Expr, Box<dyn Fn(Expr) -> Expr>) = match data_type {
        _ if data_type.is_numeric() => (number, Box::new(|quartile| quartile)),
        DataType::Date32 => (
            cast(cast(column.clone(), DataType::Int32), DataType::Float64),
            Box::new(|quartile| cast(cast(quartile, DataType::Int32), DataType::Date32)),
        ),
        DataType::Timestamp(..) => {
            let data_type = data_type.clone();
            (
                cast(cast(column.clone(), DataType::Int64), DataType::Float64),
                Box::new(move |quartile| cast(cast(quartile, DataType::Int64), data_type.clone())),
            )
        }
        _ => return aggregates,
    };
    for (name, part) in [("q25", 0.25), ("q50", 0.5), ("q75", 0.75)] {
        let quartile = approx_percentile_cont(number.clone().sort(true, false), lit(part), None);
        aggregates.push((name, text(back(quartile))));
    }
    aggregates
}

/// Returns the result, with the columns of DuckDB's SUMMARIZE.
fn rows(fields: &[(Expr, Arc<Field>)], value: &dyn Fn(&str) -> Result<ScalarValue>) -> Result<RecordBatch> {
    let numbers = || 0..fields.len();
    let count = |name: &str| -> Result<i64> {
        Ok(match value(name)? {
            ScalarValue::Int64(Some(count)) => count,
            ScalarValue::UInt64(Some(count)) => i64::try_from(count).unwrap_or(i64::MAX),
            _ => 0,
        })
    };
    let all = count("rows")?;
    let types = fields.iter().map(|(_, field)| field.data_type().to_string());
    let names = fields.iter().map(|(_, field)| field.name());
    let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("column_name", Arc::new(StringArray::from_iter_values(names)), false),
        ("column_type", Arc::new(StringArray::from_iter_values(types)), false),
    ];
    for name in TEXTS {
        let text = |number: usize| -> Result<Option<String>> {
            let value = value(&format!("{name} {number}"))?;
            Ok((!value.is_null()).then(|| value.to_string()))
        };
        let texts = numbers().map(text).collect::<Result<StringArray>>()?;
        columns.push((name, Arc::new(texts), true));
    }
    let distinct = numbers().map(|number| Ok(count(&format!("approx_unique {number}"))?.unsigned_abs()));
    let distinct: UInt64Array = distinct.collect::<Result<Vec<u64>>>()?.into();
    // The same position as in DuckDB.
    columns.insert(4, ("approx_unique", Arc::new(distinct), false));
    columns.push(("count", Arc::new(Int64Array::from(vec![all; fields.len()])), false));
    let nulls = |number: usize| -> Result<f64> {
        let nulls = (all - count(&format!("values {number}"))?) as f64;
        Ok(if all == 0 { 0.0 } else { (nulls / all as f64 * 1e4).round() / 1e2 })
    };
    let nulls = numbers().map(nulls).collect::<Result<Vec<f64>>>()?;
    columns.push(("null_percentage", Arc::new(Float64Array::from(nulls)), false));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    use crate::statement::run;

    #[tokio::test]
    async fn every_type_has_a_row() {
        let ctx = SessionContext::new();
        let table = "CREATE TABLE t AS SELECT * FROM (VALUES \
                     (1, 1.5, 'b', DATE '2024-01-01', true, [1]), (3, NULL, 'a', DATE '2024-01-03', false, [2]), \
                     (2, 2.5, NULL, DATE '2024-01-02', true, NULL)) AS t(i, x, s, d, b, l)";
        ctx.sql(table).await.unwrap();
        let print = async |sql: &str| {
            let batches = run(&ctx, sql).await.unwrap().unwrap().collect().await.unwrap();
            pretty_format_batches(&batches).unwrap().to_string()
        };
        insta::assert_snapshot!(print("SUMMARIZE t").await, @r"
        +-------------+-------------+------------+------------+---------------+-----+--------------------+------------+------------+------------+-------+-----------------+
        | column_name | column_type | min        | max        | approx_unique | avg | std                | q25        | q50        | q75        | count | null_percentage |
        +-------------+-------------+------------+------------+---------------+-----+--------------------+------------+------------+------------+-------+-----------------+
        | i           | Int64       | 1          | 3          | 3             | 2.0 | 1.0                | 1.25       | 2.0        | 2.75       | 3     | 0.0             |
        | x           | Float64     | 1.5        | 2.5        | 2             | 2.0 | 0.7071067811865476 | 1.5        | 2.0        | 2.5        | 3     | 33.33           |
        | s           | Utf8        | a          | b          | 2             |     |                    |            |            |            | 3     | 33.33           |
        | d           | Date32      | 2024-01-01 | 2024-01-03 | 3             |     |                    | 2024-01-01 | 2024-01-02 | 2024-01-02 | 3     | 0.0             |
        | b           | Boolean     | false      | true       | 2             |     |                    |            |            |            | 3     | 0.0             |
        | l           | List(Int64) |            |            | 2             |     |                    |            |            |            | 3     | 33.33           |
        +-------------+-------------+------------+------------+---------------+-----+--------------------+------------+------------+------------+-------+-----------------+
        ");
        let query = print("SUMMARIZE FROM t WHERE i > 5").await;
        assert!(query.contains("| i           | Int64       |     |     | 0             |"), "{query}");
        assert_eq!(query, print("SUMMARIZE (SELECT * FROM t WHERE i > 5);").await);
    }
}
