//! Tables for fuzzing. A **shape** fixes types and domains, so that its many datasets share programs. A **dataset**
//! draws the rows.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::Result;

use crate::fuzz::random::Random;
use crate::generator::value::{Type, Value};

/// The values that a column draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A handful of values, so that keys repeat and match.
    Few,
    /// About as many values as rows.
    Many,
    /// The limits of the type and their neighbours, NaN, infinities, -0.0, long strings with a common prefix.
    Wild,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: &'static str,
    pub data_type: Type,
    pub domain: Domain,
    /// One value in this many is NULL; 0 means none.
    nulls: usize,
}

impl Column {
    /// Returns whether results are independent of the order in which values are processed.
    pub fn is_tame(&self) -> bool {
        !(self.data_type.is_float() && self.domain == Domain::Wild)
    }
}

/// Three tables `t0`, `t1`, `t2` with comparable keys `k0`, `k1`, `k2` and values `v f p s d b`.
#[derive(Clone, Debug)]
pub struct Shape {
    pub tables: Vec<Vec<Column>>,
}

const KEYS: [&str; 3] = ["k0", "k1", "k2"];

impl Shape {
    pub fn draw(random: &mut Random) -> Self {
        let families: Vec<usize> = KEYS.iter().map(|_| random.below(12)).collect();
        let domains: Vec<Domain> = KEYS.iter().map(|_| domain(random)).collect();
        let tables = (0..3)
            .map(|_| {
                let mut columns = Vec::new();
                for (k, name) in KEYS.into_iter().enumerate() {
                    let data_type = of_family(families[k], random);
                    let domain = if random.one_in(5) { domain(random) } else { domains[k] };
                    columns.push(Column { name, data_type, domain, nulls: nulls(random) });
                }
                let text = *random.pick(&[Type::Utf8View, Type::Utf8View, Type::Utf8, Type::LargeUtf8]);
                let values = [
                    ("v", Type::Int64, Domain::Many),
                    ("f", Type::Float64, Domain::Many),
                    ("p", Type::Decimal(15, 2), Domain::Many),
                    ("s", text, *random.pick(&[Domain::Few, Domain::Wild])),
                    ("d", Type::Date, Domain::Few),
                    ("b", Type::Boolean, Domain::Few),
                ];
                for (name, data_type, domain) in values {
                    columns.push(Column { name, data_type, domain, nulls: nulls(random) });
                }
                columns
            })
            .collect();
        Self { tables }
    }
}

fn domain(random: &mut Random) -> Domain {
    *random.pick(&[Domain::Few, Domain::Few, Domain::Many, Domain::Wild])
}

fn nulls(random: &mut Random) -> usize {
    *random.pick(&[0, 0, 8, 3])
}

/// Returns types of one family, which can be compared with each other.
fn of_family(family: usize, random: &mut Random) -> Type {
    match family {
        0 | 1 => Type::Int64,
        2 => *random.pick(&[Type::Int32, Type::Int64]),
        3 => *random.pick(&[Type::Int8, Type::Int16, Type::UInt8]),
        4 => Type::UInt64,
        5 | 6 => *random.pick(&[Type::Utf8View, Type::Utf8, Type::LargeUtf8]),
        7 => *random.pick(&[Type::Date]),
        8 => Type::Decimal(15, 2),
        9 => Type::Decimal(38, 10),
        10 => *random.pick(&[Type::Float64, Type::Float64, Type::Float32]),
        _ => Type::Boolean,
    }
}

/// A dataset: the column values of each table, and the batch lengths.
pub struct Dataset {
    shape: Shape,
    values: Vec<Vec<Vec<Option<Value>>>>,
    rows: Vec<usize>,
    batch: usize,
}

impl Dataset {
    pub fn draw(shape: &Shape, random: &mut Random) -> Self {
        let most = [[1500, 40, 12], [60, 60, 12], [12, 200, 30], [30, 8, 300]];
        let most = random.pick(&most);
        let mut rows = Vec::new();
        let mut values = Vec::new();
        for (table, most) in shape.tables.iter().zip(most) {
            let n = match random.below(10) {
                0 => 0,
                1 => 1,
                2 => 2,
                3..=5 => 1 + random.below(*most),
                _ => *most,
            };
            rows.push(n);
            let columns = table.iter().map(|column| {
                // All values equal, one frequent value, or as drawn.
                let skew = random.below(6);
                let first = value(column, n, random);
                (0..n)
                    .map(|_| {
                        let null = column.nulls > 0 && random.one_in(column.nulls);
                        let own = value(column, n, random);
                        let frequent = skew == 0 || (skew == 1 && !random.one_in(5));
                        (!null).then(|| if frequent { first.clone() } else { own })
                    })
                    .collect()
            });
            values.push(columns.collect());
        }
        let batch = *random.pick(&[usize::MAX, 7, 100]);
        Self { shape: shape.clone(), values, rows, batch }
    }

