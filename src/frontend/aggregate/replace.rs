//! The rule `exact_aggregates`: calls of DataFusion's sums, averages and statistics become calls of [`ExactSum`] and
//! [`ExactAggregate`]. It runs before
//! types are coerced, which would round the arguments.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;

use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable, LogicalPlan, WindowFunctionDefinition};
use datafusion::optimizer::AnalyzerRule;

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

/// The exact function in the place of `func`, if there is one for these arguments. With DISTINCT, DataFusion's own remains.
fn exact(func: &AggregateUDF, arguments: &[Expr], distinct: bool, schema: &DFSchema) -> Option<Arc<AggregateUDF>> {
    if distinct || !is_own_aggregate(func) {
        return None;
    }
    let types = arguments.iter().map(|argument| argument.get_type(schema)).collect::<Result<Vec<_>>>().ok()?;
    if let [argument] = types.as_slice()
        && let Some(sum) = ExactSum::in_place_of(func, argument)
    {
        return Some(Arc::new(AggregateUDF::from(sum)));
    }
    ExactAggregate::in_place_of(func.name(), &types).map(|exact| Arc::new(AggregateUDF::from(exact)))
}
