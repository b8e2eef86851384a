//! Puts exchanges where an operator has to see rows together that lie on several devices, as its declared row scope says (DataFusion's
//! `EnsureRequirements` does the same for partitions).
//!
//! ```text
//! row scope            input sharded by rows                         output
//! chunk                as it is                                      as the input
//! keys, one input      gather, if the groups turn out to be hashed   the same on every device
//! keys, two inputs     broadcast of the build side; gather of the    as the probe side
//!                      other, if a row turns out to have several matches
//! order, all rows      gather                                        on one device
//! ```
//!
//! The all-to-all by keys or ranges belongs here, in place of both kinds of gather.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::exec::device_exec::DeviceExec;
use crate::exec::device_operator::{DeviceOperator, RowScope};
use crate::exec::operator::exchange::broadcast::Broadcast;
use crate::exec::operator::exchange::gather::Gather;

/// The device operators below a boundary, with exchanges between `devices`.
pub fn distribute(plan: &Arc<dyn ExecutionPlan>, devices: usize) -> Arc<dyn ExecutionPlan> {
    if devices > 1 { Distribute { devices }.place(plan).0 } else { Arc::clone(plan) }
}

/// Where the rows of a relation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharding {
    /// Each device has some of the rows.
    Rows,
    /// One device has all rows, or each has them all.
    Together,
}

struct Distribute {
    devices: usize,
}

impl Distribute {
    fn place(&self, plan: &Arc<dyn ExecutionPlan>) -> (Arc<dyn ExecutionPlan>, Sharding) {
        let Some(node) = DeviceExec::of(plan) else { return (Arc::clone(plan), Sharding::Rows) };
        let operator = node.operator();
        let (inputs, shardings): (Vec<_>, Vec<_>) = node.inputs().iter().map(|input| self.place(input)).unzip();
        let exchange = |input: usize, exchange: Arc<dyn DeviceOperator>| match shardings[input] {
            Sharding::Rows => exchanged(exchange, &inputs[input]),
            Sharding::Together => Arc::clone(&inputs[input]),
        };
        let gather = |condition| Gather::operator(self.devices, condition);
        let (inputs, sharding) = match (operator.row_scope(), operator.held_input()) {
            (RowScope::Chunk, _) => {
                let all = (0..inputs.len()).map(|input| Arc::clone(&inputs[input])).collect();
                (all, shardings.first().copied().unwrap_or(Sharding::Together))
            }
            // A build side is copied to every device whatever the sharding of its rows.
            (RowScope::Keys(_) | RowScope::All, Some(held)) if inputs.len() == 2 => {
                let other = 1 - held;
                let condition = Some("several matches");
                let mut placed = [Arc::clone(&inputs[0]), Arc::clone(&inputs[1])];
                placed[held] = exchanged(Broadcast::operator(self.devices), &inputs[held]);
                placed[other] = exchange(other, gather(condition));
                (placed.to_vec(), shardings[other])
            }
            (RowScope::Keys(_), _) => {
                let placed = (0..inputs.len()).map(|input| exchange(input, gather(Some("hashed groups"))));
                (placed.collect(), Sharding::Together)
            }
            // An aggregation without keys adds to accumulators, which every device has in the end.
            (RowScope::All, _) if operator.accumulates() => {
                let placed = (0..inputs.len()).map(|input| exchange(input, gather(Some("functions of all rows"))));
                (placed.collect(), Sharding::Together)
            }
            (RowScope::Order { .. } | RowScope::All, _) => {
                let placed = (0..inputs.len()).map(|input| exchange(input, gather(None)));
                (placed.collect(), Sharding::Together)
            }
        };
        let operator = Arc::clone(operator);
        (Arc::new(DeviceExec::new(operator, inputs)), sharding)
    }
}

fn exchanged(exchange: Arc<dyn DeviceOperator>, input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(DeviceExec::new(exchange, vec![Arc::clone(input)]))
}
