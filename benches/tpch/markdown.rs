//! The report as text: tables for the terminal and for docs/benchmarks.md.

use std::fmt::Write;

use crate::engines::Engine;
use crate::figures::{Outcome, Report};
use crate::growth::Growth;

/// The share of CPU time up to which other programs do not matter.
const QUIET: f64 = 0.1;

const PREFACE: &str = "\
![Best times by query and engine](benchmarks.svg)

## Goals

";

const WHAT_IS_TIMED: &str = "\
The small queries read TPC-H's tables and 10 million random rows (benches/tpch/cases.rs). A run ends when all rows have
been returned, as Arrow arrays or a Polars frame. Tables are in memory unless the column says Parquet:

- **Parallax**: the columns are cached on the device, and the physical plan of a repeated query is cached.
- **Parallax Parquet**: nothing is on the device. The files, which are in the page cache, are read, encoded and uploaded.
  Programs have been compiled; `bench-results/tpch.json` also has the first run, which compiles them.
- **DataFusion**, **DuckDB**: tables in memory, or the same files; default settings except for the number of threads.
- **Polars**: frames in memory, queried through its SQL interface and run by its streaming engine.

All results are compared before they are timed. `x DataFusion` and `x DuckDB` are the ratios of their best times in
memory to Parallax's.
";

const LIMIT: &str = "\
A query must read its
columns, as stored on the device, at least once. The limit is the time that this takes. Rows are the total rows of its tables.
";

const GROWTH: &str = "
## Growth

Nanoseconds per row of lineitem with cached columns, best runs. Bold means more than 20% above the previous scale factor.

";

/// Returns the page docs/benchmarks.md.
pub fn page(report: &Report) -> String {
    let about = |key: &str| report.versions[key].as_str().unwrap_or("unknown");
    let minutes = (report.seconds / 60.0).max(1.0);
    let mut text = String::from("# Benchmarks\n\n");
    let _ = writeln!(text, "Written by `{}` on {}, in {minutes:.0} minutes.\n", report.command, about("date"));
    let _ = writeln!(
        text,
        "- Machine: {}, {} GiB of memory; {} threads for every engine.",
        about("processor"),
        about("memory_gib"),
        report.threads,
    );
    let versions = [("Parallax", "parallax"), ("XLA", "xla"), ("DataFusion", "datafusion")]
        .into_iter()
        .chain([("DuckDB", "duckdb"), ("Polars", "polars"), ("Python", "python")])
        .map(|(name, key)| format!("{name} {}", about(key)));
    let _ = writeln!(text, "- Versions: {}.", versions.collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "- {}\n", others(report));
    text.push_str(PREFACE);
    text.push_str(&goals(report));
    let _ = writeln!(
        text,
        "\n## Times\n\nTPC-H scale factor {}, best / median of {} alternating runs, in ms.\n\n{WHAT_IS_TIMED}",
        report.options.scale, report.options.runs
    );
    text.push_str(&times(report));
    let _ = writeln!(
        text,
        "\n## Memory bandwidth\n\n{} threads read {:.1} GB/s from a buffer of 1 GiB. {LIMIT}",
        report.threads,
        report.bandwidth / 1e9
    );
    text.push_str(&bandwidth(report));
    if let Some(found) = &report.growth {
        text.push_str(GROWTH);
        text.push_str(&growth(found));
    }
    text
}

/// Returns whether the machine was quiet.
pub fn others(report: &Report) -> String {
    let share = report.others();
    let verdict = if share > QUIET { ", **so the times are too long**" } else { "" };
    format!("Other programs used {:.0}% of the CPU time during the queries{verdict}.", share * 100.0)
}

/// Returns the goals, reached or missed.
pub fn goals(report: &Report) -> String {
    let mut text = String::from("| goal | result | |\n|---|---|---|\n");
    for goal in report.goals() {
        let verdict = if goal.reached { "reached" } else { "**missed**" };
        let _ = writeln!(text, "| {} | {} | {verdict} |", goal.text, goal.found);
    }
    text
}

