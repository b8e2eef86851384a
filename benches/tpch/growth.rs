//! Measures the cost per row at several scale factors: Parallax, TPC-H, cached columns.

use std::time::Instant;

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use crate::agree;
use crate::cases::Case;
use crate::cpu::Watch;
use crate::data::Data;
use crate::engines;
use crate::figures::Outcome;
use crate::machine;
use crate::options::Options;

/// The scale factors, ascending.
const SCALES: [f64; 3] = [0.1, 1.0, 3.0];

/// Maximum memory in GiB per unit of scale factor, in Arrow and on the device.
const GIB_OF_SCALE: f64 = 2.5;

/// Memory in GiB that must stay free besides.
const GIB_FREE: f64 = 8.0;

/// Maximum number of runs of a query at one scale factor.
const RUNS: usize = 3;

/// Maximum ratio of the cost per row to that at a smaller scale factor.
const RISE: f64 = 1.2;

/// Nanoseconds per row of lineitem.
pub struct Growth {
    /// Scale factors, ascending.
    pub scales: Vec<f64>,
    /// Each query with its cost at each scale factor, from the best runs.
    pub queries: Vec<(String, Vec<f64>)>,
    /// The share of the processors that other programs used at each scale factor.
    pub others: Vec<f64>,
    /// Why scale factors are missing.
    pub left_out: Vec<String>,
}

impl Growth {
    /// Measures each scale factor in the same way. `data` are the tables of the run, which are dropped on the way.
    pub async fn measure(options: &Options, data: Data, outcomes: &[Outcome]) -> Result<Self> {
        let cases: Vec<&Case> = outcomes.iter().map(|outcome| &outcome.case).filter(|case| case.tpch).collect();
        let mut growth = Self { scales: Vec::new(), queries: Vec::new(), others: Vec::new(), left_out: Vec::new() };
        growth.queries.extend(cases.iter().map(|case| (case.name.clone(), Vec::new())));
        let mut own = Some(data);
        for scale in SCALES {
            let data = match own.take_if(|_| scale == options.scale) {
                Some(data) => data,
                None => {
                    let (free, need) = (machine::free_memory_gib(), GIB_FREE + GIB_OF_SCALE * scale);
                    if free < need {
                        let reason = format!(
                            "scale factor {scale}: it needs {need:.1} GiB of free memory, and {free:.1} are free"
                        );
                        growth.left_out.push(reason);
                        continue;
                    }
                    Data::generate(scale, false)?
                }
            };
            eprintln!("growth: scale factor {scale} ...");
            growth.scales.push(scale);
            let watch = Watch::start(None);
            for ((_, costs), cost) in growth.queries.iter_mut().zip(costs_of(data, options, &cases).await?) {
                costs.push(cost);
            }
            growth.others.push(watch.others());
        }
        Ok(growth)
    }

    /// Returns whether a row costs more at some scale factor than at the one before.
    pub fn rises(costs: &[f64]) -> bool {
        costs.windows(2).any(|pair| pair[1] > pair[0] * RISE)
    }

    /// Returns the queries whose cost per row rises.
    pub fn risen(&self) -> impl Iterator<Item = &str> {
        self.queries.iter().filter(|(_, costs)| Self::rises(costs)).map(|(name, _)| name.as_str())
    }
}

/// Returns the cost per row of each query, after a run that is compared with DataFusion.
async fn costs_of(data: Data, options: &Options, cases: &[&Case]) -> Result<Vec<f64>> {
    let (parallax, datafusion) = (engines::parallax(options.devices)?, engines::datafusion());
    engines::register(&[parallax.context(), &datafusion], &data)?;
    let rows = data.rows_of(&["lineitem"]) as f64;
    let mut costs = Vec::new();
    for Case { name, sql, ordered, .. } in cases {
        let expected = datafusion.sql(sql).await?.collect().await?;
        let actual = parallax.collect(sql).await?;
        if let Some(difference) = agree::difference(&expected, &actual, *ordered)? {
            return Err(exec_datafusion_err!("{name} over {rows} rows of lineitem: {difference}"));
        }
        let mut best = f64::INFINITY;
        for _ in 0..options.runs.min(RUNS) {
            let start = Instant::now();
            parallax.collect(sql).await?;
            best = best.min(start.elapsed().as_nanos() as f64);
        }
        costs.push(best / rows);
    }
    Ok(costs)
}
