//! DataFusion's scalar functions that have a form in HLO: a table from each name to the function that converts its calls.
//! String functions are not in the table; they become lookups.

pub mod call;
pub mod cast;
pub mod choice;
pub mod date_field;
pub mod math;
pub mod timestamp;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;

use crate::expr::fallback::FallbackReason;
use crate::expr::functions::call::{Call, Converted};
use crate::expr::ir::{DeviceExpr, Math, Math2, Node};

/// A function of DataFusion and the conversion of its calls.
struct Entry {
    family: &'static str,
    name: &'static str,
    convert: fn(&Call) -> Converted,
}

const fn entry(family: &'static str, name: &'static str, convert: fn(&Call) -> Converted) -> Entry {
    Entry { family, name, convert }
}

const TABLE: &[Entry] = &[
    entry("conditional", "greatest", choice::convert_greatest),
    entry("conditional", "least", choice::convert_least),
    entry("conditional", "nullif", choice::convert_nullif),
    entry("dates and times", "date_bin", date_field::convert_date_bin),
    entry("dates and times", "date_part", date_field::convert_date_part),
    entry("dates and times", "date_trunc", date_field::convert_date_trunc),
    entry("dates and times", "from_unixtime", timestamp::convert_from_unixtime),
    entry("dates and times", "make_date", timestamp::convert_make_date),
    entry("dates and times", "make_time", timestamp::convert_make_time),
    entry("dates and times", "to_date", timestamp::convert_to_date),
    entry("dates and times", "to_local_time", timestamp::convert_to_local_time),
    entry("dates and times", "to_timestamp", timestamp::convert_to_timestamp),
    entry("dates and times", "to_timestamp_micros", timestamp::convert_to_timestamp),
    entry("dates and times", "to_timestamp_millis", timestamp::convert_to_timestamp),
    entry("dates and times", "to_timestamp_nanos", timestamp::convert_to_timestamp),
    entry("dates and times", "to_timestamp_seconds", timestamp::convert_to_timestamp),
    entry("dates and times", "to_unixtime", timestamp::convert_to_unixtime),
    entry("math", "abs", math::convert_abs),
    entry("math", "acos", |call| math::of_float(call, Math::Acos)),
    entry("math", "acosh", |call| math::of_float(call, Math::Acosh)),
    entry("math", "asin", |call| math::of_float(call, Math::Asin)),
    entry("math", "asinh", |call| math::of_float(call, Math::Asinh)),
    entry("math", "atan", |call| math::of_float(call, Math::Atan)),
    entry("math", "atan2", |call| math::of_floats(call, Math2::Atan2)),
    entry("math", "atanh", |call| math::of_float(call, Math::Atanh)),
    entry("math", "cbrt", |call| math::of_float(call, Math::Cbrt)),
    entry("math", "ceil", math::convert_ceil),
    entry("math", "cos", |call| math::of_float(call, Math::Cos)),
    entry("math", "cosh", |call| math::of_float(call, Math::Cosh)),
    entry("math", "cot", |call| math::of_float(call, Math::Cot)),
    entry("math", "degrees", |call| math::of_float(call, Math::Degrees)),
    entry("math", "exp", |call| math::of_float(call, Math::Exp)),
    entry("math", "factorial", math::convert_factorial),
    entry("math", "floor", math::convert_floor),
    entry("math", "gcd", math::convert_gcd),
    entry("math", "isnan", math::convert_isnan),
    entry("math", "iszero", math::convert_iszero),
    entry("math", "lcm", math::convert_lcm),
    entry("math", "ln", |call| math::of_float(call, Math::Ln)),
    entry("math", "log", math::convert_log),
    entry("math", "log10", |call| math::of_float(call, Math::Log10)),
    entry("math", "log2", |call| math::of_float(call, Math::Log2)),
    entry("math", "nanvl", |call| math::of_floats(call, Math2::Nanvl)),
    entry("math", "power", |call| math::of_floats(call, Math2::Power)),
    entry("math", "radians", |call| math::of_float(call, Math::Radians)),
    entry("math", "round", math::convert_round),
    entry("math", "signum", |call| math::of_float(call, Math::Signum)),
    entry("math", "sin", |call| math::of_float(call, Math::Sin)),
    entry("math", "sinh", |call| math::of_float(call, Math::Sinh)),
    entry("math", "sqrt", |call| math::of_float(call, Math::Sqrt)),
    entry("math", "tan", |call| math::of_float(call, Math::Tan)),
    entry("math", "tanh", |call| math::of_float(call, Math::Tanh)),
    entry("math", "trunc", math::convert_trunc),
    entry("types", "arrow_typeof", convert_typeof),
];

/// The family and name of every function in the table.
pub fn supported_functions() -> Vec<(&'static str, &'static str)> {
    TABLE.iter().map(|entry| (entry.family, entry.name)).collect()
}

/// The names of DataFusion's other immutable functions. Over columns of few values, such as strings, they become lookups:
/// the host evaluates them once for each value.
pub fn looked_up_functions() -> Vec<String> {
    let mut names: Vec<String> = datafusion::functions::all_default_functions()
        .iter()
        .filter(|f| f.signature().volatility == Volatility::Immutable && TABLE.iter().all(|e| e.name != f.name()))
        .map(|f| f.name().to_string())
        .collect();
    names.sort();
    names
}

/// Converts a call of a scalar function. `child` converts an argument.
pub fn convert_call(
    expr: &ScalarFunctionExpr,
    schema: &Schema,
    data_type: &DataType,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Converted {
    let name = expr.fun().name();
    let Some(entry) = TABLE.iter().find(|entry| entry.name == name).filter(|_| is_own(expr.fun())) else {
        return Err(FallbackReason::expression(expr, format!("the function {name} has no device form yet")));
    };
    let args = expr.args().iter().map(child).collect();
    (entry.convert)(&Call { expr, args, schema, data_type })
}

/// The type of an argument is a constant, known when the query is planned.
fn convert_typeof(call: &Call) -> Converted {
    let typed = call.expr.evaluate(&RecordBatch::new_empty(Arc::new(call.schema.clone())));
    match typed {
        Ok(ColumnarValue::Scalar(name)) => Ok(Node::Literal(name)),
        _ => Err(call.refuse("the type is only known at run time")),
    }
}

/// Whether this is DataFusion's own function, and not one that a program registered under the same name.
fn is_own(function: &ScalarUDF) -> bool {
    static OWN: OnceLock<HashMap<String, Arc<ScalarUDF>>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        datafusion::functions::all_default_functions().into_iter().map(|f| (f.name().to_string(), f)).collect()
    });
    // The functions of this name hold the session's time zone, so they are not equal to the default ones.
    let configured = function.name().starts_with("to_timestamp");
    own.get(function.name()).is_some_and(|known| configured || **known == *function)
}

#[cfg(test)]
mod tests {
    use crate::expr::functions::{TABLE, looked_up_functions, supported_functions};

    #[test]
    fn every_function_of_the_table_is_datafusions() {
        let known = datafusion::functions::all_default_functions();
        for (_, name) in supported_functions() {
            assert!(known.iter().any(|f| f.name() == name), "{name}");
        }
        let looked_up = looked_up_functions();
        assert!(looked_up.iter().any(|name| name == "upper") && !looked_up.iter().any(|name| name == "random"));
        assert!(TABLE.is_sorted_by_key(|entry| (entry.family, entry.name)));
    }
}
