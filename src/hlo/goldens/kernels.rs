//! Small kernels in the forms that Parallax uses, each with its expected text.

use crate::hlo::builder::Builder;
use crate::hlo::error::Result;
use crate::hlo::operation::{Comparison, ReduceKind, Window};
use crate::hlo::scalar::Scalar;
use crate::program::{ElementType, Program, Shape};

/// An `extern "C" fn(out: *mut *mut c_void, ins: *const *const c_void)` with results u32[8] and s64[8] and operands
/// s64[8] and n u32[].
pub(crate) const CUSTOM_CALL_TARGET: &str = "parallax_golden_rank";

pub(crate) fn programs() -> Vec<Result<Program>> {
    vec![
        masked_sum(),
        scatter_add_in_place(),
        lookup(),
        sort_lexicographic(),
        binary_search(),
        all_reduce(),
        prefix_sum(),
        custom_call(),
    ]
}

/// (live pred[64], value s64[64]) -> sum s64[] of the live values, in the form that XLA:CPU vectorises.
fn masked_sum() -> Result<Program> {
    let mut b = Builder::new("masked_sum");
    let live = b.parameter(Shape::new(ElementType::Pred, [64]));
    let value = b.parameter(Shape::new(ElementType::S64, [64]));
    let live = b.reshape(live, &[8, 8])?;
    let value = b.reshape(value, &[8, 8])?;
    let zero = b.constant(Scalar::S64(0));
    let masked = b.select(live, value, zero)?;
    let rows = b.reduce(masked, zero, &[1], ReduceKind::Add)?;
    let rows = b.optimization_barrier(&[rows])?;
    let sum = b.reduce(rows[0], zero, &[0], ReduceKind::Add)?;
    b.finish(&[sum], &[])
}

/// (sums s64[8], id u32[16], value s64[16]) -> sums s64[8] in the buffer of the first parameter.
fn scatter_add_in_place() -> Result<Program> {
    let mut b = Builder::new("scatter_add_in_place");
    let sums = b.parameter(Shape::new(ElementType::S64, [8]));
    let id = b.parameter(Shape::new(ElementType::U32, [16]));
    let value = b.parameter(Shape::new(ElementType::S64, [16]));
    let sums = b.scatter_1d(sums, id, value, ReduceKind::Add)?;
    b.finish(&[sums], &[(0, 0)])
}

/// (table f64[10], id s32[6], unused s32[]) -> table[id] f64[6].
fn lookup() -> Result<Program> {
    let mut b = Builder::new("lookup");
    let table = b.parameter(Shape::new(ElementType::F64, [10]));
    let id = b.parameter(Shape::new(ElementType::S32, [6]));
    b.parameter(Shape::scalar(ElementType::S32));
    let found = b.take(table, id)?;
    b.finish(&[found], &[])
}

/// (major s32[8], minor f64[8]) -> row ids u32[8] by major ascending, then minor descending in total order, and major.
fn sort_lexicographic() -> Result<Program> {
    let mut b = Builder::new("sort_lexicographic");
    let major = b.parameter(Shape::new(ElementType::S32, [8]));
    let minor = b.parameter(Shape::new(ElementType::F64, [8]));
    let row = b.iota(Shape::new(ElementType::U32, [8]), 0)?;
    let sorted = b.sort(&[major, minor, row], 0, true, |b, lhs, rhs| {
        let is_less = b.compare(lhs[0], rhs[0], Comparison::Lt)?;
        let is_tie = b.compare(lhs[0], rhs[0], Comparison::Eq)?;
        let is_more = b.compare_total_order(lhs[1], rhs[1], Comparison::Gt)?;
        let breaks_tie = b.and(is_tie, is_more)?;
        b.or(is_less, breaks_tie)
    })?;
    b.finish(&[sorted[2], sorted[0]], &[])
}

