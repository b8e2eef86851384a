//! Random tables: columns with a profile each, and rows in uneven batches, tiled to fill chunks.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use proptest::prelude::*;

use crate::generator::value::{Type, Value};

/// How the values of a column are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Few distinct values near zero. Floats are eighths, so that their sums are exact.
    Small,
    /// Limits, NaN, infinities, both zeros, long strings.
    Wild,
    /// One value for all rows.
    Equal,
    AllNull,
}

/// A column without its values.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub data_type: Type,
    pub profile: Profile,
    /// Share of NULLs.
    nulls: f64,
}

impl Column {
    /// Returns whether sums of the column are independent of row order, so that it may also be a group key.
    pub fn is_tame(&self) -> bool {
        self.profile != Profile::Wild
    }
}

#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    /// [`MOST_ROWS`] values per column; the table has the first `rows` of them.
    values: Vec<Vec<Option<Value>>>,
    rows: usize,
    /// Lengths of the batches before the last.
    batches: Vec<usize>,
    /// How often the rows are repeated.
    tiles: usize,
}

/// Maximum number of rows before tiling.
const MOST_ROWS: usize = 120;

/// 4 to 8 columns of any types.
pub fn columns() -> BoxedStrategy<Vec<Column>> {
    let nulls = prop_oneof![Just(0.0), Just(0.1), Just(0.5)];
    prop::collection::vec((prop::sample::select(Type::ALL.to_vec()), profile(), nulls), 4..=8)
        .prop_map(|columns| {
            let named = columns.into_iter().enumerate().map(|(i, (data_type, profile, nulls))| Column {
                name: format!("c{i}"),
                data_type,
                profile,
                nulls,
            });
            named.collect()
        })
        .boxed()
}

/// Generates a table of these columns, often with 0, 1 or a few rows. The number of rows shrinks before their values
/// do.
pub fn strategy(columns: Vec<Column>) -> BoxedStrategy<Table> {
    let rows = prop_oneof![6 => 2usize..40, 1 => Just(0), 1 => Just(1), 2 => 40usize..=MOST_ROWS];
    let tiles = prop_oneof![4 => Just(1usize), 1 => 20usize..60];
    let batches = prop::collection::vec(0..=MOST_ROWS, 0..4);
    let values: Vec<_> = columns.iter().map(values).collect();
    (rows, tiles, batches, values)
        .prop_map(move |(rows, tiles, batches, values)| Table {
            columns: columns.clone(),
            values,
            rows,
            batches,
            tiles,
        })
        .boxed()
}

fn profile() -> impl Strategy<Value = Profile> {
    prop_oneof![5 => Just(Profile::Small), 5 => Just(Profile::Wild), 1 => Just(Profile::Equal), 1 => Just(Profile::AllNull)]
}

fn values(column: &Column) -> BoxedStrategy<Vec<Option<Value>>> {
    let Column { data_type, profile, nulls, .. } = *column;
    let some = move |value: BoxedStrategy<Value>| {
        let present = match nulls {
            0.0 => value.prop_map(Some).boxed(),
            _ => prop::option::weighted(1.0 - nulls, value).boxed(),
        };
        prop::collection::vec(present, MOST_ROWS).boxed()
    };
    match profile {
        Profile::Small => some(small(data_type)),
        Profile::Wild => some(wild(data_type)),
        Profile::Equal => small(data_type).prop_flat_map(move |value| some(Just(value).boxed())).boxed(),
        Profile::AllNull => Just(vec![None; MOST_ROWS]).boxed(),
    }
}

/// Generates a small value of a type, for columns and literals.
pub fn small(data_type: Type) -> BoxedStrategy<Value> {
    match data_type {
        Type::Boolean => (0i128..=1).prop_map(Value::Integer).boxed(),
        Type::Date => (9_000i128..9_020).prop_map(Value::Integer).boxed(),
        Type::Date64 => (9_000i128..9_008).prop_map(|day| Value::Integer(day * 86_400_000)).boxed(),
        Type::Time => (0i128..20).prop_map(|n| Value::Integer(n * 1_000_003)).boxed(),
        Type::Timestamp(_) | Type::Zoned => {
            // The end of a February, in units of the type.
            let start = 951_868_795 * data_type.per_second();
            (0i128..12).prop_map(move |n| Value::Integer(start + n)).boxed()
        }
        Type::Float32 | Type::Float64 => {
            let (most, one) = if data_type == Type::Float32 { (40, 4.0) } else { (800, 8.0) };
            let number = (-most..=most).prop_map(move |n| f64::from(n) / one);
            prop_oneof![8 => number, 1 => Just(0.0), 1 => Just(-0.0)].prop_map(Value::Float).boxed()
        }
        Type::Decimal(_, scale) => {
            let one = 10i128.pow(scale as u32);
            prop_oneof![(-6i128..=6).prop_map(move |n| n * one / 2), -9i128..=9].prop_map(Value::Integer).boxed()
        }
        Type::Utf8 | Type::LargeUtf8 | Type::Utf8View => {
            prop::sample::select(vec!["", "a", "ab", "b", "ba"]).prop_map(|s| Value::Text(s.to_string())).boxed()
        }
        integer => match integer.bounds() {
            Some((0, _)) => (0i128..=8).prop_map(Value::Integer).boxed(),
            _ => (-4i128..=4).prop_map(Value::Integer).boxed(),
        },
    }
}

