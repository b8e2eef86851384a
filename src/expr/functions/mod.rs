//! DataFusion's scalar functions that have a form in HLO: a table from each name to the function that converts its calls.
//! String functions are not in the table; they become lookups (`expr::convert::lookup`).

pub mod call;
pub mod cast;
pub mod choice;
pub mod date_field;
pub mod math;
pub mod timestamp;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::PhysicalExpr;

use crate::expr::fallback::FallbackReason;
use crate::expr::functions::call::{Call, Converted};
use crate::expr::ir::{ArithmeticOp, DeviceExpr, Math, Math2, Node};
use crate::frontend::{is_frontends, is_own_scalar};

/// A function of DataFusion and the conversion of its calls.
struct Entry {
    name: &'static str,
    convert: fn(&Call) -> Converted,
}

const fn entry(name: &'static str, convert: fn(&Call) -> Converted) -> Entry {
    Entry { name, convert }
}

const TABLE: &[Entry] = &[
    // conditional
    entry("greatest", choice::convert_greatest),
    entry("least", choice::convert_least),
    entry("nullif", choice::convert_nullif),
    // dates and times
    entry("date_bin", date_field::convert_date_bin),
    entry("date_part", date_field::convert_date_part),
    entry("date_trunc", date_field::convert_date_trunc),
    entry("from_unixtime", timestamp::convert_from_unixtime),
    entry("make_date", timestamp::convert_make_date),
    entry("make_time", timestamp::convert_make_time),
    entry("to_date", timestamp::convert_to_date),
    entry("to_local_time", timestamp::convert_to_local_time),
    entry("to_timestamp", timestamp::convert_to_timestamp),
    entry("to_timestamp_micros", timestamp::convert_to_timestamp),
    entry("to_timestamp_millis", timestamp::convert_to_timestamp),
    entry("to_timestamp_nanos", timestamp::convert_to_timestamp),
    entry("to_timestamp_seconds", timestamp::convert_to_timestamp),
    entry("to_unixtime", timestamp::convert_to_unixtime),
    // the frontend's
    entry("canonical_float", math::convert_canonical_float),
    entry("checked_add", |call| math::convert_checked(call, ArithmeticOp::Add)),
    entry("checked_multiply", |call| math::convert_checked(call, ArithmeticOp::Multiply)),
    entry("checked_negate", math::convert_checked_negate),
    entry("checked_subtract", |call| math::convert_checked(call, ArithmeticOp::Subtract)),
    entry("decimal_to_double", math::convert_decimal_to_double),
    entry("single_row", math::convert_single_row),
    entry("within_precision", math::convert_within_precision),
    // math
    entry("abs", math::convert_abs),
    entry("acos", |call| math::of_float(call, Math::Acos)),
    entry("acosh", |call| math::of_float(call, Math::Acosh)),
    entry("asin", |call| math::of_float(call, Math::Asin)),
    entry("asinh", |call| math::of_float(call, Math::Asinh)),
    entry("atan", |call| math::of_float(call, Math::Atan)),
    entry("atan2", |call| math::of_floats(call, Math2::Atan2)),
    entry("atanh", |call| math::of_float(call, Math::Atanh)),
    entry("cbrt", |call| math::of_float(call, Math::Cbrt)),
    entry("ceil", math::convert_ceil),
    entry("cos", |call| math::of_float(call, Math::Cos)),
    entry("cosh", |call| math::of_float(call, Math::Cosh)),
    entry("cot", |call| math::of_float(call, Math::Cot)),
    entry("degrees", |call| math::of_float(call, Math::Degrees)),
    entry("exp", |call| math::of_float(call, Math::Exp)),
    entry("factorial", math::convert_factorial),
    entry("floor", math::convert_floor),
    entry("gcd", math::convert_gcd),
    entry("isnan", math::convert_isnan),
    entry("iszero", math::convert_iszero),
    entry("lcm", math::convert_lcm),
    entry("ln", |call| math::of_float(call, Math::Ln)),
    entry("log", math::convert_log),
    entry("log10", |call| math::of_float(call, Math::Log10)),
    entry("log2", |call| math::of_float(call, Math::Log2)),
    entry("nanvl", |call| math::of_floats(call, Math2::Nanvl)),
    entry("power", |call| math::of_floats(call, Math2::Power)),
    entry("radians", |call| math::of_float(call, Math::Radians)),
    entry("round", math::convert_round),
    entry("signum", |call| math::of_float(call, Math::Signum)),
    entry("sin", |call| math::of_float(call, Math::Sin)),
    entry("sinh", |call| math::of_float(call, Math::Sinh)),
    entry("sqrt", |call| math::of_float(call, Math::Sqrt)),
    entry("tan", |call| math::of_float(call, Math::Tan)),
    entry("tanh", |call| math::of_float(call, Math::Tanh)),
    entry("trunc", math::convert_trunc),
    // types
    entry("arrow_typeof", convert_typeof),
];

/// Converts a call of a scalar function; `None` for one that is not in the table. `child` converts an argument.
pub fn convert_call(
    expr: &ScalarFunctionExpr,
    schema: &Schema,
    data_type: &DataType,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Option<Converted> {
    let name = expr.fun().name();
    let entry = TABLE.iter().find(|entry| entry.name == name).filter(|_| is_own(expr.fun()))?;
    let args = expr.args().iter().map(child).collect();
    Some((entry.convert)(&Call { expr, args, schema, data_type }))
}

/// The type of an argument is a constant, known when the query is planned.
fn convert_typeof(call: &Call) -> Converted {
    let typed = call.expr.evaluate(&RecordBatch::new_empty(Arc::new(call.schema.clone())));
    match typed {
        Ok(ColumnarValue::Scalar(name)) => Ok(Node::Literal(name)),
        _ => Err(call.refuse("the type is only known at run time")),
    }
}

/// Whether this is DataFusion's or the frontend's own function, and not one that a program registered under the same name.
fn is_own(function: &ScalarUDF) -> bool {
    is_own_scalar(function) || is_frontends(function)
}

#[cfg(test)]
mod tests {
    use crate::expr::functions::TABLE;

    #[test]
    fn every_function_of_the_table_is_datafusions_or_the_frontends() {
        let known = datafusion::functions::all_default_functions();
        let frontends = [
            "canonical_float",
            "checked_add",
            "checked_multiply",
            "checked_negate",
            "checked_subtract",
            "decimal_to_double",
            "single_row",
            "within_precision",
        ];
        for entry in TABLE {
            assert!(frontends.contains(&entry.name) || known.iter().any(|f| f.name() == entry.name), "{}", entry.name);
        }
    }
}
