//! Rows as values: `row(a, b) IN (SELECT row(x, y) ..)`, whose comparison is one of columns. Only
//! [`row_value`](crate::frontend::syntax::row_value) writes it, for rows of aggregates: these cannot move into the subquery.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// The function's name.
pub const NAME: &str = "__row";

/// The function. It is in no registry but that of the statement which it is written in, and never runs.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Row {
    signature: Signature,
}

impl Row {
    pub fn udf() -> Arc<ScalarUDF> {
        let row = Self { signature: Signature::variadic_any(Volatility::Immutable) };
        Arc::new(ScalarUDF::new_from_impl(row))
    }
}

impl ScalarUDFImpl for Row {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// One type for all rows, so that nothing is cast before the columns are compared.
    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a row is not compared with a subquery")
    }
}

/// The values of a row.
pub fn values(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::ScalarFunction(call) if call.func.inner().is::<Row>() => Some(&call.args),
        Expr::Alias(alias) => values(&alias.expr),
        _ => None,
    }
}

/// `row(a, b) = row(x, y)`, of which the second has the columns of `plan`.
///
/// # Errors
/// If the rows differ in length, or columns cannot be compared.
pub fn equality(row: &[Expr], other: &[Expr], plan: &LogicalPlan) -> Result<Expr> {
    if row.len() != other.len() {
        return plan_err!("a row of {} values is compared with rows of {}", row.len(), other.len());
    }
    let schema = plan.schema();
    let equal = |(l, r): (&Expr, &Expr)| -> Result<Expr> {
        let (left, right) = (l.get_type(schema)?, r.get_type(schema)?);
        let Some(common) = comparison_coercion(&left, &right) else {
            return plan_err!("{left} and {right} cannot be compared");
        };
        Ok(l.clone().cast_to(&common, schema)?.eq(r.clone().cast_to(&common, schema)?))
    };
    let equal = row.iter().zip(other).map(equal).collect::<Result<Vec<_>>>()?;
    match conjunction(equal) {
        Some(equal) => Ok(equal),
        None => internal_err!("a row without values"),
    }
}
