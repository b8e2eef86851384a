//! Formats values as the published files write them. Adapted from `normalize.rs` and `conversion.rs` of the crate
//! datafusion-sqllogictest 55.2.0 (Apache-2.0, the Apache Software Foundation), without what only Spark and Postgres
//! need.

use std::str::FromStr;

use bigdecimal::BigDecimal;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type,
    Float64Type, Schema,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::{ColumnType, Normalizer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    Boolean,
    DateTime,
    Integer,
    Float,
    Text,
    Timestamp,
    Another,
}

impl ColumnType for Column {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'B' => Self::Boolean,
            'D' => Self::DateTime,
            'I' => Self::Integer,
            'P' => Self::Timestamp,
            'R' => Self::Float,
            'T' => Self::Text,
            _ => Self::Another,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Boolean => 'B',
            Self::DateTime => 'D',
            Self::Integer => 'I',
            Self::Timestamp => 'P',
            Self::Float => 'R',
            Self::Text => 'T',
            Self::Another => '?',
        }
    }
}

/// Returns the letter of each column.
pub fn columns(schema: &Schema) -> Vec<Column> {
    let column = |data_type: &DataType| match data_type {
        DataType::Boolean => Column::Boolean,
        t if t.is_integer() => Column::Integer,
        t if t.is_floating() || t.is_decimal() => Column::Float,
        t if t.is_string() => Column::Text,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => Column::DateTime,
        DataType::Timestamp(..) => Column::Timestamp,
        DataType::Dictionary(key, value) if key.is_integer() && value.is_string() => Column::Text,
        _ => Column::Another,
    };
    schema.fields().iter().map(|field| column(field.data_type())).collect()
}

/// Returns every row as cells. If the last cell has several lines, it becomes as many numbered rows.
pub fn rows(batches: &[RecordBatch], workspace_root: &str) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = batch.columns().iter().map(|c| cell(c, row)).collect::<Result<_, _>>()?;
            for mut cells in expand(cells) {
                for cell in &mut cells {
                    if cell.contains(workspace_root) {
                        *cell = cell.replace(workspace_root, "WORKSPACE_ROOT");
                    }
                }
                rows.push(cells);
            }
        }
    }
    Ok(rows)
}

fn expand(mut row: Vec<String>) -> Vec<Vec<String>> {
    match row.pop() {
        Some(cell) if cell.contains('\n') => {
            let lines = (1..).zip(cell.split('\n')).map(|(number, line)| {
                // Leading blanks would be lost, so dashes replace them. Line numbers make plan changes easy to read.
                let content = line.trim_start();
                vec![format!("{number:02}){}{content}", "-".repeat(line.len() - content.len()))]
            });
            std::iter::once(row).chain(lines).collect()
        }
        Some(cell) => {
            row.push(cell);
            vec![row]
        }
        None => vec![row],
    }
}

fn cell(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    if column.is_null(row) {
        return Ok("NULL".to_string());
    }
    Ok(match column.data_type() {
        DataType::Null => "NULL".to_string(),
        DataType::Float16 => float(f64::from(column.as_primitive::<Float16Type>().value(row)), || {
            column.as_primitive::<Float16Type>().value(row).to_string()
        }),
        DataType::Float32 => float(f64::from(column.as_primitive::<Float32Type>().value(row)), || {
            column.as_primitive::<Float32Type>().value(row).to_string()
        }),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            float(value, || value.to_string())
        }
        DataType::Decimal32(_, scale) => {
            decimal::<Decimal32Type>(column.as_primitive::<Decimal32Type>().value(row), *scale)
        }
        DataType::Decimal64(_, scale) => {
            decimal::<Decimal64Type>(column.as_primitive::<Decimal64Type>().value(row), *scale)
        }
        DataType::Decimal128(_, scale) => {
            decimal::<Decimal128Type>(column.as_primitive::<Decimal128Type>().value(row), *scale)
        }
        DataType::Decimal256(_, scale) => {
            decimal::<Decimal256Type>(column.as_primitive::<Decimal256Type>().value(row), *scale)
        }
        DataType::Utf8 => text(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text(column.as_string_view().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            cell(dictionary.values(), dictionary.normalized_keys()[row])?
        }
        _ => {
            let options = FormatOptions::default().with_null("NULL").with_display_error(true);
            ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).to_string()
        }
    })
}

fn text(value: &str) -> String {
    match value {
        "" => "(empty)".to_string(),
        value => value.trim_end_matches('\n').replace('\u{0}', "\\0"),
    }
}

fn float(value: f64, digits: impl FnOnce() -> String) -> String {
    if value.is_nan() {
        "NaN".to_string()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string()
    } else {
        rounded(&digits(), 12)
    }
}

fn decimal<T: DecimalType>(value: T::Native, scale: i8) -> String {
    rounded(&T::format_decimal(value, u8::MAX, scale), i64::from(scale))
}

fn rounded(digits: &str, scale: i64) -> String {
    match BigDecimal::from_str(digits) {
        Ok(value) => value.round(scale).normalized().to_plain_string(),
        Err(_) => digits.to_string(),
    }
}

#[allow(clippy::ptr_arg, reason = "the signature is sqllogictest's")]
pub fn normalize(value: &String) -> String {
    value.trim_end().to_string()
}

/// Returns whether the rows agree: their cells, joined by blanks, must be the expected lines. `<slt:ignore>` matches
/// any text.
pub fn validate(normalize: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    const IGNORED: &str = "<slt:ignore>";
    let expected: Vec<_> = expected.iter().map(normalize).collect();
    let actual: Vec<_> = actual.iter().map(|row| row.join(" ").trim_end().to_string()).collect();
    if !expected.iter().any(|line| line.contains(IGNORED)) {
        return actual == expected;
    }
    let (actual, expected) = (actual.join("\n"), expected.join("\n"));
    let mut at = 0;
    for (index, fragment) in expected.split(IGNORED).enumerate().filter(|(_, fragment)| !fragment.is_empty()) {
        match actual[at..].find(fragment) {
            Some(found) if index > 0 || found == 0 => at += found + fragment.len(),
            _ => return false,
        }
    }
    true
}
