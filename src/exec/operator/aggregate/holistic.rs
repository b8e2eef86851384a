//! Aggregate functions that need all rows of a group at once: statistics (in `statistic`), order statistics and first and last
//! values by sorting within groups, bitwise functions by scatter.

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::exec::operator::aggregate::hashed::RowGrouping;
use crate::exec::trace::sort_keys::{KeyUse, KeyWords};
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::integer::{Int, Limbs};
use crate::expr::tracer::{TracedColumn, Tracer, Values, and_valid};
use crate::frontend::statistic::Statistic;
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::reduce::identity;
use crate::kernels::{dense_group, radix_sort, scan};
use crate::program::ElementType::{F64, S32, S64};

/// Functions of this module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowFunction {
    Statistic(Statistic),
    Bitwise(ReduceKind),
    /// The first or last row of a group in the order asked for.
    Edge {
        last: bool,
        ignore_nulls: bool,
    },
    Median,
    /// PERCENTILE_CONT of floats.
    Percentile(f64),
}

/// One call over the rows of all groups.
pub struct RowCall<'a> {
    pub function: RowFunction,
    pub columns: &'a [TracedColumn],
    /// Keys of ORDER BY.
    pub order: &'a [(TracedColumn, SortOptions)],
    /// Rows that are live and pass FILTER and DISTINCT; NULL arguments are not out yet. `None` is all.
    pub live: Option<Value>,
    pub data_type: &'a DataType,
    pub groups: &'a RowGrouping,
}

/// Rows in the order of their groups.
struct Ordered {
    /// `[rows]` s32 row ids; rows that do not count are last.
    rows: Value,
    /// `[slots]` s32: where each group begins, and how many of its rows count.
    starts: Value,
    counts: Value,
}

