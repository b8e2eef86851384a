//! `FROM t LIMIT 3`: the parser reads it as a query without columns; as in DuckDB it is one of all columns.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    Select, SelectFlavor, SelectItem, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

/// Selects all columns wherever a query of `statement` has FROM and no SELECT.
pub fn select_all(statement: &mut Statement) {
    let _no_visit_ends_early = match statement {
        Statement::Statement(statement) => statement.visit(&mut SelectAll),
        Statement::Explain(explain) => {
            select_all(&mut explain.statement);
            ControlFlow::Continue(())
        }
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(&mut SelectAll),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    };
}

struct SelectAll;

impl VisitorMut for SelectAll {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            select.flavor = SelectFlavor::Standard;
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParser;

    use crate::statement::from_first::select_all;

    #[test]
    fn all_columns_are_selected() {
        for (sql, expected) in [
            ("FROM t LIMIT 3", "SELECT * FROM t LIMIT 3"),
            ("FROM t SELECT a", "FROM t SELECT a"),
            ("SELECT 1 WHERE EXISTS (FROM t)", "SELECT 1 WHERE EXISTS (SELECT * FROM t)"),
            ("CREATE VIEW v AS FROM t", "CREATE VIEW v AS SELECT * FROM t"),
            ("EXPLAIN FROM t", "EXPLAIN SELECT * FROM t"),
            ("COPY (FROM t) TO 'x.csv'", "COPY (SELECT * FROM t) TO 'x.csv'"),
        ] {
            let mut statement = DFParser::parse_sql(sql).unwrap().pop_front().unwrap();
            select_all(&mut statement);
            assert!(statement.to_string().starts_with(expected), "{statement}");
        }
    }
}
