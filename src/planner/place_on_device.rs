//! `PlaceOnDevice`: walks the plan bottom-up and converts every operator that has a device form.
//!
//! ```text
//! FilterExec                DeviceToHostExec
//!   DataSourceExec    =>      XlaFilterExec
//!                               HostToDeviceExec
//!                                 DataSourceExec
//! ```
//!
//! After each node the plan is executable: a converted node takes the pipeline below the border of its child and puts
//! the border above itself.

use std::sync::{Arc, Weak};

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use crate::config::{Placement, XlaOptions};
use crate::exec::boundary::device_to_host::{DeviceToHostExec, Planned};
use crate::exec::boundary::host_plan::HostRules;
use crate::exec::operator::host_plan::only_moves_rows;
use crate::exec::state::context::DeviceContext;
use crate::planner::convert::try_convert;
use crate::planner::distribute::distribute;
use crate::planner::refusal::refusal;

#[derive(Debug)]
pub struct PlaceOnDevice {
    pub device: Weak<DeviceContext>,
    /// Devices of the mesh.
    pub devices: usize,
    /// The rules that follow in the session that this rule was installed in.
    pub following: HostRules,
}

impl PlaceOnDevice {
    pub const NAME: &'static str = "PlaceOnDevice";
}

impl PhysicalOptimizerRule for PlaceOnDevice {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let options = XlaOptions::of(config);
        if options.placement == Placement::Never {
            return Ok(plan);
        }
        let pass = Pass {
            placement: options.placement,
            following: self.following.clone(),
            planned: Planned {
                count_rows: options.count_rows,
                devices: self.devices,
                device: self.device.clone(),
                options,
                target_partitions: config.execution.target_partitions,
            },
        };
        let plan = pass.place(plan, false)?;
        with_exchanges(plan, self.devices)
    }
}

/// Puts exchanges between devices into the pipelines of a plan.
fn with_exchanges(plan: Arc<dyn ExecutionPlan>, devices: usize) -> Result<Arc<dyn ExecutionPlan>> {
    if devices <= 1 {
        return Ok(plan);
    }
    let place = |node: Arc<dyn ExecutionPlan>| {
        Ok(match node.downcast_ref::<DeviceToHostExec>() {
            Some(boundary) => Transformed::yes(Arc::new(boundary.over(distribute(&boundary.input, devices))) as _),
            None => Transformed::no(node),
        })
    };
    plan.transform_up(place).data()
}

struct Pass {
    placement: Placement,
    following: HostRules,
    planned: Planned,
}

impl Pass {
    /// `below_final`: the node is the partial half of the aggregate above, which converts both.
    fn place(&self, plan: Arc<dyn ExecutionPlan>, below_final: bool) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = plan.downcast_ref::<AggregateExec>().map(|a| *a.mode());
        let is_final = matches!(mode, Some(AggregateMode::Final | AggregateMode::FinalPartitioned));
        let children = plan.children().into_iter().cloned();
        let children: Vec<_> = children
            .map(|c| self.place(c, is_final || (below_final && only_moves_rows(&plan))))
            .collect::<Result<_>>()?;
        let host = plan.clone();
        let plan = replace_children_if_necessary(plan, children)?;
        let is_partial = matches!(mode, Some(AggregateMode::Partial));
        if plan.children().is_empty() || only_moves_rows(&plan) || (is_partial && below_final) {
            return Ok(plan);
        }
        match try_convert(&plan) {
            Ok(device) => {
                Ok(Arc::new(DeviceToHostExec::new(device, host, self.following.clone(), self.planned.clone())))
            }
            Err(reason) if reason.is_work() && self.placement == Placement::Always => Err(refusal(&plan, &reason)),
            Err(_) => Ok(plan),
        }
    }
}
