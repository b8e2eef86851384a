//! Tests of `kernels::dense_group`: ids and offsets are inverse to each other, and scatters agree with grouping by a
//! map.

use std::collections::HashMap;
use std::sync::LazyLock;

use parallax::hlo::ReduceKind::{Add, Maximum, Minimum};
use parallax::kernels::dense_group::{DenseKey, group_ids, scatter_all, slot_offset};
use parallax::program::ElementType::{F64, Pred, S32, S64};
use parallax::program::Shape;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::random::Random;
use crate::{Kernel, N, array, cases, column, scalar};

const SLOTS: usize = 512;
const KEYS: usize = 3;

/// (live, offset of each key, stride of each key, extent of each key, two columns, three accumulators) -> ids, the offset of
/// each key in each slot, the accumulators.
static KERNEL: LazyLock<Kernel> = LazyLock::new(|| {
    Kernel::new("dense_groups", |b| {
        let live = column(b, Pred);
        let offsets = [(); KEYS].map(|_| column(b, S32));
        let strides = [(); KEYS].map(|_| b.parameter(Shape::scalar(S32)));
        let extents = [(); KEYS].map(|_| b.parameter(Shape::scalar(S32)));
        let (x, y) = (column(b, S64), column(b, F64));
        let accumulators = [
            (b.parameter(Shape::new(S64, [SLOTS])), Add),
            (b.parameter(Shape::new(S64, [SLOTS])), Minimum),
            (b.parameter(Shape::new(F64, [SLOTS])), Maximum),
        ];
        let keys: Vec<DenseKey> =
            offsets.into_iter().zip(strides).map(|(offset, stride)| DenseKey { offset, stride }).collect();
        let trash = b.constant_of(S32, SLOTS as i128 - 1)?;
        let ids = group_ids(b, &keys, Some(live), trash)?;
        let mut outputs = vec![ids];
        for (stride, extent) in strides.into_iter().zip(extents) {
            outputs.push(slot_offset(b, SLOTS, stride, extent)?);
        }
        outputs.extend(scatter_all(b, ids, &accumulators, &[x, x, y])?);
        Ok(outputs)
    })
});

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn groups_agree_with_a_map(seed in any::<u64>()) {
        let mut random = Random(seed);
        // The last slot belongs to no group.
        let extents = loop {
            let extents = [(); KEYS].map(|_| 1 + random.below(20) as usize);
            if extents.iter().product::<usize>() < SLOTS {
                break extents;
            }
        };
        let strides = [extents[1] * extents[2], extents[2], 1];
        let live = random.many(N, |random| !random.one_in(5));
        let offsets: Vec<Vec<i32>> =
            extents.iter().map(|extent| random.many(N, |random| random.below(*extent as u64) as i32)).collect();
        let x = random.many(N, Random::i64);
        let y = random.many(N, |random| random.i64() as f64);

        let mut inputs = vec![array(&live)];
        inputs.extend(offsets.iter().map(|offset| array(offset)));
        inputs.extend(strides.iter().map(|stride| scalar(*stride as i32)));
        inputs.extend(extents.iter().map(|extent| scalar(*extent as i32)));
        inputs.extend([array(&x), array(&y)]);
        inputs.extend([array(&[0i64; SLOTS]), array(&[i64::MAX; SLOTS]), array(&[f64::NEG_INFINITY; SLOTS])]);
        let outputs = KERNEL.run(&inputs);
        let ids = outputs[0].to_vec::<i32>().unwrap();
        let of_slot: Vec<Vec<i32>> = (1..=KEYS).map(|k| outputs[k].to_vec().unwrap()).collect();
        let (sums, least) = (outputs[KEYS + 1].to_vec::<i64>().unwrap(), outputs[KEYS + 2].to_vec::<i64>().unwrap());
        let most = outputs[KEYS + 3].to_vec::<f64>().unwrap();

        let mut groups: HashMap<Vec<i32>, (i64, i64, f64)> = HashMap::new();
        for row in 0..N {
            let id = ids[row] as usize;
            if !live[row] {
                prop_assert_eq!(id, SLOTS - 1);
                continue;
            }
            prop_assert!(id < SLOTS - 1);
            let key: Vec<i32> = offsets.iter().map(|offset| offset[row]).collect();
            prop_assert_eq!(of_slot.iter().map(|offset| offset[id]).collect::<Vec<_>>(), key.clone());
            let group = groups.entry(key).or_insert((0, i64::MAX, f64::NEG_INFINITY));
            *group = (group.0.wrapping_add(x[row]), group.1.min(x[row]), group.2.max(y[row]));
        }
        for slot in 0..extents.iter().product() {
            let key: Vec<i32> = of_slot.iter().map(|offset| offset[slot]).collect();
            let group = groups.remove(&key).unwrap_or((0, i64::MAX, f64::NEG_INFINITY));
            prop_assert_eq!((sums[slot], least[slot], most[slot]), group, "slot {}, key {:?}", slot, key);
        }
        prop_assert!(groups.is_empty());
    }
}
