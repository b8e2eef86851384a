//! Tests of `kernels::radix_sort`: stable sorts by keys of all widths.

use parallax::hlo::Comparison;
use parallax::kernels::Lowering;
use parallax::kernels::radix_sort::{SortKey, argsort, argsort_top};
use parallax::program::ElementType::{U8, U16, U32, U64};
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{KINDS, SIZES, both, check, values};
use crate::random::Random;

/// Sorts by (u64), by (u32 of 31 bits), by (u8 of 3 bits, u64, u16), and by (u16, u8 of 3 bits, u32 of 31 bits), each
/// in full and as top k.
#[test]
fn rows_are_sorted_by_key_and_ties_by_row() {
    for n in SIZES {
        let limit = (n / 10).clamp(5, 100);
        let parameters = [U64, U32, U8, U16].map(|element_type| Shape::new(element_type, [n]));
        let kernel = both("argsort", &parameters, |b, lowering, columns| {
            let key = |column: usize, bits| SortKey { value: columns[column], bits };
            let mut outputs = Vec::new();
            for keys in [
                &[key(0, 64)][..],
                &[key(1, 31)],
                &[key(2, 3), key(0, 64), key(3, 16)],
                &[key(3, 16), key(2, 3), key(1, 31)],
            ] {
                outputs.push(argsort(b, lowering, keys, n)?);
                outputs.push(argsort_top(b, lowering, keys, None, n, limit)?);
            }
            Ok(outputs)
        });
        let mut random = Random(n as u64);
        for (i, kind) in KINDS.into_iter().enumerate() {
            let u64s = values(&mut random, kind, n, 64);
            let u32s: Vec<u32> = values(&mut random, kind, n, 31).iter().map(|value| *value as u32).collect();
            let u8s: Vec<u8> = values(&mut random, KINDS[(i + 1) % 9], n, 3).iter().map(|value| *value as u8).collect();
            let u16s: Vec<u16> = values(&mut random, KINDS[0], n, 16).iter().map(|value| *value as u16).collect();
            let outputs = kernel.run(&[array(&u64s), array(&u32s), array(&u8s), array(&u16s)]);
            let sorted = |key: &dyn Fn(usize) -> (u64, u64, u64)| {
                let mut rows: Vec<i32> = (0..n as i32).collect();
                rows.sort_by_key(|row| key(*row as usize));
                rows
            };
            let orders = [
                sorted(&|row| (u64s[row], 0, 0)),
                sorted(&|row| (u32s[row].into(), 0, 0)),
                sorted(&|row| (u8s[row].into(), u64s[row], u16s[row].into())),
                sorted(&|row| (u16s[row].into(), u8s[row].into(), u32s[row].into())),
            ];
            for (i, order) in orders.iter().enumerate() {
                check(kind.0, &outputs, 2 * i, order);
                check(kind.0, &outputs, 2 * i + 1, &order[..limit]);
            }
        }
    }
}

/// Dead rows come last, whatever their keys. There may be fewer live rows than requested.
#[test]
fn dead_rows_come_last_in_top_k() {
    for n in SIZES.into_iter().filter(|n| *n >= 5) {
        let limit = (n / 10).clamp(5, 100);
        let parameters = [U64, U8, U8].map(|element_type| Shape::new(element_type, [n]));
        let kernel = both("argsort_live", &parameters, |b, lowering, columns| {
            let zero = b.constant_of(U8, 0)?;
            let live = b.compare(columns[2], zero, Comparison::Ne)?;
            let key = |column: usize, bits| SortKey { value: columns[column], bits };
            Ok(vec![
                argsort_top(b, lowering, &[key(0, 64)], Some(live), n, limit)?,
                argsort_top(b, lowering, &[key(1, 3), key(0, 64)], Some(live), n, limit)?,
            ])
        });
        let mut random = Random(n as u64);
        for share in [0, 1, 7, 100] {
            let u64s: Vec<u64> = values(&mut random, KINDS[0], n, 64);
            let u8s: Vec<u8> = values(&mut random, KINDS[1], n, 3).iter().map(|value| *value as u8).collect();
            let live: Vec<u8> = (0..n).map(|_| u8::from(random.bits() % 100 < share)).collect();
            let outputs = kernel.run(&[array(&u64s), array(&u8s), array(&live)]);
            let sorted = |key: &dyn Fn(usize) -> (u64, u64)| {
                let mut rows: Vec<i32> = (0..n as i32).filter(|row| live[*row as usize] != 0).collect();
                rows.sort_by_key(|row| key(*row as usize));
                rows.truncate(limit);
                rows
            };
            let orders = [sorted(&|row| (u64s[row], 0)), sorted(&|row| (u8s[row].into(), u64s[row]))];
            for (i, order) in orders.iter().enumerate() {
                for first in [0, outputs.len() / 2] {
                    let rows = outputs[first + i].to_vec::<i32>().unwrap();
                    assert_eq!(rows[..order.len()], order[..], "{share} % of {n} rows live");
                    assert!(rows[order.len()..].iter().all(|row| live[*row as usize] == 0));
                }
            }
        }
    }
}

#[test]
fn without_keys_rows_stay_in_order() {
    let parameters = [Shape::new(U64, [8])];
    let kernel = both("argsort_nothing", &parameters, |b, lowering, column| {
        let constant = SortKey { value: column[0], bits: 0 };
        Ok(vec![argsort(b, lowering, &[], 8)?, argsort_top(b, lowering, &[constant], None, 8, 3)?])
    });
    let outputs = kernel.run(&[array(&[0u64; 8])]);
    check("none", &outputs, 0, &[0, 1, 2, 3, 4, 5, 6, 7]);
    check("none", &outputs, 1, &[0, 1, 2]);
}

#[test]
fn wrong_keys_are_errors() {
    let mut b = parallax::hlo::Builder::new("wrong");
    let value = b.parameter(Shape::new(U32, [8]));
    argsort(&mut b, Lowering::Native, &[SortKey { value, bits: 33 }], 8).unwrap_err();
    argsort(&mut b, Lowering::Portable, &[SortKey { value, bits: 32 }], 16).unwrap_err();
    argsort_top(&mut b, Lowering::Native, &[SortKey { value, bits: 32 }], None, 8, 9).unwrap_err();
}
