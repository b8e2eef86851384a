//! `PhysicalExpr` -> [`DeviceExpr`], or the reason why not. The answer is final: what converts lowers.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NegativeExpr, NotExpr,
    TryCastExpr,
};
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::representation::Kind;
use crate::expr::fallback::FallbackReason;
use crate::expr::functions::convert_function;
use crate::expr::ir::{ArithmeticOp, DeviceExpr, Node};
use crate::expr::lower::bitwise::BitwiseOp;
use crate::expr::lower::in_set;
use crate::expr::lower::lookup::is_countable;
use crate::expr::time::cast as cast_time;
use crate::expr::time::interval;
use crate::hlo::Comparison;

/// Longest IN list that becomes a chain of comparisons; longer ones must be of literals.
const MAX_IN_LIST: usize = 256;

/// Most columns of an expression whose values are all tried.
const MAX_LOOKUP_COLUMNS: usize = 3;

type Converted = Result<DeviceExpr, FallbackReason>;

/// Converts `expr` over rows of `schema`.
pub fn try_convert(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Converted {
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
    let child = |e: &Arc<dyn PhysicalExpr>| try_convert(e, schema).map(Box::new);
    let node = if let Some(column) = expr.downcast_ref::<Column>() {
        Node::Column(column.index())
    } else if let Some(literal) = expr.downcast_ref::<Literal>() {
        Node::Literal(literal.value().clone())
    } else if expr.downcast_ref::<ScalarSubqueryExpr>().is_some() {
        Node::Subquery(Arc::clone(expr))
    } else if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        convert_binary(expr, binary, schema)?
    } else if let Some(not) = expr.downcast_ref::<NotExpr>() {
        Node::Not(child(not.arg())?)
    } else if let Some(negative) = expr.downcast_ref::<NegativeExpr>() {
        let operand = child(negative.arg())?;
        if operand.data_type.is_temporal() {
            return Err(FallbackReason::expression(expr, "the negation of a time has no device form yet"));
        }
        Node::Negate(operand)
    } else if let Some(is_null) = expr.downcast_ref::<IsNullExpr>() {
        Node::IsNull(child(is_null.arg())?)
    } else if let Some(is_not_null) = expr.downcast_ref::<IsNotNullExpr>() {
        let is_null = DeviceExpr::new(Node::IsNull(child(is_not_null.arg())?), DataType::Boolean);
        Node::Not(Box::new(is_null))
    } else if let Some(in_list) = expr.downcast_ref::<InListExpr>() {
        convert_in_list(expr, in_list, schema)?
    } else if let Some(case) = expr.downcast_ref::<CaseExpr>() {
        convert_case(expr, case, schema)?
    } else if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        convert_cast(expr, cast.expr(), &data_type, cast.cast_options().safe, schema)?
    } else if let Some(cast) = expr.downcast_ref::<TryCastExpr>() {
        convert_cast(expr, cast.expr(), &data_type, true, schema)?
    } else if let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() {
        convert_function(function, schema, &data_type)?
    } else {
        return Err(FallbackReason::expression(expr, "this expression has no device form yet"));
    };
    Ok(DeviceExpr::new(node, data_type))
}