impl RowCall<'_> {
    /// The result of each slot.
    pub fn trace(&self, t: &mut Tracer) -> Result<TracedColumn> {
        match self.function {
            RowFunction::Statistic(statistic) => self.statistic(t, statistic),
            RowFunction::Bitwise(kind) => self.bitwise(t, kind),
            RowFunction::Edge { last, ignore_nulls } => self.edge(t, last, ignore_nulls),
            RowFunction::Median => self.median(t),
            RowFunction::Percentile(fraction) => self.percentile(t, fraction),
        }
    }

    /// Rows that count: live, and no argument is NULL.
    pub(super) fn counting(&self, t: &mut Tracer) -> Result<Option<Value>> {
        let mut live = self.live;
        for column in self.columns {
            live = and_valid(&mut t.builder, live, column.valid)?;
        }
        match live {
            Some(live) => Ok(Some(t.broadcast(live, self.groups.rows())?)),
            None => Ok(None),
        }
    }

    /// The slot of each row that counts; the others have the last.
    pub(super) fn ids(&self, t: &mut Tracer, live: Option<Value>) -> Result<Value> {
        let trash = t.builder.constant_of(S32, self.groups.slots as i128 - 1)?;
        Ok(match live {
            Some(live) => t.builder.select(live, self.groups.ids, trash)?,
            None => self.groups.ids,
        })
    }

    /// Sums of `values` `[rows]` by slot.
    pub(super) fn sums(&self, t: &mut Tracer, ids: Value, values: &[Value]) -> Result<Vec<Value>> {
        let mut targets = Vec::with_capacity(values.len());
        for value in values {
            let element_type = t.builder.element_type(*value);
            let zero = identity(&mut t.builder, ReduceKind::Add, element_type)?;
            targets.push((t.broadcast(zero, self.groups.slots)?, ReduceKind::Add));
        }
        Ok(dense_group::scatter_all(&mut t.builder, ids, &targets, values)?)
    }

    pub(super) fn counts(&self, t: &mut Tracer, ids: Value) -> Result<Value> {
        let one = t.builder.constant_of(S32, 1)?;
        let ones = t.broadcast(one, self.groups.rows())?;
        Ok(self.sums(t, ids, &[ones])?[0])
    }

    fn bitwise(&self, t: &mut Tracer, kind: ReduceKind) -> Result<TracedColumn> {
        let live = self.counting(t)?;
        let ids = self.ids(t, live)?;
        let int = *self.columns[0].int()?;
        let value = t.to_element(&int, S64)?;
        let value = t.broadcast(value, self.groups.rows())?;
        let start = identity(&mut t.builder, kind, S64)?;
        let start = t.broadcast(start, self.groups.slots)?;
        let bits = dense_group::scatter_all(&mut t.builder, ids, &[(start, kind)], &[value])?[0];
        let counts = self.counts(t, ids)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let valid = t.builder.compare(counts, zero, Comparison::Gt)?;
        let range = crate::expr::tracer::integer::type_range(self.data_type)?;
        let limbs = match range.storage() {
            Some(_) => Limbs::Narrow(bits),
            // All 64 bits of an unsigned type.
            None => {
                let lo = t.builder.bitcast_convert(bits, crate::program::ElementType::U64)?;
                let none = t.builder.constant(Scalar::S64(0));
                Limbs::Wide(crate::kernels::wide::Wide { hi: t.broadcast_like(none, lo)?, lo })
            }
        };
        let values = Values::Int(Int { limbs, range });
        Ok(TracedColumn { values, valid: Some(valid), data_type: self.data_type.clone(), dictionary: None })
    }

    /// Sorts rows by group, then by `keys`.
    fn ordered(&self, t: &mut Tracer, live: Option<Value>, keys: &[(TracedColumn, SortOptions)]) -> Result<Ordered> {
        let rows = self.groups.rows();
        let ids = self.ids(t, live)?;
        let mut words = KeyWords::new(rows);
        words.add_id(t, ids, self.groups.slots)?;
        for (column, options) in keys {
            words.add(t, column, *options, KeyUse::Sort)?;
        }
        let keys = words.pack(t)?;
        let order = radix_sort::argsort(&mut t.builder, t.lowering, &keys, rows)?;
        let counts = self.counts(t, ids)?;
        let (starts, _) = scan::exclusive_sum(&mut t.builder, t.lowering, counts)?;
        Ok(Ordered { rows: order, starts, counts })
    }

    /// The argument at position `at` of each group; NULL where the group has no rows.
    fn pick(&self, t: &mut Tracer, ordered: &Ordered, at: Value) -> Result<TracedColumn> {
        let rows = self.groups.rows();
        let last = t.builder.constant_of(S32, rows as i128 - 1)?;
        let position = t.builder.add(ordered.starts, at)?;
        let position = t.builder.minimum(position, last)?;
        let row = t.builder.take(ordered.rows, position)?;
        let mut column = t.take_column(&self.columns[0], row, rows)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let some = t.builder.compare(ordered.counts, zero, Comparison::Gt)?;
        column.valid = and_valid(&mut t.builder, column.valid, Some(some))?;
        column.data_type = self.data_type.clone();
        Ok(column)
    }

    fn edge(&self, t: &mut Tracer, last: bool, ignore_nulls: bool) -> Result<TracedColumn> {
        let live = if ignore_nulls {
            self.counting(t)?
        } else {
            match self.live {
                Some(live) => Some(t.broadcast(live, self.groups.rows())?),
                None => None,
            }
        };
        let ordered = self.ordered(t, live, self.order)?;
        let zero = t.builder.constant_of(S32, 0)?;
        let at = if last {
            let one = t.builder.constant_of(S32, 1)?;
            let at = t.builder.subtract(ordered.counts, one)?;
            t.builder.maximum(at, zero)?
        } else {
            t.broadcast_like(zero, ordered.counts)?
        };
        self.pick(t, &ordered, at)
    }

    /// Live rows ordered by the argument within each group.
    fn by_value(&self, t: &mut Tracer) -> Result<Ordered> {
        let live = self.counting(t)?;
        self.ordered(t, live, &[(self.columns[0].clone(), SortOptions::default())])
    }

    fn median(&self, t: &mut Tracer) -> Result<TracedColumn> {
        let ordered = self.by_value(t)?;
        let (one, two) = (t.builder.constant_of(S32, 1)?, t.builder.constant_of(S32, 2)?);
        let zero = t.builder.constant_of(S32, 0)?;
        let before = t.builder.subtract(ordered.counts, one)?;
        let before = t.builder.maximum(before, zero)?;
        let lower_at = t.builder.divide(before, two)?;
        let upper_at = t.builder.divide(ordered.counts, two)?;
        let lower = self.pick(t, &ordered, lower_at)?;
        let upper = self.pick(t, &ordered, upper_at)?;
        let odd = t.builder.remainder(ordered.counts, two)?;
        let odd = t.builder.compare(odd, zero, Comparison::Ne)?;
        let values = match &lower.values {
            Values::Float(l) => {
                let sum = t.builder.add(*l, upper.float()?)?;
                let two = t.builder.constant(Scalar::F64(2.0));
                let element_type = t.builder.element_type(sum);
                let two = t.builder.convert(two, element_type)?;
                let half = t.builder.divide(sum, two)?;
                Values::Float(t.builder.select(odd, *l, half)?)
            }
            _ => {
                let sum = t.exact(ArithmeticOp::Add, lower.int()?, upper.int()?)?.int;
                let two = t.constant_int(2);
                let half = t.exact(ArithmeticOp::Divide, &sum, &two)?.int;
                let half = Int { limbs: half.limbs, range: lower.int()?.range };
                Values::Int(t.fit(&half)?)
            }
        };
        Ok(TracedColumn { values, ..lower })
    }

    fn percentile(&self, t: &mut Tracer, fraction: f64) -> Result<TracedColumn> {
        let ordered = self.by_value(t)?;
        let counts = t.builder.convert(ordered.counts, F64)?;
        let (zero, one) = (t.builder.constant(Scalar::F64(0.0)), t.builder.constant(Scalar::F64(1.0)));
        let last = t.builder.subtract(counts, one)?;
        let last = t.builder.maximum(last, zero)?;
        let fraction = t.float_parameter(F64, fraction);
        let index = t.builder.multiply(last, fraction)?;
        let (low, high) = (t.builder.floor(index)?, t.builder.ceil(index)?);
        let position = |t: &mut Tracer, v: Value| t.builder.convert(v, S32);
        let (low_at, high_at) = (position(t, low)?, position(t, high)?);
        let (lower, upper) = (self.pick(t, &ordered, low_at)?, self.pick(t, &ordered, high_at)?);
        // DataFusion interpolates in steps of a millionth.
        let steps = t.float_parameter(F64, 1_000_000.0);
        let weight = t.builder.subtract(index, low)?;
        let weight = t.builder.multiply(weight, steps)?;
        let weight = t.builder.floor(weight)?;
        let weight = t.builder.divide(weight, steps)?;
        let (l, u) = (lower.float()?, upper.float()?);
        let step = t.builder.subtract(u, l)?;
        let step = t.builder.multiply(step, weight)?;
        let between = t.builder.add(l, step)?;
        let exact = t.builder.compare(low, high, Comparison::Eq)?;
        let value = t.builder.select(exact, l, between)?;
        Ok(TracedColumn { values: Values::Float(value), ..lower })
    }
}
