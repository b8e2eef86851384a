//! Ungrouped reductions in the form that XLA:CPU vectorises. `[n]` becomes `[n/8, 8]`, producers are fused into a
//! reduce over the last axis, and an `opt-barrier` keeps XLA from merging it with the second reduce, to a scalar.
//! Without the barrier the same sum is eight times slower (docs/architecture.md, "Reductions").

use crate::hlo::{Builder, HloError, ReduceKind, Scalar, Value};
use crate::program::ElementType;

/// Lanes of the first reduce. Measured: 4 lanes take twice as long, 16 and 32 four times.
const LANES: usize = 8;

/// One reduction of a whole chunk.
#[derive(Clone, Copy, Debug)]
pub struct Reduction {
    /// `[n]`, with the identity in rows that do not count. n must be a multiple of 8.
    pub operand: Value,
    /// How the elements are combined.
    pub kind: ReduceKind,
    /// Element type of the second reduce and of the result. The first reduce stays in the operand's own type, in which
    /// the combination of eight elements must not overflow.
    pub total_type: ElementType,
}

/// Returns the identity of `kind`, which rows that do not count contribute.
pub fn identity(b: &mut Builder, kind: ReduceKind, element_type: ElementType) -> Result<Value, HloError> {
    let bits = element_type.size_bytes() as u32 * 8;
    let (min, max) = match element_type {
        ElementType::Pred => (0, 1),
        _ if element_type.is_signed_integer() => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        _ => (0, (1i128 << bits) - 1),
    };
    match kind {
        ReduceKind::Minimum if element_type.is_float() => infinity(b, element_type),
        ReduceKind::Maximum if element_type.is_float() => {
            let infinity = infinity(b, element_type)?;
            b.negate(infinity)
        }
        ReduceKind::Minimum => b.constant_of(element_type, max),
        ReduceKind::Maximum => b.constant_of(element_type, min),
        ReduceKind::And if element_type.is_signed_integer() => b.constant_of(element_type, -1),
        ReduceKind::And => b.constant_of(element_type, max),
        ReduceKind::Multiply => b.constant_of(element_type, 1),
        ReduceKind::Add | ReduceKind::Or | ReduceKind::Xor => b.constant_of(element_type, 0),
    }
}

fn infinity(b: &mut Builder, element_type: ElementType) -> Result<Value, HloError> {
    let infinity = b.constant(Scalar::F64(f64::INFINITY));
    b.convert(infinity, element_type)
}

/// Maximum number of operands of one variadic reduce. Thirty-six operands take three times as long in one reduce as in
/// six.
const MAX_OPERANDS: usize = 8;

/// Reduces each operand to a scalar of its `total_type`. Operands share variadic reduces, so that common inputs such as
/// the mask are computed once: two reductions as in Q6 take as long as one, and eight a third of eight single ones
/// (docs/architecture.md). One barrier serves all of them.
pub fn reduce_all(b: &mut Builder, reductions: &[Reduction]) -> Result<Vec<Value>, HloError> {
    // XLA's verifier rejects floats of different precision in one reduce.
    let is_f32 = |b: &Builder, r: &Reduction| b.element_type(r.operand) == ElementType::F32;
    let (singles, others): (Vec<usize>, Vec<usize>) = (0..reductions.len()).partition(|i| is_f32(b, &reductions[*i]));
    let mut order = Vec::with_capacity(reductions.len());
    let mut lanes = Vec::with_capacity(reductions.len());
    for group in others.chunks(MAX_OPERANDS).chain(singles.chunks(MAX_OPERANDS)) {
        let group: Vec<(usize, Reduction)> = group.iter().map(|i| (*i, reductions[*i])).collect();
        lanes.extend(reduce_to_lanes(b, &group)?);
        order.extend(group.iter().map(|(i, _)| *i));
    }
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let lanes = b.optimization_barrier(&lanes)?;
    let mut totals: Vec<(usize, Value)> = Vec::with_capacity(lanes.len());
    for (index, lane) in order.into_iter().zip(lanes) {
        let reduction = &reductions[index];
        let lane = b.convert(lane, reduction.total_type)?;
        let init = identity(b, reduction.kind, reduction.total_type)?;
        totals.push((index, b.reduce(lane, init, &[0], reduction.kind)?));
    }
    totals.sort_by_key(|(index, _)| *index);
    Ok(totals.into_iter().map(|(_, total)| total).collect())
}

/// Returns one variadic reduce over the last axis of `[n/8, 8]`.
fn reduce_to_lanes(b: &mut Builder, group: &[(usize, Reduction)]) -> Result<Vec<Value>, HloError> {
    let mut operands = Vec::with_capacity(group.len());
    let mut inits = Vec::with_capacity(group.len());
    for (_, reduction) in group {
        let n = b.shape(reduction.operand).element_count();
        let element_type = b.element_type(reduction.operand);
        inits.push(identity(b, reduction.kind, element_type)?);
        operands.push(b.reshape(reduction.operand, &[n / LANES, LANES])?);
    }
    b.reduce_many(&operands, &inits, &[1], |b, lhs, rhs| {
        let pairs = group.iter().zip(lhs.iter().zip(rhs));
        pairs.map(|((_, reduction), (l, r))| combine(b, reduction.kind, *l, *r)).collect()
    })
}

/// Returns `lhs KIND rhs`, elementwise.
pub fn combine(b: &mut Builder, kind: ReduceKind, lhs: Value, rhs: Value) -> Result<Value, HloError> {
    match kind {
        ReduceKind::Add => b.add(lhs, rhs),
        ReduceKind::Multiply => b.multiply(lhs, rhs),
        ReduceKind::Minimum => b.minimum(lhs, rhs),
        ReduceKind::Maximum => b.maximum(lhs, rhs),
        ReduceKind::And => b.and(lhs, rhs),
        ReduceKind::Or => b.or(lhs, rhs),
        ReduceKind::Xor => b.xor(lhs, rhs),
    }
}
