//! One aggregate function call, converted: which function, over which expressions, or the reason why not.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::representation::Kind;
use crate::exec::operator::aggregate::accumulator::AggregateFunction;
use crate::exec::operator::aggregate::holistic::RowFunction;
use crate::expr::convert::try_convert;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::DeviceExpr;
use crate::frontend::statistic::Statistic;
use crate::frontend::{is_frontends_aggregate, is_own_aggregate};
use crate::hlo::ReduceKind;

/// How a function is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CallFunction {
    /// By accumulators, one slot a group, chunk by chunk.
    Slots(AggregateFunction),
    /// Over all rows at once.
    Rows(RowFunction),
}

#[derive(Clone, Debug)]
pub struct AggregateCall {
    pub function: CallFunction,
    /// None for COUNT(*).
    pub arguments: Vec<DeviceExpr>,
    pub filter: Option<DeviceExpr>,
    pub order: Vec<(DeviceExpr, SortOptions)>,
    /// Only the first row of each value of the argument counts.
    pub distinct: bool,
    pub data_type: DataType,
}

impl AggregateCall {
    /// Converts a call over rows of `schema`.
    pub fn try_convert(
        call: &AggregateFunctionExpr,
        filter: Option<&Arc<dyn PhysicalExpr>>,
        schema: &Schema,
    ) -> Result<Self, FallbackReason> {
        let refuse = |why: String| Err(FallbackReason::Aggregate { function: call.name().to_string(), why });
        let function = function_of(call)?;
        let counts_rows = function == CallFunction::Slots(AggregateFunction::Count) && !call.is_distinct();
        let expressions = call.expressions();
        let used = match (&function, expressions.as_slice()) {
            (_, [argument]) if counts_rows && is_literal(argument) => &[],
            (CallFunction::Rows(RowFunction::Percentile(_)), [argument, ..]) => std::slice::from_ref(argument),
            (_, all) => all,
        };
        let arguments = used.iter().map(|a| try_convert(a, schema)).collect::<Result<Vec<_>, _>>()?;
        let wanted = match function {
            CallFunction::Slots(AggregateFunction::Count) => arguments.len().min(1),
            CallFunction::Rows(RowFunction::Statistic(statistic)) => statistic.arguments(),
            _ => 1,
        };
        if arguments.len() != wanted {
            return refuse(format!("{} arguments have no device form yet", arguments.len()));
        }
        if call.is_distinct() && arguments.len() > 1 {
            return refuse("DISTINCT of several arguments has no device form yet".to_string());
        }
        let data_type = call.field().data_type().clone();
        if let Some(why) = unsupported_types(function, arguments.first(), &data_type) {
            return refuse(why);
        }
        let filter = filter.map(|f| try_convert(f, schema)).transpose()?;
        let order = match function {
            CallFunction::Rows(RowFunction::Edge { .. }) => {
                let keys = call.order_bys().iter();
                keys.map(|key| Ok((try_convert(&key.expr, schema)?, key.options))).collect::<Result<Vec<_>, _>>()?
            }
            _ => Vec::new(),
        };
        // An extreme, and what is asked of bits, is the same with and without duplicates.
        let insensitive = matches!(
            function,
            CallFunction::Slots(
                AggregateFunction::Min
                    | AggregateFunction::Max
                    | AggregateFunction::BoolAnd
                    | AggregateFunction::BoolOr
            ) | CallFunction::Rows(RowFunction::Bitwise(ReduceKind::And | ReduceKind::Or))
        );
        let distinct = (call.is_distinct() || call.fun().name() == "approx_distinct") && !insensitive;
        Ok(Self { function, arguments, filter, order, distinct, data_type })
    }

    /// Whether the call cannot be made chunk by chunk.
    pub fn needs_all_rows(&self) -> bool {
        self.distinct || matches!(self.function, CallFunction::Rows(_))
    }
}

