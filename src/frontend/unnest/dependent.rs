//! A subquery for all values of its domain at once: the domain is pushed down through the operators of the subquery, to where the
//! outer values are read, and travels up again as additional columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, DistinctOn, Expr, ExprSchemable, Filter, JoinType, LogicalPlan,
    LogicalPlanBuilder, Operator, Projection, Sort, SubqueryAlias, Unnest, Values, Window, lit, when,
};

use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::keep::is_subquery;
use crate::frontend::unnest::names::{column, columns, named, named_as, project};
use crate::frontend::unnest::{limit, set_operation};

/// The rows of a subquery for all values of its domain: the subquery's columns, then one column for each key, then perhaps a marker.
pub struct Dependent {
    pub plan: LogicalPlan,
    /// Number of the subquery's columns.
    pub width: usize,
    /// Whether a key column holds NULL for a NULL of the outer row. Else rows of such outer rows are absent.
    pub nullable: Vec<bool>,
    /// The one row of domain values that the plan has no row for, in terms of outer values. Where it is given, the plan's last column
    /// is true, so that an outer join shows which values these are.
    pub absent: Option<Vec<Expr>>,
}

impl Dependent {
    pub fn keys(&self) -> Vec<Expr> {
        (0..self.nullable.len()).map(|i| column(&self.plan, self.width + i)).collect()
    }

    pub fn marker(&self) -> Expr {
        column(&self.plan, self.width + self.nullable.len())
    }

    /// All columns of the subquery and the keys.
    fn all(&self) -> Vec<Expr> {
        columns(&self.plan, self.width + self.nullable.len()).collect()
    }

    /// The same plan with a row for every value of the domain.
    pub fn complete(self, domain: &Domain<'_>) -> Result<Self> {
        let Some(absent) = &self.absent else { return Ok(self) };
        let rows = domain.rows()?;
        let keys: Vec<Expr> = columns(&rows, domain.keys.len()).collect();
        let on = domain.same(&keys, &self.keys(), &self.nullable)?;
        let plan = LogicalPlanBuilder::from(rows).join_on(self.plan.clone(), JoinType::Left, on)?.build()?;
        let mut exprs = Vec::new();
        for (i, value) in absent.iter().enumerate() {
            let value = domain.replace(value.clone(), &keys)?;
            let value = or_absent(column(&self.plan, i), value, self.marker())?;
            exprs.push(named(value, self.plan.schema(), i));
        }
        exprs.extend(keys);
        let nullable = vec![true; domain.keys.len()];
        Ok(Self { plan: project(plan, exprs)?, width: self.width, nullable, absent: None })
    }

    /// The columns of the subquery, the keys and the marker, after an operator that has moved them.
    fn arranged(self, plan: LogicalPlan, exprs: Vec<Expr>) -> Result<Self> {
        let keys = self.keys();
        let marker = self.absent.is_some().then(|| self.marker());
        let width = exprs.len();
        let plan = project(plan, exprs.into_iter().chain(keys).chain(marker).collect())?;
        Ok(Self { plan, width, ..self })
    }
}

/// A value after an outer join that has left `marker` NULL where the row is absent.
pub fn or_absent(value: Expr, absent: Expr, marker: Expr) -> Result<Expr> {
    if is_null(&absent) { Ok(value) } else { when(marker.is_null(), absent).otherwise(value) }
}

/// Whether an expression is NULL, perhaps under casts.
fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => value.is_null(),
        Expr::Cast(cast) => is_null(&cast.expr),
        Expr::Alias(alias) => is_null(&alias.expr),
        _ => false,
    }
}

