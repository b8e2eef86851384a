//! Writes the rows of a query as the files of SQLite's corpus expect them, and compares them.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use md5::{Digest, Md5};

use crate::sqlite::corpus::{Expected, Query, Sort};

/// Returns the values in the order in which they are compared.
pub fn values(batches: &[RecordBatch], query: &Query) -> Result<Vec<String>, ArrowError> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for batch in batches {
        let kinds = query.types.chars().chain(std::iter::repeat('T'));
        let columns: Vec<Vec<String>> =
            batch.columns().iter().zip(kinds).map(|(c, kind)| cells(c.as_ref(), kind)).collect::<Result<_, _>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c[row].clone()).collect::<Vec<_>>()));
    }
    if query.sort == Sort::Rows {
        rows.sort();
    }
    let mut values: Vec<String> = rows.into_iter().flatten().collect();
    if query.sort == Sort::Values {
        values.sort();
    }
    Ok(values)
}

fn cells(array: &dyn Array, kind: char) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let cell = |row: usize| -> Result<String, ArrowError> {
        if array.is_null(row) || array.data_type() == &DataType::Null {
            return Ok("NULL".to_string());
        }
        let text = match array.data_type() {
            // SQLite has no booleans.
            DataType::Boolean => u8::from(array.as_boolean().value(row)).to_string(),
            DataType::Float32 => array.as_primitive::<Float32Type>().value(row).to_string(),
            DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
            _ => formatter.value(row).try_to_string()?,
        };
        Ok(match kind {
            'I' => integer(&text),
            'R' => format!("{:.3}", number(&text)),
            _ if text.is_empty() => "(empty)".to_string(),
            _ => text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '@' }).collect(),
        })
    };
    (0..array.len()).map(cell).collect()
}

/// A number without its fraction; text that is no number is 0.
fn integer(text: &str) -> String {
    match text.parse::<i128>() {
        Ok(number) => number.to_string(),
        Err(_) => format!("{:.0}", number(text).trunc() + 0.0),
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(0.0)
}

/// Returns the hash of the values, as a file states it.
pub fn hash(values: &[String]) -> String {
    let mut md5 = Md5::new();
    for value in values {
        md5.update(value.as_bytes());
        md5.update(b"\n");
    }
    md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says what is wrong with the values, if something is.
pub fn difference(values: &[String], expected: &Expected) -> Option<String> {
    const SHOWN: usize = 12;
    let shown = |values: &[String]| {
        let more = if values.len() > SHOWN { ", .." } else { "" };
        format!("{} values: {}{more}", values.len(), values[..values.len().min(SHOWN)].join(", "))
    };
    match expected {
        Expected::Nothing => None,
        Expected::Values(expected) if values == expected => None,
        Expected::Values(expected) => Some(format!("expected {}\n  but got {}", shown(expected), shown(values))),
        Expected::Hash { values: n, md5 } if values.len() == *n && hash(values) == *md5 => None,
        Expected::Hash { values: n, md5 } => {
            Some(format!("expected {n} values with the hash {md5}\n  but got {} ({})", shown(values), hash(values)))
        }
    }
}
