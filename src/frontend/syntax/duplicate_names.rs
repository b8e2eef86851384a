//! Two output columns of one name, as in `SELECT a, a` or `SELECT sum(x), sum(x)`, which DataFusion refuses ("Projections require
//! unique expression names") and SQL allows (the rule `duplicate_names`).
//!
//! A statement that DataFusion refuses for this reason is planned again, with hidden names for such columns. A projection on top
//! gives the output columns their own names back; a hidden table qualifier keeps them apart in the schema of the plan:
//!
//! ```text
//! SELECT a, a FROM t    SELECT a, a AS __same_1 FROM t    Projection: __same_0.a, __same_1.a
//! ```
//!
//! Wildcards that share columns are written out before ([`repeated_wildcards`]).
//!
//! The first of equal columns keeps its name, so that ORDER BY finds it. Of different columns of one name none does: a reference to
//! that name is ambiguous, and an error as in Postgres. So are two columns of one name in a table or view.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, TableReference, plan_datafusion_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{
    DdlStatement, Expr as LogicalExpr, LogicalPlan, Projection, Statement as PlanStatement,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, OrderByKind, Query, Select, SelectItem, SetExpr, SetQuantifier,
    TableFactor, TableWithJoins, UnaryOperator, VisitMut, VisitorMut,
};

use crate::frontend::applies;
use crate::frontend::syntax::{repeated_wildcards, visit};

/// The name of the rule in `xla.frontend_rules`.
pub const NAME: &str = "duplicate_names";

/// What hidden names begin with.
pub const HIDDEN: &str = "__same_";

/// The columns' own names by their hidden ones; `None` is the name that DataFusion gives the expression.
pub type Names = HashMap<String, Option<String>>;

/// Plans a statement, whose output columns may share names.
///
/// # Errors
/// The errors of DataFusion's planner, and a reference to a name that two columns have.
pub async fn plan(state: &SessionState, mut statement: Statement) -> Result<LogicalPlan> {
    let config = state.config_options();
    let mut lists = Lists { long: false };
    let _ = visit(&mut statement, &mut lists);
    if !lists.long || !applies(NAME, config) {
        return state.statement_to_plan(statement).await;
    }
    let original = statement.clone();
    let refused = match state.statement_to_plan(statement).await {
        Err(error) if is_refusal(&error) => error,
        planned => return planned,
    };
    let refused = match hidden(state, &original, &Names::new(), refused).await? {
        Planned::Plan(plan) => return Ok(*plan),
        Planned::Refused(error) => error,
    };
    let (mut statement, mut names) = (original, Names::new());
    match repeated_wildcards::expand(state, &mut statement, &mut names).await {
        Ok(true) => {}
        // Tables that cannot be planned alone: the statement is not planned either.
        Ok(false) | Err(_) => return Err(refused),
    }
    match hidden(state, &statement, &names, refused).await? {
        Planned::Plan(plan) => Ok(*plan),
        Planned::Refused(error) => Err(error),
    }
}

/// What has become of a statement with hidden names.
enum Planned {
    Plan(Box<LogicalPlan>),
    /// Two columns have one name still.
    Refused(DataFusionError),
}

/// Plans a statement with hidden names, of which it has some already.
async fn hidden(
    state: &SessionState,
    original: &Statement,
    names: &Names,
    mut refused: DataFusionError,
) -> Result<Planned> {
    for wildcards in [Wildcards::HaveColumns, Wildcards::HaveAliases] {
        let mut statement = original.clone();
        let mut hide = Hide {
            normalizer: IdentNormalizer::new(state.config_options().sql_parser.enable_ident_normalization),
            wildcards,
            names: names.clone(),
            ambiguous: Vec::new(),
            by_name: false,
        };
        if let ControlFlow::Break(error) = visit(&mut statement, &mut hide) {
            return Err(*error);
        }
        if hide.by_name && !hide.ambiguous.is_empty() {
            return Ok(Planned::Refused(refused));
        }
        if hide.names.is_empty() {
            continue;
        }
        match state.statement_to_plan(statement).await {
            Ok(plan) => return restore(plan, &hide.names).map(|plan| Planned::Plan(Box::new(plan))),
            Err(error) if is_refusal(&error) => refused = error,
            Err(error) => return Err(hide.explain(error)),
        }
    }
    Ok(Planned::Refused(refused))
}

