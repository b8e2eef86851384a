//! SUM of integers and decimals that is right or an error. DataFusion's wraps around: two of 9e37 as DECIMAL(38, 0) add up to less
//! than zero, and sums of more digits than the type has are printed without the first ones.

use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::{ScalarValue, exec_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Operator, ReversedUDAF,
    SetMonotonicity, Signature,
};

use crate::error::sum_out_of_range;

/// DataFusion's SUM with an exact total.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExactSum {
    replaced: AggregateUDF,
}

impl ExactSum {
    /// The function in the place of DataFusion's SUM of an argument of this type; `None` for others.
    pub fn in_place_of(function: &AggregateUDF, argument: &DataType) -> Option<Self> {
        let exact = argument.is_integer()
            || matches!(argument, DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..));
        let result = function.return_type(std::slice::from_ref(argument)).ok()?;
        let held = matches!(result, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..));
        (function.name() == "sum" && exact && held).then(|| Self { replaced: function.clone() })
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.replaced.name()
    }

    fn signature(&self) -> &Signature {
        self.replaced.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.replaced.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.replaced.return_type(arguments)
    }

    /// The sum so far in 38 digits, which sums of parts must have if the whole has them or not.
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = self.replaced.state_fields(args)?;
        let widened = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(STATE));
        Ok(fields.iter().map(widened).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup { total: 0, rows: 0, result: args.return_field.data_type().clone() }))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type().clone();
        Ok(Box::new(ManyGroups { totals: Vec::new(), seen: Vec::new(), result }))
    }

    fn simplify_expr_op_literal(
        &self,
        call: &AggregateFunction,
        argument: &Expr,
        op: Operator,
        literal: &Expr,
        is_left: bool,
    ) -> Result<Option<Expr>> {
        self.replaced.simplify_expr_op_literal(call, argument, op, literal, is_left)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.replaced.inner().set_monotonicity(data_type)
    }
}

/// The type of a sum between two phases: its 128 bits, whatever the digits.
const STATE: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

fn out_of_range<T>(result: &DataType) -> Result<T> {
    exec_err!("{}", sum_out_of_range(result))
}

/// The total as a value of the result's type.
///
/// # Errors
/// If it has no such value.
fn checked(total: i128, result: &DataType) -> Result<i128> {
    let fits = match result {
        DataType::Int64 => i64::try_from(total).is_ok(),
        DataType::UInt64 => u64::try_from(total).is_ok(),
        DataType::Decimal128(precision, _) => total.unsigned_abs() < 10u128.pow(u32::from(*precision)),
        _ => false,
    };
    if fits { Ok(total) } else { out_of_range(result) }
}

/// Calls `add` with the row and value of each valid row that passes the filter.
fn each_value(
    values: &ArrayRef,
    filter: Option<&BooleanArray>,
    mut add: impl FnMut(usize, i128) -> Result<()>,
) -> Result<()> {
    fn rows<T: ArrowPrimitiveType<Native: Into<i128>>>(
        values: &PrimitiveArray<T>,
        filter: Option<&BooleanArray>,
        add: &mut impl FnMut(usize, i128) -> Result<()>,
    ) -> Result<()> {
        if filter.is_none() && values.null_count() == 0 {
            return values.values().iter().enumerate().try_for_each(|(row, value)| add(row, (*value).into()));
        }
        let passes = |row: &usize| filter.is_none_or(|filter| filter.is_valid(*row) && filter.value(*row));
        let valid = |row: &usize| values.is_valid(*row);
        (0..values.len()).filter(valid).filter(passes).try_for_each(|row| add(row, values.value(row).into()))
    }
    match values.data_type() {
        DataType::Int64 => rows(values.as_primitive::<Int64Type>(), filter, &mut add),
        DataType::UInt64 => rows(values.as_primitive::<UInt64Type>(), filter, &mut add),
        DataType::Decimal128(..) => rows(values.as_primitive::<Decimal128Type>(), filter, &mut add),
        other => internal_err!("an exact sum of {other}"),
    }
}

