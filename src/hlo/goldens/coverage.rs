//! Programs that together apply every operation to every element type that it supports.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::Result;
use crate::hlo::operation::{
    BinaryOp, Comparison, Domain, GatherDims, IndexHints, ReduceKind, ScatterDims, ScatterKind, UnaryOp, Window,
};
use crate::hlo::scalar::Scalar;
use crate::program::ElementType::{self, F16, F32, F64, Pred, S8, S16, S32, S64, U8, U16, U32, U64};
use crate::program::{Program, Shape};

const TYPES: [ElementType; 12] = [Pred, S8, S16, S32, S64, U8, U16, U32, U64, F16, F32, F64];

const REDUCE_KINDS: [ReduceKind; 7] = [
    ReduceKind::Add,
    ReduceKind::Multiply,
    ReduceKind::Minimum,
    ReduceKind::Maximum,
    ReduceKind::And,
    ReduceKind::Or,
    ReduceKind::Xor,
];

pub(crate) fn programs() -> Vec<Result<Program>> {
    let mut programs: Vec<Result<Program>> = TYPES.map(elementwise).into();
    programs.extend(TYPES.map(reductions));
    programs.extend([
        constants(),
        logical(),
        conversions(),
        bitcasts(),
        movement(),
        dynamic_slices(),
        gathers(),
        scatters(),
        reduce_many(),
        sort_unsigned(),
        nested_loops(),
        barrier_of_two(),
        collectives(),
    ]);
    programs
}

fn is_in(domain: Domain, element_type: ElementType) -> bool {
    match domain {
        Domain::Float => element_type.is_float(),
        Domain::Signed => element_type.is_signed_integer() || element_type.is_float(),
        Domain::Integer => element_type.is_integer(),
        Domain::Number => element_type != Pred,
        Domain::PredOrInteger => !element_type.is_float(),
        Domain::Any => true,
    }
}

