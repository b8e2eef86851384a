//! The build side of a join: its rows in one chunk, and a table from key to row.
//!
//! ```text
//! row    key    slot        row_of[slot]         starts[slot]  order
//! 0      17     0           0: row 0             0             [0, 2, 1]
//! 1      19     2           1: none              2
//! 2      17     0           2: row 1             2             rows by slot, for keys that occur more than once
//! ```

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};

use crate::columnar::layout::{Layout, MIN_CAPACITY};
use crate::columnar::table::DeviceTable;
use crate::exec::operator::join::keys::{JoinKeys, KeyForm, KeyNumbers};
use crate::exec::operator::join::spec::JoinSpec;
use crate::exec::run::engine::Engine;
use crate::exec::run::materialize::materialize;
use crate::exec::strategy::count;
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::output::scalar_s32;
use crate::exec::trace::program::{Trace, column_of, first_rows};
use crate::exec::trace::relation::Relation;
use crate::expr::ir::DeviceExpr;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, ReduceKind, Value};
use crate::kernels::reduce::{Reduction, reduce_all};
use crate::kernels::{bucket_rows, key_index, slot_rows};
use crate::program::ElementType::{S8, S32};
use crate::runtime::Buffer;

/// s32[slots], one array or two: of the rows of each key one that decides a residual, or -1.
pub type Extremes = Vec<Arc<BroadcastArray>>;

/// What the probe side reads of the build side.
pub struct BuildSide {
    pub table: Arc<DeviceTable>,
    /// Arrays of each column.
    pub columns: Vec<Vec<Arc<BroadcastArray>>>,
    pub keys: JoinKeys,
    /// Arrays of the hash table, for keys that are not dense.
    index: Vec<Arc<BroadcastArray>>,
    /// s32[slots]: a row with that key, or -1. Absent without keys; two where either of two rows decides a residual.
    row_of: Vec<Arc<BroadcastArray>>,
    /// s8[slots]: 1 where the key is there. Then there are no rows, and only existence can be asked.
    bitmap: Option<Arc<BroadcastArray>>,
    /// s32[capacity]: the slot of each build row, or -1.
    slots: Option<Arc<BroadcastArray>>,
    n_slots: usize,
    /// Whether no key occurs twice.
    pub unique: bool,
    /// Whether a live row has a NULL key.
    pub has_null_key: bool,
    /// Whether there are no rows.
    pub is_empty: bool,
}

impl BuildSide {
    /// A build side of which nothing is known but its table.
    fn of_table(table: Arc<DeviceTable>, columns: Vec<Vec<Arc<BroadcastArray>>>) -> Self {
        Self {
            columns,
            keys: JoinKeys::plan(&[], (0, 0), 0, false),
            index: Vec::new(),
            row_of: Vec::new(),
            bitmap: None,
            slots: None,
            n_slots: 0,
            unique: false,
            has_null_key: false,
            is_empty: table.layout.rows == 0,
            table,
        }
    }

    /// A build side of which only the existence of keys is known: `bitmap` s8[slots].
    pub fn of_bitmap(keys: JoinKeys, bitmap: Arc<BroadcastArray>, has_null_key: bool, is_empty: bool) -> Self {
        let no_rows = DeviceTable { layout: Arc::new(Layout::single(0, MIN_CAPACITY)), columns: Vec::new() };
        let nothing = Self::of_table(Arc::new(no_rows), Vec::new());
        Self { keys, bitmap: Some(bitmap), has_null_key, is_empty, ..nothing }
    }

    pub fn rows(&self) -> usize {
        self.table.layout.rows
    }

    /// Bytes of everything that the probe side reads, on one device.
    fn size_bytes(&self) -> usize {
        let arrays =
            self.columns.iter().flatten().chain(&self.index).chain(&self.row_of).chain(&self.bitmap).chain(&self.slots);
        arrays.map(|array| array.shape().size_bytes()).sum()
    }

    pub fn capacity(&self) -> usize {
        self.table.layout.capacity
    }

    /// Column `index` of the build side at `row_ids`.
    pub fn gather(&self, trace: &mut Trace, index: usize, row_ids: Value) -> Result<TracedColumn> {
        let column = self.column(trace, index);
        trace.t.take_column(&column, row_ids, self.capacity())
    }

    /// Column `index`, all rows.
    pub fn column(&self, trace: &mut Trace, index: usize) -> TracedColumn {
        let arrays: Vec<Value> = self.columns[index].iter().map(|side| trace.side(side)).collect();
        column_of(&self.table.columns[index], |_, part| arrays[part])
    }

