//! DataFusion's physical expressions -> device expressions -> HLO. [`convert`] answers with an expression or the
//! reason why there is none; [`device_expr`] is the typed tree that always lowers; the other modules lower its nodes.

pub mod arithmetic;
pub mod bitwise;
pub mod calendar;
pub mod case;
pub mod cast;
pub mod cast_time;
pub mod comparison;
pub mod concatenate;
pub mod conditional;
pub mod convert;
pub mod date_bin;
pub mod date_part;
pub mod date_trunc;
pub mod device_expr;
pub mod fallback;
pub mod function;
pub mod in_set;
pub mod integer;
pub mod interval;
pub mod logic;
pub mod lookup;
pub mod lower;
pub mod math;
pub mod numbers;
pub mod subquery;
pub mod time;
pub mod tracer;
pub mod zone;

impl From<crate::hlo::HloError> for datafusion::error::DataFusionError {
    fn from(error: crate::hlo::HloError) -> Self {
        Self::Internal(format!("tracing a device program: {error}"))
    }
}
