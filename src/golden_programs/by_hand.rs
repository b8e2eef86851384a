//! Golden programs whose inputs and outputs are written out.

use crate::golden_programs::values::{Values, floats, ints};
use crate::golden_programs::{check, run};
use crate::program::Program;
use crate::runtime::{Argument, Runtime, TEST_DEVICES};

pub fn masked_sum(golden: &Program) {
    let live = (0..64).map(|i| i % 3 == 0);
    let value = (0..64).map(|i| i * 1_000_000_007 - 5);
    let sum: i64 = live.clone().zip(value.clone()).filter(|(live, _)| *live).map(|(_, value)| value).sum();
    check(golden, &[ints(live), ints(value)], &[ints([sum])]);
}

/// Donated accumulators are consumed, the output replaces them in the next call, and ids out of bounds add nothing.
pub fn scatter_add_in_place(golden: &Program) {
    let runtime = Runtime::cpu(TEST_DEVICES).unwrap();
    let (executable, _) = runtime.compile(golden, 1).unwrap();
    let mut sums: Vec<i64> = (0..8).map(|i| i * 100).collect();
    let id = [0, 7, 6, 8, u32::MAX, 3, 2, 1, 0, 7, 6, 5, 4, 3, 2, 1];
    let value: Vec<i64> = (0..16).map(|i| 1 << i).collect();
    let ids = runtime.upload_values(0, &[16], &id).unwrap();
    let values = runtime.upload_values(0, &[16], &value).unwrap();
    let mut running = runtime.upload_values(0, &[8], &sums).unwrap();
    for _ in 0..2 {
        let arguments = vec![Argument::Donate(running), Argument::Borrow(&ids), Argument::Borrow(&values)];
        running = executable.execute_donating(arguments).unwrap().remove(0);
        for (id, value) in id.iter().zip(&value) {
            if let Some(sum) = sums.get_mut(*id as usize) {
                *sum += value;
            }
        }
        assert_eq!(running.to_vec::<i64>().unwrap(), sums);
    }
}

/// Positions out of bounds read the nearest element. A parameter that nothing reads must still be passed.
pub fn lookup(golden: &Program) {
    let table = floats((0..10).map(|i| f64::from(i) * 1.5));
    let found = floats([4.5, 0.0, 13.5, 13.5, 0.0, 7.5]);
    check(golden, &[table, ints([3, 0, 9, 10, -1, 5]), ints([1])], &[found]);
}

pub fn sort_lexicographic(golden: &Program) {
    let major = [2, 1, 2, 1, 0, 2, 1, 2];
    let minor = [1.0, 0.0, f64::NAN, -0.0, 5.0, 1.0, 7.0, f64::NEG_INFINITY];
    let mut rows: Vec<u32> = (0..8).collect();
    rows.sort_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        major[a].cmp(&major[b]).then(minor[b].total_cmp(&minor[a]))
    });
    check(golden, &[ints(major), floats(minor)], &[ints(rows), ints([0, 1, 1, 1, 2, 2, 2, 2])]);
}

pub fn binary_search(golden: &Program) {
    let table = [1, 1, 2, 3, 5, 8, 13, 21, 34, 34, 34, 55, 89, 100, 101, 102];
    let needles = [34, 0, 1000, 9];
    let below = needles.map(|needle| table.partition_point(|element| *element < needle) as i128);
    check(golden, &[ints(table), ints(needles)], &[ints(below)]);
}

pub fn prefix_sum(golden: &Program) {
    let values: Vec<i64> = (0..16).map(|i| i * i - 20).collect();
    let sums = (1..=16).map(|n| values[..n].iter().sum::<i64>());
    check(golden, &[ints(values.clone())], &[ints(sums)]);
}

pub fn custom_call(golden: &Program) {
    let sorted = ints([i64::MIN, -1, 0, 3, 3, 5, 7, 9]);
    check(golden, &[ints([5, -1, 9, 3, 3, i64::MIN, 7, 0])], &[ints([5, 1, 7, 3, 4, 0, 6, 2]), sorted]);
}

pub fn all_reduce(golden: &Program) {
    let total = ints([11, 22, 33, i64::MIN + 3]);
    let outputs = run(golden, &[vec![ints([1, 2, 3, 4])], vec![ints([10, 20, 30, i64::MAX])]]);
    assert_eq!(outputs, [[total.clone()], [total]]);
}

