//! The rule `exact_aggregates`: calls of DataFusion's sums, averages and statistics become calls of [`ExactSum`],
//! [`DistinctAggregate`] and [`ExactAggregate`]. It runs before types are coerced, which would round the arguments.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::aggregate::distinct::DistinctAggregate;
use crate::frontend::aggregate::function::ExactAggregate;
use crate::frontend::aggregate::sum::ExactSum;
use crate::frontend::replace::replace_calls;
use crate::frontend::{applies, is_own_aggregate};

/// Replaces aggregate functions that round.
#[derive(Debug)]
pub struct ExactAggregates;

impl AnalyzerRule for ExactAggregates {
    fn name(&self) -> &str {
        "exact_aggregates"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if applies(self.name(), config) { replace_calls(plan, replace) } else { Ok(plan) }
    }
}

fn replace(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::AggregateFunction(mut call) => match exact(&call.func, &call.params.args, call.params.distinct, schema) {
            Some(func) => {
                call.func = func;
                Transformed::yes(Expr::AggregateFunction(call))
            }
            None => Transformed::no(Expr::AggregateFunction(call)),
        },
        Expr::WindowFunction(mut call) => {
            let exact = match &call.fun {
                WindowFunctionDefinition::AggregateUDF(func) => {
                    exact(func, &call.params.args, call.params.distinct, schema)
                }
                WindowFunctionDefinition::WindowUDF(_) => None,
            };
            match exact {
                Some(func) => {
                    call.fun = WindowFunctionDefinition::AggregateUDF(func);
                    Transformed::yes(Expr::WindowFunction(call))
                }
                None => Transformed::no(Expr::WindowFunction(call)),
            }
        }
        other => Transformed::no(other),
    }
}

/// The exact function in the place of `func`, if there is one for these arguments.
fn exact(func: &AggregateUDF, arguments: &[Expr], distinct: bool, schema: &DFSchema) -> Option<Arc<AggregateUDF>> {
    if !is_own_aggregate(func) {
        return None;
    }
    let types = arguments.iter().map(|argument| argument.get_type(schema)).collect::<Result<Vec<_>>>().ok()?;
    if let ([argument], [data_type]) = (arguments, types.as_slice())
        && let Some(sum) = ExactSum::in_place_of(func, data_type, is_short(argument, schema))
    {
        return Some(Arc::new(AggregateUDF::from(sum)));
    }
    if distinct && let Some(distinct) = DistinctAggregate::in_place_of(func, &types) {
        return Some(Arc::new(AggregateUDF::from(distinct)));
    }
    ExactAggregate::in_place_of(func.name(), &types).map(|exact| Arc::new(AggregateUDF::from(exact)))
}

/// Whether an argument is a column of integers of 32 bits or less, or that and a number of 32 bits. Sums of 2^31 rows then fit 64 bits.
fn is_short(argument: &Expr, schema: &DFSchema) -> bool {
    let column = |expr: &Expr| {
        let data_type = expr.get_type(schema).unwrap_or(DataType::Null);
        let long = matches!(data_type, DataType::Int64 | DataType::UInt64);
        matches!(expr, Expr::Column(_)) && data_type.is_integer() && !long
    };
    let literal = |expr: &Expr| match expr {
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(Some(value))) => i32::try_from(value).is_ok(),
            _ => false,
        },
        _ => false,
    };
    match argument {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => {
            column(left) && literal(right) || literal(left) && column(right)
        }
        other => column(other),
    }
}
