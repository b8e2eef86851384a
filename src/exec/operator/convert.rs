//! What the conversions of all operators share.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_operator::DeviceOperator;
use crate::exec::trace::relation::Relation;
use crate::expr::fallback::FallbackReason;

/// A device operator over its inputs.
pub type Converted = (Arc<dyn DeviceOperator>, Vec<Arc<dyn ExecutionPlan>>);

/// The device operator in place of a host node, or the reason why there is none; `None` if the node is another operator's.
pub type Conversion = Option<Result<Converted, FallbackReason>>;

/// Gives the device plan below a host node, or below several.
type DeviceInputs<'a> = &'a dyn Fn(&[&Arc<dyn ExecutionPlan>]) -> Result<Vec<Arc<dyn ExecutionPlan>>, FallbackReason>;

/// The inputs of an operator under conversion, which the planner puts on the device.
#[derive(Clone, Copy)]
pub struct Inputs<'a>(pub DeviceInputs<'a>);

impl Inputs<'_> {
    /// The device plan of the only input.
    pub fn only(&self, host: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
        let mut inputs = (self.0)(&[host])?;
        inputs.pop().ok_or(FallbackReason::NoRows)
    }

    /// The device plans of several inputs.
    pub fn all(&self, host: &[&Arc<dyn ExecutionPlan>]) -> Result<Vec<Arc<dyn ExecutionPlan>>, FallbackReason> {
        (self.0)(host)
    }
}

/// The relation of an operator's only input.
pub fn only_relation(inputs: Vec<Relation>) -> Result<Relation> {
    let n = inputs.len();
    match <[Relation; 1]>::try_from(inputs) {
        Ok([input]) => Ok(input),
        Err(_) => Err(DataFusionError::Internal(format!("an operator of one input has {n}"))),
    }
}
