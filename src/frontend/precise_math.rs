//! The rule `precise_math`: on the host, the math functions of Rust's standard library, which DataFusion calls, that are off by
//! more than one unit in the last place: acosh and atanh by half of their digits, log(5, 125) by enough not to be 3. They are
//! the formulas that the device has, so both give the same digits.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::binary;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::optimizer::AnalyzerRule;

use crate::elementary;
use crate::frontend::replace::replace_calls;
use crate::frontend::{applies, is_own_scalar};

/// Replaces math functions that are off by more than one unit in the last place.
#[derive(Debug)]
pub struct PreciseMath;

impl AnalyzerRule for PreciseMath {
    fn name(&self) -> &str {
        "precise_math"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if applies(self.name(), config) { replace_calls(plan, replace) } else { Ok(plan) }
    }
}

fn replace(expr: Expr, _: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(mut call)
            if function_of(call.name(), call.args.len()).is_some() && is_own_scalar(&call.func) =>
        {
            call.func = Arc::new(ScalarUDF::from(PreciseFunction { replaced: call.func }));
            Transformed::yes(Expr::ScalarFunction(call))
        }
        other => Transformed::no(other),
    }
}

/// DataFusion's function, computed otherwise.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PreciseFunction {
    replaced: Arc<ScalarUDF>,
}

/// Whether the function is one of this rule's, which means what DataFusion's of the same name does.
pub fn is_precise(function: &ScalarUDF) -> bool {
    function.inner().is::<PreciseFunction>()
}

impl ScalarUDFImpl for PreciseFunction {
    fn name(&self) -> &str {
        self.replaced.name()
    }

    fn signature(&self) -> &Signature {
        self.replaced.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.replaced.return_type(arguments)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.replaced.output_ordering(inputs)
    }

    fn is_strict(&self) -> bool {
        self.replaced.is_strict()
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.replaced.simplify(arguments, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(function) = function_of(self.name(), args.args.len()) else {
            return self.replaced.invoke_with_args(args);
        };
        let value = args.args.last().map(ColumnarValue::data_type);
        if !value.is_some_and(|value| value.is_decimal() || matches!(value, DataType::Float32 | DataType::Float64)) {
            return self.replaced.invoke_with_args(args);
        }
        let is_scalar = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let doubles = args.args.iter().map(|argument| argument.cast_to(&DataType::Float64, None));
        let columns = ColumnarValue::values_to_arrays(&doubles.collect::<Result<Vec<_>>>()?)?;
        let result: ArrayRef = Arc::new(function(&columns)?);
        let result = match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        };
        result.cast_to(args.return_field.data_type(), None)
    }
}

/// A function of columns of Float64. Those of Float32 are computed in 64 bits, as on the device.
type Function = fn(&[ArrayRef]) -> Result<Float64Array>;

/// A loop over the rows for each function, so that the function is a part of the loop.
macro_rules! of_one {
    ($function:expr) => {
        |columns| Ok(columns[0].as_primitive::<Float64Type>().unary($function))
    };
}

fn function_of(name: &str, arguments: usize) -> Option<Function> {
    let function: Function = match (name, arguments) {
        ("acosh", 1) => of_one!(elementary::acosh),
        ("asinh", 1) => of_one!(elementary::asinh),
        ("atanh", 1) => of_one!(elementary::atanh),
        ("cosh", 1) => of_one!(elementary::cosh),
        ("cot", 1) => of_one!(elementary::cotangent),
        ("log", 1) => of_one!(|x| elementary::log(10.0, x)),
        ("log", 2) => |columns| {
            let [base, x] = [&columns[0], &columns[1]].map(|column| column.as_primitive::<Float64Type>());
            Ok(binary(base, x, elementary::log)?)
        },
        ("log10", 1) => of_one!(elementary::log10),
        ("sinh", 1) => of_one!(elementary::sinh),
        ("tanh", 1) => of_one!(elementary::tanh),
        _ => return None,
    };
    Some(function)
}
