//! The physical plan of a statement, which may be deep.

use std::mem;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;

use crate::large_stack;

/// A physical plan that is dropped on a large stack if it is deep.
#[derive(Clone)]
pub struct Plan {
    /// The node on top.
    pub root: Arc<dyn ExecutionPlan>,
    /// Whether it must run on the threads of [`large_stack`].
    pub is_deep: bool,
}

impl Plan {
    pub fn new(root: Arc<dyn ExecutionPlan>, is_deep: bool) -> Self {
        Self { root, is_deep }
    }

    /// The plan as it was before it ran, to be run again.
    ///
    /// # Errors
    /// If one of its nodes cannot be made anew.
    pub fn reset(&self) -> Result<Self> {
        let reset = || reset_plan_states(Arc::clone(&self.root));
        let root = if self.is_deep { large_stack::run(large_stack::STACK, reset) } else { reset() }?;
        Ok(Self::new(root, self.is_deep))
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        if self.is_deep {
            let nothing = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
            let root = mem::replace(&mut self.root, nothing);
            large_stack::run(large_stack::STACK, || drop(root));
        }
    }
}
