//! Converts CASE and IN. `child` converts an operand.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::physical_expr::expressions::{CaseExpr, InListExpr};
use datafusion::physical_plan::PhysicalExpr;

use crate::columnar::representation::Kind;
use crate::expr::convert::binary::comparable;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::lower::in_list::literals;
use crate::hlo::Comparison;

/// The longest IN list that may hold values other than constants: such a list becomes a chain of comparisons.
const MAX_IN_LIST: usize = 256;

pub fn convert_case(
    expr: &Arc<dyn PhysicalExpr>,
    case: &CaseExpr,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Result<Node, FallbackReason> {
    let operand = case.expr().map(&child).transpose()?;
    let mut branches = Vec::with_capacity(case.when_then_expr().len());
    for (when, then) in case.when_then_expr() {
        let when = child(when)?;
        let condition = match &operand {
            None => when,
            // CASE compares floats by their bits, as IN does.
            Some(operand) if operand.data_type == when.data_type && operand.data_type.is_floating() => {
                let (operand, list) = (Box::new(operand.clone()), vec![when]);
                DeviceExpr::new(Node::InList { operand, list, negated: false }, DataType::Boolean)
            }
            Some(operand) if comparable(&operand.data_type, &when.data_type) => DeviceExpr::new(
                Node::Compare(Comparison::Eq, Box::new(operand.clone()), Box::new(when)),
                DataType::Boolean,
            ),
            Some(operand) => {
                let why = format!("{} and {} cannot be compared on the device", operand.data_type, when.data_type);
                return Err(FallbackReason::expression(expr, why));
            }
        };
        branches.push((condition, child(then)?));
    }
    let otherwise = case.else_expr().map(&child).transpose()?.map(Box::new);
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

pub fn convert_in_list(
    expr: &Arc<dyn PhysicalExpr>,
    in_list: &InListExpr,
    child: impl Fn(&Arc<dyn PhysicalExpr>) -> Result<DeviceExpr, FallbackReason>,
) -> Result<Node, FallbackReason> {
    let operand = Box::new(child(in_list.expr())?);
    let list = in_list.list().iter().map(&child).collect::<Result<Vec<_>, _>>()?;
    if list.len() > MAX_IN_LIST && literals(&list).is_none() {
        return Err(FallbackReason::expression(
            in_list.expr(),
            format!(
                "an IN list of {} values may have at most {MAX_IN_LIST} unless all of them are constants",
                list.len()
            ),
        ));
    }
    if let Some(other) = list.iter().find(|item| !comparable(&item.data_type, &operand.data_type)) {
        let why = format!("{} and {} cannot be compared on the device", operand.data_type, other.data_type);
        return Err(FallbackReason::expression(expr, why));
    }
    Ok(Node::InList { operand, list, negated: in_list.negated() })
}