/// Evaluates `plan` for all values of `domain`.
///
/// # Errors
/// If an operator that reads outer values is none of those that can.
pub fn dependent(plan: &LogicalPlan, domain: &Domain<'_>) -> Result<Dependent> {
    if !domain.is_read_by(plan)? {
        return independent(plan.clone(), domain);
    }
    match plan {
        LogicalPlan::Projection(projection) => projected(projection, domain),
        LogicalPlan::Filter(filter) => filtered(filter, domain),
        LogicalPlan::Aggregate(aggregate) => aggregated(aggregate, domain),
        LogicalPlan::Distinct(distinct) => deduplicated(distinct, domain),
        LogicalPlan::SubqueryAlias(alias) => {
            let input = dependent(&alias.input, domain)?;
            let plan = SubqueryAlias::try_new(Arc::new(input.plan), alias.alias.clone())?;
            Ok(Dependent { plan: LogicalPlan::SubqueryAlias(plan), ..input })
        }
        LogicalPlan::Sort(sort) => match sort.fetch {
            Some(fetch) => limit::limited(&sort.input, &sort.expr, 0, Some(fetch), domain),
            None => sorted(sort, domain),
        },
        LogicalPlan::Limit(limit) => limit::limit(limit, domain),
        LogicalPlan::Window(window) => windowed(window, domain),
        LogicalPlan::Join(join) => set_operation::join(join, domain),
        LogicalPlan::Union(union) => set_operation::union(union, domain),
        LogicalPlan::Values(values) => listed(values, domain),
        LogicalPlan::Unnest(unnest) => unnested(unnest, domain),
        other => not_impl_err!("a subquery that reads outer columns inside of {}", other.display()),
    }
}

/// [`dependent`], with a row for every value of the domain that the subquery has a row for.
pub fn dependent_complete(plan: &LogicalPlan, domain: &Domain<'_>) -> Result<Dependent> {
    dependent(plan, domain)?.complete(domain)
}

/// The same rows for all values.
fn independent(plan: LogicalPlan, domain: &Domain<'_>) -> Result<Dependent> {
    let width = plan.schema().fields().len();
    let nullable = vec![true; domain.keys.len()];
    if domain.keys.is_empty() {
        return Ok(Dependent { plan, width, nullable, absent: None });
    }
    let plan = LogicalPlanBuilder::from(plan).cross_join(domain.rows()?)?.build()?;
    Ok(Dependent { plan, width, nullable, absent: None })
}

fn projected(projection: &Projection, domain: &Domain<'_>) -> Result<Dependent> {
    let mut input = dependent(&projection.input, domain)?;
    if projection.expr.iter().any(|expr| expr.exists(|e| Ok(is_subquery(e))).unwrap_or(true)) {
        input = input.complete(domain)?;
    }
    let keys = input.keys();
    if let Some(values) = input.absent.take() {
        let schema = input.plan.schema().clone();
        let over = |expr: &Expr| {
            let value = expr.clone().unalias().transform_up(|expr| {
                Ok(match expr {
                    Expr::Column(column) => Transformed::yes(values[schema.index_of_column(&column)?].clone()),
                    expr => Transformed::no(expr),
                })
            });
            value.data()
        };
        input.absent = Some(projection.expr.iter().map(over).collect::<Result<_>>()?);
    }
    let mut exprs = Vec::new();
    for (i, expr) in projection.expr.iter().enumerate() {
        exprs.push(named(domain.replace(expr.clone(), &keys)?, &projection.schema, i));
    }
    let plan = input.plan.clone();
    input.arranged(plan, exprs)
}

fn filtered(filter: &Filter, domain: &Domain<'_>) -> Result<Dependent> {
    if !domain.is_read_by(&filter.input)?
        && let Some(rows) = filtered_by_equality(filter, domain)?
    {
        return Ok(rows);
    }
    let input = dependent_complete(&filter.input, domain)?;
    let predicate = domain.replace(filter.predicate.clone(), &input.keys())?;
    let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input.plan))?);
    Ok(Dependent { plan, ..input })
}

/// Rows whose keys are all equal to something in the rows: these give the keys, and no domain is built.
fn filtered_by_equality(filter: &Filter, domain: &Domain<'_>) -> Result<Option<Dependent>> {
    let mut sources: Vec<Option<Expr>> = vec![None; domain.keys.len()];
    let mut others = Vec::new();
    for conjunct in split_conjunction(&filter.predicate) {
        if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct {
            let mut taken = false;
            for (outer, inner) in [(left, right), (right, left)] {
                if let Some(key) = domain.key_of(outer)
                    && sources[key].is_none()
                    && !domain.is_read_in(inner)?
                    && inner.any_column_refs()
                    && !inner.is_volatile()
                {
                    sources[key] = Some(inner.as_ref().clone());
                    taken = true;
                    break;
                }
            }
            if taken {
                continue;
            }
        }
        others.push(conjunct.clone());
    }
    let Some(sources) = sources.into_iter().collect::<Option<Vec<Expr>>>() else { return Ok(None) };
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for conjunct in others {
        if domain.is_read_in(&conjunct)? { late.push(conjunct) } else { early.push(conjunct) }
    }
    early.extend(sources.iter().map(|source| source.clone().is_not_null()));
    let mut plan = filter.input.as_ref().clone();
    if let Some(predicate) = conjunction(early) {
        plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
    }
    let width = plan.schema().fields().len();
    let qualifier = domain.names.qualifier();
    let mut exprs: Vec<Expr> = columns(&plan, width).collect();
    for (i, source) in sources.into_iter().enumerate() {
        // Joins compare keys of one type.
        let source = source.cast_to(&domain.keys[i].get_type(domain.schema())?, plan.schema())?;
        exprs.push(source.alias_qualified(Some(qualifier.clone()), format!("{qualifier}_k{i}")));
    }
    let nullable = vec![false; domain.keys.len()];
    let mut rows = Dependent { plan: project(plan, exprs)?, width, nullable, absent: None };
    if let Some(predicate) = conjunction(late) {
        let predicate = domain.replace(predicate, &rows.keys())?;
        rows.plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(rows.plan))?);
    }
    Ok(Some(rows))
}

