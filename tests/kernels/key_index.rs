//! Tests of `kernels::key_index`: a probe returns the id that the build assigned to the equal key.

use std::collections::HashMap;

use parallax::kernels::Lowering::{self, Native, Portable};
use parallax::kernels::key_index::{array_shapes, build, probe};
use parallax::program::ElementType::{Pred, S32, U64};
use parallax::program::Shape;
use parallax::runtime::Buffer;

use crate::group::expected;
use crate::lowerings::{KINDS, SIZES, masks, values};
use crate::random::Random;
use crate::{Kernel, array};

const PROBES: usize = 4096;

struct Index {
    build: Kernel,
    probe: Kernel,
}

fn index(lowering: Lowering, n_words: usize, n: usize) -> Index {
    let shapes = array_shapes(lowering, n_words, n);
    let build = Kernel::new("build_index", |b| {
        let keys: Vec<_> = (0..n_words).map(|_| b.parameter(Shape::new(U64, [n]))).collect();
        let live = b.parameter(Shape::new(Pred, [n]));
        let index = build(b, lowering, &keys, Some(live))?;
        assert_eq!(index.arrays.iter().map(|array| b.shape(*array).clone()).collect::<Vec<_>>(), shapes);
        let all = build_all(b, lowering, &keys)?;
        Ok([vec![index.ids, index.count, all], index.arrays].concat())
    });
    let probe = Kernel::new("probe_index", |b| {
        let arrays: Vec<_> = shapes.iter().map(|shape| b.parameter(shape.clone())).collect();
        let keys: Vec<_> = (0..n_words).map(|_| b.parameter(Shape::new(U64, [PROBES]))).collect();
        let live = b.parameter(Shape::new(Pred, [PROBES]));
        Ok(vec![probe(b, lowering, &arrays, &keys, None)?, probe(b, lowering, &arrays, &keys, Some(live))?])
    });
    Index { build, probe }
}

/// Indexes the keys of all rows, and returns their number.
fn build_all(
    b: &mut parallax::hlo::Builder,
    lowering: Lowering,
    keys: &[parallax::hlo::Value],
) -> Result<parallax::hlo::Value, parallax::hlo::HloError> {
    Ok(build(b, lowering, keys, None)?.count)
}

#[test]
fn a_probe_finds_what_was_built() {
    for (n, n_words) in [(SIZES[0], 1), (SIZES[1], 1), (SIZES[1], 2), (SIZES[1], 3), (SIZES[1], 4), (SIZES[2], 2)] {
        for lowering in [Native, Portable] {
            let index = index(lowering, n_words, n);
            let mut random = Random(n as u64);
            let masks = masks(&mut random, n);
            for (i, kind) in KINDS.into_iter().enumerate() {
                let what = format!("{} of {n}, {n_words} words, {lowering:?}", kind.0);
                let live = &masks[i % masks.len()];
                let words: Vec<_> = (0..n_words).map(|k| values(&mut random, KINDS[(i + k) % 9], n, 64)).collect();
                let mut inputs: Vec<Buffer> = words.iter().map(|word| array(word)).collect();
                inputs.push(array(live));
                let mut outputs = index.build.run(&inputs);
                let key = |row: usize| words.iter().map(|word| word[row]).collect::<Vec<_>>();
                let (ids, firsts, count) = expected(live, key);
                assert!(outputs[0].to_vec::<i32>().unwrap() == ids, "{what}: ids");
                assert_eq!(outputs[1].to_vec::<i32>().unwrap(), [count], "{what}");
                let all = expected(&vec![true; n], key).2;
                assert_eq!(outputs[2].to_vec::<i32>().unwrap(), [all], "{what}");

                // Half of the probes use keys of the build side; few of the others match by chance.
                let known: HashMap<_, _> = firsts[..count as usize]
                    .iter()
                    .enumerate()
                    .map(|(id, row)| (key(*row as usize), id as i32))
                    .collect();
                let probes: Vec<Vec<u64>> = (0..PROBES)
                    .map(|_| match random.one_in(2) {
                        true => key(random.below(n as u64) as usize),
                        false => words.iter().map(|word| word[random.below(n as u64) as usize] ^ 1).collect(),
                    })
                    .collect();
                let is_probed = random.many(PROBES, |random| !random.one_in(4));
                let mut inputs: Vec<Buffer> = outputs.drain(3..).collect();
                inputs.extend((0..n_words).map(|k| array(&probes.iter().map(|key| key[k]).collect::<Vec<_>>())));
                inputs.push(array(&is_probed));
                let outputs = index.probe.run(&inputs);
                let ids: Vec<i32> = probes.iter().map(|key| known.get(key).copied().unwrap_or(-1)).collect();
                assert!(outputs[0].to_vec::<i32>().unwrap() == ids, "{what}: probes");
                let ids: Vec<i32> = ids.iter().zip(&is_probed).map(|(id, live)| if *live { *id } else { -1 }).collect();
                assert!(outputs[1].to_vec::<i32>().unwrap() == ids, "{what}: live probes");
            }
        }
    }
}

#[test]
fn the_shapes_depend_on_rows_and_words() {
    assert_eq!(array_shapes(Native, 2, 1024), [Shape::new(U64, [8 + 3 * 2048])]);
    let words = Shape::new(U64, [1024]);
    assert_eq!(array_shapes(Portable, 2, 1024), [words.clone(), words, Shape::new(S32, [1024]), Shape::scalar(S32)]);
}
