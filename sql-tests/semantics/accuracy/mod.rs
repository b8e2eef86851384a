//! How far the math functions of DOUBLE are from the true values: the worst of some thousand random arguments each, on the host
//! and on the device, in units in the last place. docs/semantics.md has the table; a test fails where a function is further
//! off than its row says, or than [`MOST`].

mod known;
mod number;
mod oracle;
mod samples;

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use datafusion::arrow::datatypes::Float64Type;
use parallax::session::Session;

use crate::semantics::accuracy::number::Number;
use crate::semantics::accuracy::oracle as exactly;
use crate::semantics::accuracy::samples::{Random, Spread};

/// No function may be further off.
const MOST: f64 = 1.0;

/// Rows in which a function is computed, on either side.
const ROWS: usize = 4000;

pub const SECTION: &str = "## Accuracy of functions";

struct Function {
    /// The call, of the columns x and y.
    call: &'static str,
    /// Where the arguments come from, in equal shares: those of x, and those of y if there is one.
    arguments: &'static [(Spread, Spread)],
    exactly: fn(f64, f64) -> Number,
}

use Spread::{Around, Magnitudes, Nothing, Uniform};

/// Of any number, tiny to huge.
const ANY: &[(Spread, Spread)] =
    &[(Magnitudes(-1022, 1023), Nothing), (Magnitudes(-60, 11), Nothing), (Uniform(-3.0, 3.0), Nothing)];
/// The same, without numbers whose product with a constant is subnormal.
const SCALABLE: &[(Spread, Spread)] = &[(Magnitudes(-1000, 1000), Nothing), (Uniform(-500.0, 500.0), Nothing)];
/// Where e^x is finite and not subnormal.
const EXPONENTS: &[(Spread, Spread)] =
    &[(Uniform(-708.0, 709.7), Nothing), (Magnitudes(-60, 8), Nothing), (Uniform(-3.0, 3.0), Nothing)];
const POSITIVE: &[(Spread, Spread)] = &[
    (Uniform(0.4, 3.0), Nothing),
    (Spread::Positive(-1074, 1023), Nothing),
    (Spread::Positive(-8, 8), Nothing),
    (Around(1.0, -52, -2), Nothing),
];
const FROM_ONE: &[(Spread, Spread)] =
    &[(Uniform(1.0, 5.0), Nothing), (Spread::Positive(0, 1023), Nothing), (Spread::Above(1.0, -52, 3), Nothing)];
/// Inside of -1 and 1.
const SINES: &[(Spread, Spread)] = &[
    (Uniform(-1.0, 1.0), Nothing),
    (Magnitudes(-1022, -1), Nothing),
    (Around(0.5, -52, -2), Nothing),
    (Spread::Below(1.0, -52, -1), Nothing),
    (Spread::Above(-1.0, -52, -1), Nothing),
];
const ANGLES: &[(Spread, Spread)] = &[
    (Uniform(-10.0, 10.0), Nothing),
    (Uniform(-1e5, 1e5), Nothing),
    (Magnitudes(-1022, 1023), Nothing),
    (Spread::QuarterTurns(1e6), Nothing),
];