    /// For each probe row the slot of its key, or -1 where the build side cannot have it.
    pub fn slots_of(&self, trace: &mut Trace, numbers: &KeyNumbers) -> Result<Value> {
        match self.keys.form {
            KeyForm::Dense { .. } => {
                let slot = numbers.values[0];
                let Some(live) = numbers.live else { return Ok(slot) };
                let none = trace.t.builder.constant_of(S32, -1)?;
                Ok(trace.t.builder.select(live, slot, none)?)
            }
            KeyForm::Packed | KeyForm::Words => {
                let arrays: Vec<Value> = self.index.iter().map(|side| trace.side(side)).collect();
                let lowering = trace.t.lowering;
                Ok(key_index::probe(&mut trace.t.builder, lowering, &arrays, &numbers.values, numbers.live)?)
            }
        }
    }

    /// The bitmap of keys, where only existence is known.
    pub fn bitmap(&self) -> Option<&Arc<BroadcastArray>> {
        self.bitmap.as_ref()
    }

    /// For each slot (or -1) whether the build side has that key, where only existence is known.
    pub fn exists(&self, trace: &mut Trace, slots: Value) -> Result<Option<Value>> {
        let Some(bitmap) = &self.bitmap else { return Ok(None) };
        let bitmap = trace.side(bitmap);
        let hit = take_or(&mut trace.t, bitmap, slots, 0)?;
        let zero = trace.t.builder.constant_of(S8, 0)?;
        Ok(Some(trace.t.builder.compare(hit, zero, Comparison::Ne)?))
    }

    /// For each slot (or -1) a build row with that key, or -1. Two of them where either decides a residual.
    pub fn rows_of(&self, trace: &mut Trace, slots: Value) -> Result<Vec<Value>> {
        if self.row_of.is_empty() {
            return datafusion::common::internal_err!("a join without keys has no slots");
        }
        let rows = self.row_of.iter().map(|row_of| {
            let row_of = trace.side(row_of);
            take_or(&mut trace.t, row_of, slots, -1)
        });
        rows.collect()
    }

    /// The slot of each build row, or -1; `None` without keys.
    pub fn slots(&self) -> Option<&Arc<BroadcastArray>> {
        self.slots.as_ref()
    }

    pub fn n_slots(&self) -> usize {
        self.n_slots
    }

    /// The same rows, of which those in `extremes` stand for all of their key.
    pub fn with_extremes(self, extremes: Extremes) -> Self {
        Self { row_of: extremes, ..self }
    }
}

/// `table[index]`, or `otherwise` where the index is negative.
pub fn take_or(t: &mut Tracer, table: Value, index: Value, otherwise: i128) -> Result<Value> {
    let zero = t.builder.constant_of(S32, 0)?;
    let there = t.builder.compare(index, zero, Comparison::Ge)?;
    let inside = t.builder.maximum(index, zero)?;
    let taken = t.builder.take(table, inside)?;
    let element_type = t.builder.element_type(taken);
    let otherwise = t.builder.constant_of(element_type, otherwise)?;
    Ok(t.builder.select(there, taken, otherwise)?)
}

/// Materializes the build side of a join that at most `probes` rows will ask, and indexes its keys.
pub fn build_side(
    engine: &Engine,
    spec: &JoinSpec,
    relation: &Relation,
    is_left: bool,
    probes: usize,
) -> Result<BuildSide> {
    let table = materialize(engine, relation, None)?;
    let mesh = &engine.device.mesh;
    let columns = table.columns.iter().map(|c| BroadcastArray::of_column(c, mesh)).collect::<Result<Vec<_>>>()?;
    let key_exprs = spec.side_keys(is_left);
    let mut built = BuildSide::of_table(Arc::clone(&table), columns);
    if !key_exprs.is_empty() {
        index_keys(engine, spec, &key_exprs, &mut built, probes)?;
    }
    if let (Some(exchange), true) = (relation.exchange(), mesh.len() > 1) {
        count(exchange, "broadcast_bytes", built.size_bytes() * (mesh.len() - 1));
    }
    Ok(built)
}

