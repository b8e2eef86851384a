//! `XlaGatherExec`: brings the rows of all devices to the first one, by way of the host.

use std::fmt;
use std::sync::Arc;

use crate::exec::device_operator::DeviceOperator;
use crate::exec::operator::exchange::exchange_node::{Exchange, ExchangeNode};

/// Gathers rows to device 0.
#[derive(Debug)]
pub struct Gather {
    devices: usize,
    /// The case in which the operator above needs the rows together, where only the data tells.
    condition: Option<&'static str>,
}

impl Gather {
    /// A gather from `devices`, in any case or under a condition.
    pub fn operator(devices: usize, condition: Option<&'static str>) -> Arc<dyn DeviceOperator> {
        Arc::new(ExchangeNode(Self { devices, condition }))
    }
}

impl Exchange for Gather {
    const NAME: &'static str = "XlaGatherExec";

    fn fmt_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "devices={}", self.devices)?;
        match self.condition {
            Some(condition) => write!(f, ", if={condition}"),
            None => Ok(()),
        }
    }
}
