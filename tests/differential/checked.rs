//! `xla.checked_arithmetic` at the ends of every integer type, against 128-bit arithmetic: on the host, on one, two and three devices, with
//! NULLs, with literals on either side, and behind guards.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use parallax::session::Session;
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

use crate::{number, register, runner, runtime, start_devices};

struct Type {
    name: &'static str,
    arrow: DataType,
    least: i128,
    most: i128,
}

const fn signed(name: &'static str, arrow: DataType, bits: u32) -> Type {
    Type { name, arrow, least: -(1 << (bits - 1)), most: (1 << (bits - 1)) - 1 }
}

const fn unsigned(name: &'static str, arrow: DataType, bits: u32) -> Type {
    Type { name, arrow, least: 0, most: (1 << bits) - 1 }
}

const TYPES: [Type; 8] = [
    signed("TINYINT", DataType::Int8, 8),
    signed("SMALLINT", DataType::Int16, 16),
    signed("INT", DataType::Int32, 32),
    signed("BIGINT", DataType::Int64, 64),
    unsigned("TINYINT UNSIGNED", DataType::UInt8, 8),
    unsigned("SMALLINT UNSIGNED", DataType::UInt16, 16),
    unsigned("INT UNSIGNED", DataType::UInt32, 32),
    unsigned("BIGINT UNSIGNED", DataType::UInt64, 64),
];

/// An operation, and its value where no operand is NULL.
struct Operation {
    sql: String,
    reads_b: bool,
    symbol: &'static str,
    value: Box<dyn Fn(i128, i128) -> Option<i128>>,
}

fn operations(rng: &mut TestRng, data_type: &Type) -> Vec<Operation> {
    type Apply = fn(i128, i128) -> Option<i128>;
    let operators: [(&str, Apply); 3] =
        [("+", |a, b| a.checked_add(b)), ("-", |a, b| a.checked_sub(b)), ("*", |a, b| a.checked_mul(b))];
    let mut operations = Vec::new();
    for (symbol, apply) in operators {
        let literal = value(rng, data_type);
        let typed = format!("CAST('{literal}' AS {})", data_type.name);
        operations.push(Operation { sql: format!("a {symbol} b"), reads_b: true, symbol, value: Box::new(apply) });
        operations.push(Operation {
            sql: format!("a {symbol} {typed}"),
            reads_b: false,
            symbol,
            value: Box::new(move |a, _| apply(a, literal)),
        });
        operations.push(Operation {
            sql: format!("{typed} {symbol} a"),
            reads_b: false,
            symbol,
            value: Box::new(move |a, _| apply(literal, a)),
        });
    }
    if data_type.least < 0 {
        let mut of_a = |sql: &str, symbol, value: Apply| {
            operations.push(Operation { sql: sql.to_string(), reads_b: false, symbol, value: Box::new(value) });
        };
        of_a("-a", "-", |a, _| a.checked_neg());
        of_a("abs(a)", "abs", |a, _| a.checked_abs());
    }
    operations
}

/// A value near an end of the type, near zero, near a square root of an end, or anywhere.
fn value(rng: &mut TestRng, data_type: &Type) -> i128 {
    let root = (data_type.most as f64).sqrt() as i128;
    let value = match rng.random_range(0..5) {
        0 => data_type.least + rng.random_range(0..3i64) as i128,
        1 => data_type.most - rng.random_range(0..3i64) as i128,
        2 => rng.random_range(-2..3i64) as i128,
        3 => root + rng.random_range(-1..2i64) as i128,
        _ => data_type.least + (rng.random_range(0..=u64::MAX) as i128) % (data_type.most - data_type.least + 1),
    };
    value.clamp(data_type.least, data_type.most)
}

#[test]
fn checked_arithmetic_is_right_or_an_error() {
    start_devices();
    let session = |(placement, devices)| {
        let session = Session::builder().devices(devices).set("xla.placement", placement);
        let session = session.set("xla.checked_arithmetic", "true").set("xla.chunk_rows", "1024");
        (format!("{placement} on {devices}"), session.build().unwrap())
    };
    let [host, one, two, three] = [("never", 1), ("always", 1), ("always", 2), ("always", 3)].map(session);
    // Two and three devices by turns.
    let sessions = [[&host, &one, &two], [&host, &one, &three]];
    // Programs take long to compile, so an ordinary run has a few operations of each type.
    let cases = number("PARALLAX_CASES");
    for seed in 0..cases.unwrap_or(1) {
        let mut rng = runner(seed).new_rng();
        for (i, data_type) in TYPES.iter().enumerate() {
            for (j, operation) in operations(&mut rng, data_type).into_iter().enumerate() {
                if cases.is_some() || (i + j) % 8 == 0 {
                    check(&mut rng, data_type, &operation, &sessions[i % 2]);
                }
            }
        }
    }
}

