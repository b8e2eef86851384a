//! `XlaBroadcastExec`: brings the rows of all devices together and copies them to each, for the build side of a join.

use std::fmt;
use std::sync::Arc;

use crate::exec::device_operator::DeviceOperator;
use crate::exec::operator::exchange::exchange_node::{Exchange, ExchangeNode};

/// Copies rows to every device.
#[derive(Debug)]
pub struct Broadcast {
    devices: usize,
}

impl Broadcast {
    pub fn operator(devices: usize) -> Arc<dyn DeviceOperator> {
        Arc::new(ExchangeNode(Self { devices }))
    }
}

impl Exchange for Broadcast {
    const NAME: &'static str = "XlaBroadcastExec";

    fn fmt_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "devices={}", self.devices)
    }
}
