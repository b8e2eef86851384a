//! Tests of `kernels::compact`: the rows that a mask selects.

use parallax::kernels::compact::live_rows;
use parallax::program::ElementType::Pred;
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{SIZES, both, check, masks, padded};
use crate::random::Random;

#[test]
fn live_rows_come_first_in_row_order() {
    for n in SIZES {
        let kernel = both("live_rows", &[Shape::new(Pred, [n])], |b, lowering, mask| {
            let rows = live_rows(b, lowering, mask[0])?;
            Ok(vec![rows.row_ids, rows.count])
        });
        for (i, mask) in masks(&mut Random(n as u64), n).into_iter().enumerate() {
            let rows: Vec<i32> = (0..n as i32).filter(|row| mask[*row as usize]).collect();
            let outputs = kernel.run(&[array(&mask)]);
            check(&format!("mask {i} of {n}"), &outputs, 1, &[rows.len() as i32]);
            check(&format!("mask {i} of {n}"), &outputs, 0, &padded(rows, n));
        }
    }
}
