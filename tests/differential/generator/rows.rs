//! Results as multisets of rows, compared with a tolerance for floats.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;

/// Relative difference up to which two Float64 are equal. Float32 results have fewer digits.
const TOLERANCE: f64 = 1e-9;
const TOLERANCE_SINGLE: f64 = 1e-5;

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Float(f64, f64),
    Text(String),
}

impl Cell {
    /// Returns a sort key that brings equal rows together. Floats contribute only six digits.
    fn key(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Float(value, _) => format!("{:.5e}", value + 0.0),
            Self::Text(text) => text.clone(),
        }
    }

    /// Returns whether the cells are the same result. With `signs`, -0.0 differs from 0.0.
    fn agrees(&self, other: &Self, signs: bool) -> bool {
        match (self, other) {
            (Self::Float(a, _), Self::Float(b, _)) if *a == 0.0 && *b == 0.0 => {
                !signs || a.is_sign_negative() == b.is_sign_negative()
            }
            (Self::Float(a, tolerance), Self::Float(b, _)) => {
                // Infinity is close to nothing.
                let near = a.is_finite() && b.is_finite() && (a - b).abs() <= tolerance * a.abs().max(b.abs());
                // Results that underflow may be flushed to zero.
                let tiny = if *tolerance == TOLERANCE { 1e-290 } else { 1e-36 };
                (a.is_nan() && b.is_nan()) || a == b || near || (a.abs() < tiny && b.abs() < tiny)
            }
            _ => self == other,
        }
    }
}

/// The rows of one query.
pub struct Rows {
    schema: SchemaRef,
    rows: Vec<Vec<Cell>>,
    /// The rows in their original order.
    unsorted: Option<Vec<Vec<Cell>>>,
}

impl Rows {
    /// Keeps the original order, to compare it as well.
    pub fn in_order(schema: SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        Self::read(schema, batches, true)
    }

    pub fn new(schema: SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        Self::read(schema, batches, false)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    fn read(schema: SchemaRef, batches: &[RecordBatch], in_order: bool) -> Result<Self> {
        let mut rows = Vec::new();
        for batch in batches {
            let columns: Vec<_> = batch.columns().iter().map(|c| cells(c.as_ref())).collect::<Result<_>>()?;
            rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c[row].clone()).collect()));
        }
        let unsorted = in_order.then(|| rows.clone());
        rows.sort_by_cached_key(|row: &Vec<Cell>| row.iter().map(Cell::key).collect::<Vec<_>>());
        Ok(Self { schema, rows, unsorted })
    }

    /// Describes how `self` differs from `other` in names, types or rows, if it does. With `signs`, the sign of zero
    /// counts; for a MIN or MAX it depends on the order of rows.
    pub fn difference(&self, other: &Self, signs: bool) -> Option<String> {
        let fields = |rows: &Self| -> Vec<_> {
            rows.schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
        };
        if fields(self) != fields(other) {
            return Some(format!("columns {:?} and {:?}", fields(self), fields(other)));
        }
        if self.rows.len() != other.rows.len() {
            return Some(format!(
                "{} rows and {}\n{}",
                self.rows.len(),
                other.rows.len(),
                unmatched(self, other, signs)
            ));
        }
        let agree = |a: &[Cell], b: &[Cell]| a.iter().zip(b).all(|(a, b)| a.agrees(b, signs));
        if let (Some(these), Some(those)) = (&self.unsorted, &other.unsorted) {
            let at = these.iter().zip(those).position(|(a, b)| !agree(a, b));
            return at
                .map(|at| format!("row {at} is\n  {:?} in the first,\n  {:?} in the second", these[at], those[at]));
        }
        if self.rows.iter().zip(&other.rows).all(|(a, b)| agree(a, b)) {
            return None;
        }
        // Floats that are rounded differently may be sorted differently, so pair the rows one by one.
        let mut left: Vec<_> = other.rows.iter().collect();
        for row in &self.rows {
            match left.iter().position(|candidate| agree(row, candidate)) {
                Some(index) => drop(left.swap_remove(index)),
                None => return Some(unmatched(self, other, signs)),
            }
        }
        None
    }
}

/// Describes the first rows that one side has more often.
fn unmatched(a: &Rows, b: &Rows, signs: bool) -> String {
    let only = |these: &Rows, those: &Rows| -> Vec<String> {
        let same = |x: &Vec<Cell>, y: &Vec<Cell>| x.iter().zip(y).all(|(x, y)| x.agrees(y, signs));
        let count = |rows: &Rows, row: &Vec<Cell>| rows.rows.iter().filter(|other| same(row, other)).count();
        let surplus = these.rows.iter().map(|row| (row, count(these, row), count(those, row)));
        let surplus = surplus.filter(|(_, here, there)| here > there);
        surplus.take(5).map(|(row, here, there)| format!("{row:?}, {here} times instead of {there}")).collect()
    };
    format!("more in the first:\n  {}\nmore in the second:\n  {}", only(a, b).join("\n  "), only(b, a).join("\n  "))
}

fn cells(array: &dyn Array) -> Result<Vec<Cell>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let cell = |row: usize| -> Result<Cell> {
        if array.is_null(row) {
            return Ok(Cell::Null);
        }
        Ok(match array.data_type() {
            DataType::Float32 => Cell::Float(array.as_primitive::<Float32Type>().value(row).into(), TOLERANCE_SINGLE),
            DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row), TOLERANCE),
            _ => Cell::Text(formatter.value(row).try_to_string()?),
        })
    };
    (0..array.len()).map(cell).collect()
}
