//! What a row costs at other scale factors: Parallax, warm, TPC-H.

use std::time::Instant;

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use crate::agree;
use crate::cases::Case;
use crate::data::Data;
use crate::engines;
use crate::figures::Outcome;
use crate::machine;
use crate::options::Options;

/// The scale factors beside that of the run.
const SCALES: [f64; 2] = [0.1, 3.0];

/// GiB that a scale factor of one takes at most, in Arrow and on the device, and what is to stay free beside it.
const GIB_OF_SCALE: f64 = 3.5;
const GIB_FREE: f64 = 8.0;

/// How much more than at a smaller scale factor a row may cost.
const RISE: f64 = 1.2;

/// Nanoseconds per row of lineitem.
pub struct Growth {
    /// Scale factors, ascending.
    pub scales: Vec<f64>,
    /// Each query with its cost at each scale factor, best runs.
    pub queries: Vec<(String, Vec<f64>)>,
    /// Why scale factors are missing.
    pub left_out: Vec<String>,
}

impl Growth {
    /// Measures the other scale factors; the caller has let go of what it had in memory.
    pub async fn measure(options: &Options, outcomes: &[Outcome], data_rows: u64) -> Result<Self> {
        let tpch: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.case.tpch).collect();
        let own = tpch.iter().map(|outcome| outcome.warm() * 1e6 / data_rows as f64).collect();
        let mut costs: Vec<(f64, Vec<f64>)> = vec![(options.scale, own)];
        let mut left_out = Vec::new();
        for scale in SCALES {
            let (free, need) = (machine::free_memory_gib(), GIB_FREE + GIB_OF_SCALE * scale);
            if free < need {
                left_out.push(format!("scale factor {scale}: {free:.1} GiB are free and {need:.1} are wanted"));
                continue;
            }
            eprintln!("growth: scale factor {scale} ...");
            costs.push((scale, costs_at(scale, options, &tpch).await?));
        }
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let cost = |query: usize| costs.iter().map(|(_, costs)| costs[query]).collect();
        Ok(Self {
            scales: costs.iter().map(|(scale, _)| *scale).collect(),
            queries: tpch.iter().enumerate().map(|(query, o)| (o.case.name.clone(), cost(query))).collect(),
            left_out,
        })
    }

    /// Whether a row costs more at some scale factor than at the one before.
    pub fn rises(costs: &[f64]) -> bool {
        costs.windows(2).any(|pair| pair[1] > pair[0] * RISE)
    }

    /// The queries of which a row costs more.
    pub fn risen(&self) -> impl Iterator<Item = &str> {
        self.queries.iter().filter(|(_, costs)| Self::rises(costs)).map(|(name, _)| name.as_str())
    }
}

/// The cost of a row of each query at one scale factor, after a run that is compared with DataFusion's.
async fn costs_at(scale: f64, options: &Options, outcomes: &[&Outcome]) -> Result<Vec<f64>> {
    let data = Data::generate(scale, false)?;
    let (parallax, datafusion) = (engines::parallax(options.devices)?, engines::datafusion());
    engines::register(&[parallax.context(), &datafusion], &data)?;
    let rows = data.rows_of(&["lineitem"]) as f64;
    let mut costs = Vec::new();
    for Case { name, sql, ordered, .. } in outcomes.iter().map(|outcome| &outcome.case) {
        let expected = datafusion.sql(sql).await?.collect().await?;
        let actual = parallax.collect(sql).await?;
        if let Some(difference) = agree::difference(&expected, &actual, *ordered)? {
            return Err(exec_datafusion_err!("{name} at scale factor {scale}: {difference}"));
        }
        let mut best = f64::INFINITY;
        for _ in 0..options.runs {
            let start = Instant::now();
            parallax.collect(sql).await?;
            best = best.min(start.elapsed().as_nanos() as f64);
        }
        costs.push(best / rows);
    }
    Ok(costs)
}
