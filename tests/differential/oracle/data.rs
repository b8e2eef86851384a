//! Three small tables of random rows: few values, so that keys match and repeat, NULLs, negative numbers, and tables
//! without a row.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::Result;

use crate::fuzz::random::Random;
use crate::generator::value::{Type, Value};
use crate::oracle::dialect::Dialect;
use crate::oracle::tree::Class;

/// The columns of every table: name, type, and what kind of expression one is.
pub const COLUMNS: [(&str, Type, Class); 6] = [
    ("k", Type::Int64, Class::Integer),
    ("x", Type::Int32, Class::Integer),
    ("y", Type::Int64, Class::Integer),
    ("f", Type::Float64, Class::Float),
    ("s", Type::Utf8View, Class::Text),
    ("d", Type::Date, Class::Date),
];

pub const TABLES: usize = 3;

/// The most rows of a table. SQLite joins by nested loops.
const MOST_ROWS: usize = 12;

pub const WORDS: [&str; 8] = ["", "a", "ab", "b", "B", "abc", "ba", "x y"];

/// 2020-01-01, in days since 1970.
const FIRST_DAY: i128 = 18_262;

type Row = Vec<Option<Value>>;

/// The rows of each table.
#[derive(Clone)]
pub struct Tables(pub Vec<Vec<Row>>);

impl Tables {
    pub fn draw(random: &mut Random) -> Self {
        let table = |random: &mut Random| -> Vec<Row> {
            let rows = match random.below(8) {
                0 => 0,
                1 => 1,
                2 => 2,
                _ => 1 + random.below(MOST_ROWS),
            };
            let nulls: Vec<usize> = COLUMNS.iter().map(|_| *random.pick(&[0, 0, 7, 3, 2])).collect();
            let row = |random: &mut Random| -> Row {
                let cells = COLUMNS.iter().zip(&nulls).map(|((name, ..), nulls)| {
                    let value = value(name, random);
                    (*nulls == 0 || !random.one_in(*nulls)).then_some(value)
                });
                cells.collect()
            };
            let mut rows: Vec<Row> = (0..rows).map(|_| row(random)).collect();
            if random.one_in(4) {
                // Whole rows twice, for UNION, DISTINCT and the like.
                rows.extend_from_within(..rows.len().min(3));
            }
            rows
        };
        Self((0..TABLES).map(|_| table(random)).collect())
    }

    /// The tables as DataFusion reads them.
    pub fn providers(&self) -> Result<Vec<MemTable>> {
        self.0.iter().map(|rows| provider(rows)).collect()
    }

    /// Statements that create the tables. Tables that `query` does not name are left out, and columns that it does not
    /// name in any table.
    pub fn statements(&self, dialect: Dialect, query: Option<&str>) -> Vec<String> {
        let names = |what: &str| {
            query.is_none_or(|query| query.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == what))
        };
        let columns: Vec<usize> = (0..COLUMNS.len()).filter(|at| names(COLUMNS[*at].0)).collect();
        // Rows must be counted even if none of their columns matters.
        let columns = if columns.is_empty() { vec![0] } else { columns };
        let mut statements = Vec::new();
        for (number, rows) in self.0.iter().enumerate().filter(|(number, _)| names(&format!("t{number}"))) {
            let types = columns.iter().map(|at| format!("{} {}", COLUMNS[*at].0, COLUMNS[*at].1));
            statements.push(format!("CREATE TABLE t{number} ({})", types.collect::<Vec<_>>().join(", ")));
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    let cells = columns.iter().map(|at| literal(row[*at].as_ref(), COLUMNS[*at].1, dialect));
                    format!("({})", cells.collect::<Vec<_>>().join(", "))
                })
                .collect();
            if !rows.is_empty() {
                statements.push(format!("INSERT INTO t{number} VALUES {}", rows.join(", ")));
            }
        }
        statements
    }

    /// Returns the tables with fewer rows, first by halves, then one by one.
    pub fn smaller(&self) -> Vec<Self> {
        let mut found = Vec::new();
        for (number, rows) in self.0.iter().enumerate() {
            let mut step = rows.len().div_ceil(2);
            while step > 0 {
                for at in (0..rows.len()).step_by(step) {
                    let mut tables = self.clone();
                    tables.0[number].drain(at..(at + step).min(rows.len()));
                    found.push(tables);
                }
                step = if step == 1 { 0 } else { step.div_ceil(2) };
            }
        }
        found
    }
}

fn literal(value: Option<&Value>, data_type: Type, dialect: Dialect) -> String {
    let Some(value) = value else { return "NULL".to_string() };
    let text = data_type.literal(Some(value));
    // An INT is written as a cast where it stands alone; the column has the type here.
    match (value, data_type) {
        (Value::Integer(number), Type::Int32) => number.to_string(),
        (_, Type::Date) => dialect.date(text.trim_start_matches("DATE '").trim_end_matches('\'')),
        _ => text,
    }
}

fn provider(rows: &[Row]) -> Result<MemTable> {
    let column = |at: usize| -> Vec<Option<Value>> { rows.iter().map(|row| row[at].clone()).collect() };
    let arrays: Vec<ArrayRef> = COLUMNS.iter().enumerate().map(|(at, (_, t, _))| t.array(&column(at))).collect();
    let fields =
        COLUMNS.iter().zip(&arrays).map(|((name, ..), array)| Field::new(*name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema.clone(), arrays)?;
    MemTable::try_new(schema, vec![vec![batch]])
}

fn value(column: &str, random: &mut Random) -> Value {
    match column {
        "k" => Value::Integer(random.between(-1, 3)),
        "x" => Value::Integer(random.between(-9, 9)),
        "y" => Value::Integer(random.between(0, 4)),
        // Fractions that floats hold exactly, so that sums do not depend on the order of rows.
        "f" => Value::Float(random.between(-8, 8) as f64 / 4.0),
        "s" => Value::Text((*random.pick(&WORDS)).to_string()),
        _ => Value::Integer(FIRST_DAY + random.between(-2, 2) * 31),
    }
}