/// (table s32[16] ascending, needle s32[4]) -> for each needle, the number of smaller elements as s32[4].
fn binary_search() -> Result<Program> {
    let mut b = Builder::new("binary_search");
    let table = b.parameter(Shape::new(ElementType::S32, [16]));
    let needle = b.parameter(Shape::new(ElementType::S32, [4]));
    let zero = b.constant(Scalar::S32(0));
    let n = b.constant(Scalar::S32(16));
    let low = b.broadcast(zero, &[4])?;
    let high = b.broadcast(n, &[4])?;
    let found = b.while_loop(
        &[zero, low, high, table, needle],
        |b, carried| {
            let n_steps = b.constant(Scalar::S32(5));
            b.compare(carried[0], n_steps, Comparison::Lt)
        },
        |b, carried| {
            let [step, low, high, table, needle] = carried.try_into().expect("five loop-carried values");
            let one = b.constant(Scalar::S32(1));
            let sum = b.add(low, high)?;
            let middle = b.shift_right_logical(sum, one)?;
            let element = b.take(table, middle)?;
            let is_searching = b.compare(low, high, Comparison::Lt)?;
            let is_less = b.compare(element, needle, Comparison::Lt)?;
            let above = b.add(middle, one)?;
            let goes_up = b.and(is_searching, is_less)?;
            let low = b.select(goes_up, above, low)?;
            let high = b.select(is_less, high, middle)?;
            Ok(vec![b.add(step, one)?, low, high, table, needle])
        },
    )?;
    b.finish(&[found[1]], &[])
}

/// (partial s64[4]) -> total s64[4] over the replicas.
fn all_reduce() -> Result<Program> {
    let mut b = Builder::new("all_reduce_2_replicas");
    let partial = b.parameter(Shape::new(ElementType::S64, [4]));
    let total = b.all_reduce(partial, ReduceKind::Add)?;
    b.finish(&[total], &[])
}

/// (value s64[16]) -> inclusive prefix sums s64[16].
fn prefix_sum() -> Result<Program> {
    let mut b = Builder::new("prefix_sum");
    let value = b.parameter(Shape::new(ElementType::S64, [16]));
    let zero = b.constant(Scalar::S64(0));
    let window = Window { sizes: vec![16], strides: vec![1], padding: vec![(15, 0)] };
    let sums = b.reduce_window(value, zero, window, ReduceKind::Add)?;
    b.finish(&[sums], &[])
}

/// (key s64[8]) -> rank u32[8], sorted s64[8], by a native function.
fn custom_call() -> Result<Program> {
    let mut b = Builder::new("custom_call");
    let key = b.parameter(Shape::new(ElementType::S64, [8]));
    let n = b.constant(Scalar::U32(8));
    let outputs = [Shape::new(ElementType::U32, [8]), Shape::new(ElementType::S64, [8])];
    let outputs = b.custom_call(CUSTOM_CALL_TARGET, &[key, n], &outputs)?;
    b.finish(&outputs, &[])
}

#[cfg(test)]
mod tests {
    use crate::hlo::error::Result;
    use crate::hlo::goldens::kernels;
    use crate::program::Program;

    fn check(program: Result<Program>, text: &str) {
        assert_eq!(program.map(|program| program.text).as_deref(), Ok(text));
    }

    #[test]
    fn masked_sum_text() {
        check(
            kernels::masked_sum(),
            r"HloModule masked_sum

add_s64 {
  p0 = s64[] parameter(0)
  p1 = s64[] parameter(1)
  ROOT add.2 = s64[] add(p0, p1)
}

ENTRY main {
  p0 = pred[64] parameter(0)
  p1 = s64[64] parameter(1)
  reshape.2 = pred[8,8] reshape(p0)
  reshape.3 = s64[8,8] reshape(p1)
  constant.4 = s64[] constant(0)
  broadcast.5 = s64[8,8] broadcast(constant.4), dimensions={}
  select.6 = s64[8,8] select(reshape.2, reshape.3, broadcast.5)
  reduce.7 = s64[8] reduce(select.6, constant.4), dimensions={1}, to_apply=add_s64
  tuple.8 = (s64[8]) tuple(reduce.7)
  opt-barrier.9 = (s64[8]) opt-barrier(tuple.8)
  get-tuple-element.10 = s64[8] get-tuple-element(opt-barrier.9), index=0
  reduce.11 = s64[] reduce(get-tuple-element.10, constant.4), dimensions={0}, to_apply=add_s64
  ROOT tuple.12 = (s64[]) tuple(reduce.11)
}
",
        );
    }