/// Returns best and median of each engine, the means, and why times are missing.
pub fn times(report: &Report) -> String {
    let engines = report.engines();
    let compared: Vec<Engine> = [Engine::DatafusionMemory, Engine::DuckdbMemory]
        .into_iter()
        .filter(|engine| engines.contains(engine))
        .collect();
    let mut text = String::from("| query |");
    engines.iter().for_each(|engine| _ = write!(text, " {} |", engine.label()));
    compared.iter().for_each(|engine| _ = write!(text, " x {} |", engine.label()));
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(engines.len() + compared.len()));
    for outcome in &report.outcomes {
        let _ = write!(text, "| {} |", outcome.case.name);
        for engine in &engines {
            let _ = match outcome.times(*engine) {
                Some(times) if times.runs.len() < report.options.runs => write!(text, " {} |", ms(times.best())),
                Some(times) => write!(text, " {} / {} |", ms(times.best()), ms(times.median())),
                None => write!(text, " - |"),
            };
        }
        for engine in &compared {
            let _ = match outcome.ratio(*engine) {
                Some(ratio) => write!(text, " {ratio:.2} |"),
                None => write!(text, " - |"),
            };
        }
        text.push('\n');
    }
    if report.outcomes.iter().any(|outcome| outcome.case.tpch) {
        let _ = write!(text, "| **TPC-H: ratio to Parallax, geometric mean** |");
        for engine in &engines {
            let mean = report.mean(*engine).map_or("-".to_string(), |mean| format!("{mean:.2}"));
            let _ = write!(text, " {mean} |");
        }
        for engine in &compared {
            let mean = report.mean(*engine).map_or("-".to_string(), |mean| format!("**{mean:.2}**"));
            let _ = write!(text, " {mean} |");
        }
        text.push('\n');
    }
    for (outcome, engine) in report.outcomes.iter().flat_map(|o| engines.iter().map(move |engine| (o, *engine))) {
        if let Some(reason) = outcome.reason(engine) {
            let first = reason.lines().next().unwrap_or_default();
            let _ = writeln!(text, "\n{} on {}: {first}", outcome.case.name, engine.label());
        } else if outcome.times(engine).is_some_and(|times| times.runs.len() < report.options.runs) {
            let _ = writeln!(text, "\n{} on {} ran once because it is slow.", outcome.case.name, engine.label());
        }
    }
    text
}

/// Returns the times with cached columns beside the limit that the memory sets.
pub fn bandwidth(report: &Report) -> String {
    let mut text = String::from(
        "| query | rows, M | on the device, MB | M rows/s | limit, ms | time, ms | time over limit |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for outcome in &report.outcomes {
        let Outcome { rows, device_bytes, .. } = outcome;
        let (warm, limit) = (outcome.warm(), outcome.limit(report.bandwidth));
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.1} | {:.0} | {limit:.2} | {} | {:.2} |",
            outcome.case.name,
            *rows as f64 / 1e6,
            *device_bytes as f64 / 1e6,
            *rows as f64 / warm / 1e3,
            ms(warm),
            warm / limit,
        );
    }
    text
}

/// Returns the cost per row at each scale factor.
pub fn growth(growth: &Growth) -> String {
    let mut text = String::from("| query |");
    growth.scales.iter().for_each(|scale| _ = write!(text, " SF {scale} |"));
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(growth.scales.len()));
    for (name, costs) in &growth.queries {
        let _ = write!(text, "| {name} |");
        for (index, cost) in costs.iter().enumerate() {
            let rises = index > 0 && Growth::rises(&costs[index - 1..=index]);
            let _ = if rises { write!(text, " **{cost:.2}** |") } else { write!(text, " {cost:.2} |") };
        }
        text.push('\n');
    }
    let _ = write!(text, "| CPU time used by other programs |");
    growth.others.iter().for_each(|share| _ = write!(text, " {:.0}% |", share * 100.0));
    text.push('\n');
    for reason in &growth.left_out {
        let _ = writeln!(text, "\nLeft out: {reason}.");
    }
    text
}

fn ms(time: f64) -> String {
    if time >= 1000.0 { format!("{time:.0}") } else { format!("{time:.1}") }
}
