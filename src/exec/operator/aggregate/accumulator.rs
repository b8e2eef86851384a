//! The accumulators of each aggregate function: what every row contributes (update), and the result from the totals
//! (finish). Updates that are the same for two functions are one accumulator.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

use crate::columnar::dictionary::Dictionary;
use crate::columnar::range::Range;
use crate::error::sum_out_of_range;
use crate::expr::ir::ArithmeticOp;
use crate::expr::tracer::error::ExpressionError;
use crate::expr::tracer::integer::{Int, Limbs, power_of_ten};
use crate::expr::tracer::{TracedColumn, Tracer, Values};
use crate::hlo::{Comparison, ReduceKind, Scalar, Value};
use crate::kernels::reduce::identity;
use crate::kernels::{order_key, wide, wide_average};
use crate::program::ElementType::{self, F64, S32, S64, U64};

/// Functions with a device form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateFunction {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    BoolAnd,
    BoolOr,
}

/// One accumulator: an array of slots, or a scalar without GROUP BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accumulator {
    pub element_type: ElementType,
    pub kind: ReduceKind,
    /// The accumulator that this one refines: only contributions that reach its final value count. The low limb of an
    /// extreme of 128 bits refines the high one. What is refined comes first in the list.
    pub refines: Option<usize>,
}

/// What each row adds to an accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// `[capacity]`, the identity where the row does not count.
    pub value: Value,
    pub accumulator: Accumulator,
}

/// How min and max map their argument to a signed integer that orders alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExtremeForm {
    Boolean,
    Integer,
    /// Unsigned 64-bit values with the top bit turned.
    Unsigned,
    Float,
}

/// How a result is made of the totals, by accumulator index.
#[derive(Clone, Debug)]
enum FinishForm {
    Count,
    /// An exact sum of lanes 32 bits apart (one lane: the sum itself), which fails outside of `limit`.
    ExactSum {
        lanes: Vec<usize>,
        range: Range,
        limit: Range,
    },
    FloatSum {
        sum: usize,
    },
    /// By the sums of the halves of each value.
    FloatAverage {
        sums: [usize; 2],
    },
    /// Of integers, by their exact sum.
    IntegerAverage {
        lanes: Vec<usize>,
        range: Range,
    },
    DecimalAverage {
        lanes: Vec<usize>,
        range: Range,
        scale_up: u32,
        precision: u8,
    },
    Extreme {
        value: usize,
        form: ExtremeForm,
        range: Range,
        dictionary: Option<Arc<Dictionary>>,
    },
    /// An extreme of 128 bits; `lo` refines `hi`.
    WideExtreme {
        hi: usize,
        lo: usize,
        range: Range,
    },
}

/// The finish of one function.
#[derive(Clone, Debug)]
pub struct Finish {
    form: FinishForm,
    /// Rows that counted; `None` where every group has some.
    count: Option<usize>,
    data_type: DataType,
}

/// Collects the updates of all functions, each once.
#[derive(Default)]
pub struct Updates {
    pub list: Vec<Update>,
    /// An accumulator that is above zero wherever a row was: a sum of values above zero.
    pub positive: Option<usize>,
}

impl Updates {
    pub fn add(&mut self, value: Value, element_type: ElementType, kind: ReduceKind) -> usize {
        self.add_refining(value, element_type, kind, None)
    }

    fn add_refining(
        &mut self,
        value: Value,
        element_type: ElementType,
        kind: ReduceKind,
        refines: Option<usize>,
    ) -> usize {
        let update = Update { value, accumulator: Accumulator { element_type, kind, refines } };
        match self.list.iter().position(|u| *u == update) {
            Some(index) => index,
            None => {
                self.list.push(update);
                self.list.len() - 1
            }
        }
    }

    /// Counts the rows of `live` (`None`: all).
    pub fn count(&mut self, t: &mut Tracer, live: Option<Value>, capacity: usize, max_rows: usize) -> Result<usize> {
        let ones = match live {
            Some(live) => t.builder.convert(live, S32)?,
            None => t.builder.constant(Scalar::S32(1)),
        };
        let ones = t.broadcast(ones, capacity)?;
        Ok(self.add(ones, total_type(Some(Range::new(0, max_rows as i128))), ReduceKind::Add))
    }
}

