//! Calls of native functions.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Operation;
use crate::program::Shape;

impl Builder {
    /// The results, of the shapes `outputs`, of the function registered under `target` for the platform that runs the
    /// program. It gets pointers to the operands and no sizes: pass those as scalars. It must be pure: calls that are
    /// identical are shared, and a call whose results no output needs is dropped.
    pub fn custom_call(&mut self, target: &str, operands: &[Value], outputs: &[Shape]) -> Result<Vec<Value>> {
        let shapes = self.operands("custom_call", operands)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.$-".contains(c);
        if target.is_empty() || !target.chars().all(is_name) || outputs.is_empty() {
            let problem = format!("target {target:?} is no name, or there are no outputs");
            return Err(HloError::operands("custom_call", problem, &shapes));
        }
        Ok(self.results(Operation::CustomCall { target: target.to_string() }, operands, outputs.to_vec()))
    }
}
