//! DataFusion's scalar functions that have a form in HLO: one table from a name to what converts its calls. The families'
//! own modules say what each call becomes and lower it; functions of strings go through `lookup` and are not here.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;

use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::lower::conditional::{self, Choice};
use crate::expr::lower::math::{self, Math, Math2};
use crate::expr::lower::numbers::{self, Exact};
use crate::expr::time::date_bin::{self, DateBin};
use crate::expr::time::date_part::{self, DatePart};
use crate::expr::time::date_trunc::{self, DateTrunc};
use crate::expr::time::make as time;
use crate::expr::time::zone;
use crate::expr::tracer::{TracedColumn, Tracer};

/// A function whose arguments the node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    Choice(Choice),
    Math(Math),
    Math2(Math2),
    Exact(Exact),
    DatePart(DatePart),
    DateTrunc(DateTrunc),
    DateBin(DateBin),
    MakeDate,
    MakeTime,
    ToLocalTime,
    /// Of fractions of seconds.
    ToTimestamp,
}

/// A call that is to be converted.
pub struct Call<'a> {
    pub expr: &'a ScalarFunctionExpr,
    pub schema: &'a Schema,
    pub data_type: &'a DataType,
}

pub type Converted = Result<Node, FallbackReason>;

/// A function of DataFusion's and how its calls are converted.
struct Entry {
    family: &'static str,
    name: &'static str,
    convert: fn(&Call) -> Converted,
}

const fn entry(family: &'static str, name: &'static str, convert: fn(&Call) -> Converted) -> Entry {
    Entry { family, name, convert }
}

const TABLE: &[Entry] = &[
    entry("conditional", "greatest", conditional::convert_greatest),
    entry("conditional", "least", conditional::convert_least),
    entry("conditional", "nullif", conditional::convert_nullif),
    entry("dates and times", "date_bin", date_bin::convert),
    entry("dates and times", "date_part", date_part::convert),
    entry("dates and times", "date_trunc", date_trunc::convert),
    entry("dates and times", "from_unixtime", time::convert_from_unixtime),
    entry("dates and times", "make_date", time::convert_make_date),
    entry("dates and times", "make_time", time::convert_make_time),
    entry("dates and times", "to_date", time::convert_to_date),
    entry("dates and times", "to_local_time", zone::convert_to_local_time),
    entry("dates and times", "to_timestamp", time::convert_to_timestamp),
    entry("dates and times", "to_timestamp_micros", time::convert_to_timestamp),
    entry("dates and times", "to_timestamp_millis", time::convert_to_timestamp),
    entry("dates and times", "to_timestamp_nanos", time::convert_to_timestamp),
    entry("dates and times", "to_timestamp_seconds", time::convert_to_timestamp),
    entry("dates and times", "to_unixtime", time::convert_to_unixtime),
    entry("math", "abs", numbers::convert_abs),
    entry("math", "acos", |call| math::of_float(call, Math::Acos)),
    entry("math", "acosh", |call| math::of_float(call, Math::Acosh)),
    entry("math", "asin", |call| math::of_float(call, Math::Asin)),
    entry("math", "asinh", |call| math::of_float(call, Math::Asinh)),
    entry("math", "atan", |call| math::of_float(call, Math::Atan)),
    entry("math", "atan2", |call| math::of_floats(call, Math2::Atan2)),
    entry("math", "atanh", |call| math::of_float(call, Math::Atanh)),
    entry("math", "cbrt", |call| math::of_float(call, Math::Cbrt)),
    entry("math", "ceil", numbers::convert_ceil),
    entry("math", "cos", |call| math::of_float(call, Math::Cos)),
    entry("math", "cosh", |call| math::of_float(call, Math::Cosh)),
    entry("math", "cot", |call| math::of_float(call, Math::Cot)),
    entry("math", "degrees", |call| math::of_float(call, Math::Degrees)),
    entry("math", "exp", |call| math::of_float(call, Math::Exp)),
    entry("math", "factorial", numbers::convert_factorial),
    entry("math", "floor", numbers::convert_floor),
    entry("math", "gcd", numbers::convert_gcd),
    entry("math", "isnan", numbers::convert_isnan),
    entry("math", "iszero", numbers::convert_iszero),
    entry("math", "lcm", numbers::convert_lcm),
    entry("math", "ln", |call| math::of_float(call, Math::Ln)),
    entry("math", "log", math::convert_log),
    entry("math", "log10", |call| math::of_float(call, Math::Log10)),
    entry("math", "log2", |call| math::of_float(call, Math::Log2)),
    entry("math", "nanvl", |call| math::of_floats(call, Math2::Nanvl)),
    entry("math", "power", |call| math::of_floats(call, Math2::Power)),
    entry("math", "radians", |call| math::of_float(call, Math::Radians)),
    entry("math", "round", numbers::convert_round),
    entry("math", "signum", |call| math::of_float(call, Math::Signum)),
    entry("math", "sin", |call| math::of_float(call, Math::Sin)),
    entry("math", "sinh", |call| math::of_float(call, Math::Sinh)),
    entry("math", "sqrt", |call| math::of_float(call, Math::Sqrt)),
    entry("math", "tan", |call| math::of_float(call, Math::Tan)),
    entry("math", "tanh", |call| math::of_float(call, Math::Tanh)),
    entry("math", "trunc", numbers::convert_trunc),
    entry("types", "arrow_typeof", convert_typeof),
];

