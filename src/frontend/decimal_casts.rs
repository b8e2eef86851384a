//! `decimal_casts`: a decimal of more than 15 digits becomes the nearest double. DataFusion rounds its integer to a double first,
//! and the quotient by the power of ten again: `CAST(12345.6789 AS DECIMAL(38, 18))` is not the double 12345.6789.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::tree_node::{TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::frontend::applies;
use crate::frontend::replace::rewrite_expressions;

/// The rule. It comes after DataFusion's coercion, which adds casts, and before constants are folded.
#[derive(Debug)]
pub struct DecimalCasts;

impl AnalyzerRule for DecimalCasts {
    fn name(&self) -> &str {
        "decimal_casts"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if applies(self.name(), config) { rewrite(plan) } else { Ok(plan) }
    }
}

/// Digits of an integer that is a double whatever they are. Its quotient by a power of ten is rounded once.
const EXACT_DIGITS: u8 = 15;

/// Integers that are doubles, and powers of ten that are.
const EXACT: i128 = 1 << 53;
const EXACT_POWER: u8 = 22;

fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        rewrite_expressions(plan, |expr| expr.transform_up(|expr| Ok(replace(expr, &schema))))
    })
    .data()
}

fn replace(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (operand, to) = match &expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => (expr, field.data_type()),
        _ => return Transformed::no(expr),
    };
    let rounds = |from: DataType| matches!(from, DataType::Decimal128(precision, scale) if precision > EXACT_DIGITS && scale >= 0);
    if *to != DataType::Float64 || !operand.get_type(schema).is_ok_and(rounds) {
        return Transformed::no(expr);
    }
    Transformed::yes(decimal_to_double().call(vec![operand.as_ref().clone()]))
}

/// `decimal_to_double(x)`. It is in no registry, so that no query can call it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DecimalToDouble {
    signature: Signature,
}

fn decimal_to_double() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::from(DecimalToDouble { signature }))
    });
    Arc::clone(&FUNCTION)
}

impl ScalarUDFImpl for DecimalToDouble {
    fn name(&self) -> &str {
        "decimal_to_double"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Float64, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [argument] = args.args.as_slice() else { return internal_err!("decimal_to_double takes one argument") };
        Ok(match argument {
            ColumnarValue::Scalar(ScalarValue::Decimal128(value, _, scale)) => {
                let value = value.map(|value| nearest(value, scale.unsigned_abs()));
                ColumnarValue::Scalar(ScalarValue::Float64(value))
            }
            ColumnarValue::Array(array) => ColumnarValue::Array(nearest_of(array)?),
            ColumnarValue::Scalar(other) => return internal_err!("decimal_to_double of {}", other.data_type()),
        })
    }
}

fn nearest_of(array: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Decimal128(_, scale) = array.data_type() else {
        return internal_err!("decimal_to_double of {}", array.data_type());
    };
    let scale = scale.unsigned_abs();
    let doubles: Float64Array = array.as_primitive::<Decimal128Type>().unary(|value| nearest(value, scale));
    Ok(Arc::new(doubles))
}

/// The double nearest to `value / 10^scale`.
fn nearest(value: i128, scale: u8) -> f64 {
    let (mut value, mut scale) = (value, scale);
    // Zeros at the end, as casts to a larger scale append them, are no digits.
    while value.abs() > EXACT && scale > 0 && value % 10 == 0 {
        (value, scale) = (value / 10, scale - 1);
    }
    if value.abs() <= EXACT && scale <= EXACT_POWER {
        return value as f64 / 10f64.powi(i32::from(scale));
    }
    // The standard library rounds text once.
    format!("{value}e-{scale}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use crate::frontend::decimal_casts::nearest;

    #[test]
    fn decimals_are_rounded_once() {
        assert_eq!(nearest(12_345_678_900_000_000_000_000, 18), 12345.6789);
        assert_eq!(nearest(-99_999_999_999_999_999_999_999_999_999_999_999_999, 38), -1.0);
        assert_eq!(nearest(9_007_199_254_740_993, 0), 9_007_199_254_740_992.0);
        assert_eq!(nearest(90_071_992_547_409_931, 1), 9_007_199_254_740_994.0);
        assert_eq!(nearest(1, 38), 1e-38);
        assert_eq!(nearest(0, 38), 0.0);
    }
}