fn check(rng: &mut TestRng, data_type: &Type, operation: &Operation, sessions: &[&(String, Session)]) {
    let mut some = || (!rng.random_bool(0.1)).then(|| value(rng, data_type));
    let rows: Vec<(Option<i128>, Option<i128>)> = (0..60).map(|_| (some(), some())).collect();
    // `None` is an error, and an operand that is not there makes NULL.
    let expected: Vec<Option<Option<i128>>> = rows
        .iter()
        .map(|(a, b)| {
            let (Some(a), Some(b)) = (*a, if operation.reads_b { *b } else { Some(0) }) else { return Some(None) };
            let value = (operation.value)(a, b)?;
            (data_type.least..=data_type.most).contains(&value).then_some(Some(value))
        })
        .collect();
    let table = table(data_type, &rows, &expected);
    let fits: Vec<usize> = (0..rows.len()).filter(|i| expected[*i].is_some()).collect();
    for (name, session) in sessions.iter().copied() {
        register(session, MemTable::try_new(table.schema(), vec![vec![table.clone()]])).unwrap();
        let ask = |sql: String| runtime().block_on(session.collect(&sql)).map_err(|error| error.strip_backtrace());
        let sql = &operation.sql;
        let about = || format!("{name}: {sql} of {}", data_type.name);
        for query in [
            format!("SELECT id, {sql} AS x FROM t WHERE fits ORDER BY id"),
            format!("SELECT id, CASE WHEN fits THEN {sql} END AS x FROM t ORDER BY id"),
        ] {
            let batches = ask(query.clone()).unwrap_or_else(|error| panic!("{}: {query}: {error}", about()));
            let mut found = Vec::new();
            for batch in &batches {
                assert_eq!(batch.column(1).data_type(), &data_type.arrow, "{}", about());
                let ids = batch.column(0).as_primitive::<datafusion::arrow::datatypes::Int64Type>().clone();
                let values = cast(batch.column(1), &DataType::Utf8).unwrap();
                let values = values.as_string::<i32>().clone();
                let values: Vec<_> = values.iter().map(|text| text.map(|text| text.parse().unwrap())).collect();
                found.extend(ids.values().iter().map(|id| *id as usize).zip(values));
            }
            let all = found.len() == rows.len();
            let ids: Vec<usize> = if all { (0..rows.len()).collect() } else { fits.clone() };
            let wanted: Vec<_> = ids.into_iter().map(|id| (id, expected[id].flatten())).collect();
            assert_eq!(found, wanted, "{}: {query}", about());
        }
        let mut failing = (0..rows.len()).filter(|i| expected[*i].is_none());
        // The first and the last of them.
        for id in failing.next().into_iter().chain(failing.next_back()) {
            for query in [
                format!("SELECT {sql} AS x FROM t WHERE id = {id}"),
                format!("SELECT count(*) FROM t WHERE id = {id} AND {sql} < 5"),
            ] {
                let error = match ask(query.clone()) {
                    Err(error) => error,
                    Ok(rows) => panic!("{}: {query} of {:?} gives {rows:?}", about(), expected[id]),
                };
                let named =
                    error.contains(&format!("{} out of range", data_type.name)) && error.contains(operation.symbol);
                assert!(named || operation.symbol == "abs" && error.contains("abs"), "{}: {query}: {error}", about());
            }
        }
    }
}

fn table(data_type: &Type, rows: &[(Option<i128>, Option<i128>)], expected: &[Option<Option<i128>>]) -> RecordBatch {
    let column = |values: Vec<Option<i128>>| -> ArrayRef {
        let texts: StringArray = values.iter().map(|value| value.map(|value| value.to_string())).collect();
        let array = cast(&texts, &data_type.arrow).unwrap();
        assert_eq!(array.null_count(), texts.null_count());
        array
    };
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("a", data_type.arrow.clone(), true),
        Field::new("b", data_type.arrow.clone(), true),
        Field::new("fits", DataType::Boolean, false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..rows.len() as i64)),
        column(rows.iter().map(|row| row.0).collect()),
        column(rows.iter().map(|row| row.1).collect()),
        Arc::new(BooleanArray::from_iter(expected.iter().map(|value| Some(value.is_some())))),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}
