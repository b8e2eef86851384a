//! Decimals of all digits as doubles: the nearest one, on the host and on the device.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema};
use datafusion::datasource::MemTable;
use parallax::session::Session;
use proptest::prelude::RngExt;

use crate::{register, runner, runtime, start_devices};

#[test]
fn decimals_become_the_nearest_doubles() {
    start_devices();
    let session = |placement| Session::builder().set("xla.placement", placement).build().unwrap();
    let sessions = ["never", "always"].map(session);
    for (seed, scale) in [0i8, 1, 2, 10, 18, 22, 23, 30, 38].into_iter().enumerate() {
        let mut rng = runner(seed as u64).new_rng();
        let most = 10i128.pow(38) - 1;
        // Of 1 to 38 digits, half of them with zeros at the end.
        let mut values: Vec<i128> = (0..1000)
            .map(|_| {
                let digits = rng.random_range(1..=38);
                let value = rng.random_range(0..=i64::MAX) as i128 * rng.random_range(0..=i64::MAX) as i128;
                let value = value % 10i128.pow(digits);
                let zeros = 10i128.pow(rng.random_range(0..=38 - digits));
                if rng.random_bool(0.5) { value * zeros } else { -value }
            })
            .collect();
        values.extend([0, 1, -1, most, -most, (1 << 53) + 1, (1 << 54) + 2, (1 << 54) + 6, -(1 << 60) - 64]);
        let expected: Vec<f64> = values.iter().map(|value| format!("{value}e-{scale}").parse().unwrap()).collect();
        let x = Decimal128Array::from(values.clone()).with_precision_and_scale(38, scale).unwrap();
        let ids = Int64Array::from_iter_values(0..values.len() as i64);
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("x", DataType::Decimal128(38, scale), true),
        ]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids) as ArrayRef, Arc::new(x)]).unwrap();
        for session in &sessions {
            register(session, MemTable::try_new(Arc::clone(&schema), vec![vec![batch.clone()]])).unwrap();
            let rows =
                runtime().block_on(session.collect("SELECT id, CAST(x AS DOUBLE) AS y FROM t ORDER BY id")).unwrap();
            let doubles = rows.iter().flat_map(|batch| batch.column(1).as_primitive::<Float64Type>().values());
            let mut n = 0;
            for ((double, expected), value) in doubles.zip(&expected).zip(&values) {
                assert_eq!(
                    double.to_bits(),
                    (expected + 0.0).to_bits(),
                    "{value} of scale {scale}: {double} {expected}"
                );
                n += 1;
            }
            assert_eq!(n, values.len());
        }
    }
}
