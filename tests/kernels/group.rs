//! Tests of `kernels::group`: groups agree with grouping by a map, and are numbered by first appearance.

use std::collections::HashMap;

use parallax::kernels::group::group_rows;
use parallax::kernels::radix_sort::SortKey;
use parallax::program::ElementType::{Pred, U8, U32, U64};
use parallax::program::Shape;

use crate::array;
use crate::lowerings::{KINDS, SIZES, both, check, masks, padded, values};
use crate::random::Random;

/// Returns the expected ids, first rows and count for live rows grouped by `key`.
pub fn expected<K: std::hash::Hash + Eq>(live: &[bool], key: impl Fn(usize) -> K) -> (Vec<i32>, Vec<i32>, i32) {
    let (mut groups, mut firsts) = (HashMap::new(), Vec::new());
    let mut id = |row: usize| {
        *groups.entry(key(row)).or_insert_with(|| {
            firsts.push(row as i32);
            firsts.len() as i32 - 1
        })
    };
    let ids = live.iter().enumerate().map(|(row, live)| if *live { id(row) } else { -1 }).collect();
    let count = firsts.len() as i32;
    (ids, padded(firsts, live.len()), count)
}

/// Groups live rows by (u64), all rows by (u64), live rows by (u32 of 20 bits, u64, u8 of 2 bits), and live rows by no
/// key.
#[test]
fn groups_are_numbered_by_first_appearance() {
    for n in SIZES {
        let parameters = [Pred, U64, U32, U8].map(|element_type| Shape::new(element_type, [n]));
        let kernel = both("group_rows", &parameters, |b, lowering, columns| {
            let live = Some(columns[0]);
            let key = |column: usize, bits| SortKey { value: columns[column], bits };
            let mut outputs = Vec::new();
            for (keys, live) in [
                (&[key(1, 64)][..], live),
                (&[key(1, 64)], None),
                (&[key(2, 20), key(1, 64), key(3, 2)], live),
                (&[], live),
            ] {
                let groups = group_rows(b, lowering, keys, live, n)?;
                outputs.extend([groups.ids, groups.first_rows, groups.count]);
            }
            Ok(outputs)
        });
        let mut random = Random(n as u64);
        let masks = masks(&mut random, n);
        for (i, kind) in KINDS.into_iter().enumerate() {
            let live = &masks[i % masks.len()];
            let u64s = values(&mut random, kind, n, 64);
            let u32s: Vec<u32> =
                values(&mut random, KINDS[(i + 2) % 9], n, 20).iter().map(|value| *value as u32).collect();
            let u8s: Vec<u8> = values(&mut random, KINDS[3], n, 2).iter().map(|value| *value as u8).collect();
            let outputs = kernel.run(&[array(live), array(&u64s), array(&u32s), array(&u8s)]);
            let all = vec![true; n];
            let expected = [
                expected(live, |row| u64s[row]),
                expected(&all, |row| u64s[row]),
                expected(live, |row| (u32s[row], u64s[row], u8s[row])),
                expected(live, |_| ()),
            ];
            for (i, (ids, firsts, count)) in expected.iter().enumerate() {
                let what = format!("{} of {n}, case {i}", kind.0);
                check(&what, &outputs, 3 * i, ids);
                check(&what, &outputs, 3 * i + 1, firsts);
                check(&what, &outputs, 3 * i + 2, &[*count]);
            }
        }
    }
}

/// Five words, for which the native function has no table of its own.
#[test]
fn keys_of_five_words_are_grouped() {
    let n = 1024;
    let kernel = both("group_five_words", &[const { U64 }; 5].map(|t| Shape::new(t, [n])), |b, lowering, columns| {
        let keys: Vec<SortKey> = columns.iter().map(|value| SortKey { value: *value, bits: 64 }).collect();
        let groups = group_rows(b, lowering, &keys, None, n)?;
        Ok(vec![groups.ids, groups.first_rows, groups.count])
    });
    let mut random = Random(5);
    let columns = [(); 5].map(|_| values(&mut random, KINDS[3], n, 64));
    let outputs = kernel.run(&columns.each_ref().map(|column| array(column)));
    let (ids, firsts, count) = expected(&vec![true; n], |row| columns.each_ref().map(|column| column[row]));
    check("five words", &outputs, 0, &ids);
    check("five words", &outputs, 1, &firsts);
    check("five words", &outputs, 2, &[count]);
}