fn aggregated(aggregate: &Aggregate, domain: &Domain<'_>) -> Result<Dependent> {
    if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return not_impl_err!("GROUPING SETS, ROLLUP or CUBE in a subquery that reads outer columns");
    }
    if let Some(call) = aggregate.aggr_expr.iter().find(|call| belongs_outside(call)) {
        return not_impl_err!(
            "the aggregate {} in a subquery reads columns of the outer query only, to which it belongs in SQL; compute it in a \
             subquery in FROM of the outer query, or add a column of the inner query to its argument",
            call.clone().unalias()
        );
    }
    let input = dependent_complete(&aggregate.input, domain)?;
    let keys = input.keys();
    let replace = |exprs: &[Expr]| -> Result<Vec<Expr>> {
        exprs.iter().map(|expr| domain.replace(expr.clone(), &keys)).collect()
    };
    // An outer column in GROUP BY is a key already, and an aggregate has each of its columns once.
    let mut group: Vec<Expr> = Vec::new();
    let mut place = |expr: Expr| {
        let known = group.iter().position(|known| *known == expr);
        known.unwrap_or_else(|| {
            group.push(expr);
            group.len() - 1
        })
    };
    let mut places: Vec<usize> = replace(&aggregate.group_expr)?.into_iter().map(&mut place).collect();
    let key_places: Vec<usize> = keys.iter().cloned().map(&mut place).collect();
    let n_groups = group.len();
    let plan = Aggregate::try_new(Arc::new(input.plan), group, replace(&aggregate.aggr_expr)?)?;
    let plan = LogicalPlan::Aggregate(plan);
    let schema = &aggregate.schema;
    let width = schema.fields().len();
    places.extend((n_groups..).take(aggregate.aggr_expr.len()));
    let mut exprs: Vec<Expr> = places.iter().enumerate().map(|(i, at)| named(column(&plan, *at), schema, i)).collect();
    exprs.extend(key_places.into_iter().map(|at| column(&plan, at)));
    let mut absent = None;
    if aggregate.group_expr.is_empty() {
        // Without rows an aggregate over all rows still has a row: its values over nothing.
        let mut values = Vec::new();
        for (expr, field) in aggregate.aggr_expr.iter().zip(schema.fields()) {
            values.push(lit(value_of_nothing(expr, field.data_type())?));
        }
        absent = Some(values);
        let qualifier = domain.names.qualifier();
        exprs.push(named_as(lit(true), Some(qualifier.clone().into()), &format!("{qualifier}_found")));
    }
    Ok(Dependent { plan: project(plan, exprs)?, width, nullable: input.nullable, absent })
}

