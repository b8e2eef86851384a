//! The accumulator of a window that slides: rows are added at one end and removed at the other. It keeps the rows of the window,
//! and starts again from them when what was removed was so large that little is left of the digits of the rest.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::mem::{size_of, size_of_val};

use datafusion::arrow::array::ArrayRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

use crate::frontend::aggregate::state::{AggregateState, Finish};

pub struct Sliding<S: AggregateState> {
    state: S,
    /// The rows without NULL, first the one that leaves next.
    rows: VecDeque<S::Row>,
    finish: Finish<S>,
}

impl<S: AggregateState> Sliding<S> {
    pub fn new(finish: Finish<S>) -> Self {
        Self { state: S::default(), rows: VecDeque::new(), finish }
    }
}

impl<S: AggregateState> Debug for Sliding<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {} rows", self.state, self.rows.len())
    }
}

impl<S: AggregateState> Accumulator for Sliding<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in S::rows(values)?.into_iter().flatten() {
            self.state.add(row);
            self.rows.push_back(row);
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in S::rows(values)?.into_iter().flatten() {
            self.rows.pop_front();
            self.state.remove(row);
        }
        if self.state.is_doubtful() {
            self.state = S::default();
            self.rows.iter().for_each(|row| self.state.add(*row));
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.finish)(&self.state)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.capacity() * size_of::<S::Row>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        S::encode(&[self.state]).iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        S::decode(states).iter().for_each(|state| self.state.merge(state));
        Ok(())
    }
}
