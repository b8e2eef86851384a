//! Aggregation by states that rows are added to and that merge: DataFusion's accumulators, of one group and of many, over any
//! such state.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Float64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// What is known of the rows of one group.
pub trait AggregateState: Copy + Default + Debug + Send + Sync + 'static {
    /// The arguments of one row, none of them NULL.
    type Row: Copy + Send + Sync;

    /// The rows of the arguments; `None` where one is NULL.
    fn rows(arguments: &[ArrayRef]) -> Result<Vec<Option<Self::Row>>>;

    fn add(&mut self, row: Self::Row);

    /// Takes a row out again, as sliding windows do.
    fn remove(&mut self, row: Self::Row);

    /// Whether rows that were removed may have taken digits of what remains with them.
    fn is_doubtful(&self) -> bool;

    /// Adds the rows of another group.
    fn merge(&mut self, other: &Self);

    /// Names and types of the columns that hold states between two phases. None of them is NULL.
    fn fields() -> Vec<(&'static str, DataType)>;

    fn encode(states: &[Self]) -> Vec<ArrayRef>;

    fn decode(arrays: &[ArrayRef]) -> Vec<Self>;
}

/// What states give in the end.
pub type Finish<S> = Arc<dyn Fn(&[S]) -> Result<ArrayRef> + Send + Sync>;

/// A number for each state; `None` is NULL.
pub fn doubles<S: AggregateState>(value: impl Fn(&S) -> Option<f64> + Send + Sync + 'static) -> Finish<S> {
    Arc::new(move |states| Ok(Arc::new(Float64Array::from_iter(states.iter().map(&value)))))
}

/// The accumulator of one group, also of a window that slides: rows are added at one end and removed at the other. Then it keeps
/// the rows, and starts again from them when what was removed was so large that little is left of the digits of the rest.
pub struct OneGroup<S: AggregateState> {
    state: S,
    /// Where rows are removed: those without NULL, first the one that leaves next.
    rows: Option<VecDeque<S::Row>>,
    finish: Finish<S>,
}

impl<S: AggregateState> OneGroup<S> {
    pub fn new(finish: Finish<S>) -> Self {
        Self { state: S::default(), rows: None, finish }
    }

    /// The accumulator of a window that slides.
    pub fn sliding(finish: Finish<S>) -> Self {
        Self { rows: Some(VecDeque::new()), ..Self::new(finish) }
    }
}

impl<S: AggregateState> Debug for OneGroup<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(f)
    }
}

impl<S: AggregateState> Accumulator for OneGroup<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in S::rows(values)?.into_iter().flatten() {
            self.state.add(row);
            if let Some(rows) = &mut self.rows {
                rows.push_back(row);
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(rows) = &mut self.rows else { return internal_err!("rows leave a window that does not slide") };
        for row in S::rows(values)?.into_iter().flatten() {
            rows.pop_front();
            self.state.remove(row);
        }
        if self.state.is_doubtful() {
            self.state = S::default();
            rows.iter().for_each(|row| self.state.add(*row));
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.rows.is_some()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&(self.finish)(&[self.state])?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.as_ref().map_or(0, VecDeque::capacity) * size_of::<S::Row>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        S::encode(&[self.state]).iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        S::decode(states).iter().for_each(|state| self.state.merge(state));
        Ok(())
    }
}

/// The accumulators of many groups.
pub struct ManyGroups<S> {
    states: Vec<S>,
    finish: Finish<S>,
}

impl<S: AggregateState> ManyGroups<S> {
    pub fn new(finish: Finish<S>) -> Self {
        Self { states: Vec::new(), finish }
    }
}

impl<S: AggregateState> GroupsAccumulator for ManyGroups<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.states.resize(group_count, S::default());
        for ((at, row), group) in S::rows(values)?.into_iter().enumerate().zip(groups) {
            if let Some(row) = row.filter(|_| passes(filter, at)) {
                self.states[*group].add(row);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        (self.finish)(&emit_to.take_needed(&mut self.states))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(S::encode(&emit_to.take_needed(&mut self.states)))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], group_count: usize) -> Result<()> {
        self.states.resize(group_count, S::default());
        for (state, group) in S::decode(values).iter().zip(groups) {
            self.states[*group].merge(state);
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let state_of = |(at, row): (usize, Option<S::Row>)| {
            let mut state = S::default();
            if let Some(row) = row.filter(|_| passes(filter, at)) {
                state.add(row);
            }
            state
        };
        let states: Vec<S> = S::rows(values)?.into_iter().enumerate().map(state_of).collect();
        Ok(S::encode(&states))
    }

    fn size(&self) -> usize {
        self.states.capacity() * size_of::<S>()
    }
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}
