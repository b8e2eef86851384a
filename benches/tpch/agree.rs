//! Compares the rows of two engines. Integers, strings and dates must be equal, as must decimals of the same scale. An
//! average or a quotient may be a decimal in one engine and a float in the other, and is then compared as a number.

use std::cmp::Ordering;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::error::Result;

/// Larger results are compared column by column, in order, without building cells.
const MANY_ROWS: usize = 100_000;

/// Maximum relative difference of floats.
const RELATIVE: f64 = 1e-9;

/// Fractional digits from which a decimal may be a rounded average or quotient.
const ROUNDED_SCALE: i8 = 4;

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    /// Unscaled value and scale. Integers have scale 0.
    Decimal(i128, i8),
    Float(f64),
    Text(String),
}

/// Returns `None` if `actual` has the rows of `expected`, else a description of the difference. Unless `ordered`, the
/// order of the rows is ignored.
pub fn difference(expected: &[RecordBatch], actual: &[RecordBatch], ordered: bool) -> Result<Option<String>> {
    let rows: [usize; 2] = [expected, actual].map(|batches| batches.iter().map(RecordBatch::num_rows).sum());
    if rows[0] != rows[1] {
        return Ok(Some(format!("{} rows instead of {}", rows[1], rows[0])));
    }
    if rows[0] == 0 {
        return Ok(None);
    }
    let columns = [expected, actual].map(|batches| batches[0].num_columns());
    if columns[0] != columns[1] {
        return Ok(Some(format!("{} columns instead of {}", columns[1], columns[0])));
    }
    if rows[0] > MANY_ROWS {
        for index in 0..columns[0] {
            let (expected, actual) = (column(expected, index)?, column(actual, index)?);
            if expected.as_ref() != cast(&actual, expected.data_type())?.as_ref() {
                return Ok(Some(format!("column {index}")));
            }
        }
        return Ok(None);
    }
    let (mut expected, mut actual) = (cells(expected)?, cells(actual)?);
    if !ordered {
        expected.sort_by(|a, b| compare(a, b));
        actual.sort_by(|a, b| compare(a, b));
    }
    let equal = |(e, a): &(&Vec<Cell>, &Vec<Cell>)| e.iter().zip(a.iter()).all(|(e, a)| same(e, a));
    let differing = expected.iter().zip(&actual).position(|pair| !equal(&pair));
    Ok(differing.map(|row| format!("row {row} is {:?} instead of {:?}", actual[row], expected[row])))
}

/// Returns one column of all batches.
fn column(batches: &[RecordBatch], index: usize) -> Result<ArrayRef> {
    let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
    Ok(concat(&parts)?)
}

/// Returns the rows.
fn cells(batches: &[RecordBatch]) -> Result<Vec<Vec<Cell>>> {
    let columns: Vec<Vec<Cell>> =
        (0..batches[0].num_columns()).map(|index| column_cells(&column(batches, index)?)).collect::<Result<_>>()?;
    Ok((0..columns[0].len()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

fn column_cells(array: &ArrayRef) -> Result<Vec<Cell>> {
    let data_type = match array.data_type() {
        integer if integer.is_integer() => DataType::Decimal128(38, 0),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        decimal @ DataType::Decimal128(_, _) => decimal.clone(),
        DataType::Float32 | DataType::Float64 => DataType::Float64,
        _ => DataType::Utf8,
    };
    let array = cast(array, &data_type)?;
    let cell = |row| match &data_type {
        _ if array.is_null(row) => Cell::Null,
        DataType::Decimal128(_, scale) => Cell::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        _ => Cell::Text(array.as_string::<i32>().value(row).to_string()),
    };
    Ok((0..array.len()).map(cell).collect())
}

fn same(expected: &Cell, actual: &Cell) -> bool {
    let number = |cell: &Cell| match cell {
        Cell::Decimal(value, scale) => Some((*value as f64 / 10f64.powi((*scale).into()), *scale)),
        // Floats have enough digits.
        Cell::Float(value) => Some((*value, i8::MAX)),
        _ => None,
    };
    match (expected, actual) {
        (Cell::Decimal(e, e_scale), Cell::Decimal(a, a_scale)) if e_scale == a_scale => e == a,
        _ => match (number(expected), number(actual)) {
            (Some((e, e_scale)), Some((a, a_scale))) => {
                let scale = e_scale.min(a_scale);
                let last_digit = if scale >= ROUNDED_SCALE { 10f64.powi(-i32::from(scale)) } else { 0.0 };
                e == a || (e - a).abs() <= last_digit.max(RELATIVE * e.abs().max(a.abs()))
            }
            _ => expected == actual,
        },
    }
}

/// Orders rows by the values that are exact in all engines.
fn compare(a: &[Cell], b: &[Cell]) -> Ordering {
    let cell = |(a, b): (&Cell, &Cell)| match (a, b) {
        (Cell::Decimal(a, _), Cell::Decimal(b, _)) => a.cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Less,
        (_, Cell::Null) => Ordering::Greater,
        _ => Ordering::Equal,
    };
    a.iter().zip(b).map(cell).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
