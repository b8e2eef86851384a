//! Random tables and random, well-typed SQL over them, for comparing the device with DataFusion's own operators.
//!
//! A [`Case`] is a table and a few queries over it. Tables have 4 to 8 columns of any type that the device supports. Each
//! column has a profile (small values, wild values with every extreme, one value, all NULL) and a share of NULLs. Rows
//! come in batches of uneven lengths, and a table may be tiled to fill several chunks.
//!
//! Expressions are drawn for a type: `expression::Expressions::boolean`, `integer`, `float` ... recurse to a given depth.
//! Everything is a proptest strategy over SQL text, so that failures shrink towards leaves, fewer queries and fewer rows.
//!
//! The generator avoids the following, because DataFusion's result depends on the order or the grouping of rows:
//!
//! | avoided | because |
//! |---|---|
//! | fallible expressions (`/`, `%`, narrowing casts) right of AND and OR, in IN lists, in boolean CASE | whether DataFusion evaluates them for a row depends on the share of true rows in its batch |
//! | the same under an aggregate's FILTER | evaluated for all rows with GROUP BY, only for passing rows without |
//! | MIN and MAX of wild floats with GROUP BY | NaN replaces what came before it, and the next value replaces NaN |
//! | SUM and AVG of wild floats, AVG of wild 64-bit integers | the sum is a float, and its rounding depends on the order |
//! | comparisons of computed floats | 0.0 / 0.0 is a negative NaN on x86, below every number, and a positive NaN elsewhere |
//! | nested arithmetic of wild floats | XLA may fuse a multiplication and an addition |
//! | the negation of a computed integer | DataFusion wraps an array's minimum and fails on a scalar's, which a CASE may become |
//! | SUM of decimals at 38 digits | DataFusion's wraps; ours is an error |

pub mod expression;
pub mod function;
pub mod query;
pub mod rows;
pub mod table;
pub mod value;

use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;

use crate::generator::expression::Expressions;
use crate::generator::query::Kind;
use crate::generator::table::Table;

/// A table `t` and queries over it.
#[derive(Clone)]
pub struct Case {
    pub kind: Kind,
    pub table: Table,
    pub queries: Vec<String>,
}

impl Case {
    /// Generates cases of one kind of query.
    pub fn strategy(kind: Kind) -> BoxedStrategy<Self> {
        table::columns()
            .prop_flat_map(move |columns| {
                // Independent strategies, so that each shrinks while the other stays.
                let expressions = Expressions { columns: Arc::new(columns.clone()) };
                let queries = prop::collection::vec(query::strategy(expressions, kind), 1..=4);
                (queries, table::strategy(columns)).prop_map(move |(queries, table)| Self { kind, table, queries })
            })
            .boxed()
    }

    /// Returns whether -0.0 and 0.0 are different results.
    pub fn compares_signs(&self) -> bool {
        !matches!(self.kind, Kind::Aggregate)
    }
}

/// Prints everything needed to reproduce a failure: the data as INSERT statements, followed by the queries.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.table)?;
        self.queries.iter().try_for_each(|query| writeln!(f, "{query};"))
    }
}