const FUNCTIONS: &[Function] = &[
    Function { call: "acos(x)", arguments: SINES, exactly: |x, _| exactly::acos(x.into()) },
    Function { call: "acosh(x)", arguments: FROM_ONE, exactly: |x, _| exactly::acosh(x.into()) },
    Function { call: "asin(x)", arguments: SINES, exactly: |x, _| exactly::asin(x.into()) },
    Function { call: "asinh(x)", arguments: ANY, exactly: |x, _| exactly::asinh(x.into()) },
    Function { call: "atan(x)", arguments: ANY, exactly: |x, _| exactly::atan(x.into()) },
    Function {
        call: "atan2(y, x)",
        arguments: &[(Magnitudes(-500, 500), Magnitudes(-500, 500)), (Uniform(-3.0, 3.0), Uniform(-3.0, 3.0))],
        exactly: |x, y| exactly::atan2(y.into(), x.into()),
    },
    Function { call: "atanh(x)", arguments: SINES, exactly: |x, _| exactly::atanh(x.into()) },
    Function { call: "cbrt(x)", arguments: ANY, exactly: |x, _| exactly::cbrt(x.into()) },
    Function { call: "cos(x)", arguments: ANGLES, exactly: |x, _| exactly::cos(x) },
    Function { call: "cosh(x)", arguments: ANY, exactly: |x, _| exactly::cosh(x.into()) },
    Function { call: "cot(x)", arguments: ANGLES, exactly: |x, _| exactly::cot(x) },
    Function { call: "degrees(x)", arguments: SCALABLE, exactly: |x, _| exactly::degrees(x.into()) },
    Function { call: "exp(x)", arguments: EXPONENTS, exactly: |x, _| exactly::exp(x.into()) },
    Function { call: "ln(x)", arguments: POSITIVE, exactly: |x, _| exactly::ln(x.into()) },
    Function {
        call: "log(y, x)",
        arguments: &[
            (Spread::Positive(-1022, 1023), Spread::Positive(-1022, 1023)),
            (Uniform(0.001, 1e5), Uniform(2.0, 50.0)),
            (Around(1.0, -52, -2), Around(1.0, -52, -2)),
        ],
        exactly: |x, y| exactly::log(y.into(), x.into()),
    },
    Function { call: "log10(x)", arguments: POSITIVE, exactly: |x, _| exactly::log10(x.into()) },
    Function { call: "log2(x)", arguments: POSITIVE, exactly: |x, _| exactly::log2(x.into()) },
    Function {
        call: "power(x, y)",
        arguments: &[
            (Spread::Positive(-100, 100), Uniform(-9.0, 9.0)),
            (Around(1.0, -40, -3), Magnitudes(0, 11)),
            (Uniform(0.1, 100.0), Uniform(-100.0, 100.0)),
        ],
        exactly: |x, y| exactly::power(x.into(), y.into()),
    },
    Function { call: "radians(x)", arguments: SCALABLE, exactly: |x, _| exactly::radians(x.into()) },
    Function { call: "sin(x)", arguments: ANGLES, exactly: |x, _| exactly::sin(x) },
    Function { call: "sinh(x)", arguments: ANY, exactly: |x, _| exactly::sinh(x.into()) },
    Function { call: "sqrt(x)", arguments: POSITIVE, exactly: |x, _| exactly::sqrt(x.into()) },
    Function { call: "tan(x)", arguments: ANGLES, exactly: |x, _| exactly::tan(x) },
    Function { call: "tanh(x)", arguments: ANY, exactly: |x, _| exactly::tanh(x.into()) },
];

/// The worst distance of a function, and the arguments of it.
#[derive(Clone, Copy)]
struct Worst {
    distance: f64,
    x: f64,
    y: f64,
}

