//! Traces a relation into one program: its source, its steps, and what is asked of the result.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;

use crate::columnar::decode::ColumnSpec;
use crate::columnar::range::Range;
use crate::columnar::representation::Representation;
use crate::columnar::table::{DeviceChunk, DeviceColumn, DeviceTable};
use crate::config::XlaOptions;
use crate::exec::trace::broadcast::BroadcastArray;
use crate::exec::trace::output::{LiveRows, OutputLayout};
use crate::exec::trace::selection::Selection;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{Input, TracedColumn, TracedRelation, Tracer, Values};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::reduce::{Reduction, reduce_all};
use crate::kernels::wide::Wide;
use crate::kernels::{Lowering, compact};
use crate::program::ElementType::{self, Pred, S32, S64};
use crate::program::{Program, Shape};

/// A program, where its arguments come from, and what its outputs are.
pub struct TracedProgram {
    pub program: Program,
    pub inputs: Vec<Input>,
    /// The arrays that `Input::Side` refers to.
    pub sides: Vec<Arc<BroadcastArray>>,
    pub layout: OutputLayout,
}

/// What is known of one result column.
#[derive(Clone, Debug)]
pub struct ResultColumn {
    pub spec: ColumnSpec,
    /// Range of the values that are not NULL; `None` for booleans and floats.
    pub range: Option<Range>,
}

impl ResultColumn {
    /// Arrays of the column: its values, then its validity.
    pub fn array_count(&self) -> usize {
        self.spec.representation.element_types().len() + usize::from(self.spec.nullable)
    }

    /// Element types of these arrays.
    pub fn element_types(&self) -> Vec<ElementType> {
        let values = self.spec.representation.element_types().iter().copied();
        values.chain(self.spec.nullable.then_some(Pred)).collect()
    }

    /// The column made of `chunks`, `[shard][chunk]`.
    pub fn device_column(&self, chunks: Vec<Vec<DeviceChunk>>) -> DeviceColumn {
        DeviceColumn {
            data_type: self.spec.data_type.clone(),
            representation: self.spec.representation,
            range: self.range,
            has_nulls: self.spec.nullable,
            unique: false,
            ascending: false,
            dictionary: self.spec.dictionary.clone(),
            chunks,
        }
    }
}

/// The program whose outputs are the rows of a relation.
pub struct ResultProgram {
    pub traced: TracedProgram,
    /// What the arrays are, column after column.
    pub columns: Vec<ResultColumn>,
    pub live: LiveRows,
    pub capacity: usize,
}

/// A program under construction, with what exec adds to the tracer.
pub struct Trace {
    pub t: Tracer,
    pub sides: Vec<Arc<BroadcastArray>>,
    pub options: XlaOptions,
    /// Live rows after each operator that is counted.
    pub counts: Vec<(ExecutionPlanMetricsSet, Value)>,
    /// Error code of the accumulators that the program starts from, and its messages.
    pub source_error: Option<(Value, Vec<ExpressionError>)>,
    pub devices: usize,
}

impl Trace {
    pub fn new(name: &str, options: &XlaOptions, devices: usize, lowering: Lowering) -> Self {
        let mut t = Tracer::new(name);
        t.lowering = lowering;
        Self { t, sides: Vec::new(), options: options.clone(), counts: Vec::new(), source_error: None, devices }
    }

    /// A whole array as a parameter; the same array is one parameter.
    pub fn side(&mut self, side: &Arc<BroadcastArray>) -> Value {
        let shape = side.shape().clone();
        let index = match self.sides.iter().position(|known| Arc::ptr_eq(known, side)) {
            Some(index) => index,
            None => {
                self.sides.push(Arc::clone(side));
                self.sides.len() - 1
            }
        };
        self.t.parameter(shape, Input::Side(index))
    }