/// What a function sees of the relation.
pub struct Argument {
    /// `None` for COUNT(*).
    pub column: Option<TracedColumn>,
    /// Rows that count: live, not NULL, and passing FILTER; `None` is all.
    pub live: Option<Value>,
    pub capacity: usize,
    /// No accumulator sees more rows than this.
    pub max_rows: usize,
    /// Whether a group without a counting row can be in the result.
    pub may_be_empty: bool,
}

/// The accumulator of a sum within `range`: half the bytes where 32 bits hold it.
fn total_type(range: Option<Range>) -> ElementType {
    match range.and_then(|r| r.storage()) {
        Some(element_type) if element_type.size_bytes() <= 4 => S32,
        _ => S64,
    }
}

impl AggregateFunction {
    /// Adds this function's updates and says how to finish.
    pub fn trace_update(
        self,
        t: &mut Tracer,
        updates: &mut Updates,
        argument: &Argument,
        data_type: &DataType,
    ) -> Result<Finish> {
        let count = if self == Self::Count || self == Self::Avg || argument.may_be_empty {
            Some(updates.count(t, argument.live, argument.capacity, argument.max_rows)?)
        } else {
            None
        };
        let form = match (self, &argument.column) {
            (Self::Count, _) => FinishForm::Count,
            (Self::Min | Self::Max | Self::BoolAnd | Self::BoolOr, Some(column)) => {
                self.extreme_update(t, updates, argument, column)?
            }
            (Self::Sum | Self::Avg, Some(column)) => self.sum_update(t, updates, argument, column, data_type)?,
            (_, None) => return Err(DataFusionError::Internal(format!("{self:?} without an argument"))),
        };
        Ok(Finish { form, count, data_type: data_type.clone() })
    }

    fn extreme_update(
        self,
        t: &mut Tracer,
        updates: &mut Updates,
        argument: &Argument,
        column: &TracedColumn,
    ) -> Result<FinishForm> {
        column.check_ordered()?;
        let least = matches!(self, Self::Min | Self::BoolAnd);
        let kind = if least { ReduceKind::Minimum } else { ReduceKind::Maximum };
        let full = Range::new(0, 1);
        let (key, form, range) = match &column.values {
            Values::Pred(v) => (t.builder.convert(*v, S32)?, ExtremeForm::Boolean, full),
            Values::Float(v) => {
                let value = t.one_nan(*v)?;
                (order_key::from_float(&mut t.builder, value)?, ExtremeForm::Float, full)
            }
            Values::Int(Int { limbs: Limbs::Narrow(v), range }) => {
                let element_type = if t.builder.element_type(*v).size_bytes() == 8 { S64 } else { S32 };
                (t.builder.convert(*v, element_type)?, ExtremeForm::Integer, *range)
            }
            Values::Int(Int { limbs: Limbs::Wide(w), range }) => {
                if !Range::new(0, u64::MAX as i128).contains(range) {
                    let lo = flip_top_bit(t, w.lo)?;
                    let (hi, lo) = (contributing(t, w.hi, argument, kind)?, contributing(t, lo, argument, kind)?);
                    let hi = updates.add(hi, S64, kind);
                    let lo = updates.add_refining(lo, S64, kind, Some(hi));
                    return Ok(FinishForm::WideExtreme { hi, lo, range: *range });
                }
                (flip_top_bit(t, w.lo)?, ExtremeForm::Unsigned, *range)
            }
        };
        let element_type = t.builder.element_type(key);
        let value = contributing(t, key, argument, kind)?;
        let value = updates.add(value, element_type, kind);
        Ok(FinishForm::Extreme { value, form, range, dictionary: column.dictionary.clone() })
    }