fn convert_binary(expr: &Arc<dyn PhysicalExpr>, binary: &BinaryExpr, schema: &Schema) -> Result<Node, FallbackReason> {
    let refuse = |why: &str| Err(FallbackReason::expression(expr, why));
    if let Some(node) = interval::convert(expr, binary, schema) {
        return node;
    }
    let lhs = Box::new(try_convert(binary.left(), schema)?);
    let rhs = Box::new(try_convert(binary.right(), schema)?);
    let arithmetic = match binary.op() {
        Operator::Plus => Some(ArithmeticOp::Add),
        Operator::Minus => Some(ArithmeticOp::Subtract),
        Operator::Multiply => Some(ArithmeticOp::Multiply),
        Operator::Divide => Some(ArithmeticOp::Divide),
        Operator::Modulo => Some(ArithmeticOp::Remainder),
        _ => None,
    };
    if let Some(op) = arithmetic {
        let both_decimal =
            |l: &DataType, r: &DataType| matches!((l, r), (DataType::Decimal128(_, _), DataType::Decimal128(_, _)));
        let number =
            |t: &DataType| t.is_numeric() && !matches!(t, DataType::Decimal32(_, _) | DataType::Decimal64(_, _));
        let numeric = number(&lhs.data_type) && number(&rhs.data_type);
        if !numeric || (lhs.data_type != rhs.data_type && !both_decimal(&lhs.data_type, &rhs.data_type)) {
            return refuse(&format!("arithmetic of {} and {} has no device form yet", lhs.data_type, rhs.data_type));
        }
        return Ok(Node::Arithmetic(op, lhs, rhs));
    }
    if let Some(op) = BitwiseOp::of(binary.op()) {
        if !lhs.data_type.is_integer() || lhs.data_type != rhs.data_type {
            return refuse(&format!("bits of {} and {} have no device form", lhs.data_type, rhs.data_type));
        }
        return Ok(Node::Bitwise(op, lhs, rhs));
    }
    let comparison = match binary.op() {
        Operator::Eq => Some(Comparison::Eq),
        Operator::NotEq => Some(Comparison::Ne),
        Operator::Lt => Some(Comparison::Lt),
        Operator::LtEq => Some(Comparison::Le),
        Operator::Gt => Some(Comparison::Gt),
        Operator::GtEq => Some(Comparison::Ge),
        _ => None,
    };
    let comparing =
        comparison.is_some() || matches!(binary.op(), Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    if comparing && !comparable(&lhs.data_type, &rhs.data_type) {
        return refuse(&format!("{} and {} do not compare on the device", lhs.data_type, rhs.data_type));
    }
    if let Some(direction) = comparison {
        return Ok(Node::Compare(direction, lhs, rhs));
    }
    match binary.op() {
        Operator::And => Ok(Node::And(lhs, rhs)),
        Operator::Or => Ok(Node::Or(lhs, rhs)),
        Operator::IsDistinctFrom => Ok(Node::Distinct(false, lhs, rhs)),
        Operator::IsNotDistinctFrom => Ok(Node::Distinct(true, lhs, rhs)),
        op => refuse(&format!("the operator {op} has no device form yet")),
    }
}

fn convert_in_list(
    expr: &Arc<dyn PhysicalExpr>,
    in_list: &InListExpr,
    schema: &Schema,
) -> Result<Node, FallbackReason> {
    let operand = Box::new(try_convert(in_list.expr(), schema)?);
    let list = in_list.list().iter().map(|item| try_convert(item, schema)).collect::<Result<Vec<_>, _>>()?;
    if list.len() > MAX_IN_LIST && in_set::literals(&list).is_none() {
        return Err(FallbackReason::expression(
            in_list.expr(),
            format!("an IN list of {} values that are not all constant is longer than {MAX_IN_LIST}", list.len()),
        ));
    }
    if let Some(other) = list.iter().find(|item| !comparable(&item.data_type, &operand.data_type)) {
        let why = format!("{} and {} do not compare on the device", operand.data_type, other.data_type);
        return Err(FallbackReason::expression(expr, why));
    }
    Ok(Node::InList { operand, list, negated: in_list.negated() })
}

fn comparable(lhs: &DataType, rhs: &DataType) -> bool {
    match (lhs, rhs) {
        (DataType::Decimal128(_, s1), DataType::Decimal128(_, s2)) => s1 == s2,
        (DataType::Decimal64(_, s1), DataType::Decimal64(_, s2)) => s1 == s2,
        (DataType::Decimal32(_, s1), DataType::Decimal32(_, s2)) => s1 == s2,
        // Whatever their zones: all count from one moment.
        (DataType::Timestamp(l, _), DataType::Timestamp(r, _)) => l == r,
        (l, r) => l == r || (Kind::of(l) == Some(Kind::String) && Kind::of(r) == Some(Kind::String)),
    }
}

fn convert_case(expr: &Arc<dyn PhysicalExpr>, case: &CaseExpr, schema: &Schema) -> Result<Node, FallbackReason> {
    let operand = case.expr().map(|e| try_convert(e, schema)).transpose()?;
    let mut branches = Vec::with_capacity(case.when_then_expr().len());
    for (when, then) in case.when_then_expr() {
        let when = try_convert(when, schema)?;
        let condition = match &operand {
            None => when,
            // Floats are compared by their bits here, as IN compares them.
            Some(operand) if operand.data_type == when.data_type && operand.data_type.is_floating() => {
                let (operand, list) = (Box::new(operand.clone()), vec![when]);
                DeviceExpr::new(Node::InList { operand, list, negated: false }, DataType::Boolean)
            }
            Some(operand) if comparable(&operand.data_type, &when.data_type) => DeviceExpr::new(
                Node::Compare(Comparison::Eq, Box::new(operand.clone()), Box::new(when)),
                DataType::Boolean,
            ),
            Some(operand) => {
                let why = format!("{} and {} do not compare on the device", operand.data_type, when.data_type);
                return Err(FallbackReason::expression(expr, why));
            }
        };
        branches.push((condition, try_convert(then, schema)?));
    }
    let otherwise = case.else_expr().map(|e| try_convert(e, schema)).transpose()?.map(Box::new);
    let kind = |e: &DeviceExpr| Kind::of(&e.data_type);
    let first = branches.first().map(|(_, value)| value.data_type.clone());
    let values = branches.iter().map(|(_, value)| value).chain(otherwise.as_deref());
    for value in values {
        let same = first.as_ref().is_some_and(|first| comparable(first, &value.data_type));
        if !same || kind(value).is_none() {
            return Err(FallbackReason::expression(expr, "the branches of CASE have different types"));
        }
    }
    Ok(Node::Case { branches, otherwise })
}

fn convert_cast(
    expr: &Arc<dyn PhysicalExpr>,
    operand: &Arc<dyn PhysicalExpr>,
    to: &DataType,
    safe: bool,
    schema: &Schema,
) -> Result<Node, FallbackReason> {
    Ok(cast_to(expr, try_convert(operand, schema)?, to, safe)?.node)
}

/// `operand` cast to a type; the operand itself where it has the type.
pub fn cast_to(
    expr: &dyn fmt::Display,
    operand: DeviceExpr,
    to: &DataType,
    safe: bool,
) -> Result<DeviceExpr, FallbackReason> {
    let from = &operand.data_type;
    let refuse = |why: String| Err(FallbackReason::expression(expr, why));
    let is_time = |t: &DataType| t.is_temporal();
    if from == to {
        return Ok(operand);
    }
    match (Kind::of(from), Kind::of(to)) {
        (None, _) | (_, None) => return refuse(format!("a cast of {from} to {to} has no device form yet")),
        (Some(Kind::String), Some(Kind::String)) => {}
        (Some(Kind::String), _) => return refuse("a cast of strings is placed by dictionary only".to_string()),
        _ if *from == DataType::Null => {}
        (_, Some(Kind::String)) => {
            return refuse("a cast to strings makes strings that are in no dictionary".to_string());
        }
        _ if (is_time(from) || is_time(to)) && !cast_time::is_known(from, to) => {
            return refuse(format!("a cast of {from} to {to} has no device form yet"));
        }
        _ => {}
    }
    Ok(DeviceExpr::new(Node::Cast { operand: Box::new(operand), safe }, to.clone()))
}

/// A deterministic expression over columns of few values becomes a lookup.
fn try_lookup(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<DeviceExpr> {
    let data_type = expr.data_type(schema).ok()?;
    Kind::of(&data_type)?;
    let mut columns: Vec<Column> = collect_columns(expr).into_iter().collect();
    columns.sort_by_key(|column| column.index());
    let types: Vec<DataType> = columns.iter().map(|c| schema.field(c.index()).data_type().clone()).collect();
    if types.is_empty() || types.len() > MAX_LOOKUP_COLUMNS || !types.iter().all(is_countable) || is_volatile(expr) {
        return None;
    }
    let function = expr
        .clone()
        .transform(|e| {
            let at = e.downcast_ref::<Column>().and_then(|own| columns.iter().position(|c| c.index() == own.index()));
            Ok(match at {
                Some(at) => Transformed::yes(Arc::new(Column::new("value", at)) as Arc<dyn PhysicalExpr>),
                None => Transformed::no(e),
            })
        })
        .ok()?
        .data;
    let operands =
        columns.iter().zip(types).map(|(column, t)| DeviceExpr::new(Node::Column(column.index()), t)).collect();
    Some(DeviceExpr::new(Node::Lookup { operands, function }, data_type))
}
