//! IN, ANY and ALL in SQL's three-valued logic.
//!
//! ```text
//! l = ANY (S)    no row: false | l is NULL: NULL | a row equals l: true | S has a NULL: NULL | else: false
//! l < ANY (S)    no row: false | l < max(S): true | l is NULL or S has a NULL: NULL | else: false
//! l op ALL (S)   NOT (l negated-op ANY (S))
//! ```
//!
//! So the group of rows of an outer row is needed as counts, and a minimum or maximum; and a mark join for equality.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, Operator, Projection, binary_expr, lit, not, when,
};

use crate::frontend::unnest::attach::Attach;
use crate::frontend::unnest::dependent::dependent_complete;
use crate::frontend::unnest::domain::Domain;
use crate::frontend::unnest::names::{column, columns, project};
use crate::frontend::unnest::presence::Presence;
use crate::frontend::unnest::row;

/// Parts of an expression from which on it is written once.
const LARGE: usize = 64;

impl Attach<'_> {
    /// `value op ALL (subquery)`.
    pub fn all(&mut self, value: Expr, op: Operator, subquery: &LogicalPlan) -> Result<Expr> {
        let Some(op) = op.negate() else { return not_impl_err!("{op} ALL (subquery)") };
        Ok(not(self.any(value, op, subquery)?))
    }

    /// `value op ANY (subquery)`.
    pub fn any(&mut self, value: Expr, op: Operator, subquery: &LogicalPlan) -> Result<Expr> {
        let compared = column(subquery, 0);
        let data_type = compared.get_type(subquery.schema())?;
        let by_group = match op {
            Operator::Eq => !is_row_comparison(&value, subquery),
            Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => is_ordered(&data_type),
            _ => false,
        };
        let value = if is_row_comparison(&value, subquery) { value } else { self.once(value)? };
        if !by_group {
            return self.any_by_marks(value, op, subquery);
        }
        let mark = match op {
            Operator::Eq => Some(self.matching_mark(value.clone(), op, subquery)?),
            _ => None,
        };
        if let Some(mark) = &mark
            && !value.nullable(self.plan.schema())?
            && !compared.nullable(subquery.schema())?
        {
            return Ok(mark.clone());
        }

        let source = self.source(subquery)?;
        let domain = Domain::of(subquery, &source, self.names)?;
        let rows = dependent_complete(subquery, &domain)?;
        let compared = column(&rows.plan, 0);
        let qualifier = self.names.qualifier();
        // Under a name of its own: the compared column may be called Int64(1).
        let all = count(lit(1_i64)).alias_qualified(Some(qualifier.clone()), format!("{qualifier}_rows"));
        let mut aggregates = vec![all, count(compared.clone())];
        match op {
            Operator::Eq => {}
            Operator::Gt | Operator::GtEq => aggregates.push(min(compared)),
            Operator::Lt | Operator::LtEq => aggregates.push(max(compared)),
            _ => aggregates.extend([min(compared.clone()), max(compared)]),
        }
        let (keys, n_keys, n) = (rows.keys(), domain.keys.len(), aggregates.len());
        let group = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(rows.plan), keys, aggregates)?);
        let exprs = (0..n_keys + n)
            .map(|i| column(&group, i).alias_qualified(Some(qualifier.clone()), format!("{qualifier}_g{i}")));
        let exprs = exprs.collect();
        let group = project(group, exprs)?;
        let keys: Vec<Expr> = (0..n_keys).map(|i| column(&group, i)).collect();
        let aggregate = |i: usize| column(&group, n_keys + i);
        let on = domain.same(&domain.keys, &keys, &rows.nullable)?;
        let join_type = if n_keys == 0 { JoinType::Inner } else { JoinType::Left };
        self.join(group.clone(), join_type, on)?;

        let found = match mark {
            Some(mark) => mark,
            None => {
                let mut found = binary_expr(value.clone(), op, aggregate(2));
                if op == Operator::NotEq {
                    found = found.or(binary_expr(value.clone(), op, aggregate(3)));
                }
                found
            }
        };
        let empty = aggregate(0).is_null().or(aggregate(0).eq(lit(0_i64)));
        let unknown = value.is_null().or(aggregate(1).lt(aggregate(0)));
        when(empty, lit(false))
            .when(found, lit(true))
            .when(unknown, lit(ScalarValue::Boolean(None)))
            .otherwise(lit(false))
    }

    /// A value that is written several times, as a column if it is large: values in values would grow with each.
    fn once(&mut self, value: Expr) -> Result<Expr> {
        let mut parts = 0;
        value.apply(|_| {
            parts += 1;
            Ok(if parts > LARGE { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if parts <= LARGE {
            return Ok(value);
        }
        let width = self.plan.schema().fields().len();
        let qualifier = self.names.qualifier();
        let name = format!("{qualifier}_value");
        let mut exprs: Vec<Expr> = columns(&self.plan, width).collect();
        exprs.push(value.alias_qualified(Some(qualifier), name));
        self.plan = project(self.plan.clone(), exprs)?;
        Ok(column(&self.plan, width))
    }

    /// The same by two mark joins: is there a row where the comparison is true, is there one where it is unknown.
    fn any_by_marks(&mut self, value: Expr, op: Operator, subquery: &LogicalPlan) -> Result<Expr> {
        let found = self.matching_mark(value.clone(), op, subquery)?;
        let unknown = self.matching_rows(value, op, subquery, Expr::is_null)?;
        let unknown = self.mark(&unknown)?;
        when(found, lit(true)).when(unknown, lit(ScalarValue::Boolean(None))).otherwise(lit(false))
    }

    fn matching_mark(&mut self, value: Expr, op: Operator, subquery: &LogicalPlan) -> Result<Expr> {
        let rows = self.matching(value, op, subquery)?;
        self.mark(&rows)
    }

    fn mark(&mut self, rows: &LogicalPlan) -> Result<Expr> {
        Ok(match self.presence(rows, JoinType::LeftMark)? {
            Presence::Known(found) => lit(found),
            Presence::Value(value) => value,
            Presence::Joined => lit(true),
        })
    }

    /// The rows of `subquery` for which the comparison is true.
    pub fn matching(&self, value: Expr, op: Operator, subquery: &LogicalPlan) -> Result<LogicalPlan> {
        self.matching_rows(value, op, subquery, |comparison| comparison)
    }

    fn matching_rows(
        &self,
        value: Expr,
        op: Operator,
        subquery: &LogicalPlan,
        condition: fn(Expr) -> Expr,
    ) -> Result<LogicalPlan> {
        let schema = self.plan.schema();
        let value = value.transform_up(|expr| {
            Ok(match expr {
                Expr::Column(column) => {
                    let (_, field) = schema.qualified_field(schema.index_of_column(&column)?);
                    let field = Arc::clone(field);
                    Transformed::yes(Expr::OuterReferenceColumn(field, column))
                }
                expr => Transformed::no(expr),
            })
        });
        let value = value.data()?;
        let (compared, input) = match subquery {
            // A filter above a projection is less easily joined by than one below.
            LogicalPlan::Projection(Projection { expr, input, .. }) if !expr[0].is_volatile() => {
                (expr[0].clone().unalias(), Arc::clone(input))
            }
            plan => (column(plan, 0), Arc::new(plan.clone())),
        };
        let comparison = match (&value, row::values(&value), row::values(&compared)) {
            (_, Some(values), Some(columns)) => row::equality(values, columns, &input)?,
            (Expr::Literal(ScalarValue::Boolean(Some(true)), _), ..) if op == Operator::Eq => compared,
            _ => Expr::BinaryExpr(BinaryExpr::new(Box::new(value), op, Box::new(compared))),
        };
        let mut predicate = condition(comparison);
        let mut input = input;
        if let LogicalPlan::Filter(filter) = input.as_ref() {
            predicate = filter.predicate.clone().and(predicate);
            input = Arc::clone(&filter.input);
        }
        Filter::try_new(predicate, input).map(LogicalPlan::Filter)
    }
}

/// Whether this is `TRUE IN (SELECT a = x AND ..)` or `row(a, ..) IN (SELECT row(x, ..))`, which a comparison of rows is rewritten to.
fn is_row_comparison(value: &Expr, subquery: &LogicalPlan) -> bool {
    if row::values(value).is_some() {
        return true;
    }
    let LogicalPlan::Projection(projection) = subquery else { return false };
    matches!(value, Expr::Literal(ScalarValue::Boolean(Some(true)), _)) && projection.expr[0].contains_outer()
}

/// Whether a type has a minimum and maximum that agree with its comparisons.
fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || data_type.is_temporal() && !matches!(data_type, DataType::Interval(_))
        || data_type.is_string()
        || *data_type == DataType::Boolean
}
