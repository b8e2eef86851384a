//! The report as JSON: `bench-results/tpch.json`.

use serde_json::{Map, Value, json};

use crate::engines::Engine;
use crate::figures::{Outcome, Report};
use crate::growth::Growth;

/// Returns the report. Times are in ms, costs in ns per row of lineitem, and bandwidth in bytes per second.
pub fn json(report: &Report) -> Value {
    let engines = report.engines();
    let means: Map<_, _> = engines
        .iter()
        .filter(|engine| **engine != Engine::ParallaxWarm)
        .filter_map(|engine| Some((engine.key().to_string(), json!(round(report.mean(*engine)?)))))
        .collect();
    let goals = report.goals();
    json!({
        "benchmark": "tpch",
        "command": report.command,
        "versions": report.versions,
        "threads": report.threads,
        "scale": report.options.scale,
        "runs": report.options.runs,
        "devices": report.options.devices,
        "share_of_other_programs": round(report.others()),
        "seconds": round(report.seconds),
        "bandwidth": report.bandwidth.round(),
        "engines": engines.iter().map(|e| json!({"key": e.key(), "label": e.label()})).collect::<Vec<_>>(),
        "queries": report.outcomes.iter().map(|outcome| query(outcome, report.bandwidth)).collect::<Vec<_>>(),
        "times_faster_geometric_mean": means,
        "goals": goals.iter().map(|goal| json!({
            "goal": goal.text, "found": goal.found, "reached": goal.reached,
        })).collect::<Vec<_>>(),
        "growth": report.growth.as_ref().map(growth),
    })
}

fn query(outcome: &Outcome, bandwidth: f64) -> Value {
    let engines: Map<_, _> = outcome
        .times
        .iter()
        .map(|(engine, times)| {
            let value = match times {
                Ok(times) => json!({
                    "first_ms": round(times.first),
                    "ms": times.runs.iter().copied().map(round).collect::<Vec<_>>(),
                    "best_ms": round(times.best()),
                    "median_ms": round(times.median()),
                    "times_parallax": outcome.ratio(*engine).map(round),
                }),
                Err(reason) => json!({"reason": reason}),
            };
            (engine.key().to_string(), value)
        })
        .collect();
    let limit = outcome.limit(bandwidth);
    json!({
        "query": outcome.case.name,
        "sql": outcome.case.sql,
        "tpch": outcome.case.tpch,
        "engines": engines,
        "share_of_other_programs": round(outcome.others),
        "rows": outcome.rows,
        "rows_per_second": (outcome.rows as f64 / outcome.warm() * 1e3).round(),
        "device_bytes": outcome.device_bytes,
        "bandwidth_limit_ms": round(limit),
        "times_bandwidth_limit": round(outcome.warm() / limit),
    })
}

fn growth(growth: &Growth) -> Value {
    let queries: Vec<_> = growth
        .queries
        .iter()
        .map(|(name, costs)| {
            let ns: Vec<_> = costs.iter().copied().map(round).collect();
            json!({"query": name, "ns_per_row": ns, "rises": Growth::rises(costs)})
        })
        .collect();
    let others: Vec<_> = growth.others.iter().copied().map(round).collect();
    json!({"scales": growth.scales, "queries": queries, "left_out": growth.left_out, "share_of_other_programs": others})
}

/// Rounds to three decimal places.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
