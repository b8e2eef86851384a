//! Where the dialects of SQLite, DuckDB and Parallax differ, and how the oracle deals with each difference. This list is
//! the only one.
//!
//! **The same question, written in two ways** ([`Dialect`]):
//!
//! | | SQLite | DuckDB and Parallax |
//! |---|---|---|
//! | a date | text of the form `2020-01-31`, which sorts and compares as dates do | `DATE '2020-01-31'` |
//! | the year of a date | `CAST(substr(d, 1, 4) AS INTEGER)` | `EXTRACT(YEAR FROM d)` |
//! | LIKE | ignores the case of letters | respects it; SQLite does after `PRAGMA case_sensitive_like = ON` ([`SETUP`]) |
//!
//! **The same answer, written in two ways** (`answer.rs`): conditions are 1 and 0 in SQLite; the sum of integers is an
//! integer in SQLite and Parallax and a HUGEINT in DuckDB. Numbers are compared as numbers, to nine digits.
//!
//! **Not asked**, because the answers differ on purpose:
//!
//! | | SQLite | DuckDB | Parallax |
//! |---|---|---|---|
//! | a scalar subquery of several rows | its first row | an error | an error |
//! | `/` of integers | truncates | a float | truncates |
//! | `x % 0` | NULL | NULL | an error |
//! | `x % y` of floats | of their integer parts | of floats | of floats |
//! | overflow of integers | continues as a float | an error | wraps |
//! | comparing text with numbers, conditions as numbers | by affinity | casts, or an error | casts, or an error |
//! | columns that are not grouped | the value of some row | an error | an error |
//! | `HAVING` without aggregates or GROUP BY | an error | an error | an error or rows |
//! | NULLs in ORDER BY without NULLS FIRST or LAST | smallest | last | largest |
//! | INTERSECT beside UNION or EXCEPT | from left to right | binds tighter | binds tighter; one operation at a time is asked |
//! | an aggregate in a subquery over columns of the outer query alone | belongs to the outer query | belongs to the outer query | refused; not asked |
//! | ANY, ALL, LATERAL, `DISTINCT ON`, GROUPING SETS | no such thing | | not asked; `sql-tests/` has them |
//! | `-0.0`, NaN, infinities | NULL for NaN | | not asked; docs/semantics.md has them |
//!
//! **SQLite's own faults**, which the generator does not avoid yet: `EXISTS (SELECT DISTINCT .. LIMIT n OFFSET m)` skips rows without
//! removing the duplicates first (case 40517 of `make fuzz-oracles`; DuckDB and Parallax agree).
//!
//! **Refused by a front end**: [`refusal_of_front_end`] says what may be.

/// The dialect that a statement is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    /// DuckDB and Parallax read the same text.
    Standard,
}

/// What SQLite executes before anything else.
pub const SETUP: &str = "PRAGMA case_sensitive_like = ON";

impl Dialect {
    pub fn date(self, date: &str) -> String {
        match self {
            Self::Sqlite => format!("'{date}'"),
            Self::Standard => format!("DATE '{date}'"),
        }
    }

    pub fn year(self, date: &str) -> String {
        match self {
            Self::Sqlite => format!("CAST(substr({date}, 1, 4) AS INTEGER)"),
            Self::Standard => format!("EXTRACT(YEAR FROM {date})"),
        }
    }
}

/// Returns whether Parallax may refuse a statement that SQLite answers, on every placement.
pub fn refusal_of_front_end(error: &str) -> bool {
    REFUSALS.iter().any(|known| error.contains(known))
}

/// What no placement does yet, by its message: nothing that the generator writes.
const REFUSALS: [&str; 0] = [];