    fn sum_update(
        self,
        t: &mut Tracer,
        updates: &mut Updates,
        argument: &Argument,
        column: &TracedColumn,
        data_type: &DataType,
    ) -> Result<FinishForm> {
        if let Values::Float(v) = &column.values {
            let value = t.builder.convert(*v, F64)?;
            let value = contributing(t, value, argument, ReduceKind::Add)?;
            if self == Self::Avg {
                let (upper, lower) = t.halves(value)?;
                let sums = [upper, lower].map(|half| updates.add(half, F64, ReduceKind::Add));
                return Ok(FinishForm::FloatAverage { sums });
            }
            return Ok(FinishForm::FloatSum { sum: updates.add(value, F64, ReduceKind::Add) });
        }
        let int = *column.int()?;
        let rows = argument.max_rows.max(1) as i128;
        let total = int
            .range
            .min
            .min(0)
            .checked_mul(rows)
            .zip(int.range.max.max(0).checked_mul(rows))
            .map(|(min, max)| Range::new(min, max));
        let scale = match &column.data_type {
            DataType::Decimal128(_, scale) => Some(*scale),
            _ => None,
        };
        let limit = match data_type {
            DataType::UInt64 => Range::new(0, u64::MAX as i128),
            DataType::Int64 => Range::new(i64::MIN as i128, i64::MAX as i128),
            DataType::Decimal128(precision, _) => {
                let most = power_of_ten(u32::from(*precision))? - 1;
                Range::new(-most, most)
            }
            _ => Range::FULL,
        };
        let one_lane = total.is_some_and(|r| r.storage().is_some());
        let values = match int.limbs {
            Limbs::Narrow(v) if one_lane => vec![t.narrow_update(v, int.range)?],
            Limbs::Narrow(v) => wide::narrow_to_lanes(&mut t.builder, v)?.to_vec(),
            Limbs::Wide(w) => wide::to_lanes(&mut t.builder, w)?.to_vec(),
        };
        let mut lanes = Vec::with_capacity(values.len());
        for value in values {
            let value = contributing(t, value, argument, ReduceKind::Add)?;
            let element_type = if one_lane { total_type(total) } else { S64 };
            lanes.push(updates.add(value, element_type, ReduceKind::Add));
        }
        if let (true, [lane]) = (argument.live.is_none() && int.range.min > 0, lanes.as_slice()) {
            updates.positive.get_or_insert(*lane);
        }
        let range = total.unwrap_or(Range::FULL);
        Ok(match (self, data_type) {
            (Self::Avg, DataType::Decimal128(precision, target)) => FinishForm::DecimalAverage {
                lanes,
                range,
                scale_up: (*target - scale.unwrap_or(0)).max(0) as u32,
                precision: *precision,
            },
            (Self::Avg, _) => FinishForm::IntegerAverage { lanes, range },
            _ => FinishForm::ExactSum { lanes, range, limit },
        })
    }
}

/// DataFusion's error of an average that its type does not hold.
const AVERAGE_OVERFLOW: &str = "Arithmetic Overflow in AvgAccumulator";

impl Tracer {
    /// A value in the narrowest type in which eight of them add up without overflow: the first step of a reduce.
    fn narrow_update(&mut self, value: Value, range: Range) -> Result<Value> {
        let eight = Range::new(range.min.min(0).saturating_mul(8), range.max.max(0).saturating_mul(8));
        let element_type = match eight.storage() {
            Some(t) if t.size_bytes() <= 4 => S32,
            _ => S64,
        };
        Ok(self.builder.convert(value, element_type)?)
    }

    /// An exact sum from its lanes, failing where it leaves 128 bits.
    fn exact_sum(&mut self, lanes: &[usize], range: Range, totals: &[Value], live: Option<Value>) -> Result<Int> {
        if let [lane] = lanes {
            return Ok(Int { limbs: Limbs::Narrow(totals[*lane]), range });
        }
        let lanes: Vec<Value> = lanes.iter().map(|l| totals[*l]).collect();
        let (sum, overflow) = wide::from_lanes(&mut self.builder, &lanes)?;
        if range == Range::FULL {
            self.fail(overflow, live, ExpressionError::overflow("a decimal sum exceeds 128 bits"))?;
        }
        Ok(Int { limbs: Limbs::Wide(sum), range })
    }
}

