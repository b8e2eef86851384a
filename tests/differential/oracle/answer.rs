//! What an engine answers to a statement, in a form in which the answers of all engines can be compared.

use std::fmt::Write;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;

/// Relative difference up to which two numbers are equal.
const TOLERANCE: f64 = 1e-9;

/// How many rows of an answer a message shows.
const SHOWN: usize = 20;

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    /// Integers, floats, decimals, and conditions as 1 and 0.
    Number(f64),
    /// Text, and dates as ISO 8601.
    Text(String),
}

impl Cell {
    /// Brings equal rows together. Numbers contribute six digits.
    fn key(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Number(number) => format!("{:.5e}", number + 0.0),
            Self::Text(text) => format!("'{text}"),
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
            _ => self == other,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("'{text}'"),
        }
    }
}

pub type Row = Vec<Cell>;

#[derive(Clone, Debug)]
pub enum Answer {
    Rows(Vec<Row>),
    Error(String),
    /// The statement has no device form.
    Refused(String),
}

impl Answer {
    /// Returns whether two engines that both give rows give the same. Of statements without an order, any order will do.
    pub fn same_rows(a: &[Row], b: &[Row], ordered: bool) -> bool {
        let agree = |(a, b): (&Row, &Row)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.agrees(b));
        if a.len() != b.len() {
            return false;
        }
        if ordered {
            return a.iter().zip(b).all(agree);
        }
        let (a, mut b) = (sorted(a), sorted(b));
        if a.iter().zip(&b).all(agree) {
            return true;
        }
        // Numbers that were rounded differently may sort differently, so pair the rows one by one.
        a.iter().all(|row| {
            let found = b.iter().position(|other| agree((row, other)));
            found.map(|at| b.swap_remove(at)).is_some()
        })
    }

    pub fn shown(&self) -> String {
        let rows = match self {
            Self::Error(message) => return format!("error: {}", beginning(message)),
            Self::Refused(message) => return format!("refused: {}", beginning(message)),
            Self::Rows(rows) => rows,
        };
        let mut out = format!("{} rows", rows.len());
        for row in rows.iter().take(SHOWN) {
            let cells: Vec<_> = row.iter().map(Cell::shown).collect();
            let _ = write!(out, "\n    {}", cells.join(" | "));
        }
        if rows.len() > SHOWN {
            out += "\n    ...";
        }
        out
    }
}

/// The first lines of a message: the rule that failed, and why.
fn beginning(message: &str) -> String {
    message.lines().take(5).collect::<Vec<_>>().join("\n    ")
}

fn sorted(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort_by_cached_key(|row| row.iter().map(Cell::key).collect::<Vec<_>>());
    rows
}

/// Reads what DataFusion returns.
pub fn rows(batches: &[RecordBatch]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| cells(column.as_ref())).collect::<Result<_>>()?;
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|cells: &Row| cells[row].clone()).collect::<Row>()),
        );
    }
    Ok(rows)
}

fn cells(array: &dyn Array) -> Result<Row> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let cell = |row: usize| -> Result<Cell> {
        if array.is_null(row) || array.data_type() == &DataType::Null {
            return Ok(Cell::Null);
        }
        Ok(match array.data_type() {
            DataType::Boolean => Cell::Number(f64::from(u8::from(array.as_boolean().value(row)))),
            DataType::Float64 => Cell::Number(array.as_primitive::<Float64Type>().value(row)),
            t => {
                let text = formatter.value(row).try_to_string()?;
                match t.is_numeric().then(|| text.parse().ok()).flatten() {
                    Some(number) => Cell::Number(number),
                    None => Cell::Text(text),
                }
            }
        })
    };
    (0..array.len()).map(cell).collect()
}
