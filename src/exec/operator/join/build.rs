//! The build side of a join: its rows in one chunk, and a table from key to row.
//!
//! ```text
//! row    key    slot        row_of[slot]         starts[slot]  order
//! 0      17     0           0: row 0             0             [0, 2, 1]
//! 1      19     2           1: none              2
//! 2      17     0           2: row 1             2             rows by slot, for keys that occur more than once
//! ```

use std::sync::Arc;

use datafusion::error::Result;

use crate::columnar::layout::{Layout, MIN_CAPACITY};
use crate::columnar::table::DeviceTable;
use crate::exec::operator::join::join_operator::XlaJoinExec;
use crate::exec::operator::join::keys::{JoinKeys, KeyForm, KeyNumbers};
use crate::exec::run::chunk_loop::failure;
use crate::exec::run::engine::Engine;
use crate::exec::trace::broadcast::Side;
use crate::exec::trace::program::{ResultProgram, Trace, TracedProgram, column_of};
use crate::exec::trace::relation::Relation;
use crate::expr::tracer::{TracedColumn, TracedRelation, Tracer, and_valid};
use crate::hlo::{Comparison, ReduceKind, Value};
use crate::kernels::reduce::{Reduction, reduce_all};
use crate::kernels::{bucket_rows, key_index, slot_rows};
use crate::program::ElementType::{S8, S32};
use crate::program::Shape;
use crate::runtime::Buffer;

/// What the probe side reads of the build side.
pub struct Built {
    pub table: Arc<DeviceTable>,
    /// Arrays of each column.
    pub columns: Vec<Vec<Arc<Side>>>,
    pub keys: JoinKeys,
    /// Arrays of the hash table, for keys that are not dense.
    index: Vec<Arc<Side>>,
    /// s32[slots]: a row with that key, or -1. Absent without keys.
    row_of: Option<Arc<Side>>,
    /// s8[slots]: 1 where the key is there. Then there are no rows, and only existence can be asked.
    hits: Option<Arc<Side>>,
    /// s32[capacity]: the slot of each build row, or -1.
    slots: Option<Arc<Side>>,
    n_slots: usize,
    /// Whether no key occurs twice.
    pub unique: bool,
    /// Whether a live row has a NULL key.
    pub has_null_key: bool,
    /// Whether there are no rows.
    pub is_empty: bool,
}

impl Built {
    /// A build side of which nothing is known but its table.
    fn of_table(table: Arc<DeviceTable>, columns: Vec<Vec<Arc<Side>>>) -> Self {
        Self {
            columns,
            keys: JoinKeys::plan(&[], (0, 0), 0, false),
            index: Vec::new(),
            row_of: None,
            hits: None,
            slots: None,
            n_slots: 0,
            unique: false,
            has_null_key: false,
            is_empty: table.layout.rows == 0,
            table,
        }
    }

    /// A build side of which only the existence of keys is known: `hits` s8[slots].
    pub fn of_hits(keys: JoinKeys, hits: Arc<Side>, has_null_key: bool, is_empty: bool) -> Self {
        let no_rows = DeviceTable { layout: Arc::new(Layout::single(0, MIN_CAPACITY)), columns: Vec::new() };
        let nothing = Self::of_table(Arc::new(no_rows), Vec::new());
        Self { keys, hits: Some(hits), has_null_key, is_empty, ..nothing }
    }

