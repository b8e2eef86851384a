//! Converts one host operator, or says why not. Both rules ask here, so that the reason shown is the reason acted on.

use std::sync::Arc;

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

use crate::exec::aggregate::{XlaAggregateExec, reads_rows};
use crate::exec::device_node::DeviceNode;
use crate::exec::device_to_host::DeviceToHostExec;
use crate::exec::filter::XlaFilterExec;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::exec::projection::XlaProjectionExec;
use crate::exec::sort::XlaSortExec;
use crate::expr::fallback::FallbackReason;

/// A host operator with its children already planned: the device node that replaces it, without its upper border.
pub fn try_convert(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let input = device_input(filter.input())?;
        return Ok(Arc::new(XlaFilterExec::try_convert(filter, input)?));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let input = device_input(projection.input())?;
        return Ok(Arc::new(XlaProjectionExec::try_convert(projection, input)?));
    }
    if let Some(last) = plan.downcast_ref::<AggregateExec>() {
        let first = first_of(last)?;
        let input = device_input(first.input())?;
        return Ok(Arc::new(XlaAggregateExec::try_convert(last, first, input)?));
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let input = device_input(sort.input())?;
        if !is_small(&input) {
            return Err(FallbackReason::UnboundedSort);
        }
        return Ok(Arc::new(XlaSortExec::try_convert(sort, input)?));
    }
    if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>()
        && limit.skip() == 0
        && limit.input().children().is_empty()
    {
        return Err(FallbackReason::LimitOfScan);
    }
    Err(FallbackReason::Operator { name: plan.name().to_string() })
}

/// The node that reads the rows of an aggregation whose last node is `last`.
fn first_of(last: &AggregateExec) -> Result<&AggregateExec, FallbackReason> {
    if reads_rows(last.mode()) {
        return match last.mode() {
            datafusion::physical_plan::aggregates::AggregateMode::Partial => {
                Err(FallbackReason::Operator { name: "a partial aggregate whose final is elsewhere".to_string() })
            }
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
            [child] if is_plumbing(below) => below = child,
            _ => break,
        }
    }
    Err(FallbackReason::Operator { name: "a final aggregate without its partial one".to_string() })
}

/// What a device operator reads: the pipeline below a border, or a new border above a host plan.
fn device_input(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    if reads_no_table(input) {
        return Err(FallbackReason::NoRows);
    }
    if let Some(border) = input.downcast_ref::<DeviceToHostExec>() {
        return Ok(border.input.clone());
    }
    if is_plumbing(input)
        && let [child] = input.children().as_slice()
        && child.downcast_ref::<DeviceToHostExec>().is_some()
    {
        return device_input(child);
    }
    Ok(Arc::new(HostToDeviceExec::try_new(input.clone())?))
}

/// Whether the rows below are computed from constants alone.
fn reads_no_table(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.children().as_slice() {
        [] => matches!(plan.name(), "PlaceholderRowExec" | "EmptyExec"),
        children => children.iter().all(|child| reads_no_table(child)),
    }
}

/// Whether a device relation is one chunk: the groups of an aggregate, filtered, projected or sorted.
fn is_small(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match DeviceNode::of(plan) {
        Some(DeviceNode::Aggregate(_)) => true,
        Some(_) => plan.children().first().is_some_and(|child| is_small(child)),
        None => false,
    }
}

/// Operators that only move, merge or store rows: no work of their own to place.
pub fn is_plumbing(plan: &Arc<dyn ExecutionPlan>) -> bool {
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
                | "DeviceToHostExec"
                | "HostToDeviceExec"
        )
}
