//! Every operator of the device. To add one: its file, and one line here.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_exec::DeviceExec;
use crate::exec::operator::convert::{Conversion, Inputs};
use crate::exec::operator::{aggregate, filter, join, limit, projection, sort, union};
use crate::expr::fallback::FallbackReason;

/// Converts a host node, if it is this operator's.
type Convert = fn(&Arc<dyn ExecutionPlan>, Inputs<'_>) -> Conversion;

const OPERATORS: &[Convert] = &[
    filter::convert,
    projection::convert,
    aggregate::aggregation::convert,
    sort::convert,
    limit::convert,
    join::node::convert,
    union::convert,
];

/// The device node in place of a host node, whose inputs `inputs` puts on the device, or the reason why there is none.
pub fn try_convert(
    plan: &Arc<dyn ExecutionPlan>,
    inputs: Inputs<'_>,
) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    match OPERATORS.iter().find_map(|convert| convert(plan, inputs)) {
        Some(converted) => {
            let (operator, inputs) = converted?;
            Ok(Arc::new(DeviceExec::new(operator, inputs)))
        }
        None => Err(FallbackReason::Operator { name: plan.name().to_string() }),
    }
}
