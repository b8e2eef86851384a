//! Collectives over all replicas that run the program.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::Result;
use crate::hlo::operation::{Operation, ReduceKind};
use crate::hlo::shape_inference::collective::{
    infer_all_gather, infer_all_reduce, infer_all_to_all, infer_collective_permute,
};
use crate::program::{ElementType, Shape};

impl Builder {
    /// The replicas' operands combined elementwise, on every replica: numbers by add, multiply, minimum or maximum, `pred`
    /// by and or or. XLA has no other.
    pub fn all_reduce(&mut self, operand: Value, kind: ReduceKind) -> Result<Value> {
        let shape = infer_all_reduce(self.operand("all_reduce", operand)?, kind)?;
        let combiner = self.combiner_of(kind, shape.element_type)?;
        Ok(self.result(Operation::AllReduce { combiner }, &[operand], shape))
    }

    /// The replicas' operands one after another along axis `dimension`, on every replica.
    pub fn all_gather(&mut self, operand: Value, dimension: usize, n_replicas: usize) -> Result<Value> {
        let shape = infer_all_gather(self.operand("all_gather", operand)?, dimension, n_replicas)?;
        Ok(self.result(Operation::AllGather { dimension }, &[operand], shape))
    }

    /// The operand in `n_replicas` equal parts along axis `dimension`; part k goes to replica k, and what this one gets
    /// lies in the order of the senders.
    pub fn all_to_all(&mut self, operand: Value, dimension: usize, n_replicas: usize) -> Result<Value> {
        let shape = infer_all_to_all(self.operand("all_to_all", operand)?, dimension, n_replicas)?;
        Ok(self.result(Operation::AllToAll { dimension }, &[operand], shape))
    }

    /// The operand of the replica that sends here by one of the `pairs` (source, target); zeros where none does.
    pub fn collective_permute(&mut self, operand: Value, pairs: &[(usize, usize)]) -> Result<Value> {
        let shape = infer_collective_permute(self.operand("collective_permute", operand)?, pairs)?;
        Ok(self.result(Operation::CollectivePermute { pairs: pairs.to_vec() }, &[operand], shape))
    }

    /// `u32[]`: this replica's number, from 0.
    pub fn replica_id(&mut self) -> Value {
        self.result(Operation::ReplicaId, &[], Shape::scalar(ElementType::U32))
    }
}
