//! One call of a scalar function, as the conversions of the families see it.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::PhysicalExpr;

use crate::expr::fallback::FallbackReason;
use crate::expr::functions::cast::cast_to;
use crate::expr::ir::{DeviceExpr, Function, Node};

/// A call that is to be converted.
pub struct Call<'a> {
    pub expr: &'a ScalarFunctionExpr,
    /// Each argument as a device expression, or why it has none: some functions need only the literal in its place.
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
        cast_to(&expr, operand, to, false)
    }
}
