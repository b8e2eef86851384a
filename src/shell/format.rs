//! Rows as text: a table, a line for each value, CSV, JSON or Markdown.

use std::io::{self, Write};
use std::sync::Arc;

use clap::ValueEnum;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::{LineDelimitedWriter, WriterBuilder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns in a frame; EXPLAIN as plain text
    #[value(aliases = ["box", "duckbox"])]
    Table,
    /// A line for each value, for wide rows
    #[value(aliases = ["line", "expanded"])]
    Vertical,
    /// A header line, then one line a row
    Csv,
    /// The same with tabs
    #[value(alias = "tabs")]
    Tsv,
    /// An array with one object a row
    Json,
    /// One object a line
    #[value(aliases = ["jsonl", "jsonlines"])]
    Ndjson,
    /// A Markdown table
    Markdown,
    /// No rows, only the time
    #[value(alias = "trash")]
    None,
}

impl Format {
    /// The name that `--format` and `\format` take.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Vertical => "vertical",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Markdown => "markdown",
            Self::None => "none",
        }
    }

    /// All names, as `table, csv and json` with `and` for the last word.
    pub fn names(last: &str) -> String {
        let names: Vec<&str> = Self::value_variants().iter().map(|format| format.name()).collect();
        match names.split_last() {
            Some((none, others)) => format!("{} {last} {none}", others.join(", ")),
            None => String::new(),
        }
    }

    /// Whether it is for eyes, so that a long result may be cut.
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Vertical | Self::Markdown)
    }
}

/// How a NULL looks where the format has no other way to say it.
const NULL: &str = "NULL";

/// Prints the rows of one result as they come. A table waits for the last, because its widths depend on all of them.
pub struct Printer {
    format: Format,
    schema: SchemaRef,
    /// Rows that a table keeps until it knows its widths.
    kept: Vec<RecordBatch>,
    /// Most rows to print.
    limit: usize,
    rows: usize,
    started: bool,
}

impl Printer {
    /// A printer of rows of `schema`, of which it prints at most `limit`.
    pub fn new(format: Format, schema: SchemaRef, limit: Option<usize>) -> Self {
        Self { format, schema, kept: Vec::new(), limit: limit.unwrap_or(usize::MAX), rows: 0, started: false }
    }

    /// Prints what comes before the rows, once there are some: a query that fails at once prints nothing.
    fn start(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.started, true) || self.has_no_columns() {
            return Ok(());
        }
        match self.format {
            Format::Table | Format::Vertical | Format::Ndjson | Format::None => Ok(()),
            Format::Csv => write_csv(&RecordBatch::new_empty(Arc::clone(&self.schema)), b',', true, out),
            Format::Tsv => write_csv(&RecordBatch::new_empty(Arc::clone(&self.schema)), b'\t', true, out),
            Format::Json => out.write_all(b"["),
            Format::Markdown => write_markdown_header(&self.schema, out),
        }
    }

    /// Prints rows, or keeps them. Rows over the limit are only counted.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
        let room = self.limit.saturating_sub(self.rows);
        let before = self.rows;
        self.rows += batch.num_rows();
        let batch = batch.slice(0, batch.num_rows().min(room));
        if batch.num_rows() == 0 || self.has_no_columns() {
            return Ok(());
        }
        self.start(out)?;
        match self.format {
            Format::Table => {
                self.kept.push(batch);
                Ok(())
            }
            // A plan is text of its own.
            Format::Vertical if is_explain(&self.schema) => {
                self.kept.push(batch);
                Ok(())
            }
            Format::Vertical => write_vertical(&batch, before, out),
            Format::Csv => write_csv(&batch, b',', false, out),
            Format::Tsv => write_csv(&batch, b'\t', false, out),
            Format::Json => write_json(&batch, if before == 0 { "" } else { ",\n" }, ",\n", "", out),
            Format::Ndjson => write_json(&batch, "", "\n", "\n", out),
            Format::Markdown => write_markdown(&batch, out),
            Format::None => Ok(()),
        }
    }

    /// Prints what comes after the rows.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.start(out)?;
        match self.format {
            _ if self.has_no_columns() => Ok(()),
            Format::Table | Format::Vertical if is_explain(&self.schema) => write_plans(&self.kept, out),
            Format::Table => {
                if self.kept.is_empty() {
                    self.kept.push(RecordBatch::new_empty(Arc::clone(&self.schema)));
                }
                let table = pretty_format_batches_with_options(&self.kept, &options()).map_err(invalid)?;
                writeln!(out, "{table}")
            }
            Format::Json => out.write_all(b"]\n"),
            Format::Vertical | Format::Csv | Format::Tsv | Format::Ndjson | Format::Markdown | Format::None => Ok(()),
        }
    }

    /// Rows so far, those over the limit included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that were not printed.
    pub fn left_out(&self) -> usize {
        self.rows.saturating_sub(self.limit)
    }

    /// A statement such as SET or CREATE VIEW gives no columns; nothing is printed for it.
    pub fn has_no_columns(&self) -> bool {
        self.schema.fields().is_empty()
    }
}