    /// All rows of a table that lies in one chunk, as arrays that a program on device 0 reads whole.
    pub fn whole_table(&mut self, table: &Arc<DeviceTable>) -> Result<TracedRelation> {
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let sides = BroadcastArray::of_single(column);
            let arrays: Vec<Value> = sides.iter().map(|side| self.side(side)).collect();
            columns.push(column_of(column, |_, part| arrays[part]));
        }
        let mask = first_rows(&mut self.t, table.layout.rows, table.layout.capacity)?;
        Ok(TracedRelation { columns, mask: Some(mask), capacity: table.layout.capacity })
    }

    /// Counts the live rows after an operator, if rows are to be counted.
    pub fn count(&mut self, metrics: Option<&ExecutionPlanMetricsSet>, rows: &TracedRelation) -> Result<()> {
        if let (true, Some(metrics)) = (self.options.count_rows, metrics) {
            let live = self.count_live(rows)?;
            self.counts.push((metrics.clone(), live));
        }
        Ok(())
    }

    /// Live rows, a scalar s64.
    pub fn count_live(&mut self, rows: &TracedRelation) -> Result<Value> {
        let live = self.t.mask_of(rows)?;
        let ones = self.t.builder.convert(live, S32)?;
        self.t.sum_rows(ones)
    }

    /// The program whose outputs are the columns of `rows`, and what says which of its rows are live.
    pub fn finish_rows(mut self, mut rows: TracedRelation, live: LiveRows) -> Result<ResultProgram> {
        let mut live_output = None;
        match (live, rows.mask) {
            (LiveRows::Mask, mask) => {
                let always = self.t.builder.constant(Scalar::Pred(true));
                live_output = Some(self.t.broadcast(mask.unwrap_or(always), rows.capacity)?);
            }
            (LiveRows::Prefix, Some(mask)) => {
                let mask = self.t.broadcast(mask, rows.capacity)?;
                let live = compact::live_rows(&mut self.t.builder, self.t.lowering, mask)?;
                rows = self.t.take_rows(&rows, live.row_ids, rows.capacity)?;
                live_output = Some(live.count);
            }
            (LiveRows::Prefix, None) => {
                live_output = Some(self.t.builder.constant_of(S32, rows.capacity as i128)?);
            }
            (LiveRows::OfSource, _) => {}
        }
        let mut arrays = Vec::new();
        let mut columns = Vec::with_capacity(rows.columns.len());
        for column in &rows.columns {
            let (of_column, spec) = self.t.output(column, rows.capacity)?;
            arrays.extend(of_column);
            let range = match &column.values {
                Values::Int(int) => Some(int.range),
                _ => None,
            };
            columns.push(ResultColumn { spec, range });
        }
        Ok(ResultProgram { columns, live, capacity: rows.capacity, traced: self.finish(&arrays, live_output)? })
    }

    /// The program that gives `arrays`, the live rows, error codes and row counts.
    pub fn finish(mut self, arrays: &[Value], live: Option<Value>) -> Result<TracedProgram> {
        let mut outputs = arrays.to_vec();
        outputs.extend(live);
        let error = self.t.error_code()?;
        outputs.extend(error);
        let (source_error, source_errors) = self.source_error.take().unzip();
        outputs.extend(source_error);
        let (counted, counts): (Vec<_>, Vec<_>) = self.counts.drain(..).unzip();
        outputs.extend(counts);
        if outputs.is_empty() {
            // A program must give something, even for rows without columns.
            outputs.push(self.t.builder.constant(Scalar::S32(0)));
        }
        let layout = OutputLayout {
            arrays: arrays.len(),
            has_live: live.is_some(),
            errors: error.map(|_| self.t.errors.clone()),
            source_errors,
            counted,
        };
        self.finish_as(&outputs, &[], layout)
    }

    /// The program with exactly these outputs; `(output, input)` pairs share a buffer.
    pub fn finish_as(
        self,
        outputs: &[Value],
        aliases: &[(usize, usize)],
        layout: OutputLayout,
    ) -> Result<TracedProgram> {
        Ok(TracedProgram {
            program: self.t.builder.finish(outputs, aliases)?,
            inputs: self.t.inputs,
            sides: self.sides,
            layout,
        })
    }
}

/// `pred[capacity]`: the first `rows`.
pub fn first_rows(t: &mut Tracer, rows: usize, capacity: usize) -> Result<Value> {
    let row = t.builder.iota(Shape::new(S32, [capacity]), 0)?;
    let rows = t.scalar_parameter(S32, rows as i128);
    Ok(t.builder.compare(row, rows, Comparison::Lt)?)
}