impl Function {
    fn arguments(&self) -> (Vec<f64>, Vec<f64>) {
        let mut random =
            Random(self.call.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))));
        let share = ROWS / self.arguments.len();
        let all = self.arguments.iter().flat_map(|spreads| vec![*spreads; share]);
        all.map(|(x, y)| (x.draw(&mut random), y.draw(&mut random))).unzip()
    }

    /// The function of every row, as a session computes it.
    async fn computed(&self, session: &Session, rows: &RecordBatch) -> Result<Vec<f64>, String> {
        let context = session.context();
        context.deregister_table("arguments").map_err(|e| e.to_string())?;
        context.register_batch("arguments", rows.clone()).map_err(|e| e.to_string())?;
        let query = format!("SELECT row, {} FROM arguments", self.call);
        let batches = session.collect(&query).await.map_err(|e| format!("{query}: {e}"))?;
        let mut values = vec![f64::NAN; rows.num_rows()];
        for batch in &batches {
            let (row, value) =
                (batch.column(0).as_primitive::<Float64Type>(), batch.column(1).as_primitive::<Float64Type>());
            row.values().iter().zip(value.values()).for_each(|(row, value)| values[*row as usize] = *value);
        }
        Ok(values)
    }

    /// The worst distances on each of the sessions.
    async fn measure(&self, sessions: &[&Session]) -> Result<Vec<Worst>, String> {
        let (x, y) = self.arguments();
        let truth: Vec<Number> = x.iter().zip(&y).map(|(x, y)| (self.exactly)(*x, *y)).collect();
        let row = (0..x.len()).map(|row| row as f64).collect::<Vec<_>>();
        let columns = [("row", row), ("x", x.clone()), ("y", y.clone())];
        let columns = columns.map(|(name, values)| (name, Arc::new(Float64Array::from(values)) as ArrayRef));
        let rows = RecordBatch::try_from_iter(columns).map_err(|e| e.to_string())?;
        let mut all = Vec::new();
        for session in sessions {
            let values = self.computed(session, &rows).await?;
            let mut worst = Worst { distance: 0.0, x: 0.0, y: 0.0 };
            for (row, value) in values.into_iter().enumerate() {
                let distance = truth[row].distance(value);
                if distance > worst.distance {
                    worst = Worst { distance, x: x[row], y: y[row] };
                }
            }
            all.push(worst);
        }
        Ok(all)
    }
}

/// A distance as the table shows it: rounded up to tenths, because the C library of another machine may differ in the rest.
fn shown(distance: f64) -> f64 {
    (distance * 10.0).ceil() / 10.0
}

/// What the committed page says of a function: its distances on the host and on the device.
fn committed(page: &str, call: &str) -> Option<[f64; 2]> {
    let row = page.lines().find_map(|line| line.strip_prefix(&format!("| `{call}` | ")))?;
    let mut cells = row.split(" | ").map(|cell| cell.trim_end_matches(" |").parse().ok());
    Some([cells.next()??, cells.next()??])
}

/// The section of docs/semantics.md, and what is wrong. Where a function is no further off than `page` says, its row stays.
pub async fn generate(page: &str) -> Result<(String, Vec<String>), String> {
    let mut wrong = known::wrong_digits();
    let session =
        |placement: &str| Session::builder().set("xla.placement", placement).build().map_err(|e| e.to_string());
    let (host, device) = (session("never")?, session("always")?);
    let mut out = format!(
        "{SECTION}\n\n\
         The worst distance of a function of DOUBLE from its true value, in units in the last place, over {ROWS} random arguments:\n\
         small and large ones, and such near zeros and poles. A correctly rounded result is at most 0.5 off. *Host* is Parallax\n\
         without a device, *device* is XLA on a CPU. Exact results are exact: log10(1000) is 3, cbrt(64) is 4. Functions of FLOAT are\n\
         computed as DOUBLE on the device. A test fails if a function is further off than the table says.\n\n\
         | function | host | device |\n|---|---|---|\n"
    );
    for function in FUNCTIONS {
        let worst = function.measure(&[&host, &device]).await?;
        let known = committed(page, function.call);
        let mut cells = [0.0; 2];
        for (side, worst) in worst.iter().enumerate() {
            cells[side] = shown(worst.distance);
            let name = ["host", "device"][side];
            let Worst { distance, x, y } = worst;
            if *distance > MOST {
                wrong.push(format!(
                    "{} on the {name} is {distance:.2} units off at x = {x:e}, y = {y:e}",
                    function.call
                ));
            }
            match known {
                Some(known) if cells[side] <= known[side] => cells[side] = known[side],
                Some(known) => wrong.push(format!(
                    "{} on the {name} is {distance:.3} units off at x = {x:e}, y = {y:e}; docs/semantics.md says {}",
                    function.call, known[side]
                )),
                None => {}
            }
        }
        let _ = writeln!(out, "| `{}` | {:.1} | {:.1} |", function.call, cells[0], cells[1]);
    }
    Ok((out, wrong))
}