fn options() -> FormatOptions<'static> {
    FormatOptions::default().with_null(NULL).with_display_error(true)
}

fn invalid(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

fn write_csv(batch: &RecordBatch, delimiter: u8, header: bool, out: &mut dyn Write) -> io::Result<()> {
    let batch = nested_as_text(batch).map_err(invalid)?;
    let writer = csv::WriterBuilder::new().with_delimiter(delimiter).with_header(header);
    writer.build(out).write(&batch).map_err(invalid)
}

/// CSV has no lists or structs: they become their text.
fn nested_as_text(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !batch.schema().fields().iter().any(|field| field.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            let formatter = ArrayFormatter::try_new(column, &options())?;
            let text: StringArray =
                (0..column.len()).map(|row| (!column.is_null(row)).then(|| formatter.value(row).to_string())).collect();
            fields.push(Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)));
            columns.push(Arc::new(text));
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// An object a line. `first` comes before the first, `between` between two of them, and `last` after the last; DuckDB's shell
/// prints an array with `,` at the ends of its lines.
fn write_json(batch: &RecordBatch, first: &str, between: &str, last: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    let mut writer: LineDelimitedWriter<_> = WriterBuilder::new().with_explicit_nulls(true).build(&mut text);
    writer.write(batch).and_then(|()| writer.finish()).map_err(invalid)?;
    // A line break within a value is escaped, so each line is a row.
    for (row, line) in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        out.write_all(if row == 0 { first } else { between }.as_bytes())?;
        out.write_all(line)?;
    }
    out.write_all(last.as_bytes())
}

/// A heading for each row, then `name | value` lines; a value of several lines goes on below its first.
fn write_vertical(batch: &RecordBatch, rows_before: usize, out: &mut dyn Write) -> io::Result<()> {
    let options = options();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    let schema = batch.schema();
    let width = schema.fields().iter().map(|field| field.name().chars().count()).max().unwrap_or(0);
    for row in 0..batch.num_rows() {
        writeln!(out, "-[ row {} ]-", rows_before + row + 1)?;
        for (field, column) in schema.fields().iter().zip(&columns) {
            let text = column.value(row).to_string();
            let mut lines = text.lines();
            writeln!(out, "{:width$} | {}", field.name(), lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(out, "{:width$} | {line}", "")?;
            }
        }
    }
    Ok(())
}

fn write_markdown_header(schema: &Schema, out: &mut dyn Write) -> io::Result<()> {
    for field in schema.fields() {
        write!(out, "| {} ", markdown_cell(field.name()))?;
    }
    writeln!(out, "|")?;
    for field in schema.fields() {
        write!(out, "| {} ", if field.data_type().is_numeric() { "---:" } else { "---" })?;
    }
    writeln!(out, "|")
}

fn write_markdown(batch: &RecordBatch, out: &mut dyn Write) -> io::Result<()> {
    let options = options();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    for row in 0..batch.num_rows() {
        for column in &columns {
            write!(out, "| {} ", markdown_cell(&column.value(row).to_string()))?;
        }
        writeln!(out, "|")?;
    }
    Ok(())
}

fn markdown_cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace("\r\n", "<br>").replace(['\n', '\r'], "<br>")
}

fn is_explain(schema: &Schema) -> bool {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names == ["plan_type", "plan"]
}

