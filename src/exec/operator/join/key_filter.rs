//! Key bitmaps as filters: of a build side by the keys of few probe rows, of a probe side before all keys are hashed, and of whatever
//! lies below a join (`runtime_filter`). The join itself compares every key again.

use std::sync::Arc;

use datafusion::error::Result;

use crate::exec::device_operator::KeyFilter;
use crate::exec::operator::join::build::BuildSide;
use crate::exec::operator::join::existence::key_bitmap;
use crate::exec::operator::join::keys::KeyForm;
use crate::exec::operator::join::probe::Probe;
use crate::exec::operator::join::spec::{JoinKind, JoinSpec};
use crate::exec::run::engine::Engine;
use crate::exec::runtime_filter::LEAST_ROWS;
use crate::exec::trace::relation::Relation;
use crate::exec::trace::step::Step;
use crate::expr::ir::DeviceExpr;
use crate::program::ElementType::S32;

/// A build side with this many rows for each probe row is filtered before it is built.
const FILTERED_RATIO: usize = 4;

/// A bitmap is selective if one of this many slots is set, or fewer.
const SLOTS_A_KEY: usize = 4;

/// Slots whose keys are counted, because several rows may have the same.
const COUNTED_SLOTS: usize = 1 << 20;

impl KeyFilter for BuildSide {
    fn step(self: Arc<Self>, key: DeviceExpr) -> Arc<dyn Step> {
        Arc::new(Probe::of_keys(vec![key], self))
    }
}

/// Keeps of a large build side only the rows whose keys the few probe rows have.
pub fn filter_build(engine: &Engine, spec: &JoinSpec, build: Relation, probe: &Relation) -> Result<Relation> {
    let rows = |relation: &Relation| relation.table().map_or(0, |table| table.layout.rows);
    let is_large = rows(&build) >= FILTERED_RATIO * rows(probe).max(1 << 10);
    if spec.keys.is_empty() || build.needs_all_rows() || !is_large {
        return Ok(build);
    }
    let (_, probe_is_left) = spec.kind();
    let keys = spec.side_keys(probe_is_left);
    match key_bitmap(engine, probe, &keys, rows(&build), spec.null_equals_null)? {
        Some(bitmap) => {
            let keys = spec.side_keys(!probe_is_left).into_iter().cloned().collect();
            Ok(build.with(Arc::new(Probe::of_keys(keys, Arc::new(bitmap)))))
        }
        None => Ok(build),
    }
}

/// Filters out probe rows of which one key column has a value that the build side does not have, before all keys are hashed.
pub fn prefilter_probe(engine: &Engine, spec: &JoinSpec, build: &BuildSide, probe: Relation) -> Result<Relation> {
    let (kind, probe_is_left) = spec.kind();
    let rows = probe.source_rows();
    let drops = matches!(kind, JoinKind::Inner | JoinKind::Semi) && !spec.null_equals_null;
    let is_hashed = !matches!(build.keys.form, KeyForm::Dense { .. }) && spec.keys.len() > 1;
    let pays = rows >= LEAST_ROWS && build.rows() <= rows && engine.holds_tables();
    if !drops || !is_hashed || !pays || probe.needs_all_rows() {
        return Ok(probe);
    }
    let source = Relation::on(Arc::clone(&build.table));
    let mut probe = probe;
    for (left, right) in &spec.keys {
        let (of_probe, of_build) = if probe_is_left { (left, right) } else { (right, left) };
        if let Some(bitmap) = selective_bitmap(engine, &source, of_build, rows, build.rows())? {
            probe = probe.with(Arc::new(Probe::of_keys(vec![of_probe.clone()], Arc::new(bitmap))));
        }
    }
    Ok(probe)
}

/// The bitmap of one key of `source`, which has `rows` rows, if few of the keys that could be are there.
pub fn selective_bitmap(
    engine: &Engine,
    source: &Relation,
    key: &DeviceExpr,
    probes: usize,
    rows: usize,
) -> Result<Option<BuildSide>> {
    let Some(bitmap) = key_bitmap(engine, source, &[key], probes, false)? else { return Ok(None) };
    let KeyForm::Dense { slots } = bitmap.keys.form else { return Ok(None) };
    let is_selective =
        slots >= SLOTS_A_KEY * rows || slots <= COUNTED_SLOTS && SLOTS_A_KEY * count_keys(engine, &bitmap)? <= slots;
    Ok(is_selective.then_some(bitmap))
}

fn count_keys(engine: &Engine, bitmap: &BuildSide) -> Result<usize> {
    let Some(bits) = bitmap.bitmap() else { return Ok(usize::MAX) };
    let mut trace = engine.trace("count_keys", 1);
    let bits = trace.side(bits);
    let bits = trace.t.builder.convert(bits, S32)?;
    let count = trace.t.sum_rows(bits)?;
    let outputs = engine.run_once(&trace.finish(&[count], None)?)?;
    Ok(outputs.arrays[0].to_vec::<i64>()?[0] as usize)
}
