//! Rules over the syntax tree, for what is decided before there is a plan: how operators bind, and what the SQL planner refuses.
//!
//! They apply to statements that come through `Session`. A program with its own `SessionContext` has the rules over plans only.

pub mod chains;
mod dismantle;
mod distinct_order;
mod duplicate_names;
mod is_distinct_from;
pub mod nesting;
mod repeated_wildcards;
mod row_comparison;
mod row_value;
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
    BinaryOperator, Expr, Query, Select, Statement as SqlStatement, VisitMut, VisitorMut,
};

use crate::frontend::syntax::dismantle::dismantle;
use crate::frontend::unnest::row::Row;
use crate::frontend::using::label::{Label, Natural};
use crate::frontend::using::same_columns;
use crate::frontend::{applies, unnest, using};

/// Plans a statement after the rules have been applied to it.
///
/// # Errors
/// Those of DataFusion's planner, and of the rules.
pub async fn plan(state: &SessionState, parsed: Parsed) -> Result<LogicalPlan> {
    let config = state.config_options();
    let mut statement = parsed.statement;
    if applies(unnest::NAME, config) {
        let is_aggregate = |name: &str| state.aggregate_functions().contains_key(name);
        if row_value::rewrite(&mut statement, &is_aggregate)?.calls_row {
            let mut with_row = state.clone();
            with_row.register_udf(Row::udf())?;
            return plan_statement(&with_row, statement).await;
        }
    }
    plan_statement(state, statement).await
}

async fn plan_statement(state: &SessionState, mut statement: Statement) -> Result<LogicalPlan> {
    let config = state.config_options();
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
/// If it nests too deeply, or predicates with IS follow one another.
pub fn parse(mut statement: Statement, config: &ConfigOptions) -> Result<Parsed> {
    let limit = config.sql_parser.recursion_limit.get();
    let mut operators = Operators {
        rebind: applies(is_distinct_from::NAME, config),
        balance: applies(chains::NAME, config),
        text: applies(text_arguments::NAME, config),
        rows: applies(row_comparison::NAME, config),
        distinct_order: applies(distinct_order::NAME, config),
        limit,
        around: Vec::new(),
        depth: 0,
        depths: Vec::new(),
        levels: 0,
    };
    let flow = visit(&mut statement, &mut operators);
    let levels = operators.levels;
    match flow {
        ControlFlow::Continue(()) => Ok(Parsed { statement, levels }),
        ControlFlow::Break(error) => {
            dismantle(statement);
            Err(*error)
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

/// Applies what looks at one expression at a time, and counts levels.
struct Operators {
    rebind: bool,
    balance: bool,
    text: bool,
    rows: bool,
    distinct_order: bool,
    limit: usize,
    /// For each expression around the current one, whether its operands belong to the same list of operators, and its operator.
    around: Vec<(bool, Option<BinaryOperator>)>,
    depth: usize,
    /// The levels that each query and SELECT around the current node counts for.
    depths: Vec<usize>,
    levels: usize,
}

impl Operators {
    fn deeper(&mut self, levels: usize) -> ControlFlow<Box<DataFusionError>> {
        self.depth += levels;
        self.levels = self.levels.max(self.depth);
        if self.depth > self.limit {
            return ControlFlow::Break(Box::new(nesting::too_deep(self.limit)));
        }
        ControlFlow::Continue(())
    }

    fn deeper_until_post(&mut self, levels: usize) -> ControlFlow<Box<DataFusionError>> {
        self.depths.push(levels);
        self.deeper(levels)
    }

    fn post(&mut self) -> ControlFlow<Box<DataFusionError>> {
        self.depth -= self.depths.pop().unwrap_or(0);
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Operators {
    type Break = Box<DataFusionError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        if self.balance {
            self.levels = self.levels.max(chains::balance_sets(&mut query.body));
        }
        if self.distinct_order {
            distinct_order::rewrite(query);
        }
        // A table of WITH may read the one before it.
        let tables = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.deeper_until_post(1 + tables + chains::depth(&query.body))
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.post()
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        self.deeper_until_post(select.from.iter().map(|from| 1 + from.joins.len()).sum())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Self::Break> {
        self.post()
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let around = self.around.last();
        if self.rebind
            && is_distinct_from::is_listed(expr)
            && around.is_none_or(|(listed, _)| !listed)
            && let Err(error) = is_distinct_from::rebind(expr)
        {
            return ControlFlow::Break(Box::new(error));
        }
        let op = chains::operator(expr);
        if self.balance && op.is_some() && around.and_then(|(_, op)| op.as_ref()) != op {
            self.levels = self.levels.max(chains::balance(expr));
        }
        self.around.push((is_distinct_from::is_listed(expr), chains::operator(expr).cloned()));
        self.deeper_until_post(levels(expr))
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

/// The levels that an expression counts for. DataFusion spells the name of a call for every call around it, so that the time for
/// calls in calls grows with the third power of their number.
fn levels(expr: &Expr) -> usize {
    match expr {
        Expr::Function(_) => 4,
        _ => 1,
    }
}
