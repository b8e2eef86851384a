//! `decimal_precision`: `+ - * /` of decimals are right, or an error.
//!
//! DataFusion computes decimals in 128 bits, and fails only where these overflow. So 1 + 99999999999999999999999999999999999999 is a
//! number of 39 digits in a type of 38, which prints without its last digit, and is cast and compared as another number elsewhere. This
//! rule checks the results of the operators that can exceed the precision of their type:
//!
//! ```text
//! a + b          within_precision(a + b)
//! ```
//!
//! Most cannot: the types of sums and products grow with those of their operands, up to the largest precision. What is inside such an
//! operator, or is compared, needs no check: 128 bits hold it.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Field, FieldRef,
};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::decimal_out_of_range;
use crate::frontend::applies;
use crate::frontend::replace::rewrite_expressions;

/// The rule. It comes after DataFusion's coercion, and before constants are folded.
#[derive(Debug)]
pub struct DecimalPrecision;

impl AnalyzerRule for DecimalPrecision {
    fn name(&self) -> &str {
        "decimal_precision"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if applies(self.name(), config) { rewrite(plan) } else { Ok(plan) }
    }
}

fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        rewrite_expressions(plan, |expr| check(expr, &schema, false))
    })
    .data()
}

/// Checks what can exceed its type, unless it is the operand of an operator that takes any 128 bits.
fn check(expr: Expr, schema: &DFSchema, is_operand: bool) -> Result<Transformed<Expr>> {
    let takes_any = |op: &Operator| {
        use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
        op.is_numerical_operators()
            || matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
    };
    let wide = matches!(&expr, Expr::BinaryExpr(binary) if takes_any(&binary.op));
    let exceeds = !is_operand && can_exceed(&expr, schema)?;
    let inside = expr.map_children(|child| check(child, schema, wide))?;
    Ok(match exceeds {
        true => Transformed::yes(within_precision(inside.data)),
        false => inside,
    })
}

/// Whether the value of an operator may have more digits than its type.
fn can_exceed(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return Ok(false) };
    if !op.is_numerical_operators() {
        return Ok(false);
    }
    let Some((right, right_scale)) = digits(&right.get_type(schema)?) else { return Ok(false) };
    let Some((left, _)) = digits(&left.get_type(schema)?) else { return Ok(false) };
    let Some((room, _)) = digits(&expr.get_type(schema)?) else { return Ok(false) };
    let whole = match op {
        Operator::Plus | Operator::Minus => left.max(right) + 1,
        Operator::Multiply => left + right,
        // The smallest divisor is 10^-scale.
        Operator::Divide => left + right_scale,
        _ => return Ok(false),
    };
    Ok(whole > room)
}

/// The digits of a decimal type before and after the point.
fn digits(data_type: &DataType) -> Option<(i32, i32)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            Some((i32::from(*precision) - i32::from(*scale), i32::from(*scale)))
        }
        _ => None,
    }
}

/// Whether a constant has more digits than its type.
fn exceeds(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Decimal32(Some(value), precision, _) => {
            !Decimal32Type::is_valid_decimal_precision(*value, *precision)
        }
        ScalarValue::Decimal64(Some(value), precision, _) => {
            !Decimal64Type::is_valid_decimal_precision(*value, *precision)
        }
        ScalarValue::Decimal128(Some(value), precision, _) => {
            !Decimal128Type::is_valid_decimal_precision(*value, *precision)
        }
        ScalarValue::Decimal256(Some(value), precision, _) => {
            !Decimal256Type::is_valid_decimal_precision(*value, *precision)
        }
        _ => false,
    }
}

fn within_precision(expr: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::from(WithinPrecision { signature }))
    });
    FUNCTION.call(vec![expr])
}

/// `within_precision(x)`: x, or an error if it has more digits than its type. It is in no registry, so that no query can call it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WithinPrecision {
    signature: Signature,
}

impl ScalarUDFImpl for WithinPrecision {
    fn name(&self) -> &str {
        "within_precision"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [argument] if argument.is_decimal() => Ok(argument.clone()),
            _ => internal_err!("within_precision of {arguments:?}"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Scalar(value)) if exceeds(&value) => {
                Err(DataFusionError::Execution(decimal_out_of_range(&value.data_type())))
            }
            Some(ColumnarValue::Array(array)) => {
                if has_exceeding(&array)? {
                    return Err(DataFusionError::Execution(decimal_out_of_range(array.data_type())));
                }
                Ok(ColumnarValue::Array(array))
            }
            Some(value) => Ok(value),
            None => internal_err!("within_precision of nothing"),
        }
    }
}

/// Whether a value has more digits than its type.
fn has_exceeding(array: &ArrayRef) -> Result<bool> {
    fn find<T: DecimalType>(array: &ArrayRef, precision: u8) -> bool {
        let array = array.as_primitive::<T>();
        let wrong = |value: &T::Native| !T::is_valid_decimal_precision(*value, precision);
        match array.null_count() {
            0 => array.values().iter().any(wrong),
            _ => array.iter().flatten().any(|value| wrong(&value)),
        }
    }
    Ok(match array.data_type() {
        DataType::Decimal32(precision, _) => find::<Decimal32Type>(array, *precision),
        DataType::Decimal64(precision, _) => find::<Decimal64Type>(array, *precision),
        DataType::Decimal128(precision, _) => find::<Decimal128Type>(array, *precision),
        DataType::Decimal256(precision, _) => find::<Decimal256Type>(array, *precision),
        other => return internal_err!("within_precision of {other}"),
    })
}
