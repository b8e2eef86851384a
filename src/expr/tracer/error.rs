//! The errors of expressions on the device, one for each error site of a program, and their conversion to DataFusion's.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use crate::hlo::HloError;

/// What went wrong at an error site. A program reports only the number of the site, so no variant holds a row's value.
#[derive(Clone, Debug)]
pub enum ExpressionError {
    DivideByZero,
    ArithmeticOverflow(String),
    /// A value does not fit the type that it is cast to.
    Cast(String),
    /// An error that arrow's kernels report as a compute error.
    Compute(String),
    /// An error of one of DataFusion's functions.
    Execution(String),
    /// The error of a function that DataFusion evaluated on the host for a lookup.
    Host(Arc<DataFusionError>),
}

impl ExpressionError {
    pub fn overflow(message: impl Into<String>) -> Self {
        Self::ArithmeticOverflow(message.into())
    }

    pub fn cast(message: impl Into<String>) -> Self {
        Self::Cast(message.into())
    }

    pub fn compute(message: impl Into<String>) -> Self {
        Self::Compute(message.into())
    }

    pub fn execution(message: impl Into<String>) -> Self {
        Self::Execution(message.into())
    }

    /// The DataFusion error of the same kind.
    pub fn to_datafusion(&self) -> DataFusionError {
        let arrow = match self {
            Self::DivideByZero => ArrowError::DivideByZero,
            Self::ArithmeticOverflow(message) => ArrowError::ArithmeticOverflow(message.clone()),
            Self::Cast(message) => ArrowError::CastError(message.clone()),
            Self::Compute(message) => ArrowError::ComputeError(message.clone()),
            Self::Execution(message) => return DataFusionError::Execution(message.clone()),
            Self::Host(error) => return DataFusionError::Shared(Arc::clone(error)),
        };
        DataFusionError::ArrowError(Box::new(arrow), None)
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_datafusion().fmt(f)
    }
}

impl From<HloError> for DataFusionError {
    fn from(error: HloError) -> Self {
        Self::Internal(format!("tracing a device program: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::error::DataFusionError;

    use crate::expr::tracer::error::ExpressionError;

    #[test]
    fn errors_read_as_the_hosts() {
        let shown = |error: ExpressionError| {
            assert_eq!(error.to_string(), error.to_datafusion().to_string());
            error.to_string()
        };
        assert_eq!(shown(ExpressionError::DivideByZero), "Arrow error: Divide by zero error");
        assert_eq!(shown(ExpressionError::overflow("1 + 1")), "Arrow error: Arithmetic overflow: 1 + 1");
        assert_eq!(shown(ExpressionError::cast("no")), "Arrow error: Cast error: no");
        assert_eq!(shown(ExpressionError::compute("no")), "Arrow error: Compute error: no");
        assert_eq!(shown(ExpressionError::execution("no")), "Execution error: no");
        let host = DataFusionError::Execution("of the host".to_string());
        assert_eq!(shown(ExpressionError::Host(Arc::new(host))), "Execution error: of the host");
    }
}