pub fn collectives(golden: &Program) {
    let x = [[1, 2, 3, 4], [5, 6, 7, -8]];
    let outputs = run(golden, &x.map(|x| vec![ints(x)]));
    for (replica, outputs) in outputs.iter().enumerate() {
        let both = |combine: fn(i32, i32) -> i32| ints([0, 1, 2, 3].map(|i| combine(x[0][i], x[1][i])));
        let expected = [
            ints([1, 2, 3, 4, 5, 6, 7, -8]),
            ints([[1, 2, 5, 6], [3, 4, 7, -8]][replica]),
            ints(x[1 - replica]),
            ints([[0; 4], x[0]][replica]),
            ints([replica as u32]),
            both(|a, b| a + b),
            both(|a, b| a * b),
            both(i32::min),
            both(i32::max),
            ints([false, false, true, false]),
            ints([true; 4]),
        ];
        assert_eq!(outputs, &expected, "replica {replica}");
    }
}

pub fn logical_scalars(golden: &Program) {
    let inputs = [ints([true, false, true, false]), ints([true]), ints([7, 8, -1, 100])];
    let expected = [
        ints([true, false, true, false]),
        ints([true; 4]),
        ints([7, 8, -1, 100]),
        ints([7, -1, 7, -1]),
        ints([14, 15, 6, 107]),
        ints([0, -1, 8, -93]),
        ints([false, true, false, true]),
    ];
    check(golden, &inputs, &expected);
}

pub fn movement_of_elements(golden: &Program) {
    let expected = [
        ints([0, 1, 2, 0, 1, 2]),
        floats([0.0, 1.0, 2.0, 3.0]),
        ints([1, 2, 3].repeat(4).into_iter().chain([4, 5, 6].repeat(4))),
        ints([1, 2, 3, 1, 2, 3]),
        ints([1, 4, 2, 5, 3, 6]),
        ints([1, 3, 4, 6]),
        ints([1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]),
        ints([9, 9, 9, 9, 9, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9, 6, 9]),
        ints([2, 3, 9, 9, 5, 6, 9, 9]),
        ints([6, 5, 4, 3, 2, 1]),
        ints([1, 2, 3, 4, 5, 6]),
    ];
    check(golden, &[ints([1, 2, 3, 4, 5, 6])], &expected);
}

/// Starts out of bounds are clamped.
pub fn dynamic_slices(golden: &Program) {
    let cases = [
        (2, [2, 3, 4], [0, 1, 10, 11, 4, 5, 6, 7], 10),
        (7, [5, 6, 7], [0, 1, 2, 3, 4, 5, 10, 11], 11),
        (-3, [0, 1, 2], [10, 11, 2, 3, 4, 5, 6, 7], 0),
    ];
    for (at, slice, updated, element) in cases {
        check(golden, &[ints(0..8), ints([at]), ints(0..12)], &[ints(slice), ints(updated), ints([element])]);
    }
}

pub fn all_gathers(golden: &Program) {
    let expected = [ints([14, 10, 11, 14]), ints([13]), floats([4.0, 5.0, 0.0, 1.0]), floats([2.0, 5.0])];
    check(golden, &[ints(10..15), floats([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])], &expected);
}

pub fn all_scatters(golden: &Program) {
    let inputs = [
        ints([1, 2, 3, 4]),
        floats([0.5, 9.0, 0.0, 0.0]),
        ints([0, 1, 3, 0, 4]),
        ints([10, 20, 30, 40, 50]),
        floats([1.0, 2.0, 3.0, 4.0, 5.0]),
        ints(10..16),
        ints(1..5),
    ];
    let expected =
        [ints([1, 7, 3, 7]), ints([51, 22, 3, 34]), floats([4.0, 9.0, 0.0, 3.0]), ints([7, 7, 12, 13, 13, 13])];
    check(golden, &inputs, &expected);
}

pub fn reduce_many(golden: &Program) {
    check(golden, &[ints([5, -1, -1, 7, 8, 7])], &[ints([-1, 7]), ints([1, 0]), ints([189])]);
}

pub fn sort_unsigned(golden: &Program) {
    let keys = [5, u64::MAX, 0, 5, 1 << 63, 2, 5, 1];
    let expected = [
        ints([0, 1, 2, 5, 5, 5, 1 << 63, u64::MAX]),
        ints([2, 7, 5, 0, 3, 6, 4, 1]),
        ints([0, 5, 5, u64::MAX, 1, 2, 5, 1 << 63]),
    ];
    check(golden, &[ints(keys), ints(0..8)], &expected);
}

pub fn nested_loops(golden: &Program) {
    for (n, sum) in [(10, 55), (1, 1), (0, 0), (-5, 0)] {
        check(golden, &[ints([n])], &[ints([sum])]);
    }
}

pub fn barrier_of_two(golden: &Program) {
    let expected: [Values; 2] = [ints([-2, -3, -4, -5]), floats([-2.0, -4.0, -6.0, -8.0])];
    check(golden, &[ints([1, 2, 3, 4]), floats([1.0, 2.0, 3.0, 4.0])], &expected);
}
