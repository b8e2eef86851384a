//! Converts casts, or returns the reason why a cast has no device form. Functions that are casts use this, too.

use std::fmt;

use datafusion::arrow::datatypes::DataType;

use crate::columnar::representation::Kind;
use crate::expr::fallback::FallbackReason;
use crate::expr::ir::{DeviceExpr, Node};
use crate::expr::time::cast::is_known;

/// Casts `operand` to a type; returns the operand itself if it already has the type.
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
        (Some(Kind::String), _) => {
            return refuse("strings can only be cast as a lookup by their dictionary".to_string());
        }
        _ if *from == DataType::Null => {}
        (_, Some(Kind::String)) => {
            return refuse("text of numbers has no device form yet".to_string());
        }
        _ if (is_time(from) || is_time(to)) && !is_known(from, to) => {
            return refuse(format!("a cast of {from} to {to} has no device form yet"));
        }
        _ => {}
    }
    Ok(DeviceExpr::new(Node::Cast { operand: Box::new(operand), safe }, to.clone()))
}