/// Makes the table from key to row.
fn index_keys(
    engine: &Engine,
    spec: &JoinSpec,
    key_exprs: &[&DeviceExpr],
    built: &mut BuildSide,
    probes: usize,
) -> Result<()> {
    let (rows, capacity) = (built.rows(), built.capacity());
    let mut trace = engine.trace("join_build", 1);
    let built_rows = read_built(&mut trace, built)?;
    let mask = built_rows.mask;
    let key_columns = trace
        .t
        .with_active(mask, |t| key_exprs.iter().map(|key| key.trace(t, &built_rows)).collect::<Result<Vec<_>>>())?;
    built.keys = JoinKeys::plan(&key_columns, (rows, probes), engine.most_slots(), spec.null_equals_null);
    let numbers = built.keys.numbers(&mut trace.t, &key_columns, mask, capacity)?;
    let null_key = any_null(&mut trace.t, &key_columns, mask, capacity)?;
    let t = &mut trace.t;
    let mut arrays = Vec::new();
    let (slots, n_slots) = match built.keys.form {
        KeyForm::Dense { slots: n_slots } => {
            let none = t.builder.constant_of(S32, -1)?;
            let slot = match numbers.live {
                Some(live) => t.builder.select(live, numbers.values[0], none)?,
                None => numbers.values[0],
            };
            (slot, n_slots)
        }
        KeyForm::Packed | KeyForm::Words => {
            let lowering = t.lowering;
            let index = key_index::build(&mut t.builder, lowering, &numbers.values, numbers.live)?;
            arrays.extend(index.arrays);
            (index.ids, capacity)
        }
    };
    let n_index = arrays.len();
    let lowering = t.lowering;
    let (row_of, duplicates) = slot_rows::slot_rows(&mut t.builder, lowering, slots, n_slots)?;
    arrays.extend([row_of, slots, duplicates, null_key]);
    let mut arrays = engine.run_once(&trace.finish(&arrays, None)?)?.arrays;
    let flag = |array: Option<Buffer>| Ok::<_, DataFusionError>(scalar_s32(array.as_ref())? > 0);
    built.has_null_key = flag(arrays.pop())?;
    built.unique = !flag(arrays.pop())?;
    let mesh = &engine.device.mesh;
    let sides = arrays.into_iter().map(|array| BroadcastArray::replicate(array, mesh)).collect::<Result<Vec<_>>>()?;
    built.index = sides[..n_index].to_vec();
    built.row_of = vec![Arc::clone(&sides[n_index])];
    built.slots = Some(Arc::clone(&sides[n_index + 1]));
    built.n_slots = n_slots;
    Ok(())
}

/// Rows of each slot: `(starts, order)`.
pub fn bucket_build_rows(engine: &Engine, built: &BuildSide) -> Result<(Arc<BroadcastArray>, Arc<BroadcastArray>)> {
    let Some(slots) = &built.slots else {
        return datafusion::common::internal_err!("a join without keys has no slots");
    };
    let mut trace = engine.trace("join_buckets", 1);
    let slots = trace.side(slots);
    let lowering = trace.t.lowering;
    let (starts, order) = bucket_rows::bucket_rows(&mut trace.t.builder, lowering, slots, built.n_slots)?;
    let mut arrays = engine.run_once(&trace.finish(&[starts, order], None)?)?.arrays.into_iter();
    let mut next = || match arrays.next() {
        Some(array) => BroadcastArray::replicate(array, &engine.device.mesh),
        None => datafusion::common::internal_err!("a program without its outputs"),
    };
    Ok((next()?, next()?))
}

/// All rows of a build side as a relation of the program.
pub fn read_built(trace: &mut Trace, built: &BuildSide) -> Result<TracedRelation> {
    let columns = (0..built.columns.len()).map(|i| built.column(trace, i)).collect();
    let mask = first_rows(&mut trace.t, built.rows(), built.capacity())?;
    Ok(TracedRelation { columns, mask: Some(mask), capacity: built.capacity() })
}

/// Whether a live row has a NULL key, 0 or 1, a scalar s32. A reduction of what is known would be folded while compiling, an
/// element at a time: seconds for a million rows.
pub fn any_null(t: &mut Tracer, keys: &[TracedColumn], mask: Option<Value>, capacity: usize) -> Result<Value> {
    let mut valid = None;
    for key in keys {
        valid = and_valid(&mut t.builder, valid, key.valid)?;
    }
    let Some(valid) = valid else { return Ok(t.builder.constant_of(S32, 0)?) };
    let null = t.builder.not(valid)?;
    let null = and_valid(&mut t.builder, Some(null), mask)?.unwrap_or(null);
    let null = t.broadcast(null, capacity)?;
    let operand = t.builder.convert(null, S32)?;
    let any = Reduction { operand, kind: ReduceKind::Maximum, total_type: S32 };
    Ok(reduce_all(&mut t.builder, &[any])?[0])
}
