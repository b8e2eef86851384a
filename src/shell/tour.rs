//! The short tour that runs when there is neither a terminal nor SQL: two TPC-H queries, each on the host and then on the device,
//! and the plan of one.

use std::time::{Duration, Instant};

use crate::session::RanOn;
use crate::shell::error::ShellError;
use crate::shell::{Shell, progress};
use crate::tpch;

/// Compiling takes a second or two; a tour does not wait longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs Q6 and Q1, each with a heading, its SQL, its rows and its times, and prints the plan of Q1.
pub async fn run(shell: &mut Shell) -> Result<(), ShellError> {
    shell.timing = true;
    shell.footers = true;
    twice(shell, "TPC-H Q6: the revenue that certain discounts have cost", tpch::query(6)).await?;
    twice(shell, "TPC-H Q1: what was billed, shipped and returned", tpch::query(1)).await?;
    plan(shell, tpch::query(1)).await?;
    shell.say("-- `parallax` in a terminal opens the shell; `parallax --help` explains the rest.").map(|_| ())
}

/// Runs a query when it is new, and again when the device is ready for it.
async fn twice(shell: &mut Shell, heading: &str, sql: &str) -> Result<(), ShellError> {
    let first = stop(shell, heading, sql).await?;
    let start = Instant::now();
    while !shell.session().at_rest() && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = shell.time(sql).await?;
    let line = Shell::outcome_line(second, true);
    let ratio = first.as_secs_f64() / second.elapsed.as_secs_f64().max(1e-9);
    shell.say("-- The same query again: by now its programs are compiled, and its columns are on the device")?;
    if second.ran_on == Some(RanOn::Device) && ratio > 1.0 {
        shell.say(&format!("{line}, {} times as fast as at first\n", progress::ratio(ratio)))?;
    } else {
        shell.say(&format!("{line}\n"))?;
    }
    Ok(())
}

/// Prints the physical plan of Q1.
async fn plan(shell: &mut Shell, sql: &str) -> Result<(), ShellError> {
    shell.say("-- The plan of Q1: Xla operators run on the device")?;
    (shell.timing, shell.footers) = (false, false);
    shell.run_sql("SET datafusion.explain.physical_plan_only = true").await?;
    shell.run_sql(&format!("EXPLAIN FORMAT INDENT {}", without_comments(sql))).await?;
    shell.run_sql("SET datafusion.explain.physical_plan_only = false").await?;
    shell.say("").map(|_| ())
}

fn without_comments(sql: &str) -> String {
    let lines: Vec<&str> = sql.lines().filter(|line| !line.starts_with("--")).collect();
    lines.join("\n").trim_end().trim_end_matches(';').to_string()
}

/// Prints a heading, the SQL and its rows; the time that they took.
async fn stop(shell: &mut Shell, heading: &str, sql: &str) -> Result<Duration, ShellError> {
    let sql = without_comments(sql);
    shell.say(&format!("-- {heading}\n\n{sql};\n"))?;
    let start = Instant::now();
    shell.run_sql(&sql).await?;
    let elapsed = start.elapsed();
    shell.say("")?;
    Ok(elapsed)
}
