//! Rules over the syntax tree, for what is decided before there is a plan: how operators bind, and what the SQL planner refuses.
//!
//! They apply to statements that come through `Session`. A program with its own `SessionContext` has the rules over plans only.

pub mod chains;
mod dismantle;
mod distinct_order;
mod duplicate_names;
mod expansion;
mod function_names;
mod is_distinct_from;
pub mod nesting;
mod repeated_wildcards;
mod row_comparison;
mod row_value;
mod signs;
mod text_arguments;

use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::planner::IdentNormalizer;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ObjectNamePart, Query, Select, Statement as SqlStatement, UnaryOperator, VisitMut, VisitorMut,
};

use crate::config::XlaOptions;
use crate::frontend::syntax::dismantle::dismantle;
use crate::frontend::unnest::row::Row;
use crate::frontend::using::label::{Label, Natural};
use crate::frontend::using::same_columns;
use crate::frontend::{applies, unnest, using};

/// Levels up to which the names of functions do not matter.
const SHALLOW_NAMES: usize = 32;

/// Plans a statement after the rules have been applied to it.
///
/// # Errors
/// Those of DataFusion's planner, and of the rules.
pub async fn plan(state: &SessionState, parsed: Parsed) -> Result<LogicalPlan> {
    let config = state.config_options();
    let (mut statement, is_deep) = (parsed.statement, parsed.levels > SHALLOW_NAMES);
    if applies(unnest::NAME, config) {
        let is_aggregate = |name: &str| state.aggregate_functions().contains_key(name);
        if row_value::rewrite(&mut statement, &is_aggregate)?.calls_row {
            let mut with_row = state.clone();
            with_row.register_udf(Row::udf())?;
            return plan_statement(&with_row, statement, is_deep).await;
        }
    }
    plan_statement(state, statement, is_deep).await
}

async fn plan_statement(state: &SessionState, mut statement: Statement, is_deep: bool) -> Result<LogicalPlan> {
    let config = state.config_options();
    if is_deep {
        function_names::rewrite(&mut statement, state);
    }
    if !applies(using::NAME, config) {
        return duplicate_names::plan(state, statement).await;
    }
    let normalizer = || IdentNormalizer::new(config.sql_parser.enable_ident_normalization);
    let mut label = Label::new(normalizer());
    let _ = visit(&mut statement, &mut label);
    let plan = match label.natural {
        true => plan_natural(state, statement).await,
        false => duplicate_names::plan(state, statement).await,
    };
    same_columns::remove(plan.map_err(using::explain)?)
}

/// Plans a statement with natural joins, whose common columns are only known from the tables: each name that DataFusion calls
/// ambiguous is one, and is written out.
async fn plan_natural(state: &SessionState, mut statement: Statement) -> Result<LogicalPlan> {
    let enabled = state.config_options().sql_parser.enable_ident_normalization;
    let mut known: Vec<String> = Vec::new();
    loop {
        let error = match duplicate_names::plan(state, statement.clone()).await {
            Ok(plan) => return Ok(plan),
            Err(error) => error,
        };
        let Some(name) = ambiguous_name(&error).filter(|name| !known.contains(name)) else { return Err(error) };
        let _ = visit(&mut statement, &mut Natural::new(IdentNormalizer::new(enabled), name.clone()));
        known.push(name);
    }
}

/// The name that an error calls ambiguous.
fn ambiguous_name(error: &DataFusionError) -> Option<String> {
    let text = error.strip_backtrace();
    let (_, rest) = text.split_once("Ambiguous reference to unqualified field ")?;
    let name = rest.split_whitespace().next()?;
    Some(name.trim_matches('"').to_string())
}

