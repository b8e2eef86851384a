//! How many tables a statement reads once WITH is written out. DataFusion plans a table of WITH again for each time that it is read,
//! so that `w1 AS (SELECT .. FROM w0, w0), w2 AS (SELECT .. FROM w1, w1), ..` makes plans that double with each line.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{Ident, Query, TableFactor, VisitorMut};

use crate::frontend::syntax::visit;

/// Most reads of tables beyond those that are written.
const MOST: usize = 10_000;

/// Checks that a statement's plan is not much larger than its text.
///
/// # Errors
/// If it is.
pub fn check(statement: &mut Statement, normalizer: IdentNormalizer) -> Result<(), DataFusionError> {
    let mut count = Count { normalizer, written: 0, queries: vec![Counted::default()] };
    let _ = visit(statement, &mut count);
    let reads: usize = count.queries.iter().map(|query| query.reads).fold(0, usize::saturating_add);
    if reads > count.written.saturating_add(MOST) {
        return Err(DataFusionError::Plan(format!(
            "the tables of WITH read each other so often that the statement would read {} tables; keep the rows of one of them \
             with CREATE TABLE .. AS, and read that",
            if reads == usize::MAX { "too many".to_string() } else { reads.to_string() }
        )));
    }
    Ok(())
}

/// What is known of a query.
#[derive(Default)]
struct Counted {
    /// The names of its tables of WITH, the last one first, that have not been counted yet.
    names: Vec<String>,
    /// How many tables each of the others reads.
    tables: HashMap<String, usize>,
    /// How many tables the query reads.
    reads: usize,
}

struct Count {
    normalizer: IdentNormalizer,
    /// Reads that are written in the text.
    written: usize,
    /// The queries around the current node, and the statement.
    queries: Vec<Counted>,
}

impl Count {
    fn name(&self, ident: &Ident) -> String {
        self.normalizer.normalize(ident.clone())
    }
}

impl VisitorMut for Count {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| with.cte_tables.iter().rev());
        let names = tables.map(|table| self.name(&table.alias.name)).collect();
        self.queries.push(Counted { names, ..Counted::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        let reads = self.queries.pop().map_or(0, |query| query.reads);
        if let Some(around) = self.queries.last_mut() {
            // The tables of WITH come before what reads them.
            match around.names.pop() {
                Some(name) => {
                    around.tables.insert(name, reads);
                }
                None => around.reads = around.reads.saturating_add(reads),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            let known = match name.0.as_slice() {
                [part] => part.as_ident().map(|ident| self.name(ident)),
                _ => None,
            };
            let of_with = known.and_then(|name| self.queries.iter().rev().find_map(|query| query.tables.get(&name)));
            let reads = of_with.copied().unwrap_or(1).max(1);
            self.written = self.written.saturating_add(1);
            if let Some(query) = self.queries.last_mut() {
                query.reads = query.reads.saturating_add(reads);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::Statement;
    use datafusion::sql::planner::IdentNormalizer;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use crate::frontend::syntax::expansion::check;

    fn is_refused(sql: &str) -> bool {
        let statement = Parser::parse_sql(&GenericDialect, sql).unwrap().pop().unwrap();
        check(&mut Statement::Statement(Box::new(statement)), IdentNormalizer::new(true)).is_err()
    }

    fn doubling(n: usize) -> String {
        let tables = (1..n).map(|i| format!(", W{i} AS (SELECT x.a FROM w{0} AS x JOIN w{0} AS y USING (a))", i - 1));
        format!("WITH w0 AS (SELECT 1 AS a FROM t){} SELECT * FROM w{}", tables.collect::<String>(), n - 1)
    }

    #[test]
    fn doubling_tables_are_refused() {
        assert!(!is_refused(&doubling(10)));
        assert!(is_refused(&doubling(20)));
        assert!(is_refused(&doubling(200)));
        assert!(is_refused(&format!("SELECT * FROM ({})", doubling(30))));
    }

    #[test]
    fn long_text_is_not_refused() {
        assert!(!is_refused(&format!("SELECT 1 FROM {}", vec!["t"; 30_000].join(", "))));
        // The inner w is another table.
        let inner = "WITH w AS (SELECT * FROM t) SELECT * FROM (WITH w AS (SELECT 1) SELECT * FROM w), w";
        assert!(!is_refused(inner));
    }
}
