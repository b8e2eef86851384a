//! The text form of result cells in an .slt file.
//!
//! | letter | Arrow types | text |
//! |---|---|---|
//! | `T` | strings, binary | the text; `(empty)`; in quotes where blanks or control characters would be lost |
//! | `I` | integers | decimal |
//! | `R` | floats, decimals | floats to 12 significant digits (6 for Float32), decimals exactly, with their scale |
//! | `B` | booleans | `true`, `false` |
//! | `D` | dates, times, timestamps | ISO 8601 |
//! | `?` | anything else | as Arrow displays it |
//!
//! NULL is always `NULL`. Devices add floats in another order than the host, so that their last digits differ.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use sqllogictest::{ColumnType, Normalizer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Text,
    Integer,
    Real,
    Boolean,
    Date,
    Other,
}

impl ColumnType for Column {
    fn from_char(value: char) -> Option<Self> {
        Some(match value {
            'T' => Self::Text,
            'I' => Self::Integer,
            'R' => Self::Real,
            'B' => Self::Boolean,
            'D' => Self::Date,
            '?' => Self::Other,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Text => 'T',
            Self::Integer => 'I',
            Self::Real => 'R',
            Self::Boolean => 'B',
            Self::Date => 'D',
            Self::Other => '?',
        }
    }
}

/// Returns the letter of each column.
pub fn columns(schema: &Schema) -> Vec<Column> {
    schema.fields().iter().map(|field| column(field.data_type())).collect()
}

fn column(data_type: &DataType) -> Column {
    match data_type {
        DataType::Dictionary(_, values) => column(values),
        DataType::Boolean => Column::Boolean,
        t if t.is_integer() => Column::Integer,
        t if t.is_floating() || t.is_decimal() => Column::Real,
        t if t.is_string() || t.is_binary() => Column::Text,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) => {
            Column::Date
        }
        _ => Column::Other,
    }
}

/// Appends the rows of a batch.
pub fn push_rows(batch: &RecordBatch, rows: &mut Vec<Vec<String>>) -> Result<(), ArrowError> {
    let columns: Vec<Vec<String>> = batch.columns().iter().map(|c| cells(c.as_ref())).collect::<Result<_, _>>()?;
    rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|cells| cells[row].clone()).collect::<Vec<_>>()));
    Ok(())
}

fn cells(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let cell = |row: usize| -> Result<String, ArrowError> {
        if array.is_null(row) || array.data_type() == &DataType::Null {
            return Ok("NULL".to_string());
        }
        Ok(match array.data_type() {
            DataType::Float16 => float(array.as_primitive::<Float16Type>().value(row).to_f64(), 4),
            DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row).into(), 6),
            DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row), 12),
            t if column(t) == Column::Text => text(&formatter.value(row).try_to_string()?),
            _ => formatter.value(row).try_to_string()?,
        })
    };
    (0..array.len()).map(cell).collect()
}

fn text(value: &str) -> String {
    if value.is_empty() {
        return "(empty)".to_string();
    }
    let lossy = value.trim() != value || value.contains(|c: char| c.is_control()) || value.contains("  ");
    if lossy { format!("{value:?}") } else { value.to_string() }
}

/// Formats `value` with `digits` significant digits, in the shortest form that reads back the same.
fn float(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.*e}", digits - 1).parse().unwrap_or(value);
    let magnitude = rounded.abs();
    if magnitude != 0.0 && !(1e-5..1e15).contains(&magnitude) { format!("{rounded:e}") } else { rounded.to_string() }
}

/// Returns the value unchanged: cells are normalised when they are created, and lines of a file are compared as they
/// are.
#[allow(clippy::ptr_arg, reason = "the signature is sqllogictest's")]
pub fn normalize(value: &String) -> String {
    value.trim_end().to_string()
}

/// Returns whether the rows agree: their cells, joined by blanks, must be the expected lines.
pub fn validate(normalize: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(row, line)| normalize(&row.join(" ")) == normalize(line))
}
