//! Runs one query on every engine: first once each, to compare the results, then alternating.

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use crate::agree;
use crate::cases::Case;
use crate::data::Data;
use crate::engines::{Engine, Engines};
use crate::figures::{Outcome, Times};

/// An engine that takes longer than this, in ms without uploads and compilation, is not run again.
const SLOW: f64 = 5000.0;

/// Times a query. If an engine cannot run it or returns other rows than DataFusion, the outcome has the reason instead
/// of times.
///
/// # Errors
///
/// Fails if Parallax or DataFusion fails, or if they disagree.
pub async fn measure(engines: &mut Engines, case: Case, data: &Data, runs: usize) -> Result<Outcome> {
    engines.clear_warm()?;
    let (first, expected) = engines.run(Engine::DatafusionMemory, &case.sql, true).await?;
    let all = engines.all();
    let mut times = Vec::new();
    // In reverse order, so that Parallax compiles in its run over Parquet files, which reports the compile time.
    for engine in all.iter().rev().copied() {
        let outcome = match engine {
            Engine::DatafusionMemory => Ok(Times::new(first)),
            _ => match engines.run(engine, &case.sql, true).await {
                Ok((first, actual)) => match agree::difference(&expected, &actual, case.ordered)? {
                    None => Ok(Times::new(first)),
                    Some(difference) => Err(format!("another result: {difference}")),
                },
                Err(error) => Err(error.to_string()),
            },
        };
        let must = matches!(engine, Engine::ParallaxWarm | Engine::ParallaxCold | Engine::DatafusionParquet);
        if let (Err(reason), true) = (&outcome, must) {
            return Err(exec_datafusion_err!("{} on {}: {reason}", case.name, engine.label()));
        }
        times.insert(0, (engine, outcome));
    }
    drop(expected);
    let device_bytes = engines.warm_bytes()?;
    let watch = engines.watch();
    for _ in 0..runs {
        for (engine, outcome) in &mut times {
            let Ok(times) = outcome else { continue };
            if times.runs.last().is_none_or(|last| *last < SLOW) {
                times.runs.push(engines.run(*engine, &case.sql, false).await?.0);
            }
        }
    }
    let rows = data.rows_of(&case.tables());
    Ok(Outcome { case, times, rows, device_bytes, others: watch.others() })
}
