//! Labels the joins with USING and NATURAL in a statement, and the unqualified names that mean their columns.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, Query, Select, TableAlias, TableFactor,
    TableWithJoins, VisitMut, VisitorMut,
};

use crate::frontend::using::{LABEL, is_label};

/// A visitor that labels joins.
pub struct Label {
    normalizer: IdentNormalizer,
    labels: usize,
    /// There are natural joins, whose merged columns only the planner knows.
    pub natural: bool,
}

impl Label {
    pub fn new(normalizer: IdentNormalizer) -> Self {
        Self { normalizer, labels: 0, natural: false }
    }

    /// Puts a tree of joins under a label, and those inside it. Returns the label and the names of the merged columns.
    fn label(&mut self, tables: &mut TableWithJoins) -> Option<(String, HashSet<String>)> {
        let merges = tables.joins.iter().any(|join| merging(join).is_some());
        if merges && !is_supported(tables) {
            return None;
        }
        let alone = self.inside(&mut tables.relation).filter(|_| tables.joins.is_empty());
        for join in &mut tables.joins {
            self.inside(&mut join.relation);
        }
        if !merges {
            return alone;
        }
        let mut names = HashSet::new();
        for constraint in tables.joins.iter().filter_map(merging) {
            if let JoinConstraint::Using(columns) = constraint {
                let idents = columns.iter().filter_map(|name| name.0.last()?.as_ident());
                names.extend(idents.map(|ident| self.normalizer.normalize(ident.clone())));
            } else {
                self.natural = true;
            }
        }
        self.labels += 1;
        let label = format!("{LABEL}{})", self.labels);
        let joined = std::mem::replace(tables, nothing());
        tables.relation = TableFactor::NestedJoin { table_with_joins: Box::new(joined), alias: Some(alias(&label)) };
        Some((label, names))
    }

    /// Labels the joins of a table that is one in parentheses.
    fn inside(&mut self, factor: &mut TableFactor) -> Option<(String, HashSet<String>)> {
        match factor {
            TableFactor::NestedJoin { alias: Some(alias), .. } if is_label(&alias.name.value) => None,
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let labelled = self.label(table_with_joins)?;
                if alias.is_some() {
                    // The columns have the alias's name outside.
                    return None;
                }
                // The label is the only table left inside the parentheses.
                let inner = std::mem::replace(&mut table_with_joins.relation, nothing().relation);
                *factor = inner;
                Some(labelled)
            }
            _ => None,
        }
    }
}

impl VisitorMut for Label {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let alone = select.from.len() == 1;
        for tables in &mut select.from {
            let Some((label, names)) = self.label(tables) else { continue };
            // Another table could have a column of that name, which would be ambiguous.
            if alone && !names.is_empty() {
                qualify(select, &mut Qualify { normalizer: &self.normalizer, label: &label, names, depth: 0 });
                break;
            }
        }
        ControlFlow::Continue(())
    }
}

/// A visitor that qualifies a name, which has turned out to be ambiguous, where it can be a merged column of a natural join.
pub struct Natural {
    normalizer: IdentNormalizer,
    name: String,
}

impl Natural {
    pub fn new(normalizer: IdentNormalizer, name: String) -> Self {
        Self { normalizer, name }
    }
}

impl VisitorMut for Natural {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let [tables] = select.from.as_slice() else { return ControlFlow::Continue(()) };
        let TableFactor::NestedJoin { table_with_joins, alias: Some(alias) } = &tables.relation else {
            return ControlFlow::Continue(());
        };
        let label = alias.name.value.clone();
        let is_natural = |join: &Join| matches!(merging(join), Some(JoinConstraint::Natural));
        if is_label(&label) && table_with_joins.joins.iter().any(is_natural) {
            let names = HashSet::from([self.name.clone()]);
            qualify(select, &mut Qualify { normalizer: &self.normalizer, label: &label, names, depth: 0 });
        }
        ControlFlow::Continue(())
    }
}

/// Qualifies unqualified names with a label.
struct Qualify<'a> {
    normalizer: &'a IdentNormalizer,
    label: &'a str,
    names: HashSet<String>,
    depth: usize,
}

impl VisitorMut for Qualify<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.depth == 0
            && self.names.contains(&self.normalizer.normalize(name.clone()))
        {
            *expr = Expr::CompoundIdentifier(vec![Ident::with_quote('"', self.label), name.clone()]);
        }
        ControlFlow::Continue(())
    }
}

/// The clauses whose names are columns of the tables.
fn qualify(select: &mut Select, names: &mut Qualify<'_>) {
    let _ = select.projection.visit(names);
    let _ = select.selection.visit(names);
    let _ = select.having.visit(names);
    let _ = select.qualify.visit(names);
    let _ = select.named_window.visit(names);
    if let GroupByExpr::Expressions(expressions, _) = &mut select.group_by {
        let _ = expressions.visit(names);
    }
    if let Some(Distinct::On(expressions)) = &mut select.distinct {
        let _ = expressions.visit(names);
    }
}

/// The condition of a join that the rule plans; `None` for other joins.
pub fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
        JoinOperator::CrossJoin(constraint @ JoinConstraint::None) => Some(constraint),
        _ => None,
    }
}

/// The USING or NATURAL of a join that has the columns of both sides.
fn merging(join: &Join) -> Option<&JoinConstraint> {
    let one_sided = matches!(
        join.join_operator,
        JoinOperator::LeftSemi(_) | JoinOperator::RightSemi(_) | JoinOperator::LeftAnti(_) | JoinOperator::RightAnti(_)
    );
    constraint(&join.join_operator)
        .filter(|constraint| !one_sided && matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural))
}

/// Whether every join is one that the rule plans: none of them reads columns of the tables before it.
fn is_supported(tables: &TableWithJoins) -> bool {
    let is_lateral = |factor: &TableFactor| match factor {
        TableFactor::Derived { lateral, .. } | TableFactor::Function { lateral, .. } => *lateral,
        TableFactor::UNNEST { .. } => true,
        _ => false,
    };
    !is_lateral(&tables.relation)
        && tables.joins.iter().all(|join| constraint(&join.join_operator).is_some() && !is_lateral(&join.relation))
}

fn alias(label: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::with_quote('"', label), columns: Vec::new(), at: None }
}

fn nothing() -> TableWithJoins {
    let relation = TableFactor::NestedJoin {
        table_with_joins: Box::new(TableWithJoins {
            relation: TableFactor::TableFunction { expr: Expr::Tuple(Vec::new()), alias: None },
            joins: Vec::new(),
        }),
        alias: None,
    };
    TableWithJoins { relation, joins: Vec::new() }
}
