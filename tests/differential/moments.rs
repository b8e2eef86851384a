//! Averages, variances, covariances, correlation and regression against exact rational arithmetic, for values whose mean is up to
//! 1e15 times their deviation: on the host, on one, two and three devices, grouped and not.

use std::str::FromStr;
use std::sync::Arc;

use bigdecimal::{BigDecimal, ToPrimitive, Zero};
use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema};
use datafusion::datasource::MemTable;
use parallax::session::Session;
use proptest::prelude::RngExt;
use proptest::test_runner::TestRng;

use crate::{register, runner, runtime, start_devices};

/// Relative to the scale of each function, see [`Exact::expected`].
const TOLERANCE: f64 = 1e-12;

const GROUPS: i64 = 3;

const FUNCTIONS: [&str; 15] = [
    "avg(x)",
    "var(x)",
    "var_pop(x)",
    "stddev(x)",
    "stddev_pop(x)",
    "covar_samp(y, x)",
    "covar_pop(y, x)",
    "corr(y, x)",
    "regr_slope(y, x)",
    "regr_intercept(y, x)",
    "regr_avgx(y, x)",
    "regr_avgy(y, x)",
    "regr_sxx(y, x)",
    "regr_syy(y, x)",
    "regr_sxy(y, x)",
];

/// One column of numbers, and what they are exactly.
struct Column {
    array: ArrayRef,
    exact: Vec<Option<BigDecimal>>,
}

#[test]
fn moments_are_exact_far_from_zero() {
    start_devices();
    let session = |(placement, devices)| {
        let session = Session::builder().devices(devices).set("xla.placement", placement);
        (format!("{placement} on {devices}"), session.set("xla.chunk_rows", "1024").build().unwrap())
    };
    let kinds = [("never", 1), ("always", 1), ("always", 2), ("always", 3)];
    let sessions: Vec<(String, Session)> = kinds.into_iter().map(session).collect();
    for seed in 0..6 {
        let mut rng = runner(seed).new_rng();
        // Sizes with less and more than a chunk for each device.
        let rows = [1, 2, 40, 900, 3000, 6000][seed as usize];
        let keys: Vec<i64> = (0..rows).map(|_| rng.random_range(0..GROUPS)).collect();
        let (x, y) = (column(&mut rng, seed, rows), column(&mut rng, seed + 1, rows));
        let table = table(&keys, &x, &y);
        for (name, session) in &sessions {
            let _ = session.context().deregister_table("t");
            let mut two = vec![vec![table.slice(0, rows / 2)], vec![table.slice(rows / 2, rows - rows / 2)]];
            two.retain(|part| part[0].num_rows() > 0);
            register(session, MemTable::try_new(table.schema(), two)).unwrap();
            check(name, seed, session, &keys, &x, &y);
        }
    }
}

/// Values near a mean: integers, doubles and decimals by turns, some of them NULL.
fn column(rng: &mut TestRng, kind: u64, rows: usize) -> Column {
    let spread = [10, 1000, 1_000_000][rng.random_range(0..3)];
    let mut value = |base: i128| (!rng.random_bool(0.05)).then(|| base + rng.random_range(0..spread) as i128);
    match kind % 3 {
        0 => {
            let values: Vec<_> = (0..rows).map(|_| value(9_000_000_000_000_000_000).map(|v| v as i64)).collect();
            let exact = values.iter().map(|v| v.map(BigDecimal::from)).collect();
            Column { array: Arc::new(Int64Array::from(values)), exact }
        }
        1 => {
            let values: Vec<_> = (0..rows).map(|_| value(1_000_000_000_000_000).map(|v| v as f64)).collect();
            let exact = values.iter().map(|v| v.map(|v| BigDecimal::from(v as i64))).collect();
            Column { array: Arc::new(Float64Array::from(values)), exact }
        }
        _ => {
            let values: Vec<_> = (0..rows).map(|_| value(10i128.pow(24))).collect();
            let exact = values.iter().map(|v| v.map(|v| BigDecimal::from_str(&format!("{v}e-6")).unwrap())).collect();
            let array = Decimal128Array::from(values).with_data_type(DataType::Decimal128(38, 6));
            Column { array: Arc::new(array), exact }
        }
    }
}

fn table(keys: &[i64], x: &Column, y: &Column) -> RecordBatch {
    let field = |name: &str, column: &Column| Field::new(name, column.array.data_type().clone(), true);
    let schema = Schema::new(vec![Field::new("k", DataType::Int64, false), field("x", x), field("y", y)]);
    let keys = Arc::new(Int64Array::from(keys.to_vec()));
    RecordBatch::try_new(Arc::new(schema), vec![keys, x.array.clone(), y.array.clone()]).unwrap()
}

