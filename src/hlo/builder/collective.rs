//! Collectives over all replicas that run the program.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::Result;
use crate::hlo::operation::{Operation, ReduceKind};
use crate::hlo::shape_inference::collective::{
    infer_all_gather, infer_all_reduce, infer_all_to_all, infer_collective_permute,
};
use crate::program::{ElementType, Shape};

impl Builder {
    /// Combines the operands of all replicas elementwise and returns the result on every replica: numbers by add,
    /// multiply, minimum or maximum, `pred` by and or or. XLA supports no other kinds.
    pub fn all_reduce(&mut self, operand: Value, kind: ReduceKind) -> Result<Value> {
        let shape = infer_all_reduce(self.operand("all_reduce", operand)?, kind)?;
        let combiner = self.combiner_of(kind, shape.element_type)?;
        Ok(self.result(Operation::AllReduce { combiner }, &[operand], shape))
    }

    /// Concatenates the operands of all replicas along axis `dimension` and returns the result on every replica.
    pub fn all_gather(&mut self, operand: Value, dimension: usize, n_replicas: usize) -> Result<Value> {
        let shape = infer_all_gather(self.operand("all_gather", operand)?, dimension, n_replicas)?;
        Ok(self.result(Operation::AllGather { dimension }, &[operand], shape))
    }

    /// Splits the operand into `n_replicas` equal parts along axis `dimension` and sends part k to replica k. The
    /// received parts are concatenated in the order of their senders.
    pub fn all_to_all(&mut self, operand: Value, dimension: usize, n_replicas: usize) -> Result<Value> {
        let shape = infer_all_to_all(self.operand("all_to_all", operand)?, dimension, n_replicas)?;
        Ok(self.result(Operation::AllToAll { dimension }, &[operand], shape))
    }

    /// Returns the operand of the replica that sends to this one according to `pairs` of (source, target), or zeros if
    /// none does.
    pub fn collective_permute(&mut self, operand: Value, pairs: &[(usize, usize)]) -> Result<Value> {
        let shape = infer_collective_permute(self.operand("collective_permute", operand)?, pairs)?;
        Ok(self.result(Operation::CollectivePermute { pairs: pairs.to_vec() }, &[operand], shape))
    }

    /// Returns this replica's number, counted from 0, as `u32[]`.
    pub fn replica_id(&mut self) -> Value {
        self.result(Operation::ReplicaId, &[], Shape::scalar(ElementType::U32))
    }
}