/// Generates any value of a type, often a limit.
pub fn wild(data_type: Type) -> BoxedStrategy<Value> {
    match data_type {
        Type::Boolean => small(data_type),
        Type::Date => prop_oneof![-719_000i128..2_900_000, Just(0i128), Just(-1i128)].prop_map(Value::Integer).boxed(),
        Type::Date64 => (-700_000i128..2_900_000).prop_map(|day| Value::Integer(day * 86_400_000)).boxed(),
        Type::Time => (0i128..86_400_000_000_000).prop_map(Value::Integer).boxed(),
        Type::Timestamp(_) | Type::Zoned => {
            let most = 8_000_000_000 * data_type.per_second();
            prop_oneof![-most..most, Just(0i128), Just(-1i128)].prop_map(Value::Integer).boxed()
        }
        Type::Float32 => float(f32::MAX.into(), 1e30),
        Type::Float64 => float(f64::MAX, 1e300),
        Type::Decimal(precision, _) => around(1 - 10i128.pow(precision.into()), 10i128.pow(precision.into()) - 1),
        Type::Utf8 | Type::LargeUtf8 | Type::Utf8View => {
            let words = ["", "a", "abc", "abcdefghijkl", "abcdefghijklm", "abcdefghijkln", "B", "é", "日本", "zz"];
            prop::sample::select(words.to_vec()).prop_map(|s| Value::Text(s.to_string())).boxed()
        }
        integer => {
            let (low, high) = integer.bounds().expect("an integer type");
            around(low, high)
        }
    }
}

fn around(low: i128, high: i128) -> BoxedStrategy<Value> {
    let edges: Vec<i128> =
        [0, 1, 2, -1, low, low + 1, high, high - 1, 42].into_iter().filter(|n| (low..=high).contains(n)).collect();
    prop_oneof![prop::sample::select(edges), low..=high].prop_map(Value::Integer).boxed()
}

fn float(most: f64, large: f64) -> BoxedStrategy<Value> {
    let special =
        vec![0.0, -0.0, 1.0, -1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, most, -most, large, 1.0 / large];
    prop_oneof![prop::sample::select(special), -1e6..1e6].prop_map(Value::Float).boxed()
}

impl Table {
    /// Returns the table in its batches, some of which may be empty.
    pub fn provider(&self) -> Result<MemTable> {
        self.in_batches(true)
    }

    /// Returns the table without its empty batches: DataFusion evaluates constants for those, and fails if one divides
    /// by zero.
    pub fn reference(&self) -> Result<MemTable> {
        self.in_batches(false)
    }

    fn in_batches(&self, keep_empty: bool) -> Result<MemTable> {
        let whole = self.whole()?;
        let mut batches = Vec::new();
        let mut start = 0;
        for length in self.batches.iter().copied().chain([usize::MAX]) {
            let length = length.min(whole.num_rows() - start);
            batches.push(whole.slice(start, length));
            start += length;
        }
        batches.retain(|batch| keep_empty || batch.num_rows() > 0);
        MemTable::try_new(whole.schema(), vec![batches])
    }

    /// Returns the same rows in reverse order, in one batch.
    pub fn reversed(&self) -> Result<MemTable> {
        let whole = self.whole()?;
        let last = (0..whole.num_rows() as u32).rev().collect::<UInt32Array>();
        let reversed = take_record_batch(&whole, &last)?;
        let batches = if reversed.num_rows() > 0 { vec![reversed] } else { Vec::new() };
        MemTable::try_new(whole.schema(), vec![batches])
    }

    fn whole(&self) -> Result<RecordBatch> {
        let arrays: Vec<ArrayRef> =
            self.columns.iter().zip(&self.values).map(|(c, v)| c.data_type.array(&v[..self.rows])).collect();
        let fields: Vec<_> =
            self.columns.iter().zip(&arrays).map(|(c, a)| Field::new(&c.name, a.data_type().clone(), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let once = RecordBatch::try_new(schema.clone(), arrays)?;
        Ok(concat_batches(&schema, &vec![once; self.tiles])?)
    }
}

/// Prints CREATE TABLE and INSERT statements that create the table.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect();
        writeln!(f, "CREATE TABLE t ({});", columns.join(", "))?;
        let layouts: Vec<_> = self.columns.iter().filter(|c| c.data_type.is_string()).collect();
        for column in layouts {
            writeln!(f, "-- {} is {:?}", column.name, column.data_type)?;
        }
        for row in 0..self.rows {
            let cells: Vec<_> =
                self.columns.iter().zip(&self.values).map(|(c, v)| c.data_type.literal(v[row].as_ref())).collect();
            writeln!(f, "INSERT INTO t VALUES ({});", cells.join(", "))?;
        }
        if self.tiles > 1 {
            writeln!(f, "-- all rows {} times", self.tiles)?;
        }
        writeln!(f, "-- batches of {:?} rows, then the rest", self.batches)
    }
}