/// Family and name of every function in the table.
pub fn supported_functions() -> Vec<(&'static str, &'static str)> {
    TABLE.iter().map(|entry| (entry.family, entry.name)).collect()
}

/// The names of DataFusion's other functions that always give the same answer to the same arguments: over columns of few values,
/// such as strings, they are evaluated on the host once for each and looked up.
pub fn looked_up_functions() -> Vec<String> {
    let mut names: Vec<String> = datafusion::functions::all_default_functions()
        .iter()
        .filter(|f| f.signature().volatility == Volatility::Immutable && TABLE.iter().all(|e| e.name != f.name()))
        .map(|f| f.name().to_string())
        .collect();
    names.sort();
    names
}

/// What a call of a scalar function becomes.
pub fn convert_function(expr: &ScalarFunctionExpr, schema: &Schema, data_type: &DataType) -> Converted {
    let name = expr.fun().name();
    let Some(entry) = TABLE.iter().find(|entry| entry.name == name).filter(|_| is_own(expr.fun())) else {
        return Err(FallbackReason::expression(expr, format!("the function {name} has no device form yet")));
    };
    (entry.convert)(&Call { expr, schema, data_type })
}

/// The type of an argument is a constant of the plan.
fn convert_typeof(call: &Call) -> Converted {
    let typed = call.expr.evaluate(&RecordBatch::new_empty(Arc::new(call.schema.clone())));
    match typed {
        Ok(ColumnarValue::Scalar(name)) => Ok(Node::Literal(name)),
        _ => Err(call.refuse("the type is known only at run time")),
    }
}

/// Whether the function is DataFusion's own, and not one that a program registered under its name.
fn is_own(function: &ScalarUDF) -> bool {
    static OWN: OnceLock<HashMap<String, Arc<ScalarUDF>>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        datafusion::functions::all_default_functions().into_iter().map(|f| (f.name().to_string(), f)).collect()
    });
    // The time zone of the session is part of these.
    let configured = function.name().starts_with("to_timestamp");
    own.get(function.name()).is_some_and(|known| configured || **known == *function)
}

impl Call<'_> {
    pub fn n_args(&self) -> usize {
        self.expr.args().len()
    }

    /// An argument as a device expression.
    pub fn arg(&self, index: usize) -> Result<DeviceExpr, FallbackReason> {
        match self.expr.args().get(index) {
            Some(arg) => crate::expr::convert::try_convert(arg, self.schema),
            None => Err(self.refuse("an argument is missing")),
        }
    }

    pub fn args(&self) -> Result<Vec<DeviceExpr>, FallbackReason> {
        (0..self.n_args()).map(|index| self.arg(index)).collect()
    }

    /// An argument that is a constant.
    pub fn literal(&self, index: usize) -> Option<&ScalarValue> {
        self.expr.args().get(index)?.downcast_ref::<Literal>().map(|literal| literal.value())
    }

    pub fn refuse(&self, why: impl Into<String>) -> FallbackReason {
        FallbackReason::expression(self.expr, why)
    }

    pub fn function(&self, function: Function) -> Converted {
        Ok(Node::Function(function, self.args()?))
    }

    /// The argument cast to a type, under the rules of CAST.
    pub fn cast(&self, operand: DeviceExpr, to: &DataType) -> Result<DeviceExpr, FallbackReason> {
        let expr: &dyn PhysicalExpr = self.expr;
        crate::expr::convert::cast_to(&expr, operand, to, false)
    }
}

impl Tracer {
    pub fn function(
        &mut self,
        function: &Function,
        args: &[TracedColumn],
        data_type: &DataType,
    ) -> Result<TracedColumn> {
        match (function, args) {
            (Function::Choice(choice), [_, ..]) => self.choose(*choice, args),
            (Function::Math(math), [operand]) => self.math(*math, operand),
            (Function::Math2(math), [lhs, rhs]) => self.math2(*math, lhs, rhs),
            (Function::Exact(exact), [_, ..]) => self.exact_function(*exact, args, data_type),
            (Function::DatePart(part), [operand]) => self.date_part(*part, operand, data_type),
            (Function::DateTrunc(to), [operand]) => self.date_trunc(*to, operand),
            (Function::DateBin(bin), [operand]) => self.date_bin(bin, operand),
            (Function::MakeDate, [year, month, day]) => self.make_date(year, month, day),
            (Function::MakeTime, [hour, minute, second]) => self.make_time(hour, minute, second),
            (Function::ToLocalTime, [operand]) => self.to_local_time(operand, data_type),
            (Function::ToTimestamp, [operand]) => self.timestamp_from_float(operand, data_type),
            _ => datafusion::common::internal_err!("{function:?} of {} arguments", args.len()),
        }
    }
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