impl Finish {
    /// The result column from the totals, arrays of slots or scalars.
    pub fn trace(&self, t: &mut Tracer, totals: &[Value], max_rows: usize) -> Result<TracedColumn> {
        let count = self.count.map(|c| totals[c]);
        let counted = match count {
            Some(count) => {
                let zero = t.builder.constant(Scalar::S64(0));
                Some(t.builder.compare(count, zero, Comparison::Gt)?)
            }
            None => None,
        };
        let mut dictionary = None;
        let mut valid = counted;
        let values = match &self.form {
            FinishForm::Count => {
                valid = None;
                let count = count.ok_or_else(|| DataFusionError::Internal("COUNT without a count".into()))?;
                Values::Int(Int { limbs: Limbs::Narrow(count), range: Range::new(0, max_rows as i128) })
            }
            FinishForm::ExactSum { lanes, range, limit } => {
                let sum = t.exact_sum(lanes, *range, totals, counted)?;
                let error = ExpressionError::execution(sum_out_of_range(&self.data_type));
                Values::Int(t.confine_or_fail(&sum, limit, counted, error)?)
            }
            FinishForm::FloatSum { sum } => Values::Float(self.to_float_type(t, totals[*sum])?),
            FinishForm::FloatAverage { sums: [upper, lower] } => {
                let sum = t.builder.add(totals[*upper], totals[*lower])?;
                let count = t.builder.convert(count_of_average(count)?, F64)?;
                let average = t.float_arithmetic(ArithmeticOp::Divide, sum, count)?;
                Values::Float(self.to_float_type(t, average)?)
            }
            FinishForm::IntegerAverage { lanes, range } => {
                let sum = t.exact_sum(lanes, *range, totals, counted)?;
                Values::Float(t.integer_average(&sum, count_of_average(count)?, max_rows)?)
            }
            FinishForm::DecimalAverage { lanes, range, scale_up, precision } => {
                let count = count_of_average(count)?;
                let average = match lanes.as_slice() {
                    // The average may have room where the sum does not.
                    [a, b, c, d] if *range == Range::FULL => {
                        let lanes = [*a, *b, *c, *d].map(|lane| totals[lane]);
                        t.wide_average(lanes, count, *scale_up, counted)?
                    }
                    _ => {
                        let sum = t.exact_sum(lanes, *range, totals, counted)?;
                        t.decimal_average(sum, count, *scale_up, counted, max_rows)?
                    }
                };
                Values::Int(t.within_average(average, *precision, counted)?)
            }
            FinishForm::WideExtreme { hi, lo, range } => {
                let bits = t.builder.bitcast_convert(totals[*lo], U64)?;
                let lo = flip_top_bit(t, bits)?;
                let lo = t.builder.bitcast_convert(lo, U64)?;
                Values::Int(Int { limbs: Limbs::Wide(wide::Wide { hi: totals[*hi], lo }), range: *range })
            }
            FinishForm::Extreme { value, form, range, dictionary: codes } => {
                dictionary = codes.clone();
                let value = totals[*value];
                match form {
                    ExtremeForm::Boolean => {
                        let zero = t.builder.constant(Scalar::S32(0));
                        Values::Pred(t.builder.compare(value, zero, Comparison::Gt)?)
                    }
                    ExtremeForm::Float => Values::Float(order_key::to_float(&mut t.builder, value)?),
                    ExtremeForm::Integer => Values::Int(Int { limbs: Limbs::Narrow(value), range: *range }),
                    ExtremeForm::Unsigned => {
                        let bits = t.builder.bitcast_convert(value, U64)?;
                        let lo = flip_top_bit(t, bits)?;
                        let lo = t.builder.bitcast_convert(lo, U64)?;
                        let zero = t.builder.constant(Scalar::S64(0));
                        let hi = t.broadcast_like(zero, lo)?;
                        Values::Int(Int { limbs: Limbs::Wide(wide::Wide { hi, lo }), range: *range })
                    }
                }
            }
        };
        Ok(TracedColumn { values, valid, data_type: self.data_type.clone(), dictionary })
    }

    fn to_float_type(&self, t: &mut Tracer, value: Value) -> Result<Value> {
        match self.data_type {
            DataType::Float32 => Ok(t.builder.convert(value, ElementType::F32)?),
            _ => Ok(value),
        }
    }
}