/// (x T[6], y T[6]) -> every elementwise operation of T in table order, the comparisons, the total-order comparisons,
/// select by x < y, and clamp(1, x, 3).
fn elementwise(element_type: ElementType) -> Result<Program> {
    let mut b = Builder::new(&format!("elementwise_{element_type}"));
    let x = b.parameter(Shape::new(element_type, [6]));
    let y = b.parameter(Shape::new(element_type, [6]));
    let mut outputs = Vec::new();
    for &op in UnaryOp::ALL.iter().filter(|op| is_in(op.domain(), element_type)) {
        outputs.push(b.unary(op, x)?);
    }
    for &op in BinaryOp::ALL.iter().filter(|op| is_in(op.domain(), element_type)) {
        outputs.push(b.binary(op, x, y)?);
    }
    let directions = [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
    for direction in directions {
        outputs.push(b.compare(x, y, direction)?);
    }
    if element_type.is_float() {
        for direction in directions {
            outputs.push(b.compare_total_order(x, y, direction)?);
        }
    }
    let is_less = b.compare(x, y, Comparison::Lt)?;
    outputs.push(b.select(is_less, x, y)?);
    if element_type != Pred {
        let one = b.constant_of(element_type, 1)?;
        let three = b.constant_of(element_type, 3)?;
        outputs.push(b.clamp(one, x, three)?);
    }
    b.finish(&outputs, &[])
}

/// (x T[2,4], init T[]) -> for each kind that T supports: reduce of axis 1, reduce of both axes, scatter into T[2],
/// window of 2 by 2.
fn reductions(element_type: ElementType) -> Result<Program> {
    let mut b = Builder::new(&format!("reductions_{element_type}"));
    let x = b.parameter(Shape::new(element_type, [2, 4]));
    let init = b.parameter(Shape::scalar(element_type));
    let id = b.constant_array(&[0, 1, 2, 0, 1, 1, 0, 0].map(Scalar::S32))?;
    let flat = b.reshape(x, &[8])?;
    let inits = b.broadcast(init, &[2])?;
    let mut outputs = Vec::new();
    for kind in REDUCE_KINDS.into_iter().filter(|kind| is_in(kind.binary_op().domain(), element_type)) {
        outputs.push(b.reduce(x, init, &[1], kind)?);
        outputs.push(b.reduce(x, init, &[0, 1], kind)?);
        outputs.push(b.scatter_1d(inits, id, flat, kind)?);
        let window = Window { sizes: vec![2, 2], strides: vec![1, 2], padding: vec![(1, 0), (0, 0)] };
        outputs.push(b.reduce_window(x, init, window, kind)?);
    }
    b.finish(&outputs, &[])
}

/// () -> the extreme constants of every type.
fn constants() -> Result<Program> {
    let mut b = Builder::new("extreme_constants");
    let mut outputs = Vec::new();
    for value in extremes() {
        outputs.push(b.constant(value));
    }
    outputs.push(b.constant_array(&[1, -2, 3].map(Scalar::S64))?);
    outputs.push(b.constant_array(&[f64::NEG_INFINITY, -0.0, 0.1, f64::NAN].map(Scalar::F64))?);
    outputs.push(b.constant_array(&[true, false].map(Scalar::Pred))?);
    b.finish(&outputs, &[])
}

/// Returns the constants in the order in which `constants` returns them.
pub(crate) fn extremes() -> Vec<Scalar> {
    vec![
        Scalar::Pred(false),
        Scalar::Pred(true),
        Scalar::S8(i8::MIN),
        Scalar::S8(i8::MAX),
        Scalar::S16(i16::MIN),
        Scalar::S16(i16::MAX),
        Scalar::S32(i32::MIN),
        Scalar::S32(i32::MAX),
        Scalar::S64(i64::MIN),
        Scalar::S64(i64::MAX),
        Scalar::U8(u8::MAX),
        Scalar::U16(u16::MAX),
        Scalar::U32(u32::MAX),
        Scalar::U64(u64::MAX),
        Scalar::F16(0x8001),
        Scalar::F16(0x7bff),
        Scalar::F16(0x7c00),
        Scalar::F32(f32::from_bits(1)),
        Scalar::F32(f32::MAX),
        Scalar::F32(-f32::MAX),
        Scalar::F32(f32::MIN_POSITIVE),
        Scalar::F32(0.1),
        Scalar::F32(f32::NAN),
        Scalar::F32(-f32::NAN),
        Scalar::F32(f32::NEG_INFINITY),
        Scalar::F64(f64::from_bits(1)),
        Scalar::F64(f64::MAX),
        Scalar::F64(-f64::MAX),
        Scalar::F64(f64::MIN_POSITIVE),
        Scalar::F64(std::f64::consts::PI),
        Scalar::F64(-0.0),
        Scalar::F64(f64::NAN),
        Scalar::F64(-f64::NAN),
        Scalar::F64(f64::INFINITY),
        Scalar::F64(f64::NEG_INFINITY),
    ]
}

/// (p pred[4], q pred[], x s32[4]) -> operations with scalars on either side: p and q, q or p, select(q, x, 7),
/// select(p, 7, -1), x + 7, 7 - x, 7 < x.
fn logical() -> Result<Program> {
    let mut b = Builder::new("logical_scalars");
    let p = b.parameter(Shape::new(Pred, [4]));
    let q = b.parameter(Shape::scalar(Pred));
    let x = b.parameter(Shape::new(S32, [4]));
    let seven = b.constant(Scalar::S32(7));
    let minus_one = b.constant(Scalar::S32(-1));
    let outputs = [
        b.and(p, q)?,
        b.or(q, p)?,
        b.select(q, x, seven)?,
        b.select(p, seven, minus_one)?,
        b.add(x, seven)?,
        b.subtract(seven, x)?,
        b.compare(seven, x, Comparison::Lt)?,
    ];
    b.finish(&outputs, &[])
}

/// (one T[4] per type) -> each converted to every other type.
fn conversions() -> Result<Program> {
    let mut b = Builder::new("all_conversions");
    let values: Vec<Value> = TYPES.map(|element_type| b.parameter(Shape::new(element_type, [4]))).into();
    let mut outputs = Vec::new();
    for value in values {
        let own = b.element_type(value);
        for element_type in TYPES.into_iter().filter(|element_type| *element_type != own) {
            outputs.push(b.convert(value, element_type)?);
        }
    }
    b.finish(&outputs, &[])
}

/// (d f64[2], u u64[2], h u16[2,4]) -> d as u64, u as f64, u as u32 halves, those as u64 again, u as bytes, h as u64.
fn bitcasts() -> Result<Program> {
    let mut b = Builder::new("bit_casts");
    let d = b.parameter(Shape::new(F64, [2]));
    let u = b.parameter(Shape::new(U64, [2]));
    let h = b.parameter(Shape::new(U16, [2, 4]));
    let halves = b.bitcast_convert(u, U32)?;
    let swapped = b.reverse(halves, &[1])?;
    let outputs = [
        b.bitcast_convert(d, U64)?,
        b.bitcast_convert(u, F64)?,
        halves,
        b.bitcast_convert(swapped, U64)?,
        b.bitcast_convert(u, U8)?,
        b.bitcast_convert(h, U64)?,
    ];
    b.finish(&outputs, &[])
}

/// (x s32[2,3]) -> iota along axis 1, x broadcast to [2,4,3], a row broadcast to [2,3], x transposed, every other
/// column, x concatenated with itself, padded, cropped, reversed, and reshaped to [6].
fn movement() -> Result<Program> {
    let mut b = Builder::new("movement_of_elements");
    let x = b.parameter(Shape::new(S32, [2, 3]));
    let nine = b.constant(Scalar::S32(9));
    let row = b.slice(x, &[0, 0], &[1, 3], &[1, 1])?;
    let row = b.reshape(row, &[3])?;
    let outputs = [
        b.iota(Shape::new(S32, [2, 3]), 1)?,
        b.iota(Shape::new(F64, [4]), 0)?,
        b.broadcast_in_dim(x, &[2, 4, 3], &[0, 2])?,
        b.broadcast_in_dim(row, &[2, 3], &[1])?,
        b.transpose(x, &[1, 0])?,
        b.slice(x, &[0, 0], &[2, 3], &[1, 2])?,
        b.concatenate(&[x, x], 1)?,
        b.pad(x, nine, &[1, 0], &[0, 1], &[0, 1])?,
        b.pad(x, nine, &[0, -1], &[0, 2], &[0, 0])?,
        b.reverse(x, &[0, 1])?,
        b.reshape(x, &[6])?,
    ];
    b.finish(&outputs, &[])
}

/// (x s32[8], at s32[], m s32[3,4]) -> x[at..at+3], x with [10,11] at `at`, and the element of m at (at, at).
fn dynamic_slices() -> Result<Program> {
    let mut b = Builder::new("dynamic_slices");
    let x = b.parameter(Shape::new(S32, [8]));
    let at = b.parameter(Shape::scalar(S32));
    let m = b.parameter(Shape::new(S32, [3, 4]));
    let update = b.constant_array(&[10, 11].map(Scalar::S32))?;
    let outputs = [
        b.dynamic_slice(x, &[at], &[3])?,
        b.dynamic_update_slice(x, update, &[at])?,
        b.dynamic_slice(m, &[at, at], &[1, 1])?,
    ];
    b.finish(&outputs, &[])
}

/// (x s64[5], m f32[3,2]) -> x at a [2,2] of positions, x at one position, rows 2 and 0 of m, elements (1,0) and (2,1)
/// of m.
fn gathers() -> Result<Program> {
    let mut b = Builder::new("all_gathers");
    let x = b.parameter(Shape::new(S64, [5]));
    let m = b.parameter(Shape::new(F32, [3, 2]));
    let positions = b.constant_array(&[4, 0, 1, 99].map(Scalar::U32))?;
    let positions = b.reshape(positions, &[2, 2])?;
    let three = b.constant(Scalar::S64(3));
    let rows = b.constant_array(&[2, 0].map(Scalar::S32))?;
    let pairs = b.constant_array(&[1, 0, 2, 1].map(Scalar::S32))?;
    let pairs = b.reshape(pairs, &[2, 2])?;
    let row_dims = GatherDims {
        offset_dims: vec![1],
        collapsed_slice_dims: vec![0],
        start_index_map: vec![0],
        index_vector_dim: 1,
    };
    let pair_dims = GatherDims {
        offset_dims: vec![],
        collapsed_slice_dims: vec![0, 1],
        start_index_map: vec![0, 1],
        index_vector_dim: 1,
    };
    let outputs = [
        b.take(x, positions)?,
        b.take(x, three)?,
        b.gather(m, rows, row_dims, &[1, 2], false)?,
        b.gather(m, pairs, pair_dims, &[1, 1], true)?,
    ];
    b.finish(&outputs, &[])
}

/// (x s64[4], y f64[4], id u32[5], dx s64[5], dy f64[5], m s32[3,2], dm s32[2,2]) -> x with 7 assigned at id 1 and 3; x
/// + dx and max(y, dy) scattered together; m with rows of dm subtracted from its rows 2 and 0, hinted to be unique.
fn scatters() -> Result<Program> {
    let mut b = Builder::new("all_scatters");
    let x = b.parameter(Shape::new(S64, [4]));
    let y = b.parameter(Shape::new(F64, [4]));
    let id = b.parameter(Shape::new(U32, [5]));
    let dx = b.parameter(Shape::new(S64, [5]));
    let dy = b.parameter(Shape::new(F64, [5]));
    let m = b.parameter(Shape::new(S32, [3, 2]));
    let dm = b.parameter(Shape::new(S32, [2, 2]));
    let seven = b.constant(Scalar::S64(7));
    let places = b.constant_array(&[1, 3].map(Scalar::S32))?;
    let assigned = b.scatter_1d(x, places, seven, ScatterKind::Assign)?;
    let scalars = ScatterDims {
        update_window_dims: vec![],
        inserted_window_dims: vec![0],
        scatter_dims_to_operand_dims: vec![0],
        index_vector_dim: 1,
    };
    let rows = ScatterDims { update_window_dims: vec![1], ..scalars.clone() };
    let both = b.scatter(&[x, y], id, &[dx, dy], scalars, IndexHints::default(), |b, lhs, rhs| {
        Ok(vec![b.add(lhs[0], rhs[0])?, b.maximum(lhs[1], rhs[1])?])
    })?;
    let row_ids = b.constant_array(&[2, 0].map(Scalar::S32))?;
    let hints = IndexHints { indices_are_sorted: false, unique_indices: true };
    let subtracted =
        b.scatter(&[m], row_ids, &[dm], rows, hints, |b, lhs, rhs| Ok(vec![b.subtract(lhs[0], rhs[0])?]))?;
    b.finish(&[assigned, both[0], both[1], subtracted[0]], &[])
}

/// (x s32[2,3]) -> the minimum of each row and its position, s32[2] and u32[2], and the sum of squares, s32[].
fn reduce_many() -> Result<Program> {
    let mut b = Builder::new("reduce_many");
    let x = b.parameter(Shape::new(S32, [2, 3]));
    let position = b.iota(Shape::new(U32, [2, 3]), 1)?;
    let most = b.constant(Scalar::S32(i32::MAX));
    let last = b.constant(Scalar::U32(u32::MAX));
    let least = b.reduce_many(&[x, position], &[most, last], &[1], |b, lhs, rhs| {
        let is_less = b.compare(lhs[0], rhs[0], Comparison::Lt)?;
        let is_tie = b.compare(lhs[0], rhs[0], Comparison::Eq)?;
        let is_first = b.compare(lhs[1], rhs[1], Comparison::Lt)?;
        let is_first_tie = b.and(is_tie, is_first)?;
        let is_left = b.or(is_less, is_first_tie)?;
        Ok(vec![b.select(is_left, lhs[0], rhs[0])?, b.select(is_left, lhs[1], rhs[1])?])
    })?;
    let square = b.multiply(x, x)?;
    let zero = b.constant(Scalar::S32(0));
    let sum = b.reduce_many(&[square], &[zero], &[0, 1], |b, lhs, rhs| Ok(vec![b.add(lhs[0], rhs[0])?]))?;
    b.finish(&[least[0], least[1], sum[0]], &[])
}

/// (key u64[8], row u32[8]) -> both sorted by key, and the keys alone as u64[2,4], sorted by row.
fn sort_unsigned() -> Result<Program> {
    let mut b = Builder::new("sort_unsigned");
    let key = b.parameter(Shape::new(U64, [8]));
    let row = b.parameter(Shape::new(U32, [8]));
    let (sorted, rows) = b.sort_unsigned(key, Some(row))?;
    let key = b.reshape(key, &[2, 4])?;
    let (halves, _) = b.sort_unsigned(key, None)?;
    b.finish(&[sorted, rows.unwrap_or(row), halves], &[])
}

/// (n s32[]) -> 1 + 2 + .. + n as s32[], by a loop whose body adds in a nested loop.
fn nested_loops() -> Result<Program> {
    let mut b = Builder::new("nested_loops");
    let n = b.parameter(Shape::scalar(S32));
    let zero = b.constant(Scalar::S32(0));
    let outer = b.while_loop(
        &[n, zero],
        |b, carried| {
            let zero = b.constant(Scalar::S32(0));
            b.compare(carried[0], zero, Comparison::Gt)
        },
        |b, carried| {
            let one = b.constant(Scalar::S32(1));
            let inner = b.while_loop(
                &[carried[0], carried[1]],
                |b, carried| {
                    let zero = b.constant(Scalar::S32(0));
                    b.compare(carried[0], zero, Comparison::Gt)
                },
                |b, carried| {
                    let one = b.constant(Scalar::S32(1));
                    Ok(vec![b.subtract(carried[0], one)?, b.add(carried[1], one)?])
                },
            )?;
            Ok(vec![b.subtract(carried[0], one)?, inner[1]])
        },
    )?;
    b.finish(&[outer[1]], &[])
}

/// (x s32[4], y f64[4]) -> x + 1 and y * 2 through one barrier, then negated, each in its parameter's buffer.
fn barrier_of_two() -> Result<Program> {
    let mut b = Builder::new("barrier_of_two");
    let x = b.parameter(Shape::new(S32, [4]));
    let y = b.parameter(Shape::new(F64, [4]));
    let one = b.constant(Scalar::S32(1));
    let two = b.constant(Scalar::F64(2.0));
    let x = b.add(x, one)?;
    let y = b.multiply(y, two)?;
    let both = b.optimization_barrier(&[x, y])?;
    let outputs = [b.negate(both[0])?, b.negate(both[1])?];
    b.finish(&outputs, &[(1, 1), (0, 0)])
}

/// (x s32[4]) on two replicas -> all-gathered s32[8], exchanged halves, the other replica's x, what replica 0 sent to
/// 1, the replica number, and all-reduces of x by add, multiply, minimum and maximum and of x > 2 by and and or.
fn collectives() -> Result<Program> {
    let mut b = Builder::new("collectives_2_replicas");
    let x = b.parameter(Shape::new(S32, [4]));
    let mut outputs = vec![
        b.all_gather(x, 0, 2)?,
        b.all_to_all(x, 0, 2)?,
        b.collective_permute(x, &[(0, 1), (1, 0)])?,
        b.collective_permute(x, &[(0, 1)])?,
        b.replica_id(),
    ];
    for kind in [ReduceKind::Add, ReduceKind::Multiply, ReduceKind::Minimum, ReduceKind::Maximum] {
        outputs.push(b.all_reduce(x, kind)?);
    }
    let p = b.constant(Scalar::S32(2));
    let p = b.compare(x, p, Comparison::Gt)?;
    outputs.push(b.all_reduce(p, ReduceKind::And)?);
    outputs.push(b.all_reduce(p, ReduceKind::Or)?);
    b.finish(&outputs, &[])
}