/// Binds operators and balances chains, and measures how deeply the statement then nests.
///
/// # Errors
/// If it nests too deeply, predicates with IS follow one another, or WITH makes it grow beyond all bounds.
pub fn parse(mut statement: Statement, config: &ConfigOptions) -> Result<Parsed> {
    let limit = config.sql_parser.recursion_limit.get();
    let mut operators = Operators {
        rebind: applies(is_distinct_from::NAME, config),
        balance: applies(chains::NAME, config),
        text: applies(text_arguments::NAME, config),
        rows: applies(row_comparison::NAME, config),
        distinct_order: applies(distinct_order::NAME, config),
        checked: XlaOptions::of(config).checked_arithmetic,
        limit,
        queries: 0,
        around: Vec::new(),
        depth: Depth::default(),
        depths: Vec::new(),
        levels: 0,
    };
    let flow = visit(&mut statement, &mut operators);
    let levels = operators.levels;
    let checked = match flow {
        ControlFlow::Continue(()) => {
            expansion::check(&mut statement, IdentNormalizer::new(config.sql_parser.enable_ident_normalization))
        }
        ControlFlow::Break(error) => Err(*error),
    };
    match checked {
        Ok(()) => Ok(Parsed { statement, levels }),
        Err(error) => {
            dismantle(statement);
            Err(error)
        }
    }
}

/// A statement whose operators bind as they should.
#[derive(Debug)]
pub struct Parsed {
    statement: Statement,
    /// How many levels its plans may have: those of its queries and expressions, or the terms of a chain, because DataFusion takes
    /// conditions apart and puts them together again as chains.
    pub levels: usize,
}

impl Parsed {
    /// The tables and views that it names.
    ///
    /// # Errors
    /// If a name has too many parts.
    pub fn tables(&self, state: &SessionState) -> Result<Vec<TableReference>> {
        state.resolve_table_references(&self.statement)
    }

    /// Whether it is CREATE TABLE AS, without a list of columns.
    pub fn creates_table_of_query(&self) -> bool {
        match &self.statement {
            Statement::Statement(statement) => matches!(
                statement.as_ref(),
                SqlStatement::CreateTable(create) if create.query.is_some() && create.columns.is_empty()
            ),
            _ => false,
        }
    }
}

/// Shows a visitor the whole statement.
fn visit<V: VisitorMut>(statement: &mut Statement, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        Statement::Statement(statement) => statement.visit(visitor),
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    }
}

/// Levels of a plan that a query inside of another may become when its outer values are joined to it.
const LEVELS_OF_QUERY: usize = 10;

/// How deeply subqueries may nest in expressions.
const MOST_SUBQUERIES: usize = 10;

/// How often the time for a statement may double.
const MOST_DOUBLINGS: usize = 12;

/// An expression around another.
struct Around {
    /// Its operands belong to the same list of operators.
    listed: bool,
    op: Option<BinaryOperator>,
    /// It is a call of COALESCE.
    coalesces: bool,
    /// The value of the other is an argument of a call, and no CASE is in between.
    in_call: bool,
}

/// Applies what looks at one expression at a time, and counts levels.
struct Operators {
    rebind: bool,
    balance: bool,
    text: bool,
    rows: bool,
    distinct_order: bool,
    /// Whether arithmetic becomes calls.
    checked: bool,
    limit: usize,
    /// The queries around the current node.
    queries: usize,
    /// The expressions around the current one.
    around: Vec<Around>,
    depth: Depth,
    /// What each node around the current one counts for.
    depths: Vec<Depth>,
    levels: usize,
}

/// How deep a node is.
#[derive(Clone, Copy, Default)]
struct Depth {
    /// Levels of plans, which take stack.
    levels: usize,
    /// Levels that the limit counts: more where the time to plan doubles with each.
    counted: usize,
}

impl Depth {
    fn of(levels: usize) -> Self {
        Self { levels, counted: levels }
    }
}

