//! The columns of USING and NATURAL joins: an unqualified name is the merged column, which is `COALESCE(l.k, r.k)` after a FULL JOIN,
//! the right column after a RIGHT JOIN and the left one otherwise; `l.k` and `r.k` stay what they are (the rule `using_columns`).
//!
//! DataFusion has no merged columns. It takes the column of the first table for an unqualified name, so a FULL or RIGHT JOIN loses
//! keys; that of the first table by name for `*`; and refuses the name in WHERE, and after a second join.
//!
//! ```text
//! FROM l FULL JOIN r USING (k) WHERE k > 1
//!
//! [`label`]   FROM (l FULL JOIN r USING (k)) AS "(using 1)" WHERE "(using 1)".k > 1        in the syntax tree
//! [`join`]    Projection: coalesce(l.k, r.k) AS (using 1).k, l.k, l.v, r.k, r.w            in place of such a table
//! ```
//!
//! The other names of the statement, `*` among them, are resolved by DataFusion: it looks for joins with USING to learn which columns
//! of one name it may take for another. [`same_columns`] writes them down as such a join, which does nothing and is removed as soon as
//! the statement is planned.
//!
//! Labels come from the syntax tree of a statement, so this is for statements that come through `Session`.

mod join;
pub mod label;
pub mod same_columns;

pub use crate::frontend::using::join::UsingJoins;

use datafusion::common::plan_datafusion_err;
use datafusion::error::DataFusionError;

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "using_columns";

/// What the labels of joins begin with. They sort before the names of tables, so that DataFusion prefers them for `*`.
const LABEL: &str = "(using ";

/// An error about a labelled column, which the statement has without a label.
pub fn explain(error: DataFusionError) -> DataFusionError {
    let text = error.strip_backtrace();
    let column = text.split_once(&format!("No field named \"{LABEL}")).and_then(|(_, rest)| rest.split_once("\"."));
    let Some((_, rest)) = column else { return error };
    let end = rest.find(|c: char| c.is_whitespace() || c == '.').unwrap_or(rest.len());
    let name = rest.get(..end).unwrap_or_default();
    plan_datafusion_err!(
        "column {name} is ambiguous: more than one table has it; write the name of the table before it"
    )
}

/// Whether the columns of this qualifier are merged ones.
fn is_label(qualifier: &str) -> bool {
    qualifier.starts_with(LABEL)
}