fn check(name: &str, seed: u64, session: &Session, keys: &[i64], x: &Column, y: &Column) {
    let is_decimal = |column: &Column| column.array.data_type().is_decimal();
    let functions = FUNCTIONS.into_iter().filter(|f| *f != "avg(x)" || !is_decimal(x));
    let list = functions.clone().collect::<Vec<_>>().join(", ");
    for grouped in [false, true] {
        let sql = match grouped {
            true => format!("SELECT {list}, k FROM t GROUP BY k"),
            false => format!("SELECT {list}, CAST(-1 AS BIGINT) AS k FROM t"),
        };
        let batches = runtime().block_on(session.collect(&sql)).unwrap();
        let result = concat_batches(&batches[0].schema(), &batches).unwrap();
        let groups = result.column_by_name("k").unwrap().as_primitive::<datafusion::arrow::datatypes::Int64Type>();
        assert!(result.num_rows() >= 1, "{name}: no rows");
        for (row, group) in groups.values().iter().enumerate() {
            let member = |at: &usize| *group < 0 || keys[*at] == *group;
            let rows: Vec<usize> = (0..keys.len()).filter(member).collect();
            for (at, function) in functions.clone().enumerate() {
                let column = result.column(at).as_primitive::<Float64Type>();
                let found = datafusion::arrow::array::Array::is_valid(column, row).then(|| column.value(row));
                let expected = Exact::of(function, &rows, x, y).expected(function);
                let close = match (found, expected) {
                    (Some(found), Some((expected, scale))) => (found - expected).abs() <= TOLERANCE * scale,
                    (None, None) => true,
                    _ => false,
                };
                assert!(close, "{name}, seed {seed}, group {group}: {function} is {found:?}, not {expected:?}");
            }
        }
    }
}

/// Exact sums over the rows in which no argument is NULL.
struct Exact {
    n: i64,
    x: BigDecimal,
    y: BigDecimal,
    /// n times the sums of products of deviations.
    sxx: BigDecimal,
    syy: BigDecimal,
    sxy: BigDecimal,
}

impl Exact {
    fn of(function: &str, rows: &[usize], x: &Column, y: &Column) -> Self {
        let two = function.contains("y, x");
        let pair = |row: &usize| Some((x.exact[*row].clone()?, if two { y.exact[*row].clone()? } else { 0.into() }));
        let pairs: Vec<(BigDecimal, BigDecimal)> = rows.iter().filter_map(pair).collect();
        let n = BigDecimal::from(pairs.len() as i64);
        let sum = |of: &dyn Fn(&(BigDecimal, BigDecimal)) -> BigDecimal| -> BigDecimal { pairs.iter().map(of).sum() };
        let (sum_x, sum_y) = (sum(&|p| p.0.clone()), sum(&|p| p.1.clone()));
        Self {
            n: pairs.len() as i64,
            sxx: &n * sum(&|p| &p.0 * &p.0) - &sum_x * &sum_x,
            syy: &n * sum(&|p| &p.1 * &p.1) - &sum_y * &sum_y,
            sxy: &n * sum(&|p| &p.0 * &p.1) - &sum_x * &sum_y,
            x: sum_x,
            y: sum_y,
        }
    }

    /// The value, and the magnitude to which the tolerance is relative: of differences that of their parts. `None` is NULL.
    fn expected(&self, function: &str) -> Option<(f64, f64)> {
        let n = BigDecimal::from(self.n.max(1));
        let float = |value: BigDecimal| value.to_f64().unwrap();
        let (mean_x, mean_y) = (float(&self.x / &n), float(&self.y / &n));
        let (sxx, syy, sxy) = (float(&self.sxx / &n), float(&self.syy / &n), float(&self.sxy / &n));
        let cross = sxx.sqrt() * syy.sqrt();
        let (rows, own) = (self.n as f64, |value: f64| Some((value, value.abs())));
        let flat = self.sxx.is_zero();
        let least = match function.split('(').next().unwrap() {
            "var" | "stddev" | "covar_samp" | "corr" | "regr_slope" | "regr_intercept" => 2,
            _ => 1,
        };
        if self.n < least {
            return None;
        }
        match function.split('(').next().unwrap() {
            "avg" => own(mean_x),
            "var" => own(float(&self.sxx / (&n * BigDecimal::from(self.n - 1)))),
            "var_pop" => own(sxx / rows),
            "stddev" => own(float(&self.sxx / (&n * BigDecimal::from(self.n - 1))).sqrt()),
            "stddev_pop" => own((sxx / rows).sqrt()),
            "covar_samp" => Some((sxy / (rows - 1.0), cross / (rows - 1.0))),
            "covar_pop" => Some((sxy / rows, cross / rows)),
            "corr" => (cross != 0.0).then(|| (sxy / cross, 1.0)),
            "regr_slope" => (!flat).then(|| (sxy / sxx, cross / sxx)),
            "regr_intercept" => (!flat).then(|| {
                let slope = &self.sxy / &self.sxx;
                let intercept = (&self.y - &slope * &self.x) / &n;
                (float(intercept), mean_y.abs() + cross / sxx * mean_x.abs())
            }),
            "regr_avgx" => own(mean_x),
            "regr_avgy" => own(mean_y),
            "regr_sxx" => own(sxx),
            "regr_syy" => own(syy),
            "regr_sxy" => Some((sxy, cross)),
            other => panic!("{other} has no oracle"),
        }
    }
}
