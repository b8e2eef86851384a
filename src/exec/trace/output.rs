//! What the outputs of a program are. One layout for all programs, so that errors and row counts are read in one place:
//!
//! ```text
//! arrays ... | live rows: a mask, their number, or nothing | error code | error code of the source | row counts ...
//! ```

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};

use crate::expr::tracer::error::ExpressionError;
use crate::runtime::Buffer;

/// Which rows of a result count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveRows {
    /// The rows of the source's chunk, or those that the caller knows of.
    OfSource,
    /// A `pred` follows the arrays.
    Mask,
    /// The first ones; their number, a scalar s32, follows the arrays.
    Prefix,
}

/// Where a program's arrays, live rows, error codes and row counts are among its outputs.
#[derive(Clone, Default)]
pub struct OutputLayout {
    pub arrays: usize,
    pub has_live: bool,
    /// Messages of the program's own error code, if it has one, and of the code that comes with the source.
    pub errors: Option<Vec<ExpressionError>>,
    pub source_errors: Option<Vec<ExpressionError>>,
    /// The operators whose row counts follow.
    pub counted: Vec<ExecutionPlanMetricsSet>,
}

/// The outputs of a call without error.
pub struct Outputs {
    pub arrays: Vec<Buffer>,
    /// The mask or the number of live rows.
    pub live: Option<Buffer>,
}

impl OutputLayout {
    /// A layout of arrays only.
    pub fn of_arrays(arrays: usize) -> Self {
        Self { arrays, ..Self::default() }
    }

    /// Fails with the error that the program reported.
    pub fn check(&self, outputs: &[Buffer]) -> Result<()> {
        let first = self.arrays + usize::from(self.has_live);
        for (at, messages) in (first..).zip([&self.errors, &self.source_errors].into_iter().flatten()) {
            let code = scalar_s32(outputs.get(at))?;
            if code > 0 {
                return Err(failure(code, messages));
            }
        }
        Ok(())
    }

    /// Splits the outputs, after errors have been checked and row counts added to the operators' metrics.
    pub fn read(&self, mut outputs: Vec<Buffer>) -> Result<Outputs> {
        self.check(&outputs)?;
        let first_count = outputs.len() - self.counted.len();
        for (metrics, rows) in self.counted.iter().zip(&outputs[first_count..]) {
            let rows = rows.to_vec::<i64>()?.first().copied().unwrap_or_default();
            MetricBuilder::new(metrics).output_rows(0).add(rows as usize);
        }
        outputs.truncate(self.arrays + usize::from(self.has_live));
        let live = if self.has_live { outputs.pop() } else { None };
        Ok(Outputs { arrays: outputs, live })
    }
}

impl Outputs {
    /// The number of live rows of a [`LiveRows::Prefix`].
    pub fn live_count(&self) -> Result<usize> {
        Ok(scalar_s32(self.live.as_ref())?.max(0) as usize)
    }
}

/// The value of a scalar s32.
pub fn scalar_s32(buffer: Option<&Buffer>) -> Result<i32> {
    match buffer.map(|buffer| buffer.to_vec::<i32>()).transpose()?.and_then(|values| values.first().copied()) {
        Some(value) => Ok(value),
        None => datafusion::common::internal_err!("a program lacks one of its outputs"),
    }
}

/// An expression of a program failed, and with it the query.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceFailure(ExpressionError);

impl DeviceFailure {
    /// The failure behind an error, if it is one.
    pub fn of(error: &DataFusionError) -> Option<&Self> {
        match error {
            DataFusionError::External(inner) => inner.downcast_ref(),
            _ => None,
        }
    }

    /// The error of the kind that DataFusion gives the expression.
    pub fn to_datafusion(&self) -> DataFusionError {
        self.0.to_datafusion()
    }
}

/// The error of code `code`.
fn failure(code: i32, errors: &[ExpressionError]) -> DataFusionError {
    let unknown = || ExpressionError::execution(format!("device error {code}"));
    let error = usize::try_from(code - 1).ok().and_then(|site| errors.get(site)).cloned().unwrap_or_else(unknown);
    DataFusionError::External(Box::new(DeviceFailure(error)))
}