impl Operators {
    /// What an expression counts for.
    ///
    /// DataFusion spells the name of a call for every call around it, so that the time for calls in calls grows with the third power of
    /// their number. It plans the arguments of MAP twice, writes the operand of BETWEEN and the arguments of COALESCE twice, and asks
    /// for the type of a CASE inside of a call twice: the time for these doubles with each level.
    fn depth_of(&self, expr: &Expr) -> Depth {
        let around = self.around.last();
        let doubles = match expr {
            // A call of COALESCE in another becomes a part of it.
            Expr::Function(_) if is_call_of(expr, &["coalesce"]) => {
                !(self.balance && around.is_some_and(|around| around.coalesces))
            }
            Expr::Function(_) => is_call_of(expr, &["nvl", "ifnull", "map"]),
            Expr::Case { .. } => around.is_some_and(|around| around.in_call),
            Expr::Between { .. } => true,
            _ => false,
        };
        let levels = match expr {
            Expr::Function(_) => 4,
            Expr::BinaryOp { op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply, .. }
            | Expr::UnaryOp { op: UnaryOperator::Minus, .. }
                if self.checked =>
            {
                4
            }
            _ => 1,
        };
        let counted = match expr {
            _ if doubles => (self.limit / MOST_DOUBLINGS).max(4),
            // Each copies the plan of the rows around it.
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => (self.limit / MOST_SUBQUERIES).max(4),
            _ => levels,
        };
        Depth { levels, counted }
    }

    fn deeper(&mut self, depth: Depth) -> ControlFlow<Box<DataFusionError>> {
        self.depth.levels += depth.levels;
        self.depth.counted += depth.counted;
        self.levels = self.levels.max(self.depth.levels);
        if self.depth.counted > self.limit {
            return ControlFlow::Break(Box::new(nesting::too_deep(self.limit)));
        }
        ControlFlow::Continue(())
    }

    /// Counts the levels of joins that stand for subqueries in subqueries.
    fn deeper_by_query(&mut self) {
        self.queries += 1;
        self.levels = self.levels.max(self.depth.levels + LEVELS_OF_QUERY * (self.queries - 1));
    }

    fn deeper_until_post(&mut self, depth: Depth) -> ControlFlow<Box<DataFusionError>> {
        self.depths.push(depth);
        self.deeper(depth)
    }

    fn post(&mut self) -> ControlFlow<Box<DataFusionError>> {
        let depth = self.depths.pop().unwrap_or_default();
        self.depth.levels -= depth.levels;
        self.depth.counted -= depth.counted;
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Operators {
    type Break = Box<DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        self.deeper_by_query();
        if self.balance {
            self.levels = self.levels.max(chains::balance_sets(&mut query.body));
        }
        if self.distinct_order {
            distinct_order::rewrite(query);
        }
        // A table of WITH may read the one before it.
        let tables = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.deeper_until_post(Depth::of(1 + tables + chains::depth(&query.body)))
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.queries -= 1;
        self.post()
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        self.deeper_until_post(Depth::of(select.from.iter().map(|from| 1 + from.joins.len()).sum()))
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Self::Break> {
        self.post()
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let around = self.around.last();
        if self.rebind
            && is_distinct_from::is_listed(expr)
            && around.is_none_or(|around| !around.listed)
            && let Err(error) = is_distinct_from::rebind(expr)
        {
            return ControlFlow::Break(Box::new(error));
        }
        if self.balance {
            signs::shorten(expr);
        }
        let op = chains::operator(expr);
        if self.balance && op.is_some() && around.and_then(|around| around.op.as_ref()) != op {
            self.levels = self.levels.max(chains::balance(expr));
        }
        let depth = self.depth_of(expr);
        let coalesces = is_call_of(expr, &["coalesce"]);
        let in_call = match expr {
            Expr::Function(_) => true,
            Expr::Case { .. } => false,
            _ => self.around.last().is_some_and(|around| around.in_call),
        };
        let (listed, op) = (is_distinct_from::is_listed(expr), chains::operator(expr).cloned());
        self.around.push(Around { listed, op, coalesces, in_call });
        self.deeper_until_post(depth)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if self.text {
            text_arguments::rewrite(expr);
        }
        if self.rows {
            row_comparison::rewrite(expr);
        }
        self.around.pop();
        self.post()
    }
}

/// Whether an expression is a call of one of these functions.
fn is_call_of(expr: &Expr, names: &[&str]) -> bool {
    let Expr::Function(call) = expr else { return false };
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else { return false };
    names.iter().any(|known| name.value.eq_ignore_ascii_case(known))
}
