//! MIN and MAX of floats, with NaN above all numbers. DataFusion's skip NaN where rows are grouped, and may read the answer off
//! statistics that leave NaN out.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature};

use crate::frontend::is_own_aggregate;

/// DataFusion's MIN or MAX for floats.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Extreme {
    replaced: AggregateUDF,
    /// The order of a better value relative to the one before.
    better: Ordering,
}

/// The function in the place of DataFusion's MIN or MAX; `None` for others.
pub fn extreme(function: &AggregateUDF) -> Option<Arc<AggregateUDF>> {
    let better = match function.name() {
        "min" => Ordering::Less,
        "max" => Ordering::Greater,
        _ => return None,
    };
    let replace = || Arc::new(AggregateUDF::from(Extreme { replaced: function.clone(), better }));
    is_own_aggregate(function).then(replace)
}

/// Whether this is one of these functions, which mean what DataFusion's of the same name do.
pub fn is_extreme(function: &AggregateUDF) -> bool {
    function.inner().is::<Extreme>()
}

impl AggregateUDFImpl for Extreme {
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

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.replaced.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let better = self.better;
        Ok(match args.return_field.data_type() {
            DataType::Float64 => Box::new(OneGroup::<Float64Type>::new(better)),
            DataType::Float32 => Box::new(OneGroup::<Float32Type>::new(better)),
            DataType::Float16 => Box::new(OneGroup::<Float16Type>::new(better)),
            other => return internal_err!("{} of {other} as a float", self.name()),
        })
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let better = self.better;
        Ok(match args.return_field.data_type() {
            DataType::Float64 => Box::new(ManyGroups::<Float64Type>::new(better)),
            DataType::Float32 => Box::new(ManyGroups::<Float32Type>::new(better)),
            DataType::Float16 => Box::new(ManyGroups::<Float16Type>::new(better)),
            other => return internal_err!("{} of {other} as a float", self.name()),
        })
    }
}

/// Floats in SQL's order.
trait Float: ArrowPrimitiveType<Native: PartialOrd> + Debug + Send + Sync {
    fn is_nan(value: Self::Native) -> bool;

    fn is_negative(value: Self::Native) -> bool;

    /// The order of two values; of equal zeros the one with the sign is first, so that the result is the same in any order of rows.
    fn order(a: Self::Native, b: Self::Native) -> Ordering {
        match a.partial_cmp(&b) {
            Some(Ordering::Equal) => Self::is_negative(b).cmp(&Self::is_negative(a)),
            Some(order) => order,
            None => Self::is_nan(a).cmp(&Self::is_nan(b)),
        }
    }
}

impl Float for Float64Type {
    fn is_nan(value: f64) -> bool {
        value.is_nan()
    }

    fn is_negative(value: f64) -> bool {
        value.is_sign_negative()
    }
}

impl Float for Float32Type {
    fn is_nan(value: f32) -> bool {
        value.is_nan()
    }

    fn is_negative(value: f32) -> bool {
        value.is_sign_negative()
    }
}

impl Float for Float16Type {
    fn is_nan(value: Self::Native) -> bool {
        value.is_nan()
    }

    fn is_negative(value: Self::Native) -> bool {
        value.is_sign_negative()
    }
}

/// The extreme of one group, also of a window that slides.
#[derive(Debug)]
struct OneGroup<T: Float> {
    better: Ordering,
    /// The values that are or can still become the extreme, and their row numbers: each is better than those after it. Without a
    /// window that slides only the first one matters.
    candidates: VecDeque<(u64, T::Native)>,
    added: u64,
    removed: u64,
}

impl<T: Float> OneGroup<T> {
    fn new(better: Ordering) -> Self {
        Self { better, candidates: VecDeque::new(), added: 0, removed: 0 }
    }

    fn value(&self) -> Result<ScalarValue> {
        let array = PrimitiveArray::<T>::from_iter([self.candidates.front().map(|(_, value)| *value)]);
        ScalarValue::try_from_array(&array, 0)
    }
}

impl<T: Float> Accumulator for OneGroup<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return internal_err!("an extreme of {} arguments", values.len()) };
        for value in values.as_primitive::<T>().iter().flatten() {
            while self.candidates.back().is_some_and(|(_, last)| T::order(*last, value) != self.better) {
                self.candidates.pop_back();
            }
            self.candidates.push_back((self.added, value));
            self.added += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else { return internal_err!("an extreme of {} arguments", values.len()) };
        self.removed += (values.len() - values.null_count()) as u64;
        while self.candidates.front().is_some_and(|(row, _)| *row < self.removed) {
            self.candidates.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.value()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.candidates.capacity() * size_of::<(u64, T::Native)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// The extremes of many groups.
#[derive(Debug)]
struct ManyGroups<T: Float> {
    better: Ordering,
    values: Vec<Option<T::Native>>,
}

impl<T: Float> ManyGroups<T> {
    fn new(better: Ordering) -> Self {
        Self { better, values: Vec::new() }
    }
}

impl<T: Float> GroupsAccumulator for ManyGroups<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.values.resize(group_count, None);
        let [values] = values else { return internal_err!("an extreme of {} arguments", values.len()) };
        let passes = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        for ((row, value), group) in values.as_primitive::<T>().iter().enumerate().zip(groups) {
            let Some(value) = value.filter(|_| passes(row)) else { continue };
            let known = &mut self.values[*group];
            if known.is_none_or(|known| T::order(value, known) == self.better) {
                *known = Some(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(PrimitiveArray::<T>::from_iter(emit_to.take_needed(&mut self.values))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], group_count: usize) -> Result<()> {
        self.update_batch(values, groups, None, group_count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let [values] = values else { return internal_err!("an extreme of {} arguments", values.len()) };
        let passes = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let kept = values.as_primitive::<T>().iter().enumerate().map(|(row, value)| value.filter(|_| passes(row)));
        Ok(vec![Arc::new(PrimitiveArray::<T>::from_iter(kept))])
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Option<T::Native>>()
    }
}
