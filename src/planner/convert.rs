//! Converts one host operator, or says why not. Both rules ask here, so that the reason shown is the reason acted on.

use std::sync::Arc;

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;

use crate::exec::aggregate::{XlaAggregateExec, reads_rows};
use crate::exec::device_to_host::DeviceToHostExec;
use crate::exec::filter::XlaFilterExec;
use crate::exec::host_to_device::HostToDeviceExec;
use crate::exec::join::XlaJoinExec;
use crate::exec::limit::XlaLimitExec;
use crate::exec::projection::XlaProjectionExec;
use crate::exec::sort::XlaSortExec;
use crate::exec::union::XlaUnionExec;
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
        return Ok(Arc::new(XlaSortExec::try_convert(sort, input)?));
    }
    if let Some(limit) = plan.downcast_ref::<GlobalLimitExec>() {
        if limit.input().children().is_empty() {
            return Err(FallbackReason::LimitOfScan);
        }
        return Ok(Arc::new(XlaLimitExec::of_global(limit, device_input(limit.input())?)));
    }
    if let Some(limit) = plan.downcast_ref::<LocalLimitExec>() {
        if limit.input().children().is_empty() {
            return Err(FallbackReason::LimitOfScan);
        }
        return Ok(Arc::new(XlaLimitExec::of_local(limit, device_input(limit.input())?)));
    }
    if let Some(union) = plan.downcast_ref::<UnionExec>() {
        let inputs = device_inputs(&union.inputs().iter().collect::<Vec<_>>())?;
        return Ok(Arc::new(XlaUnionExec::convert(union, inputs)));
    }
    if is_join(plan) {
        let [left, right] = <[_; 2]>::try_from(device_inputs(&plan.children())?)
            .map_err(|inputs: Vec<_>| FallbackReason::JoinInputs { inputs: inputs.len() })?;
        return Ok(Arc::new(XlaJoinExec::try_convert(plan, left, right)?));
    }
    Err(FallbackReason::Operator { name: plan.name().to_string() })
}

fn is_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<HashJoinExec>().is_some()
        || plan.downcast_ref::<SortMergeJoinExec>().is_some()
        || plan.downcast_ref::<NestedLoopJoinExec>().is_some()
        || plan.downcast_ref::<CrossJoinExec>().is_some()
}

/// The node that reads the rows of an aggregation whose last node is `last`.
fn first_of(last: &AggregateExec) -> Result<&AggregateExec, FallbackReason> {
    if reads_rows(last.mode()) {
        return match last.mode() {
            datafusion::physical_plan::aggregates::AggregateMode::Partial => Err(FallbackReason::PartialAggregateAlone),
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
    Err(FallbackReason::FinalAggregateAlone)
}

/// What a device operator reads: the operators below a border, or a new border above a host plan.
fn device_input(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    if reads_no_table(input) {
        return Err(FallbackReason::NoRows);
    }
    below_border(input)
}

/// As [`device_input`] for an operator of several inputs, of which some may be constants.
fn device_inputs(inputs: &[&Arc<dyn ExecutionPlan>]) -> Result<Vec<Arc<dyn ExecutionPlan>>, FallbackReason> {
    if inputs.iter().all(|input| reads_no_table(input)) {
        return Err(FallbackReason::NoRows);
    }
    inputs.iter().map(|input| below_border(input)).collect()
}

fn below_border(input: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, FallbackReason> {
    if let Some(border) = input.downcast_ref::<DeviceToHostExec>() {
        return Ok(border.input.clone());
    }
    if is_plumbing(input)
        && let [child] = input.children().as_slice()
        && child.downcast_ref::<DeviceToHostExec>().is_some()
    {
        return below_border(child);
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
                | "ScalarSubqueryExec"
                | "DeviceToHostExec"
                | "HostToDeviceExec"
        )
}