/// Whether an error says that two columns have one name.
fn is_refusal(error: &DataFusionError) -> bool {
    let text = error.strip_backtrace();
    ["require unique expression names", "Schema contains duplicate", "which would be ambiguous"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// Finds out whether a statement has a list that may hold a name twice.
struct Lists {
    long: bool,
}

impl VisitorMut for Lists {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.long |= select.projection.len() > 1;
        if self.long { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What a wildcard beside other columns is taken to hold, because its columns are not known here.
#[derive(Clone, Copy, PartialEq)]
enum Wildcards {
    /// The columns that stand beside it.
    HaveColumns,
    /// Columns of the names that are given beside it, too.
    HaveAliases,
}

/// Gives hidden names to columns that share one.
struct Hide {
    normalizer: IdentNormalizer,
    wildcards: Wildcards,
    names: Names,
    /// The names of which there are different columns.
    ambiguous: Vec<String>,
    /// Columns are matched by name somewhere: a natural join, UNION BY NAME.
    by_name: bool,
}

/// What decides the name of an output column.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Text(String),
}

/// Columns of one name in a SELECT list.
struct Group {
    key: Key,
    columns: Vec<usize>,
    /// They have the same expression.
    equal: bool,
}

/// The operand of plus signs, and of brackets around it, which DataFusion drops.
fn without_plus(expr: &Expr) -> &Expr {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } | Expr::Nested(expr) => without_plus(expr),
        expr => expr,
    }
}

impl Hide {
    fn key(&self, item: &SelectItem) -> Option<Key> {
        match item {
            SelectItem::UnnamedExpr(expr) => match without_plus(expr) {
                Expr::Identifier(name) => Some(self.name(name)),
                Expr::CompoundIdentifier(names) => names.last().map(|name| self.name(name)),
                expr => Some(Key::Text(without_qualifiers(expr))),
            },
            SelectItem::ExprWithAlias { alias, .. } => Some(self.name(alias)),
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
        }
    }

    fn name(&self, ident: &Ident) -> Key {
        Key::Name(self.normalizer.normalize(ident.clone()))
    }

    fn groups(&self, select: &Select) -> Vec<Group> {
        let mut columns: HashMap<Key, Vec<usize>> = HashMap::new();
        for (i, item) in select.projection.iter().enumerate() {
            if let Some(key) = self.key(item) {
                columns.entry(key).or_default().push(i);
            }
        }
        let wildcard = select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
        let mut groups = Vec::new();
        for (key, columns) in columns {
            let items: Vec<&SelectItem> = columns.iter().filter_map(|i| select.projection.get(*i)).collect();
            let of_wildcard = wildcard
                && matches!(key, Key::Name(_))
                && (self.wildcards == Wildcards::HaveAliases
                    || items.iter().any(|item| matches!(item, SelectItem::UnnamedExpr(_))));
            if columns.len() > 1 || of_wildcard {
                let equal = !of_wildcard && items.windows(2).all(are_equal);
                groups.push(Group { key, columns, equal });
            }
        }
        groups.sort_by_key(|group| group.columns.first().copied());
        groups
    }

    /// ORDER BY a name that different columns have: SQL takes it for an output column, so it would not be an input column here.
    fn check_order(&self, query: &Query) -> Result<()> {
        let SetExpr::Select(select) = query.body.as_ref() else { return Ok(()) };
        let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) else {
            return Ok(());
        };
        let groups = self.groups(select);
        for sort in order {
            if let Expr::Identifier(ident) = &sort.expr
                && let Some(group) = groups.iter().find(|group| !group.equal && group.key == self.name(ident))
                && group.columns.len() > 1
            {
                return Err(ambiguous(&ident.value));
            }
        }
        Ok(())
    }

    /// An error of the statement with hidden names, in terms of its own.
    fn explain(&self, error: DataFusionError) -> DataFusionError {
        let text = error.strip_backtrace();
        if let Some((_, rest)) = text.split_once("No field named ") {
            let end = rest.find(['\n', ' ']).unwrap_or(rest.len());
            let field = rest.get(..end).unwrap_or_default().trim_end_matches('.');
            let name = field.rsplit('.').next().unwrap_or_default().trim_matches('"');
            if self.ambiguous.iter().any(|ambiguous| ambiguous == name) {
                return ambiguous(name);
            }
        }
        if !text.contains(HIDDEN) {
            return error;
        }
        let mut pieces = text.split(HIDDEN);
        let mut shown = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
            let (number, rest) = piece.split_at(digits);
            let name = self.names.get(&format!("{HIDDEN}{number}")).cloned().flatten();
            shown.push_str(name.as_deref().unwrap_or("?"));
            shown.push_str(rest);
        }
        DataFusionError::Plan(shown)
    }
}

impl VisitorMut for Hide {
    type Break = Box<DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let mut body = query.body.as_ref();
        while let SetExpr::SetOperation { left, set_quantifier, .. } = body {
            self.by_name |= matches!(
                set_quantifier,
                SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
            );
            body = left;
        }
        match self.check_order(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            self.by_name |= has_natural(table_with_joins);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        self.by_name |= select.from.iter().any(has_natural);
        for Group { key, columns, equal } in self.groups(select) {
            let name = match key {
                Key::Name(name) => Some(name),
                Key::Text(_) => None,
            };
            self.ambiguous.extend(name.clone().filter(|_| !equal));
            for i in columns.into_iter().skip(usize::from(equal)) {
                let Some(item) = select.projection.get_mut(i) else { continue };
                let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = &*item else { continue };
                let hidden = format!("{HIDDEN}{}", self.names.len() + 1);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(&hidden) };
                self.names.insert(hidden, name.clone());
            }
        }
        ControlFlow::Continue(())
    }
}

fn ambiguous(name: &str) -> DataFusionError {
    plan_datafusion_err!(
        "the column name {name} is ambiguous: two output columns have it; give them different names with AS, or order by position"
    )
}