    #[test]
    fn scatter_add_in_place_text() {
        check(
            kernels::scatter_add_in_place(),
            r"HloModule scatter_add_in_place, input_output_alias={ {0}: (0, {}, may-alias) }

add_s64 {
  p0 = s64[] parameter(0)
  p1 = s64[] parameter(1)
  ROOT add.2 = s64[] add(p0, p1)
}

ENTRY main {
  p0 = s64[8] parameter(0)
  p1 = u32[16] parameter(1)
  p2 = s64[16] parameter(2)
  scatter.3 = s64[8] scatter(p0, p1, p2), update_window_dims={}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add_s64
  ROOT tuple.4 = (s64[8]) tuple(scatter.3)
}
",
        );
    }

    #[test]
    fn lookup_text() {
        check(
            kernels::lookup(),
            r"HloModule module_lookup

ENTRY main {
  p0 = f64[10] parameter(0)
  p1 = s32[6] parameter(1)
  p2 = s32[] parameter(2)
  gather.3 = f64[6] gather(p0, p1), offset_dims={}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1}
  ROOT tuple.4 = (f64[6]) tuple(gather.3)
}
",
        );
    }

    #[test]
    fn sort_lexicographic_text() {
        check(
            kernels::sort_lexicographic(),
            r"HloModule sort_lexicographic

comparator {
  p0 = s32[] parameter(0)
  p1 = s32[] parameter(1)
  p2 = f64[] parameter(2)
  p3 = f64[] parameter(3)
  p4 = u32[] parameter(4)
  p5 = u32[] parameter(5)
  compare.6 = pred[] compare(p0, p1), direction=LT
  compare.7 = pred[] compare(p0, p1), direction=EQ
  compare.8 = pred[] compare(p2, p3), direction=GT, type=TOTALORDER
  and.9 = pred[] and(compare.7, compare.8)
  ROOT or.10 = pred[] or(compare.6, and.9)
}

ENTRY main {
  p0 = s32[8] parameter(0)
  p1 = f64[8] parameter(1)
  iota.2 = u32[8] iota(), iota_dimension=0
  sort.3 = (s32[8], f64[8], u32[8]) sort(p0, p1, iota.2), dimensions={0}, is_stable=true, to_apply=comparator
  get-tuple-element.4 = s32[8] get-tuple-element(sort.3), index=0
  get-tuple-element.5 = u32[8] get-tuple-element(sort.3), index=2
  ROOT tuple.6 = (u32[8], s32[8]) tuple(get-tuple-element.5, get-tuple-element.4)
}
",
        );
    }

    #[test]
    fn binary_search_text() {
        check(
            kernels::binary_search(),
            r"HloModule binary_search

condition {
  p0 = (s32[], s32[4], s32[4], s32[16], s32[4]) parameter(0)
  get-tuple-element.1 = s32[] get-tuple-element(p0), index=0
  constant.2 = s32[] constant(5)
  ROOT compare.3 = pred[] compare(get-tuple-element.1, constant.2), direction=LT
}

body {
  p0 = (s32[], s32[4], s32[4], s32[16], s32[4]) parameter(0)
  get-tuple-element.1 = s32[] get-tuple-element(p0), index=0
  get-tuple-element.2 = s32[4] get-tuple-element(p0), index=1
  get-tuple-element.3 = s32[4] get-tuple-element(p0), index=2
  get-tuple-element.4 = s32[16] get-tuple-element(p0), index=3
  get-tuple-element.5 = s32[4] get-tuple-element(p0), index=4
  constant.6 = s32[] constant(1)
  add.7 = s32[4] add(get-tuple-element.2, get-tuple-element.3)
  broadcast.8 = s32[4] broadcast(constant.6), dimensions={}
  shift-right-logical.9 = s32[4] shift-right-logical(add.7, broadcast.8)
  gather.10 = s32[4] gather(get-tuple-element.4, shift-right-logical.9), offset_dims={}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1}
  compare.11 = pred[4] compare(get-tuple-element.2, get-tuple-element.3), direction=LT
  compare.12 = pred[4] compare(gather.10, get-tuple-element.5), direction=LT
  add.13 = s32[4] add(shift-right-logical.9, broadcast.8)
  and.14 = pred[4] and(compare.11, compare.12)
  select.15 = s32[4] select(and.14, add.13, get-tuple-element.2)
  select.16 = s32[4] select(compare.12, get-tuple-element.3, shift-right-logical.9)
  add.17 = s32[] add(get-tuple-element.1, constant.6)
  ROOT tuple.18 = (s32[], s32[4], s32[4], s32[16], s32[4]) tuple(add.17, select.15, select.16, get-tuple-element.4, get-tuple-element.5)
}

ENTRY main {
  p0 = s32[16] parameter(0)
  p1 = s32[4] parameter(1)
  constant.2 = s32[] constant(0)
  constant.3 = s32[] constant(16)
  broadcast.4 = s32[4] broadcast(constant.2), dimensions={}
  broadcast.5 = s32[4] broadcast(constant.3), dimensions={}
  tuple.6 = (s32[], s32[4], s32[4], s32[16], s32[4]) tuple(constant.2, broadcast.4, broadcast.5, p0, p1)
  while.7 = (s32[], s32[4], s32[4], s32[16], s32[4]) while(tuple.6), condition=condition, body=body
  get-tuple-element.8 = s32[4] get-tuple-element(while.7), index=1
  ROOT tuple.9 = (s32[4]) tuple(get-tuple-element.8)
}
",
        );
    }

    #[test]
    fn all_reduce_text() {
        check(
            kernels::all_reduce(),
            r"HloModule all_reduce_2_replicas

add_s64 {
  p0 = s64[] parameter(0)
  p1 = s64[] parameter(1)
  ROOT add.2 = s64[] add(p0, p1)
}

ENTRY main {
  p0 = s64[4] parameter(0)
  all-reduce.1 = s64[4] all-reduce(p0), replica_groups={}, to_apply=add_s64
  ROOT tuple.2 = (s64[4]) tuple(all-reduce.1)
}
",
        );
    }

    #[test]
    fn prefix_sum_text() {
        check(
            kernels::prefix_sum(),
            r"HloModule prefix_sum

add_s64 {
  p0 = s64[] parameter(0)
  p1 = s64[] parameter(1)
  ROOT add.2 = s64[] add(p0, p1)
}

ENTRY main {
  p0 = s64[16] parameter(0)
  constant.1 = s64[] constant(0)
  reduce-window.2 = s64[16] reduce-window(p0, constant.1), window={size=16 pad=15_0}, to_apply=add_s64
  ROOT tuple.3 = (s64[16]) tuple(reduce-window.2)
}
",
        );
    }

    #[test]
    fn custom_call_text() {
        check(
            kernels::custom_call(),
            r#"HloModule custom_call

ENTRY main {
  p0 = s64[8] parameter(0)
  constant.1 = u32[] constant(8)
  custom-call.2 = (u32[8], s64[8]) custom-call(p0, constant.1), custom_call_target="parallax_golden_rank", api_version=API_VERSION_TYPED_FFI
  get-tuple-element.3 = u32[8] get-tuple-element(custom-call.2), index=0
  get-tuple-element.4 = s64[8] get-tuple-element(custom-call.2), index=1
  ROOT tuple.5 = (u32[8], s64[8]) tuple(get-tuple-element.3, get-tuple-element.4)
}
"#,
        );
    }
}