/// Whether the call of an aggregate reads outer columns and no other.
fn belongs_outside(call: &Expr) -> bool {
    let (mut outer, mut own) = (false, false);
    let walked = call.apply(|expr| {
        outer |= matches!(expr, Expr::OuterReferenceColumn(..));
        own |= matches!(expr, Expr::Column(_));
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && outer && !own
}

/// The value of an aggregate over no rows.
fn value_of_nothing(aggregate: &Expr, data_type: &DataType) -> Result<ScalarValue> {
    match aggregate {
        Expr::Alias(alias) => value_of_nothing(&alias.expr, data_type),
        Expr::AggregateFunction(AggregateFunction { func, .. }) => func.default_value(data_type),
        other => not_impl_err!("the aggregate {other} in a subquery that reads outer columns"),
    }
}

fn deduplicated(distinct: &Distinct, domain: &Domain<'_>) -> Result<Dependent> {
    match distinct {
        Distinct::All(input) => {
            let input = dependent_complete(input, domain)?;
            Ok(Dependent { plan: LogicalPlan::Distinct(Distinct::All(Arc::new(input.plan))), ..input })
        }
        Distinct::On(on) => {
            let input = dependent_complete(&on.input, domain)?;
            let keys = input.keys();
            let replace = |expr: &Expr| domain.replace(expr.clone(), &keys);
            let on_expr =
                keys.iter().cloned().map(Ok).chain(on.on_expr.iter().map(replace)).collect::<Result<Vec<_>>>()?;
            let mut select = Vec::new();
            for (i, expr) in on.select_expr.iter().enumerate() {
                select.push(named(replace(expr)?, &on.schema, i));
            }
            let width = select.len();
            select.extend(keys.clone());
            let sort = match &on.sort_expr {
                None => None,
                Some(sort) => {
                    let mut by: Vec<_> = keys.iter().map(|key| key.clone().sort(true, false)).collect();
                    for sort in sort {
                        by.push(sort.with_expr(replace(&sort.expr)?));
                    }
                    Some(by)
                }
            };
            let plan = DistinctOn::try_new(on_expr, select, sort, Arc::new(input.plan))?;
            let plan = LogicalPlan::Distinct(Distinct::On(plan));
            Ok(Dependent { plan, width, nullable: input.nullable, absent: None })
        }
    }
}

fn sorted(sort: &Sort, domain: &Domain<'_>) -> Result<Dependent> {
    let input = dependent_complete(&sort.input, domain)?;
    let keys = input.keys();
    let mut by = Vec::new();
    for sort in &sort.expr {
        by.push(sort.with_expr(domain.replace(sort.expr.clone(), &keys)?));
    }
    let plan = LogicalPlan::Sort(Sort { expr: by, input: Arc::new(input.plan), fetch: None });
    Ok(Dependent { plan, ..input })
}

fn windowed(window: &Window, domain: &Domain<'_>) -> Result<Dependent> {
    let input = dependent_complete(&window.input, domain)?;
    let keys = input.keys();
    let mut exprs = Vec::new();
    for expr in &window.window_expr {
        let expr = domain.replace(expr.clone().unalias(), &keys)?;
        let Expr::WindowFunction(function) = expr else {
            return not_impl_err!("the window expression {expr} in a subquery that reads outer columns");
        };
        let WindowFunction { fun, mut params } = *function;
        params.partition_by.extend(keys.clone());
        exprs.push(Expr::from(WindowFunction { fun, params }));
    }
    let all = input.all();
    let (before, n_keys) = (input.width, keys.len());
    let plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input.plan))?);
    let width = window.schema.fields().len();
    let mut exprs: Vec<Expr> = all[..before].to_vec();
    exprs.extend((before..width).map(|i| named(column(&plan, i + n_keys), &window.schema, i)));
    exprs.extend(keys);
    Ok(Dependent { plan: project(plan, exprs)?, width, nullable: input.nullable, absent: None })
}

/// `VALUES` that read outer values: a row of the domain for each.
fn listed(values: &Values, domain: &Domain<'_>) -> Result<Dependent> {
    let width = values.schema.fields().len();
    let mut lists = Vec::new();
    for row in &values.values {
        let rows = domain.rows()?;
        let keys: Vec<Expr> = columns(&rows, domain.keys.len()).collect();
        let mut exprs = Vec::new();
        for (i, expr) in row.iter().enumerate() {
            exprs.push(named(domain.replace(expr.clone(), &keys)?, &values.schema, i));
        }
        exprs.extend(keys);
        let nullable = vec![true; domain.keys.len()];
        lists.push(Dependent { plan: project(rows, exprs)?, width, nullable, absent: None });
    }
    set_operation::union_of(lists, &values.schema, domain)
}

fn unnested(unnest: &Unnest, domain: &Domain<'_>) -> Result<Dependent> {
    let input = dependent_complete(&unnest.input, domain)?;
    let keys = input.keys();
    let plan = LogicalPlanBuilder::from(input.plan)
        .unnest_columns_with_options(unnest.exec_columns.clone(), unnest.options.clone())?
        .build()?;
    let width = unnest.schema.fields().len();
    let exprs = columns(&plan, width).chain(keys).collect();
    Ok(Dependent { plan: project(plan, exprs)?, width, nullable: input.nullable, absent: None })
}