/// The chunk as the program sees it: every column a parameter, and a mask of the rows below the row count.
pub fn source_relation(
    t: &mut Tracer,
    table: &DeviceTable,
    selection: Option<&Arc<Selection>>,
) -> Result<TracedRelation> {
    let whole = table.layout.capacity;
    let mut columns = Vec::with_capacity(table.columns.len());
    for (index, column) in table.columns.iter().enumerate() {
        let column = column_of(column, |shape_of, part| {
            t.parameter(Shape::new(shape_of, [whole]), Input::Column { column: index, part })
        });
        columns.push(column);
    }
    let capacity = selection.map_or(whole, |selection| selection.capacity);
    if let Some(selection) = selection {
        let row_ids = selected_ids(t, selection)?;
        let all = TracedRelation { columns, mask: None, capacity: whole };
        columns = t.take_rows(&all, row_ids, capacity)?.columns;
    }
    let rows = t.parameter(Shape::scalar(S32), Input::RowCount);
    let row = t.builder.iota(Shape::new(S32, [capacity]), 0)?;
    let mask = t.builder.compare(row, rows, Comparison::Lt)?;
    Ok(TracedRelation { columns, mask: Some(mask), capacity })
}

/// The rows of the chunk that were selected, `[capacity]` s32.
pub fn selected_ids(t: &mut Tracer, selection: &Selection) -> Result<Value> {
    let row_ids = t.parameter(Shape::new(S32, [selection.ids]), Input::Selection);
    Ok(t.builder.slice(row_ids, &[0], &[selection.capacity], &[1])?)
}

/// A column of device arrays as traced values; `array(element type, part)` gives each array.
pub fn column_of(
    column: &DeviceColumn,
    mut array: impl FnMut(crate::program::ElementType, usize) -> Value,
) -> TracedColumn {
    let element_types = column.representation.element_types();
    let arrays: Vec<Value> = element_types.iter().enumerate().map(|(part, e)| array(*e, part)).collect();
    let valid = column.has_nulls.then(|| array(Pred, arrays.len()));
    let range = column.range.unwrap_or(Range::FULL);
    let values = match column.representation {
        Representation::Pred => Values::Pred(arrays[0]),
        Representation::Float(_) => Values::Float(arrays[0]),
        Representation::Int(_) => Values::Int(Int { limbs: Limbs::Narrow(arrays[0]), range }),
        Representation::Wide => Values::Int(Int { limbs: Limbs::Wide(Wide { hi: arrays[0], lo: arrays[1] }), range }),
    };
    TracedColumn { values, valid, data_type: column.data_type.clone(), dictionary: column.dictionary.clone() }
}

impl Tracer {
    /// The sum of small integers `[n]` s32, a scalar s64.
    pub fn sum_rows(&mut self, values: Value) -> Result<Value> {
        let reduction = Reduction { operand: values, kind: ReduceKind::Add, total_type: S64 };
        Ok(reduce_all(&mut self.builder, &[reduction])?[0])
    }

    /// The rows `row_ids` `[n]` of a relation; what the mask says of them is left out.
    pub fn take_rows(&mut self, rows: &TracedRelation, row_ids: Value, n: usize) -> Result<TracedRelation> {
        let mut columns = Vec::with_capacity(rows.columns.len());
        for column in &rows.columns {
            columns.push(self.take_column(column, row_ids, rows.capacity)?);
        }
        Ok(TracedRelation { columns, mask: None, capacity: n })
    }

    /// The values of `column` (of `capacity` rows) at `row_ids`.
    pub fn take_column(&mut self, column: &TracedColumn, row_ids: Value, capacity: usize) -> Result<TracedColumn> {
        let take = |t: &mut Self, v: Value| -> Result<Value> {
            // A scalar is the same for every row.
            if t.builder.shape(v).rank() == 0 {
                return Ok(v);
            }
            debug_assert_eq!(t.builder.shape(v).dims, [capacity]);
            Ok(t.builder.take(v, row_ids)?)
        };
        let values = match &column.values {
            Values::Pred(v) => Values::Pred(take(self, *v)?),
            Values::Float(v) => Values::Float(take(self, *v)?),
            Values::Int(int) => {
                let limbs = match int.limbs {
                    Limbs::Narrow(v) => Limbs::Narrow(take(self, v)?),
                    Limbs::Wide(w) => Limbs::Wide(Wide { hi: take(self, w.hi)?, lo: take(self, w.lo)? }),
                };
                Values::Int(Int { limbs, range: int.range })
            }
        };
        let valid = match column.valid {
            Some(valid) => Some(take(self, valid)?),
            None => None,
        };
        Ok(TracedColumn { values, valid, ..column.clone() })
    }
}