fn count_of_average(count: Option<Value>) -> Result<Value> {
    count.ok_or_else(|| DataFusionError::Internal("AVG without a count".into()))
}

impl Tracer {
    /// `sum / count`, rounded as the host's: the quotient is exact up to 53 bits, and beyond them the rest is not seen.
    fn integer_average(&mut self, sum: &Int, count: Value, max_rows: usize) -> Result<Value> {
        let divisor = self.divisor(count, max_rows)?;
        let quotient = self.exact(ArithmeticOp::Divide, sum, &divisor)?.int;
        let rest = self.exact(ArithmeticOp::Remainder, sum, &divisor)?.int;
        let (quotient, rest) = (self.int_to_float(&quotient, F64)?, self.int_to_float(&rest, F64)?);
        let divisor = self.int_to_float(&divisor, F64)?;
        let rest = self.float_arithmetic(ArithmeticOp::Divide, rest, divisor)?;
        Ok(self.builder.add(quotient, rest)?)
    }

    /// Groups without rows get any divisor but zero: their average is NULL.
    fn divisor(&mut self, count: Value, max_rows: usize) -> Result<Int> {
        let one = self.builder.constant(Scalar::S64(1));
        let count = self.builder.maximum(count, one)?;
        Ok(Int { limbs: Limbs::Narrow(count), range: Range::new(1, max_rows.max(1) as i128) })
    }

    /// `sum * 10^scale_up / count`, truncated, as DataFusion's `DecimalAverager`.
    fn decimal_average(
        &mut self,
        sum: Int,
        count: Value,
        scale_up: u32,
        counted: Option<Value>,
        max_rows: usize,
    ) -> Result<Int> {
        let factor = self.constant_int(power_of_ten(scale_up)?);
        let scaled = self.exact(ArithmeticOp::Multiply, &sum, &factor)?;
        if let Some(overflow) = scaled.overflow {
            self.fail(overflow, counted, ExpressionError::execution(AVERAGE_OVERFLOW))?;
        }
        let count = self.divisor(count, max_rows)?;
        Ok(self.exact(ArithmeticOp::Divide, &scaled.int, &count)?.int)
    }

    /// The same of a sum that 128 bits may not hold.
    fn wide_average(&mut self, lanes: [Value; 4], count: Value, scale_up: u32, counted: Option<Value>) -> Result<Int> {
        let one = self.builder.constant(Scalar::S64(1));
        let count = self.builder.convert(count, S64)?;
        let count = self.builder.maximum(count, one)?;
        let (average, overflow) = wide_average::average(&mut self.builder, lanes, 10i64.pow(scale_up), count)?;
        self.fail(overflow, counted, ExpressionError::execution(AVERAGE_OVERFLOW))?;
        Ok(Int { limbs: Limbs::Wide(average), range: Range::FULL })
    }

    fn within_average(&mut self, average: Int, precision: u8, counted: Option<Value>) -> Result<Int> {
        let limit = power_of_ten(u32::from(precision))? - 1;
        if let Some(outside) = self.outside(&average, &Range::new(-limit, limit))? {
            self.fail(outside, counted, ExpressionError::execution(AVERAGE_OVERFLOW))?;
        }
        Ok(average)
    }
}

/// `value` where the row counts, the identity of `kind` elsewhere, as an array.
fn contributing(t: &mut Tracer, value: Value, argument: &Argument, kind: ReduceKind) -> Result<Value> {
    let value = t.broadcast(value, argument.capacity)?;
    match argument.live {
        None => Ok(value),
        Some(live) => {
            let element_type = t.builder.element_type(value);
            let identity = identity(&mut t.builder, kind, element_type)?;
            Ok(t.builder.select(live, value, identity)?)
        }
    }
}

/// u64 -> s64 that orders alike (and back, on the bits).
fn flip_top_bit(t: &mut Tracer, value: Value) -> Result<Value> {
    let top = t.builder.constant_of(U64, 1i128 << 63)?;
    let flipped = t.builder.xor(value, top)?;
    Ok(t.builder.bitcast_convert(flipped, S64)?)
}
