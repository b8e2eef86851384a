//! What conversions ask of the host plan around a node.

use std::sync::Arc;

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

use crate::expr::fallback::FallbackReason;

/// Whether a node is the first of an aggregation: it reads rows, not partial states.
pub fn reads_rows(mode: &AggregateMode) -> bool {
    matches!(mode, AggregateMode::Partial | AggregateMode::Single | AggregateMode::SinglePartitioned)
}

/// The node that reads the rows of an aggregation whose last node is `last`.
pub fn first_aggregate(last: &AggregateExec) -> Result<&AggregateExec, FallbackReason> {
    if reads_rows(last.mode()) {
        return match last.mode() {
            AggregateMode::Partial => Err(FallbackReason::PartialAggregateAlone),
            _ => Ok(last),
        };
    }
    let mut below = last.input();
    loop {
        if let Some(first) = below.downcast_ref::<AggregateExec>() {
            if reads_rows(first.mode()) {
                return Ok(first);
            }
            break;
        }
        match below.children().as_slice() {
            [child] if only_moves_rows(below) => below = child,
            _ => break,
        }
    }
    Err(FallbackReason::FinalAggregateAlone)
}

/// Operators that only move, merge or store rows: no work of their own to place.
pub fn only_moves_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some()
        || plan.downcast_ref::<SortPreservingMergeExec>().is_some()
        || plan.downcast_ref::<DataSinkExec>().is_some()
        || matches!(
            plan.name(),
            "OutputRequirementExec"
                | "CooperativeExec"
                | "AnalyzeExec"
                | "BufferExec"
                | "ScalarSubqueryExec"
                | "DeviceToHostExec"
                | "HostToDeviceExec"
        )
}
