//! The rule `precise_math`: acosh and atanh on the host. Rust's standard library, which DataFusion calls, takes the logarithm of a
//! number that is rounded already: near 1 and near -1 up to half of the digits are lost.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::replace::replace_calls;
use crate::frontend::{applies, is_own_scalar};

/// Replaces math functions that are off by more than two units in the last place.
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
        Expr::ScalarFunction(mut call) if function_of(call.name()).is_some() && is_own_scalar(&call.func) => {
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(function) = function_of(self.name()) else { return self.replaced.invoke_with_args(args) };
        let single = |x: f32| function(f64::from(x)) as f32;
        let of = |array: &ArrayRef| -> Option<ArrayRef> {
            Some(match array.data_type() {
                DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(function)),
                DataType::Float32 => Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(single)),
                _ => return None,
            })
        };
        let (array, is_scalar) = match args.args.first() {
            Some(ColumnarValue::Array(array)) => (Arc::clone(array), false),
            Some(ColumnarValue::Scalar(scalar)) => (scalar.to_array()?, true),
            None => return self.replaced.invoke_with_args(args),
        };
        match of(&array) {
            Some(result) if is_scalar => ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar),
            Some(result) => Ok(ColumnarValue::Array(result)),
            None => self.replaced.invoke_with_args(args),
        }
    }
}

fn function_of(name: &str) -> Option<fn(f64) -> f64> {
    match name {
        "acosh" => Some(acosh),
        "atanh" => Some(atanh),
        _ => None,
    }
}

/// From fdlibm's `e_acosh.c`: x - 1 is exact near 1. NaN below 1.
fn acosh(x: f64) -> f64 {
    let above = x - 1.0;
    if x < 1.0 {
        f64::NAN
    } else if x < 2.0 {
        (above + (2.0 * above + above * above).sqrt()).ln_1p()
    } else if x < 2f64.powi(28) {
        (2.0 * x - 1.0 / (x + (x * x - 1.0).sqrt())).ln()
    } else {
        x.ln() + std::f64::consts::LN_2
    }
}

/// From fdlibm's `e_atanh.c`: of the magnitude, so that 1 - x loses nothing near -1. NaN beyond 1.
fn atanh(x: f64) -> f64 {
    let magnitude = x.abs();
    let twice = magnitude + magnitude;
    let argument = match magnitude < 0.5 {
        true => twice + twice * magnitude / (1.0 - magnitude),
        false => twice / (1.0 - magnitude),
    };
    (0.5 * argument.ln_1p()).copysign(x)
}
