//! Converts a `PhysicalExpr` to a [`DeviceExpr`], or returns the reason why it has no device form. The result is final:
//! every expression that converts also lowers.

pub mod binary;
pub mod condition;
pub mod interval;
pub mod lookup;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NegativeExpr, NotExpr,
    TryCastExpr,
};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::representation::Kind;
use crate::expr::convert::binary::convert_binary;
use crate::expr::convert::condition::{convert_case, convert_in_list};
use crate::expr::convert::interval::convert_interval;
use crate::expr::convert::lookup::{no_lookup, try_lookup};
use crate::expr::fallback::FallbackReason;
use crate::expr::functions::cast::cast_to;
use crate::expr::functions::convert_call;
use crate::expr::ir::{DeviceExpr, Node};

type Converted = Result<DeviceExpr, FallbackReason>;

/// Most operations of an expression. XLA's time to compile more grows with the third power of their number: 500 take 0.9 s, and
/// 1,000 take 20 s.
const MOST_OPERATIONS: usize = 512;

/// Converts `expr`, which reads rows of `schema`. An expression that does not convert by itself may still become a lookup.
pub fn try_convert(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Converted {
    if has_too_many_operations(expr) {
        let why =
            format!("it has more than {MOST_OPERATIONS} operations, which take too long to compile for the device");
        return try_lookup(expr, schema).ok_or_else(|| FallbackReason::expression(expr, why));
    }
    convert(expr, schema)
}

/// Counts in a loop, because such an expression may be deep.
fn has_too_many_operations(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut operations = 0;
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        let operands = expr.children();
        // A CASE or a call has an operation for each operand. A list of literals is one array.
        operations += match operands.len() {
            0 => 0,
            _ if expr.is::<InListExpr>() => 1,
            operands => operands.max(2) - 1,
        };
        if operations > MOST_OPERATIONS {
            return true;
        }
        open.extend(operands);
    }
    false
}

fn convert(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Converted {
    match convert_node(expr, schema) {
        Ok(converted) => Ok(converted),
        Err(reason) => try_lookup(expr, schema).ok_or(reason),
    }
}

fn convert_node(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Converted {
    let data_type = expr.data_type(schema).map_err(|e| FallbackReason::expression(expr, e.to_string()))?;
    if Kind::of(&data_type).is_none() {
        return Err(FallbackReason::Type { what: expr.to_string(), data_type });
    }
    let child = |e: &Arc<dyn PhysicalExpr>| convert(e, schema);
    let boxed = |e: &Arc<dyn PhysicalExpr>| child(e).map(Box::new);
    let cast_of = |operand: &Arc<dyn PhysicalExpr>, safe: bool| -> Result<Node, FallbackReason> {
        Ok(cast_to(expr, child(operand)?, &data_type, safe)?.node)
    };
    let node = if let Some(column) = expr.downcast_ref::<Column>() {
        Node::Column(column.index())
    } else if let Some(literal) = expr.downcast_ref::<Literal>() {
        Node::Literal(literal.value().clone())
    } else if expr.downcast_ref::<ScalarSubqueryExpr>().is_some() {
        Node::Subquery(Arc::clone(expr))
    } else if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        match convert_interval(expr, binary, schema, child) {
            Some(node) => node?,
            None => convert_binary(expr, binary.op(), child(binary.left())?, child(binary.right())?)?,
        }
    } else if let Some(not) = expr.downcast_ref::<NotExpr>() {
        Node::Not(boxed(not.arg())?)
    } else if let Some(negative) = expr.downcast_ref::<NegativeExpr>() {
        let operand = boxed(negative.arg())?;
        if operand.data_type.is_temporal() {
            return Err(FallbackReason::expression(expr, "negating a time or duration has no device form yet"));
        }
        Node::Negate(operand)
    } else if let Some(is_null) = expr.downcast_ref::<IsNullExpr>() {
        Node::IsNull(boxed(is_null.arg())?)
    } else if let Some(is_not_null) = expr.downcast_ref::<IsNotNullExpr>() {
        let is_null = DeviceExpr::new(Node::IsNull(boxed(is_not_null.arg())?), DataType::Boolean);
        Node::Not(Box::new(is_null))
    } else if let Some(in_list) = expr.downcast_ref::<InListExpr>() {
        convert_in_list(expr, in_list, child)?
    } else if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        convert_case(expr, case, child)?
    } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        cast_of(cast.expr(), cast.cast_options().safe)?
    } else if let Some(cast) = expr.downcast_ref::<TryCastExpr>() {
        cast_of(cast.expr(), true)?
    } else if let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() {
        match convert_call(function, schema, &data_type, child) {
            Some(node) => node?,
            None => return Err(FallbackReason::expression(expr, no_lookup(function, schema))),
        }
    } else {
        return Err(FallbackReason::expression(expr, "this expression has no device form yet"));
    };
    Ok(DeviceExpr::new(node, data_type))
}
