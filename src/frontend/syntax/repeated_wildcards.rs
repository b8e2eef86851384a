//! Wildcards whose columns another one has, too, as in `SELECT *, * FROM t`. Only the tables tell what their columns are, so these are
//! planned alone; then the columns are written out under hidden names, which [`duplicate_names`](crate::frontend::syntax::duplicate_names)
//! takes off again:
//!
//! ```text
//! SELECT *, * FROM t    SELECT *, t.a AS __same_1, t.b AS __same_2 FROM t
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Ident, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, VisitorMut, With,
};

use crate::frontend::syntax::duplicate_names::{HIDDEN, Names};
use crate::frontend::syntax::visit;
use crate::frontend::using::same_columns;

/// Writes out such wildcards, and adds the columns' own names by their hidden ones. Returns whether there were any.
///
/// # Errors
/// If the tables of a SELECT cannot be planned alone.
pub async fn expand(state: &SessionState, statement: &mut Statement, names: &mut Names) -> Result<bool> {
    let mut find = Find { withs: Vec::new(), selects: 0, found: Vec::new() };
    let _ = visit(statement, &mut find);
    let mut columns: HashMap<Place, Vec<SelectItem>> = HashMap::new();
    for (place, wildcard) in find.found {
        let items = columns_of(state, wildcard).await?.into_iter().map(|(column, name)| {
            let hidden = format!("{HIDDEN}{}", names.len() + 1);
            names.insert(hidden.clone(), Some(name));
            SelectItem::ExprWithAlias { expr: column, alias: Ident::new(hidden) }
        });
        columns.insert(place, items.collect());
    }
    let found = !columns.is_empty();
    let _ = visit(statement, &mut Write { selects: 0, columns });
    Ok(found)
}

/// The number of a SELECT in the order of visits, and that of an item in its list.
type Place = (usize, usize);

/// A wildcard, its SELECT and the tables of WITH around it.
struct Wildcard {
    item: SelectItem,
    select: Select,
    tables: Vec<Cte>,
    recursive: bool,
}

/// Finds wildcards.
struct Find {
    withs: Vec<Option<With>>,
    selects: usize,
    found: Vec<(Place, Wildcard)>,
}

impl VisitorMut for Find {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.withs.push(query.with.clone());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.withs.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for i in repeated(&select.projection) {
            let withs = self.withs.iter().flatten();
            let wildcard = Wildcard {
                item: select.projection[i].clone(),
                select: select.clone(),
                tables: withs.clone().flat_map(|with| with.cte_tables.clone()).collect(),
                recursive: withs.clone().any(|with| with.recursive),
            };
            self.found.push(((self.selects, i), wildcard));
        }
        self.selects += 1;
        ControlFlow::Continue(())
    }
}

/// Writes columns for wildcards.
struct Write {
    selects: usize,
    columns: HashMap<Place, Vec<SelectItem>>,
}

impl VisitorMut for Write {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let items = std::mem::take(&mut select.projection).into_iter().enumerate();
        select.projection =
            items.flat_map(|(i, item)| self.columns.remove(&(self.selects, i)).unwrap_or_else(|| vec![item])).collect();
        self.selects += 1;
        ControlFlow::Continue(())
    }
}

/// The items of a SELECT list that are wildcards over a table of a wildcard before them.
fn repeated(items: &[SelectItem]) -> Vec<usize> {
    let shares = |one: &SelectItem, other: &SelectItem| match (one, other) {
        (SelectItem::QualifiedWildcard(one, _), SelectItem::QualifiedWildcard(other, _)) => {
            one.to_string().eq_ignore_ascii_case(&other.to_string())
        }
        (SelectItem::Wildcard(_), SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
        | (SelectItem::QualifiedWildcard(..), SelectItem::Wildcard(_)) => true,
        _ => false,
    };
    (0..items.len()).filter(|i| items[..*i].iter().any(|before| shares(before, &items[*i]))).collect()
}

/// The columns of a wildcard, and their names.
async fn columns_of(state: &SessionState, wildcard: Wildcard) -> Result<Vec<(Expr, String)>> {
    let mut statement = DFParser::parse_sql("WITH w AS (SELECT 1) SELECT *")?;
    let Some(Statement::Statement(mut statement)) = statement.pop_front() else { return Ok(Vec::new()) };
    if let SqlStatement::Query(query) = statement.as_mut()
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.projection = vec![wildcard.item];
        select.from = wildcard.select.from;
        match &mut query.with {
            Some(with) if !wildcard.tables.is_empty() => {
                with.cte_tables = wildcard.tables;
                with.recursive = wildcard.recursive;
            }
            with => *with = None,
        }
    }
    let plan = same_columns::remove(state.statement_to_plan(Statement::Statement(statement)).await?)?;
    let columns = plan.schema().iter().map(|(table, field)| (column(table, field.name()), field.name().clone()));
    Ok(columns.collect())
}

fn column(table: Option<&TableReference>, name: &str) -> Expr {
    let table = table.map(TableReference::to_vec).unwrap_or_default();
    let mut names: Vec<Ident> = table.into_iter().map(|name| Ident::with_quote('"', name)).collect();
    names.push(Ident::with_quote('"', name));
    match names.len() {
        1 => Expr::Identifier(names.remove(0)),
        _ => Expr::CompoundIdentifier(names),
    }
}