/// A plan in a frame would be as wide as its longest line, so plans are printed without one.
fn write_plans(batches: &[RecordBatch], out: &mut dyn Write) -> io::Result<()> {
    let options = options();
    for batch in batches {
        let [kinds, plans] = batch.columns() else { continue };
        let kinds = ArrayFormatter::try_new(kinds, &options).map_err(invalid)?;
        let plans = ArrayFormatter::try_new(plans, &options).map_err(invalid)?;
        for row in 0..batch.num_rows() {
            writeln!(out, "{}:", kinds.value(row))?;
            for line in plans.value(row).to_string().lines() {
                writeln!(out, "  {line}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use crate::shell::format::{Format, Printer};

    async fn print(format: Format, sql: &str, limit: Option<usize>) -> (String, usize) {
        let frame = SessionContext::new().sql(sql).await.unwrap();
        let mut printer = Printer::new(format, frame.schema().inner().clone(), limit);
        let mut out = Vec::new();
        for batch in frame.collect().await.unwrap() {
            printer.write(&batch, &mut out).unwrap();
        }
        printer.finish(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), printer.left_out())
    }

    const ROWS: &str = "SELECT * FROM (VALUES (1, 'a|b', 1.50), (NULL, 'c,\"d\"\ne', NULL)) AS t(n, s, x)";

    #[tokio::test]
    async fn every_format_prints_nulls_and_odd_text() {
        insta::assert_snapshot!(print(Format::Table, ROWS, None).await.0, @r#"
        +------+-------+------+
        | n    | s     | x    |
        +------+-------+------+
        | 1    | a|b   | 1.5  |
        | NULL | c,"d" | NULL |
        |      | e     |      |
        +------+-------+------+
        "#);
        insta::assert_snapshot!(print(Format::Csv, ROWS, None).await.0, @r#"
        n,s,x
        1,a|b,1.5
        ,"c,""d""
        e",
        "#);
        insta::assert_snapshot!(print(Format::Json, ROWS, None).await.0, @r#"
        [{"n":1,"s":"a|b","x":1.5},
        {"n":null,"s":"c,\"d\"\ne","x":null}]
        "#);
        assert_eq!(print(Format::Tsv, ROWS, None).await.0, "n\ts\tx\n1\ta|b\t1.5\n\t\"c,\"\"d\"\"\ne\"\t\n");
        insta::assert_snapshot!(print(Format::Ndjson, ROWS, None).await.0, @r#"
        {"n":1,"s":"a|b","x":1.5}
        {"n":null,"s":"c,\"d\"\ne","x":null}
        "#);
        insta::assert_snapshot!(print(Format::Vertical, ROWS, None).await.0, @r#"
        -[ row 1 ]-
        n | 1
        s | a|b
        x | 1.5
        -[ row 2 ]-
        n | NULL
        s | c,"d"
          | e
        x | NULL
        "#);
        assert_eq!(print(Format::None, ROWS, None).await.0, "");
        insta::assert_snapshot!(print(Format::Markdown, ROWS, None).await.0, @r#"
        | n | s | x |
        | ---: | --- | ---: |
        | 1 | a\|b | 1.5 |
        | NULL | c,"d"<br>e | NULL |
        "#);
    }

    #[tokio::test]
    async fn a_result_without_rows_keeps_its_columns() {
        let empty = "SELECT 1 AS a, 2 AS b LIMIT 0";
        assert_eq!(print(Format::Table, empty, None).await.0, "+---+---+\n| a | b |\n+---+---+\n+---+---+\n");
        assert_eq!(print(Format::Csv, empty, None).await.0, "a,b\n");
        assert_eq!(print(Format::Tsv, empty, None).await.0, "a\tb\n");
        assert_eq!(print(Format::Json, empty, None).await.0, "[]\n");
        assert_eq!(print(Format::Ndjson, empty, None).await.0, "");
        assert_eq!(print(Format::Vertical, empty, None).await.0, "");
        assert_eq!(print(Format::Markdown, empty, None).await.0, "| a | b |\n| ---: | ---: |\n");
    }

    #[tokio::test]
    async fn rows_over_the_limit_are_counted() {
        let (text, left_out) = print(Format::Csv, "SELECT value FROM range(1000)", Some(2)).await;
        assert_eq!((text.as_str(), left_out), ("value\n0\n1\n", 998));
        let (text, _) = print(Format::Json, "SELECT value FROM range(1000)", Some(2)).await;
        assert_eq!(text, "[{\"value\":0},\n{\"value\":1}]\n");
    }

    #[tokio::test]
    async fn decimals_are_numbers_and_nested_values_are_text_in_csv() {
        let sql = "SELECT CAST(1.50 AS DECIMAL(10, 2)) AS d, DATE '2024-02-29' AS day, [1, 2] AS list";
        assert_eq!(print(Format::Json, sql, None).await.0, "[{\"d\":1.50,\"day\":\"2024-02-29\",\"list\":[1,2]}]\n");
        assert_eq!(print(Format::Csv, sql, None).await.0, "d,day,list\n1.50,2024-02-29,\"[1, 2]\"\n");
    }

    #[tokio::test]
    async fn plans_are_printed_without_a_frame() {
        let (text, _) = print(Format::Table, "EXPLAIN FORMAT INDENT SELECT 1", None).await;
        assert!(text.starts_with("logical_plan:\n  Projection: Int64(1)\n"), "{text}");
    }
}
