//! How many rows the steps of pipelines let through, as samples have shown.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::program::Program;

/// A step after which rows can be compacted.
#[derive(Clone, Copy, Debug)]
pub struct Selectivity {
    /// Number of the step.
    pub step: usize,
    /// The part of all rows that is left after it.
    pub left: f64,
    /// Gathers a row that it takes to find this out, all steps before it included.
    pub weight: usize,
}

/// Selectivities by the text of the sample program.
#[derive(Default)]
pub struct Selectivities(Mutex<HashMap<String, Vec<Selectivity>>>);

impl Selectivities {
    pub fn get(&self, program: &Program) -> Option<Vec<Selectivity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&program.text).cloned()
    }

    pub fn set(&self, program: &Program, steps: Vec<Selectivity>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(program.text.clone(), steps);
    }
}
