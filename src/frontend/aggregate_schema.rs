//! `aggregate_schema`: columns that DataFusion's logical planner proves to be never NULL, and its physical planner does not.
//!
//! `SELECT DISTINCT CASE WHEN a = b THEN b ELSE 1 END FROM t` fails with "Internal error: Physical input schema should be the same as the
//! one converted from logical input schema": where a equals b, b is not NULL, which only the logical planner sees. Both are right, and
//! the aggregation needs neither. A query that fails for this reason alone is planned again without the check
//! (`datafusion.execution.skip_physical_aggregate_schema_check`).
//!
//! Found by the comparison with SQLite and DuckDB (`make fuzz-oracles`).

use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;

/// Its name in `xla.frontend_rules`.
pub const NAME: &str = "aggregate_schema";

/// The session in which a query is planned that has failed with this error; `None` if it would fail again.
pub fn without_check(error: &DataFusionError, state: &SessionState) -> Option<SessionState> {
    if !is_about_nulls(&error.strip_backtrace()) {
        return None;
    }
    let mut unchecked = state.clone();
    unchecked.config_mut().options_mut().execution.skip_physical_aggregate_schema_check = true;
    Some(unchecked)
}

/// Whether the schemas differ, but only in columns that may be NULL.
fn is_about_nulls(text: &str) -> bool {
    let sign = "Physical input schema should be the same as the one converted from logical input schema. Differences:";
    let Some((_, differences)) = text.split_once(sign) else { return false };
    let mut differences = differences.lines().filter_map(|line| line.trim_start().strip_prefix("- ")).peekable();
    differences.peek().is_some() && differences.all(|difference| difference.starts_with("field nullability at "))
}

#[cfg(test)]
mod tests {
    use crate::frontend::aggregate_schema::is_about_nulls;

    #[test]
    fn only_differences_of_nulls_pass() {
        let sign = "Internal error: Physical input schema should be the same as the one converted from logical input schema. Differences:";
        let nulls = "\n\t- field nullability at index 0 [a]: (physical) true vs (logical) false";
        let types = "\n\t- field data type at index 0 [a]: (physical) Int64 vs (logical) Int32";
        assert!(is_about_nulls(&format!("{sign}{nulls}{nulls}.\nThis issue was likely caused by a bug")));
        assert!(!is_about_nulls(&format!("{sign}{nulls}{types}")));
        assert!(!is_about_nulls(sign));
        assert!(!is_about_nulls("Internal error: other"));
    }
}
