//! Converts DataFusion's physical expressions to device expressions and lowers those to HLO. [`convert`] returns an
//! expression or the reason why it has no device form; [`ir`] is the typed tree, which always lowers.

pub mod convert;
pub mod fallback;
pub mod functions;
pub mod ir;
pub mod lower;
pub mod time;
pub mod tracer;

impl From<crate::hlo::HloError> for datafusion::error::DataFusionError {
    fn from(error: crate::hlo::HloError) -> Self {
        Self::Internal(format!("tracing a device program: {error}"))
    }
}
