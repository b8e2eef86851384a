//! The short tour that runs when there is neither a terminal nor SQL: two TPC-H queries and the plan of one.

use crate::shell::Shell;
use crate::shell::error::ShellError;
use crate::tpch;

/// Runs Q6, Q1 and EXPLAIN of Q1, each with a heading, its SQL, its rows and its time.
pub async fn run(shell: &mut Shell) -> Result<(), ShellError> {
    shell.timing = true;
    shell.footers = true;
    let explain = format!("explain\n{}", tpch::query(1));
    stop(shell, "TPC-H Q6: the revenue that certain discounts have cost", tpch::query(6)).await?;
    stop(shell, "TPC-H Q1: what was billed, shipped and returned", tpch::query(1)).await?;
    stop(shell, "The plan of Q1: which operators run on the device", &explain).await?;
    shell.say("-- `parallax` in a terminal opens the shell; `parallax --help` says the rest.").map(|_| ())
}

async fn stop(shell: &mut Shell, heading: &str, sql: &str) -> Result<(), ShellError> {
    let sql: Vec<&str> = sql.lines().filter(|line| !line.starts_with("--")).collect();
    let sql = sql.join("\n");
    shell.say(&format!("-- {heading}\n\n{sql}\n"))?;
    shell.run_text(&sql, None).await?;
    shell.say("").map(|_| ())
}
