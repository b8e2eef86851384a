//! One call of a scalar function: what the conversion of a function may look at.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;

use crate::expr::fallback::FallbackReason;
use crate::expr::functions::cast::cast_to;
use crate::expr::ir::{DeviceExpr, Node};

/// A call to convert.
pub struct Call<'a> {
    pub expr: &'a ScalarFunctionExpr,
    /// Each argument as a device expression, or the reason why it has none. Some functions accept a literal without a device
    /// encoding, such as an interval.
    pub args: Vec<Result<DeviceExpr, FallbackReason>>,
    pub schema: &'a Schema,
    pub data_type: &'a DataType,
}

pub type Converted = Result<Node, FallbackReason>;

impl Call<'_> {
    pub fn n_args(&self) -> usize {
        self.args.len()
    }

    /// An argument as a device expression.
    pub fn arg(&self, index: usize) -> Result<DeviceExpr, FallbackReason> {
        match self.args.get(index) {
            Some(arg) => arg.clone(),
            None => Err(self.refuse("an argument is missing")),
        }
    }

    pub fn args(&self) -> Result<Vec<DeviceExpr>, FallbackReason> {
        self.args.iter().cloned().collect()
    }

    /// The value of an argument that is a literal.
    pub fn literal(&self, index: usize) -> Option<&ScalarValue> {
        self.expr.args().get(index)?.downcast_ref::<Literal>().map(|literal| literal.value())
    }

    pub fn refuse(&self, why: impl Into<String>) -> FallbackReason {
        FallbackReason::expression(self.expr, why)
    }

    /// Casts an operand under the rules of CAST.
    pub fn cast(&self, operand: DeviceExpr, to: &DataType) -> Result<DeviceExpr, FallbackReason> {
        let expr: &dyn PhysicalExpr = self.expr;
        cast_to(&expr, operand, to, false)
    }
}