fn only(values: &[ArrayRef]) -> Result<&ArrayRef> {
    match values {
        [values] => Ok(values),
        _ => internal_err!("a sum of {} arguments", values.len()),
    }
}

fn plus(total: i128, value: i128, result: &DataType) -> Result<i128> {
    total.checked_add(value).map_or_else(|| out_of_range(result), Ok)
}

/// The sum of one group, also of a window that slides.
#[derive(Debug)]
struct OneGroup {
    total: i128,
    /// Rows that are not NULL; in a merge, states.
    rows: u64,
    result: DataType,
}

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Self { total, rows, result } = self;
        each_value(only(values)?, None, |_, value| {
            *total = plus(*total, value, result)?;
            *rows += 1;
            Ok(())
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Self { total, rows, result } = self;
        each_value(only(values)?, None, |_, value| {
            *total = plus(*total, -value, result)?;
            *rows -= 1;
            Ok(())
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.rows == 0 {
            return ScalarValue::try_new_null(&self.result);
        }
        let total = checked(self.total, &self.result)?;
        Ok(match &self.result {
            DataType::Int64 => ScalarValue::Int64(Some(total as i64)),
            DataType::UInt64 => ScalarValue::UInt64(Some(total as u64)),
            DataType::Decimal128(precision, scale) => ScalarValue::Decimal128(Some(total), *precision, *scale),
            other => return internal_err!("an exact sum as {other}"),
        })
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let total = (self.rows > 0).then_some(self.total);
        Ok(vec![ScalarValue::Decimal128(total, DECIMAL128_MAX_PRECISION, 0)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The sums of many groups.
#[derive(Debug)]
struct ManyGroups {
    totals: Vec<i128>,
    /// Whether a group has a row that is not NULL.
    seen: Vec<bool>,
    result: DataType,
}

impl ManyGroups {
    /// The totals of the groups that are emitted; `None` is NULL.
    fn take(&mut self, emit_to: EmitTo) -> impl Iterator<Item = Option<i128>> {
        let (totals, seen) = (emit_to.take_needed(&mut self.totals), emit_to.take_needed(&mut self.seen));
        totals.into_iter().zip(seen).map(|(total, seen)| seen.then_some(total))
    }
}

impl GroupsAccumulator for ManyGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.totals.resize(group_count, 0);
        self.seen.resize(group_count, false);
        let Self { totals, seen, result } = self;
        each_value(only(values)?, filter, |row, value| {
            let group = groups[row];
            totals[group] = plus(totals[group], value, result)?;
            seen[group] = true;
            Ok(())
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let result = self.result.clone();
        let totals = self.take(emit_to).map(|total| total.map(|total| checked(total, &result)).transpose());
        let totals = totals.collect::<Result<Vec<Option<i128>>>>()?;
        let totals = totals.into_iter();
        Ok(match &result {
            DataType::Int64 => Arc::new(PrimitiveArray::<Int64Type>::from_iter(totals.map(|t| t.map(|t| t as i64)))),
            DataType::UInt64 => Arc::new(PrimitiveArray::<UInt64Type>::from_iter(totals.map(|t| t.map(|t| t as u64)))),
            _ => Arc::new(PrimitiveArray::<Decimal128Type>::from_iter(totals).with_data_type(result.clone())),
        })
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let totals = PrimitiveArray::<Decimal128Type>::from_iter(self.take(emit_to));
        Ok(vec![Arc::new(totals.with_data_type(STATE))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], group_count: usize) -> Result<()> {
        self.update_batch(values, groups, None, group_count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = only(values)?;
        let mut totals = vec![None; values.len()];
        each_value(values, filter, |row, value| {
            totals[row] = Some(value);
            Ok(())
        })?;
        Ok(vec![Arc::new(PrimitiveArray::<Decimal128Type>::from_iter(totals).with_data_type(STATE))])
    }

    fn size(&self) -> usize {
        self.totals.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}
