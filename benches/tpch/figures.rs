//! Measured results, and the figures derived from them.

use serde_json::Value;

use crate::cases::Case;
use crate::engines::Engine;
use crate::growth::Growth;
use crate::options::Options;

/// Target ratio to DataFusion in memory, for the geometric mean of TPC-H (issue 4).
const DATAFUSION_GOAL: f64 = 5.0;

/// Target ratio to DuckDB in memory, for the geometric mean of TPC-H (issue 4).
const DUCKDB_GOAL: f64 = 2.0;

/// Maximum time of Q6, as a multiple of the time to read its columns.
const Q6_GOAL: f64 = 2.0;

/// Times of one query on one engine, in milliseconds.
pub struct Times {
    /// The first run, in which Parallax uploads and, over Parquet files, compiles.
    pub first: f64,
    /// The alternating runs, or one run if that was very long.
    pub runs: Vec<f64>,
}

impl Times {
    pub fn new(first: f64) -> Self {
        Self { first, runs: Vec::new() }
    }

    pub fn best(&self) -> f64 {
        self.runs.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// One query on all engines.
pub struct Outcome {
    pub case: Case,
    /// The times, or the reason why there are none.
    pub times: Vec<(Engine, Result<Times, String>)>,
    /// Total rows of the tables that the query reads.
    pub rows: u64,
    /// Bytes on the device of the columns that the query reads.
    pub device_bytes: usize,
    /// The share of the processors that other programs used during the timing.
    pub others: f64,
}

impl Outcome {
    pub fn times(&self, engine: Engine) -> Option<&Times> {
        self.times.iter().find(|(e, _)| *e == engine).and_then(|(_, times)| times.as_ref().ok())
    }

    /// Returns why an engine has no times.
    pub fn reason(&self, engine: Engine) -> Option<&str> {
        self.times.iter().find(|(e, _)| *e == engine).and_then(|(_, times)| times.as_ref().err()).map(String::as_str)
    }

    /// Returns how many times faster Parallax is than `engine`, by the best runs.
    pub fn ratio(&self, engine: Engine) -> Option<f64> {
        Some(self.times(engine)?.best() / self.warm())
    }

    /// Returns the best run of Parallax with cached columns, in ms.
    pub fn warm(&self) -> f64 {
        self.times(Engine::ParallaxWarm).map_or(f64::NAN, Times::best)
    }

    /// Returns the ms that it takes to read the query's device columns at `bandwidth` bytes per second.
    pub fn limit(&self, bandwidth: f64) -> f64 {
        self.device_bytes as f64 / bandwidth * 1e3
    }
}

/// One goal of issue 4.
pub struct Goal {
    pub text: String,
    pub found: String,
    pub reached: bool,
}

/// All results of a run.
pub struct Report {
    pub options: Options,
    pub command: String,
    pub versions: Value,
    pub threads: usize,
    /// Bytes per second.
    pub bandwidth: f64,
    pub outcomes: Vec<Outcome>,
    pub growth: Option<Growth>,
    pub seconds: f64,
}

impl Report {
    /// Returns the share of the processors that other programs used, over all queries.
    pub fn others(&self) -> f64 {
        self.outcomes.iter().map(|outcome| outcome.others).sum::<f64>() / self.outcomes.len().max(1) as f64
    }

    /// Returns the engines that took part.
    pub fn engines(&self) -> Vec<Engine> {
        self.outcomes.first().map_or(Vec::new(), |outcome| outcome.times.iter().map(|(engine, _)| *engine).collect())
    }

    /// Returns the geometric mean of [`Outcome::ratio`] over the TPC-H queries.
    pub fn mean(&self, engine: Engine) -> Option<f64> {
        let ratios: Vec<f64> =
            self.outcomes.iter().filter(|o| o.case.tpch).filter_map(|outcome| outcome.ratio(engine)).collect();
        let log = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64;
        (!ratios.is_empty()).then(|| log.exp())
    }

    /// Returns the goals that the run can evaluate.
    pub fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for (engine, goal) in [(Engine::DatafusionMemory, DATAFUSION_GOAL), (Engine::DuckdbMemory, DUCKDB_GOAL)] {
            if let Some(mean) = self.mean(engine) {
                goals.push(Goal {
                    text: format!("geometric mean of TPC-H at least {goal}x {} in memory", engine.label()),
                    found: format!("{mean:.2}x"),
                    reached: mean >= goal,
                });
            }
        }
        let ratio = |outcome: &&Outcome| outcome.ratio(Engine::DatafusionMemory).unwrap_or(f64::INFINITY);
        let slower = self.outcomes.iter().filter(|outcome| ratio(outcome) < 1.0);
        let slower: Vec<String> = slower.map(|o| format!("{} ({:.2}x)", o.case.name, ratio(&o))).collect();
        goals.push(Goal {
            text: "no query slower than DataFusion in memory".to_string(),
            found: if slower.is_empty() { "none".to_string() } else { slower.join(", ") },
            reached: slower.is_empty(),
        });
        if let Some(q6) = self.outcomes.iter().find(|outcome| outcome.case.name == "Q6") {
            let times = q6.warm() / q6.limit(self.bandwidth);
            goals.push(Goal {
                text: format!("Q6 within {Q6_GOAL}x of the memory bandwidth"),
                found: format!("{times:.2}x"),
                reached: times <= Q6_GOAL,
            });
        }
        if let Some(growth) = &self.growth {
            let risen: Vec<String> = growth.risen().map(str::to_string).collect();
            goals.push(Goal {
                text: "cost per row does not rise with the scale factor (by more than 20%)".to_string(),
                found: if risen.is_empty() { "none rises".to_string() } else { risen.join(", ") },
                reached: risen.is_empty(),
            });
        }
        goals
    }
}
