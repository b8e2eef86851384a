//! What `\hlo` and `\why` show of a query that is planned but not run.

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::error::Result;

use crate::config::{Placement, XlaOptions};
use crate::program::Program;
use crate::session::Session;

/// The programs that `query` would run, as text that an HLO tool can read: a comment names each.
pub async fn hlo(session: &Session, query: &str) -> Result<String> {
    let programs = session.programs(query).await?;
    Ok(if programs.is_empty() {
        "No part of this query runs on the device, so there is no program; \\why says the reasons.".to_string()
    } else {
        programs.iter().map(program).collect::<Vec<_>>().join("\n\n")
    })
}

/// Each operator of `query` that stays on the host, with the reason.
pub async fn why(session: &Session, query: &str) -> Result<String> {
    let plan = physical_plan(session, query).await?;
    let placement = XlaOptions::of(session.context().state().config_options()).placement;
    Ok(explain_placement(&plan, placement))
}

fn program(program: &Program) -> String {
    format!("// {}\n{}", program.name, program.text.trim_end())
}

async fn physical_plan(session: &Session, query: &str) -> Result<String> {
    let mut text = String::new();
    for batch in session.collect(&format!("EXPLAIN FORMAT INDENT {query}")).await? {
        let [kinds, plans] = batch.columns() else { continue };
        for row in 0..batch.num_rows() {
            if array_value_to_string(kinds, row)? == "physical_plan" {
                text.push_str(&array_value_to_string(plans, row)?);
            }
        }
    }
    Ok(text)
}

fn explain_placement(plan: &str, placement: Placement) -> String {
    let on_host: Vec<String> = plan.lines().filter_map(fallback).collect();
    if !on_host.is_empty() {
        return on_host.join("\n");
    }
    let on_device = plan.lines().any(|line| line.trim().starts_with("Xla"));
    match (on_device, placement) {
        (true, Placement::Auto) => {
            "Every operator that Parallax has a device form of can run on the device; EXPLAIN shows what is expected of either side."
        }
        (true, _) => "Every operator that Parallax has a device form of runs on the device.",
        (false, Placement::Never) => {
            "Everything runs on the host, because xla.placement is 'never'; SET xla.placement = 'auto' changes that."
        }
        (false, _) => "This query has no operator that Parallax would put on the device.",
    }
    .to_string()
}

/// Reads the line of a plan that `HostFallbackExec` shows: the operator, then its reason as `[host: reason]`.
fn fallback(line: &str) -> Option<String> {
    let (operator, reason) = line.trim().strip_suffix(']')?.rsplit_once(" [host: ")?;
    Some(format!("{operator}\n  stays on the host: {reason}"))
}

#[cfg(test)]
mod tests {
    use crate::config::Placement;
    use crate::session::Session;
    use crate::shell::inspect::{explain_placement, hlo, why};

    #[test]
    fn reasons_are_those_of_the_plan() {
        let plan = "DeviceToHostExec\n  SortExec: expr=[a] [host: it sorts [a] table]\n    XlaFilterExec: a > 1\n";
        let shown = "SortExec: expr=[a]\n  stays on the host: it sorts [a] table";
        assert_eq!(explain_placement(plan, Placement::Auto), shown);
        assert!(explain_placement("XlaFilterExec\n", Placement::Auto).starts_with("Every operator"));
        assert!(explain_placement("EmptyExec\n", Placement::Never).contains("SET xla.placement"));
        assert!(explain_placement("EmptyExec\n", Placement::Auto).starts_with("This query has no operator"));
    }

    #[tokio::test]
    async fn a_query_is_planned_but_not_run() {
        let session = Session::new().unwrap();
        assert!(hlo(&session, "SELECT 1").await.is_ok());
        assert!(!why(&session, "SELECT 1/0").await.unwrap().is_empty());
        assert!(why(&session, "SELECT nope").await.is_err());
    }
}
