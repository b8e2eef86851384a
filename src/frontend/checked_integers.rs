//! `xla.checked_arithmetic`: `+ - *` and negation of integers that leave the range of their type are an error instead of wrapping.
//!
//! DataFusion has kernels that check, and no option that uses them; and the rule must see constants before they are folded. So it
//! replaces the operators by functions, after DataFusion has brought both operands to one type.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, sub};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::config::XlaOptions;
use crate::error::integer_out_of_range;
use crate::frontend::operand_types::{Arithmetic, rewrite_arithmetic};
use crate::frontend::replace::rewrite_expressions;

/// The rule. It comes after DataFusion's coercion, and before constants are folded.
#[derive(Debug)]
pub struct CheckedIntegers;

impl AnalyzerRule for CheckedIntegers {
    fn name(&self) -> &str {
        "checked_integers"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if XlaOptions::of(config).checked_arithmetic { rewrite(plan) } else { Ok(plan) }
    }
}

fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        rewrite_expressions(plan, |expr| rewrite_arithmetic(expr, &schema, replace))
    })
    .data()
}

fn replace(expr: Expr, arithmetic: Arithmetic) -> Transformed<Expr> {
    let operator = match arithmetic {
        Arithmetic::Binary(op, left, right) if left.is_integer() && left == right => match op {
            Operator::Plus => CheckedOperator::Add,
            Operator::Minus => CheckedOperator::Subtract,
            Operator::Multiply => CheckedOperator::Multiply,
            _ => return Transformed::no(expr),
        },
        Arithmetic::Negative(operand) if operand.is_signed_integer() => CheckedOperator::Negate,
        _ => return Transformed::no(expr),
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => {
            Transformed::yes(operator.function().call(vec![*left, *right]))
        }
        Expr::Negative(operand) => Transformed::yes(operator.function().call(vec![*operand])),
        other => Transformed::no(other),
    }
}

/// An operator that checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckedOperator {
    Add,
    Subtract,
    Multiply,
    Negate,
}

impl CheckedOperator {
    const ALL: [Self; 4] = [Self::Add, Self::Subtract, Self::Multiply, Self::Negate];

    fn function(self) -> Arc<ScalarUDF> {
        static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 4]> = LazyLock::new(|| {
            CheckedOperator::ALL.map(|operator| {
                let operands = if operator == CheckedOperator::Negate { 1 } else { 2 };
                let signature = Signature::any(operands, Volatility::Immutable);
                Arc::new(ScalarUDF::from(CheckedInteger { operator, signature }))
            })
        });
        Arc::clone(&FUNCTIONS[self as usize])
    }

    /// The name of its function.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Negate => "checked_negate",
        }
    }

    /// As SQL writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract | Self::Negate => "-",
            Self::Multiply => "*",
        }
    }
}

/// The function of an operator. It is in no registry, so that no query can call it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CheckedInteger {
    operator: CheckedOperator,
    signature: Signature,
}

impl ScalarUDFImpl for CheckedInteger {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [first, ..] if first.is_integer() => Ok(first.clone()),
            _ => internal_err!("{} of {arguments:?}", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let data_type = args.return_field.data_type();
        let computed = match (self.operator, args.args.as_slice()) {
            (CheckedOperator::Negate, [operand]) => {
                let array = operand.to_array(1)?;
                neg(array.as_ref())
            }
            (operator, [left, right]) => {
                let kernel = match operator {
                    CheckedOperator::Add => add,
                    CheckedOperator::Subtract => sub,
                    _ => mul,
                };
                kernel(datum(left)?.as_ref(), datum(right)?.as_ref())
            }
            (operator, operands) => return internal_err!("{operator:?} of {} operands", operands.len()),
        };
        let array = computed.map_err(|error| explain(error, self.operator, data_type))?;
        match args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            true => ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

/// The operand of a kernel.
fn datum(value: &ColumnarValue) -> Result<Arc<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Arc::new(Arc::clone(array) as ArrayRef),
        ColumnarValue::Scalar(scalar) => Arc::new(scalar.to_scalar()?),
    })
}

/// Arrow's message has the operands, and not their type.
fn explain(error: ArrowError, operator: CheckedOperator, data_type: &DataType) -> DataFusionError {
    match error {
        ArrowError::ArithmeticOverflow(text) => {
            let operands = text.strip_prefix("Overflow happened on: ").unwrap_or(operator.symbol());
            DataFusionError::Execution(integer_out_of_range(data_type, operands))
        }
        other => other.into(),
    }
}
