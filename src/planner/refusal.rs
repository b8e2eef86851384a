//! What an operator that cannot run on the device is told about: expressions as the user wrote them, without the numbers of columns
//! that physical expressions carry and the names of subexpressions that DataFusion has taken out.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::exec::boundary::driver::cannot_run_on_device;
use crate::expr::fallback::FallbackReason;

/// The prefix of the names that DataFusion's common subexpression elimination makes.
const COMMON: &str = "__common_expr_";

/// Subexpressions may hold further ones, but not themselves.
const MOST_LEVELS: usize = 16;

/// The error of an operator that must run on the device and cannot.
pub fn refusal(plan: &Arc<dyn ExecutionPlan>, reason: &FallbackReason) -> DataFusionError {
    let mut text = reason.to_string();
    for _ in 0..MOST_LEVELS {
        let Some((name, whole)) = common_name(&text) else { break };
        let Some(meaning) = meaning(plan, &name) else { break };
        text = text.replace(&whole, &meaning);
    }
    cannot_run_on_device(plan.name(), without_numbers(&text))
}

/// The first name of a common subexpression in a text, alone and with its column number.
fn common_name(text: &str) -> Option<(String, String)> {
    let rest = &text[text.find(COMMON)?..];
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    let name = &rest[..COMMON.len() + digits(&rest[COMMON.len()..])];
    let number = rest[name.len()..].strip_prefix('@').map_or(0, |number| 1 + digits(number));
    Some((name.to_string(), rest[..name.len() + number].to_string()))
}

/// The expression that a projection below gives a name.
fn meaning(plan: &Arc<dyn ExecutionPlan>, name: &str) -> Option<String> {
    let here = plan.downcast_ref::<ProjectionExec>().and_then(|projection| {
        let named =
            projection.expr().iter().find(|expr| expr.alias == name && !expr.expr.to_string().starts_with(name));
        named.map(|named| named.expr.to_string())
    });
    here.or_else(|| plan.children().into_iter().find_map(|child| meaning(child, name)))
}

/// `a@0 + b@12` as `a + b`.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        let names = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ')');
        let ends = !after[digits..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        out.push_str(before);
        if digits == 0 || !names || !ends {
            out.push('@');
            rest = after;
        } else {
            rest = &after[digits..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use crate::planner::refusal::{common_name, without_numbers};

    #[test]
    fn column_numbers_go() {
        assert_eq!(without_numbers("value@0 || / || value@12"), "value || / || value");
        assert_eq!(without_numbers("CAST(max(f.x)@1 AS Utf8View)"), "CAST(max(f.x) AS Utf8View)");
        assert_eq!(without_numbers("a@b.c @ 1 x@1y"), "a@b.c @ 1 x@1y");
    }

    #[test]
    fn common_subexpressions_are_found() {
        let found = common_name("CAST(__common_expr_12@0 AS Utf8View)");
        assert_eq!(found, Some(("__common_expr_12".to_string(), "__common_expr_12@0".to_string())));
        assert_eq!(common_name("a + b"), None);
    }
}
