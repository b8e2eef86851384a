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

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use crate::config::{Placement, XlaOptions};
use crate::exec::boundary::device_to_host::{DeviceToHostExec, Planned};
use crate::exec::boundary::driver::cannot_run_on_device;
use crate::exec::state::context::DeviceContext;
use crate::planner::convert::{is_plumbing, try_convert};

#[derive(Debug)]
pub struct PlaceOnDevice {
    pub device: Weak<DeviceContext>,
    /// Devices of the mesh.
    pub devices: usize,
}

impl PhysicalOptimizerRule for PlaceOnDevice {
    fn name(&self) -> &str {
        "PlaceOnDevice"
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
            planned: Planned {
                count_rows: options.count_rows,
                devices: self.devices,
                device: self.device.clone(),
                options,
                target_partitions: config.execution.target_partitions,
            },
        };
        pass.place(plan, false)
    }
}

struct Pass {
    placement: Placement,
    planned: Planned,
}

impl Pass {
    /// `below_final`: the node is the partial half of the aggregate above, which converts both.
    fn place(&self, plan: Arc<dyn ExecutionPlan>, below_final: bool) -> Result<Arc<dyn ExecutionPlan>> {
        let mode = plan.downcast_ref::<AggregateExec>().map(|a| *a.mode());
        let is_final = matches!(mode, Some(AggregateMode::Final | AggregateMode::FinalPartitioned));
        let children = plan.children().into_iter().cloned();
        let children: Vec<_> =
            children.map(|c| self.place(c, is_final || (below_final && is_plumbing(&plan)))).collect::<Result<_>>()?;
        let host = plan.clone();
        let plan = replace_children_if_necessary(plan, children)?;
        let is_partial = matches!(mode, Some(AggregateMode::Partial));
        if plan.children().is_empty() || is_plumbing(&plan) || (is_partial && below_final) {
            return Ok(plan);
        }
        match try_convert(&plan) {
            Ok(device) => Ok(Arc::new(DeviceToHostExec::new(device, host, self.planned.clone()))),
            Err(reason) if reason.is_work() && self.placement == Placement::Always => {
                Err(cannot_run_on_device(plan.name(), &reason))
            }
            Err(_) => Ok(plan),
        }
    }
}