fn has_natural(tables: &TableWithJoins) -> bool {
    tables.joins.iter().any(|join| is_natural(&join.join_operator))
}

fn is_natural(operator: &JoinOperator) -> bool {
    matches!(
        operator,
        JoinOperator::Join(JoinConstraint::Natural)
            | JoinOperator::Inner(JoinConstraint::Natural)
            | JoinOperator::Left(JoinConstraint::Natural)
            | JoinOperator::LeftOuter(JoinConstraint::Natural)
            | JoinOperator::Right(JoinConstraint::Natural)
            | JoinOperator::RightOuter(JoinConstraint::Natural)
            | JoinOperator::FullOuter(JoinConstraint::Natural)
    )
}

/// Whether two columns of one name have the same expression.
fn are_equal(pair: &[&SelectItem]) -> bool {
    let expr = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let [left, right] = pair else { return false };
    match (expr(left), expr(right)) {
        // `a` and `t.a` would be ambiguous if there were another `a`.
        (Some(Expr::Identifier(a)), Some(Expr::CompoundIdentifier(b)))
        | (Some(Expr::CompoundIdentifier(b)), Some(Expr::Identifier(a))) => b.last() == Some(&a),
        (left, right) => left.is_some() && left == right,
    }
}

/// The text of an expression as DataFusion may name it: without parentheses, and without the tables of columns.
fn without_qualifiers(expr: &Expr) -> String {
    struct Strip;
    impl VisitorMut for Strip {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::CompoundIdentifier(names) => {
                    if let Some(name) = names.pop() {
                        *expr = Expr::Identifier(name);
                    }
                }
                Expr::Nested(inner) => *expr = std::mem::replace(inner, Expr::Tuple(Vec::new())),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = expr.clone();
    let _ = VisitMut::visit(&mut expr, &mut Strip);
    expr.to_string().to_lowercase()
}

/// Gives the output columns of a plan their own names.
fn restore(plan: LogicalPlan, names: &Names) -> Result<LogicalPlan> {
    let inside = |input: Arc<LogicalPlan>| restore(Arc::unwrap_or_clone(input), names).map(Arc::new);
    Ok(match plan {
        LogicalPlan::Explain(mut explain) => {
            explain.plan = inside(explain.plan)?;
            LogicalPlan::Explain(explain)
        }
        LogicalPlan::Analyze(mut analyze) => {
            analyze.input = inside(analyze.input)?;
            LogicalPlan::Analyze(analyze)
        }
        LogicalPlan::Statement(PlanStatement::Prepare(mut prepare)) => {
            prepare.input = inside(prepare.input)?;
            LogicalPlan::Statement(PlanStatement::Prepare(prepare))
        }
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(ref create)) => {
            check_distinct(&create.input, names)?;
            plan
        }
        LogicalPlan::Ddl(DdlStatement::CreateView(ref create)) => {
            check_distinct(&create.input, names)?;
            plan
        }
        LogicalPlan::Copy(ref copy) => {
            check_distinct(&copy.input, names)?;
            plan
        }
        LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Statement(_) => plan,
        plan => with_own_names(plan, names)?,
    })
}

/// Tables, views and files have columns of different names.
fn check_distinct(input: &LogicalPlan, names: &Names) -> Result<()> {
    match input.schema().fields().iter().find_map(|field| names.get(field.name()).map(|own| (field.name(), own))) {
        None => Ok(()),
        Some((hidden, own)) => {
            let own = own.clone().or(name_of(input, hidden)?).unwrap_or_default();
            plan_err!("column {own} is specified more than once; give the columns different names with AS")
        }
    }
}

fn with_own_names(plan: LogicalPlan, names: &Names) -> Result<LogicalPlan> {
    let mut own_names = Vec::new();
    for field in plan.schema().fields() {
        own_names.push(match names.get(field.name()) {
            None => None,
            Some(Some(own)) => Some(own.clone()),
            Some(None) => name_of(&plan, field.name())?,
        });
    }
    if own_names.iter().all(Option::is_none) {
        return Ok(plan);
    }
    let schema = Arc::clone(plan.schema());
    let columns = schema.iter().zip(&own_names).enumerate().map(|(i, ((qualifier, field), own))| {
        let column = LogicalExpr::Column(Column::new(qualifier.cloned(), field.name()));
        let shared = qualifier.is_none() && own_names.iter().flatten().any(|name| name == field.name());
        match own {
            None if !shared => column,
            own => {
                let name = own.as_ref().unwrap_or_else(|| field.name());
                LogicalExpr::Alias(Alias::new(column, Some(TableReference::bare(format!("{HIDDEN}{i}"))), name))
            }
        }
    });
    let columns = columns.collect();
    Projection::try_new(columns, Arc::new(plan)).map(LogicalPlan::Projection)
}

/// The name that DataFusion gives the expression with this hidden name.
fn name_of(plan: &LogicalPlan, hidden: &str) -> Result<Option<String>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| match expr {
                LogicalExpr::Alias(alias) if alias.name == hidden => {
                    found = Some(alias.expr.qualified_name().1);
                    Ok(TreeNodeRecursion::Stop)
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(found)
}
