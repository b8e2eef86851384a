//! Fallbacks that are only known at run time: which operator, and why.

use datafusion::error::DataFusionError;

use crate::expr::fallback::FallbackReason;

/// An operator met data that it cannot run on the device. Under `auto` the pipeline falls back to its host plan.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operator}: {reason}")]
pub struct RuntimeFallback {
    /// Name of the operator, such as `XlaFilterExec`.
    pub operator: &'static str,
    pub reason: FallbackReason,
}

impl RuntimeFallback {
    /// The fallback behind an error, if it is one.
    pub fn of(error: &DataFusionError) -> Option<&Self> {
        match error {
            DataFusionError::External(inner) => inner.downcast_ref(),
            _ => None,
        }
    }
}

/// Names the operator in an error that is a fallback reason; other errors, and reasons with a name, stay as they are.
pub fn name_operator(error: DataFusionError, operator: &'static str) -> DataFusionError {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<FallbackReason>() {
            Ok(reason) => DataFusionError::External(Box::new(RuntimeFallback { operator, reason: *reason })),
            Err(inner) => DataFusionError::External(inner),
        },
        other => other,
    }
}