fn function_of(call: &AggregateFunctionExpr) -> Result<CallFunction, FallbackReason> {
    let slots = |function| Ok(CallFunction::Slots(function));
    let rows = |function| Ok(CallFunction::Rows(function));
    let refuse = |why: &str| Err(FallbackReason::Aggregate { function: call.name().to_string(), why: why.into() });
    let name = call.fun().name();
    if !is_own_aggregate(call.fun()) && !is_frontends_aggregate(call.fun()) {
        return refuse("this function has no device form yet");
    }
    match name {
        "count" | "approx_distinct" => slots(AggregateFunction::Count),
        "sum" => slots(AggregateFunction::Sum),
        "min" => slots(AggregateFunction::Min),
        "max" => slots(AggregateFunction::Max),
        "avg" => slots(AggregateFunction::Avg),
        "bool_and" => slots(AggregateFunction::BoolAnd),
        "bool_or" => slots(AggregateFunction::BoolOr),
        "bit_and" => rows(RowFunction::Bitwise(ReduceKind::And)),
        "bit_or" => rows(RowFunction::Bitwise(ReduceKind::Or)),
        "bit_xor" => rows(RowFunction::Bitwise(ReduceKind::Xor)),
        "first_value" | "last_value" => {
            let last = (name == "last_value") != call.is_reversed();
            rows(RowFunction::Edge { last, ignore_nulls: call.ignore_nulls() })
        }
        "median" => rows(RowFunction::Median),
        "percentile_cont" => match call.expressions().get(1).and_then(literal_f64) {
            // DataFusion's error comes when the aggregate begins to run.
            Some(fraction) if !(0.0..=1.0).contains(&fraction) => refuse("the percentile is not between 0 and 1"),
            Some(fraction) => {
                let descending = call.order_bys().first().is_some_and(|key| key.options.descending);
                rows(RowFunction::Percentile(if descending { 1.0 - fraction } else { fraction }))
            }
            None => refuse("the percentile is not a literal"),
        },
        _ => match Statistic::of(name) {
            Some(statistic) => rows(RowFunction::Statistic(statistic)),
            None => refuse("this function has no device form yet"),
        },
    }
}

/// Reason a function has no form for these types.
fn unsupported_types(function: CallFunction, argument: Option<&DeviceExpr>, result: &DataType) -> Option<String> {
    let from = argument.map(|a| &a.data_type);
    let fits = match (function, from) {
        (CallFunction::Slots(AggregateFunction::Sum), Some(from)) => match (from, result) {
            (DataType::Decimal128(_, s1), DataType::Decimal128(_, s2)) => s1 == s2,
            (DataType::Float32 | DataType::Float64, DataType::Float64) => true,
            (from, DataType::Int64) => from.is_signed_integer(),
            (from, DataType::UInt64) => from.is_unsigned_integer(),
            _ => false,
        },
        (CallFunction::Slots(AggregateFunction::Avg), Some(from)) => {
            matches!(
                (from, result),
                (DataType::Decimal128(_, _), DataType::Decimal128(_, _))
                    | (DataType::Float32 | DataType::Float64, DataType::Float64)
            ) || (from.is_integer() && *result == DataType::Float64)
        }
        (CallFunction::Slots(AggregateFunction::BoolAnd | AggregateFunction::BoolOr), Some(from)) => {
            *from == DataType::Boolean
        }
        (CallFunction::Rows(RowFunction::Statistic(_)), Some(from)) => {
            from.is_integer() || matches!(from, DataType::Float64 | DataType::Decimal128(_, _))
        }
        (CallFunction::Rows(RowFunction::Percentile(_)), Some(from)) => *from == DataType::Float64,
        (CallFunction::Rows(RowFunction::Bitwise(_)), Some(from)) => from.is_integer(),
        (CallFunction::Rows(RowFunction::Median), Some(from)) => from.is_numeric() && from == result,
        _ => true,
    };
    if !fits {
        let from = from.map_or("nothing".to_string(), ToString::to_string);
        return Some(format!("{from} as {result} has no device form yet"));
    }
    Kind::of(result).is_none().then(|| format!("a result of type {result} has no device encoding yet"))
}

fn is_literal(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Literal>().is_some_and(|l| !l.value().is_null())
}

fn literal_f64(expr: &Arc<dyn PhysicalExpr>) -> Option<f64> {
    match expr.downcast_ref::<Literal>()?.value().cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(value) => value,
        _ => None,
    }
}
