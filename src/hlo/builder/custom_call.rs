//! Calls of native functions.

use crate::hlo::builder::{Builder, Value};
use crate::hlo::error::{HloError, Result};
use crate::hlo::operation::Operation;
use crate::program::Shape;

impl Builder {
    /// Calls the native function that is registered as `target` for the platform that runs the program, and returns its
    /// results, of the shapes `outputs`. The function gets pointers to the operands but no sizes, so pass those as
    /// scalars. It must be pure: identical calls are shared, and a call whose results no output needs is dropped.
    pub fn custom_call(&mut self, target: &str, operands: &[Value], outputs: &[Shape]) -> Result<Vec<Value>> {
        let shapes = self.operands("custom_call", operands)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.$-".contains(c);
        if target.is_empty() || !target.chars().all(is_name) || outputs.is_empty() {
            let problem = format!("target {target:?} is not a valid name, or there are no outputs");
            return Err(HloError::operands("custom_call", problem, &shapes));
        }
        Ok(self.results(Operation::CustomCall { target: target.to_string() }, operands, outputs.to_vec()))
    }
}