    pub fn rows(&self) -> usize {
        self.table.layout.rows
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

    /// Whether only existence is known.
    pub fn knows_existence_only(&self) -> bool {
        self.hits.is_some()
    }

    /// The marks, where only existence is known.
    pub fn hits(&self) -> Option<&Arc<Side>> {
        self.hits.as_ref()
    }

    /// For each slot (or -1) whether the build side has that key, where only existence is known.
    pub fn exists(&self, trace: &mut Trace, slots: Value) -> Result<Option<Value>> {
        let Some(hits) = &self.hits else { return Ok(None) };
        let hits = trace.side(hits);
        let hit = take_or(&mut trace.t, hits, slots, 0)?;
        let zero = trace.t.builder.constant_of(S8, 0)?;
        Ok(Some(trace.t.builder.compare(hit, zero, Comparison::Ne)?))
    }

    /// For each slot (or -1) a build row with that key, or -1.
    pub fn rows_of(&self, trace: &mut Trace, slots: Value) -> Result<Value> {
        let Some(row_of) = &self.row_of else {
            return datafusion::common::internal_err!("a join without keys has no slots");
        };
        let row_of = trace.side(row_of);
        take_or(&mut trace.t, row_of, slots, -1)
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

impl Engine {
    /// Collects the build side of a join that at most `probes` rows will ask, and indexes its keys.
    pub fn build_side(&self, join: &XlaJoinExec, relation: &Relation, is_left: bool, probes: usize) -> Result<Built> {
        let table = self.collect(relation, None)?;
        let mesh = &self.device.mesh;
        let columns = table.columns.iter().map(|c| Side::of_column(c, mesh)).collect::<Result<Vec<_>>>()?;
        let key_exprs = join.spec.side_keys(is_left);
        let mut built = Built::of_table(Arc::clone(&table), columns);
        if key_exprs.is_empty() {
            return Ok(built);
        }
        let capacity = table.layout.capacity;
        let mut trace = Trace::new("join_build", &self.options, 1, self.lowering());
        let rows = self.read_built(&mut trace, &built)?;
        let mask = rows.mask;
        let key_columns = trace
            .t
            .with_active(mask, |t| key_exprs.iter().map(|key| key.trace(t, &rows)).collect::<Result<Vec<_>>>())?;
        let spec = &join.spec;
        let max_slots = self.most_slots();
        built.keys = JoinKeys::plan(&key_columns, (table.layout.rows, probes), max_slots, spec.null_equals_null);
        let numbers = built.keys.numbers(&mut trace.t, &key_columns, mask, capacity)?;
        let null_key = any_null(&mut trace.t, &key_columns, mask, capacity)?;
        let t = &mut trace.t;
        let mut outputs = Vec::new();
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
                outputs.extend(index.arrays);
                (index.ids, capacity)
            }
        };
        let n_index = outputs.len();
        let lowering = t.lowering;
        let (row_of, duplicates) = slot_rows::slot_rows(&mut t.builder, lowering, slots, n_slots)?;
        outputs.extend([row_of, slots, duplicates, null_key]);
        let error = t.error_code()?;
        outputs.extend(error);
        let traced = trace.finish(&outputs, &[])?;
        let mut buffers = self.run_once(&traced)?;
        if error.is_some() {
            check(&traced, &buffers.pop())?;
        }
        let flag = |buffer: Option<Buffer>| -> Result<bool> {
            Ok(buffer.map(|b| b.to_vec::<i32>()).transpose()?.is_some_and(|v| v[0] > 0))
        };
        built.has_null_key = flag(buffers.pop())?;
        built.unique = !flag(buffers.pop())?;
        let sides = buffers.into_iter().map(|b| Side::replicate(b, mesh)).collect::<Result<Vec<_>>>()?;
        built.index = sides[..n_index].to_vec();
        built.row_of = Some(Arc::clone(&sides[n_index]));
        built.slots = Some(Arc::clone(&sides[n_index + 1]));
        built.n_slots = n_slots;
        Ok(built)
    }

    /// Rows of each slot: `(starts, order)`.
    pub fn bucket_build_rows(&self, built: &Built) -> Result<(Arc<Side>, Arc<Side>)> {
        let Some(slots) = &built.slots else {
            return datafusion::common::internal_err!("a join without keys has no slots");
        };
        let mut trace = Trace::new("join_buckets", &self.options, 1, self.lowering());
        let slots = trace.side(slots);
        let lowering = trace.t.lowering;
        let (starts, order) = bucket_rows::bucket_rows(&mut trace.t.builder, lowering, slots, built.n_slots)?;
        let traced = trace.finish(&[starts, order], &[])?;
        let mut buffers = self.run_once(&traced)?.into_iter();
        let mut next = || match buffers.next() {
            Some(buffer) => Side::replicate(buffer, &self.device.mesh),
            None => datafusion::common::internal_err!("a program without its outputs"),
        };
        Ok((next()?, next()?))
    }

    /// All rows of a build side as a relation of the program.
    pub fn read_built(&self, trace: &mut Trace, built: &Built) -> Result<TracedRelation> {
        let columns = (0..built.columns.len()).map(|i| built.column(trace, i)).collect();
        let mask = first_rows(&mut trace.t, built.rows(), built.capacity())?;
        Ok(TracedRelation { columns, mask: Some(mask), capacity: built.capacity() })
    }

    /// All rows of a table that lies in one chunk as a relation of a program that runs on device 0.
    pub fn read_side(&self, trace: &mut Trace, table: &Arc<DeviceTable>) -> Result<TracedRelation> {
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let sides = Side::of_single(column);
            let arrays: Vec<Value> = sides.iter().map(|side| trace.side(side)).collect();
            columns.push(column_of(column, |_, part| arrays[part]));
        }
        let mask = first_rows(&mut trace.t, table.layout.rows, table.layout.capacity)?;
        Ok(TracedRelation { columns, mask: Some(mask), capacity: table.layout.capacity })
    }

    /// Runs a program of sides and constants once, on device 0.
    pub fn run_once(&self, traced: &TracedProgram) -> Result<Vec<Buffer>> {
        let start = std::time::Instant::now();
        let buffers = self.ready_on(traced, 1)?.run_sides()?;
        self.kernel_time(start.elapsed());
        Ok(buffers)
    }

    /// The rows of a program of sides and constants; if it does not say how many, the first `rows`.
    pub fn run_on_sides(&self, result: &ResultProgram, rows: usize) -> Result<Arc<DeviceTable>> {
        let buffers = self.run_once(&result.traced)?;
        self.single_table(result, &[], buffers, rows)
    }
}

/// The error that a program reported in its last output.
pub fn check(traced: &TracedProgram, code: &Option<Buffer>) -> Result<()> {
    let code = code.as_ref().map(|b| b.to_vec::<i32>()).transpose()?.map_or(0, |v| v[0]);
    if code > 0 { Err(failure(code, &traced.errors)) } else { Ok(()) }
}

/// `pred[capacity]`: the first `rows`.
pub fn first_rows(t: &mut Tracer, rows: usize, capacity: usize) -> Result<Value> {
    let row = t.builder.iota(Shape::new(S32, [capacity]), 0)?;
    let rows = t.scalar_parameter(S32, rows as i128);
    Ok(t.builder.compare(row, rows, Comparison::Lt)?)
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