    pub fn tables(&self) -> Result<Vec<MemTable>> {
        let mut tables = Vec::new();
        for ((columns, values), rows) in self.shape.tables.iter().zip(&self.values).zip(&self.rows) {
            let arrays: Vec<ArrayRef> = columns.iter().zip(values).map(|(c, v)| c.data_type.array(v)).collect();
            let fields: Vec<_> =
                columns.iter().zip(&arrays).map(|(c, a)| Field::new(c.name, a.data_type().clone(), true)).collect();
            let schema = Arc::new(Schema::new(fields));
            let whole = RecordBatch::try_new(schema.clone(), arrays)?;
            let step = self.batch.min((*rows).max(1));
            let batches = (0..*rows).step_by(step).map(|at| whole.slice(at, step.min(rows - at))).collect();
            tables.push(MemTable::try_new(schema, vec![batches])?);
        }
        Ok(tables)
    }

    /// Returns statements that create the tables.
    pub fn sql(&self) -> String {
        let mut text = String::new();
        for (t, (columns, values)) in self.shape.tables.iter().zip(&self.values).enumerate() {
            let names: Vec<_> = columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect();
            let _ = writeln!(text, "CREATE TABLE t{t} ({});", names.join(", "));
            for column in columns.iter().filter(|c| matches!(c.data_type, Type::Utf8 | Type::LargeUtf8)) {
                let _ = writeln!(text, "-- {} is {:?}", column.name, column.data_type);
            }
            let rows: Vec<_> = (0..self.rows[t])
                .map(|row| {
                    let cells = columns.iter().zip(values).map(|(c, v)| c.data_type.literal(v[row].as_ref()));
                    format!("({})", cells.collect::<Vec<_>>().join(", "))
                })
                .collect();
            if !rows.is_empty() {
                let _ = writeln!(text, "INSERT INTO t{t} VALUES\n{};", rows.join(",\n"));
            }
        }
        text
    }
}

/// Draws a value for a column of a table of `rows` rows.
fn value(column: &Column, rows: usize, random: &mut Random) -> Value {
    let many = rows.max(4) as i128;
    let signed = column.data_type.bounds().is_none_or(|(low, _)| low < 0);
    match (column.data_type, column.domain) {
        (Type::Boolean, _) => Value::Integer(random.between(0, 1)),
        (Type::Date, Domain::Few) => Value::Integer(random.between(9_000, 9_006)),
        (Type::Date, Domain::Many) => Value::Integer(random.between(9_000, 9_000 + many)),
        (Type::Date, Domain::Wild) => Value::Integer(*random.pick(&[-719_000, -1, 0, 1, 11_016, 2_900_000])),
        (Type::Float32 | Type::Float64, Domain::Wild) => {
            let wild = [0.0, -0.0, 1.0, -1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 1e-30];
            Value::Float(*random.pick(&wild))
        }
        (Type::Float32 | Type::Float64, Domain::Few) => Value::Float(random.between(-2, 2) as f64 / 2.0),
        (Type::Float32 | Type::Float64, Domain::Many) => Value::Float(random.between(-400, 400) as f64 / 8.0),
        (Type::Decimal(_, scale), Domain::Few) => Value::Integer(random.between(-2, 3) * 10i128.pow(scale as u32) / 2),
        (Type::Decimal(..), Domain::Many) => Value::Integer(random.between(-many * 10, many * 10)),
        (Type::Decimal(precision, _), Domain::Wild) => {
            let most = 10i128.pow(precision.into()) - 1;
            Value::Integer(*random.pick(&[most, -most, most - 1, 0, 1, -1]))
        }
        (Type::Utf8 | Type::LargeUtf8 | Type::Utf8View, domain) => {
            let words =
                ["a", "", "ab", "b", "ba", "c", "abcdefghijkl", "abcdefghijklm", "abcdefghijkln", "B", "é", "日本"];
            Value::Text(match domain {
                Domain::Few => random.pick(&words[..5]).to_string(),
                Domain::Wild => random.pick(&words).to_string(),
                Domain::Many => format!("abcdefghijkl{}", random.between(0, many)),
            })
        }
        (_, Domain::Few) => Value::Integer(random.between(if signed { -2 } else { 0 }, 4)),
        (integer, Domain::Many) => {
            let high = integer.bounds().map_or(many, |(_, high)| high.min(many));
            Value::Integer(random.between(if signed { -(high / 4) } else { 0 }, high))
        }
        (integer, Domain::Wild) => {
            let (low, high) = integer.bounds().unwrap_or((-9, 9));
            Value::Integer(*random.pick(&[low, low + 1, high, high - 1, 0.max(low), 1, 42]))
        }
    }
}
