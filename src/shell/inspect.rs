//! What `\hlo` and `\why` show of a query that is planned but not run.

use datafusion::error::Result;

use crate::config::{Placement, XlaOptions};
use crate::program::Program;
use crate::session::{Fallback, Session, fallbacks, uses_device};

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
    let plan = session.sql(query).await?.create_physical_plan().await?;
    let on_host = fallbacks(&plan);
    if !on_host.is_empty() {
        let lines =
            on_host.iter().map(|Fallback { display, reason, .. }| format!("{display}\n  stays on the host: {reason}"));
        return Ok(lines.collect::<Vec<_>>().join("\n"));
    }
    let placement = XlaOptions::of(session.context().state().config_options()).placement;
    Ok(without_fallbacks(uses_device(&plan), placement).to_string())
}

fn program(program: &Program) -> String {
    format!("// {}\n{}", program.name, program.text.trim_end())
}

/// What there is to say of a query without fallbacks.
fn without_fallbacks(on_device: bool, placement: Placement) -> &'static str {
    match (on_device, placement) {
        (true, Placement::Auto) => {
            "All operators with a device form can run on the device. EXPLAIN VERBOSE shows where they are expected to be faster."
        }
        (true, _) => "All operators with a device form run on the device.",
        (false, Placement::Never) => {
            "Everything runs on the host, because xla.placement is 'never'. SET xla.placement = 'auto' changes that."
        }
        (false, _) => "This query has no operator for the device.",
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Placement;
    use crate::session::Session;
    use crate::shell::inspect::{hlo, why, without_fallbacks};

    #[test]
    fn what_is_said_depends_on_device_and_placement() {
        assert!(without_fallbacks(true, Placement::Auto).contains("EXPLAIN VERBOSE"));
        assert!(without_fallbacks(false, Placement::Never).contains("SET xla.placement"));
        assert!(without_fallbacks(false, Placement::Auto).starts_with("This query has no operator"));
    }

    #[tokio::test]
    async fn reasons_are_those_of_the_plan() {
        let session = Session::new().unwrap();
        session.collect("CREATE TABLE t(a INT) AS VALUES (1), (2)").await.unwrap();
        let shown = why(&session, "SELECT array_agg(a) FROM t").await.unwrap();
        assert!(
            shown.starts_with("AggregateExec: ") && shown.contains("\n  stays on the host: array_agg(t.a): "),
            "{shown}"
        );
        assert!(why(&session, "SELECT a + 1 FROM t").await.unwrap().starts_with("All operators"));
    }

    #[tokio::test]
    async fn a_query_is_planned_but_not_run() {
        let session = Session::new().unwrap();
        assert!(hlo(&session, "SELECT 1").await.is_ok());
        assert!(!why(&session, "SELECT 1/0").await.unwrap().is_empty());
        assert!(why(&session, "SELECT nope").await.is_err());
    }
}
